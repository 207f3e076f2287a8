"""Diffusion series that state b-values and directions by the standard's attributes, as NIfTI."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import MRImageStorage, generate_uid

from dicomdock import Archive
from tests.api.conftest import SHAPE, values
from tests.builders import Made, encode, write
from tests.imaging.scans import oblique, scan

AFFINE = oblique((0.3, -0.2, 0.5), (2.5, 0.8, 0.6), (10, -20, 30))


def diffusion(weights: list[tuple[float | None, tuple[float, ...]]]) -> list[Made]:
    """Make a volume for each b-value and direction (LPS); what is None or empty is not stated."""
    shared = {
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "SOPClassUID": MRImageStorage,
        "Modality": "MR",
    }
    made = []
    for at, (b_value, direction) in enumerate(weights):
        for k, one in enumerate(scan(values() + at, AFFINE, AcquisitionNumber=at + 1, **shared)):
            one.dataset.InstanceNumber = k * len(weights) + at + 1  # slice by slice
            if b_value is not None:
                one.dataset.DiffusionBValue = b_value
            if direction:
                one.dataset.DiffusionGradientOrientation = list(direction)
            made.append(Made(one.dataset, encode(one.dataset)))
    return made


@pytest.mark.slow
def test_volumes_without_a_b_value_or_a_direction(archive: Archive, tmp_path: Path) -> None:
    """Some scanners write a b-value only where a gradient is on; trace images have no direction."""
    made = diffusion(
        [(None, ()), (1000.0, (0.6, 0.8, 0.0)), (1000.0, (0.0, -0.6, 0.8)), (700.0, ()), (0.0, (1.0, 0, 0))]
    )
    archive.import_paths(write(tmp_path / "in", made))
    (outcome,) = archive.export_as([made[0].study], tmp_path / "out", "nifti")
    assert outcome.remarks == (
        "1 volume states a b-value and no gradient direction, which is 0 0 0 in the .bvec file.",
    )
    path = tmp_path / "out" / outcome.path
    image = nib.load(path)
    assert image.shape == (*SHAPE[::-1], 5)
    assert np.ptp(image.get_fdata() - image.get_fdata()[..., :1], axis=(0, 1, 2)).max() == 0
    stem = str(path).removesuffix(".nii.gz")
    assert np.loadtxt(f"{stem}.bval").tolist() == [0, 1000, 1000, 700, 0]
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    vectors = np.loadtxt(f"{stem}.bvec")
    if np.linalg.det(axes) > 0:
        vectors[0] *= -1
    due = np.array([(0, 0, 0), (0.6, 0.8, 0), (0, -0.6, 0.8), (0, 0, 0), (0, 0, 0)]) * (-1, -1, 1)
    assert np.allclose(axes @ vectors, due.T, atol=1e-3)


@pytest.mark.slow
def test_a_series_without_b_values_has_no_table_of_them(archive: Archive, tmp_path: Path) -> None:
    made = diffusion([(None, ()), (None, ())])
    archive.import_paths(write(tmp_path / "in", made))
    (outcome,) = archive.export_as([made[0].study], tmp_path / "out", "nifti")
    assert outcome.remarks == ()
    assert not list((tmp_path / "out").rglob("*.bv*"))
