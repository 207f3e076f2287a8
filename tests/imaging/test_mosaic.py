"""Siemens mosaics: the same slices and places as dcm2niix gives them."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import MRImageStorage

from dicomdock import Archive, Settings
from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry, split_series
from dicomdock.imaging.geometry.siemens import read_csa
from dicomdock.imaging.volume import Volume
from tests.builders import Made, composite, encode, write
from tests.imaging.scans import ds, oblique, put_pixels

COUNT, TILE = 11, (20, 24)


def csa(**values: list[str]) -> bytes:
    """Write a CSA header of version 2."""
    parts = [b"SV10\x04\x03\x02\x01", struct.pack("<2I", len(values), 77)]
    for name, texts in values.items():
        parts.append(struct.pack("<64si4s3i", name.encode(), len(texts), b"FD", 3, max(6, len(texts)), 77))
        for at in range(max(6, len(texts))):
            data = texts[at].encode() + b"\0" if at < len(texts) else b""
            parts.append(struct.pack("<4i", len(data), len(data), 77, len(data)))
            parts.append(data + bytes(-len(data) % 4))
    return b"".join(parts)


def slices(seed: int = 0) -> np.ndarray:
    k, j, i = np.indices((COUNT, *TILE))
    return (k * 1000 + j * 20 + i + seed).astype(np.uint16)


def mosaic(affine: np.ndarray, number: int = 1, diffusion: tuple[float, ...] = (), **shared: object) -> Made:
    """Make one volume as a mosaic; its slices lie on the grid of ``affine``."""
    side = math.ceil(math.sqrt(COUNT))
    rows, columns = TILE
    image = np.zeros((side * rows, side * columns), np.uint16)
    for k, plane in enumerate(slices(number)):
        row, column = k // side * rows, k % side * columns
        image[row : row + rows, column : column + columns] = plane
    geometry = VolumeGeometry((COUNT, *TILE), affine)
    directions = geometry.directions
    corner = geometry.to_lps([0, -(side - 1) * rows / 2, -(side - 1) * columns / 2])
    dataset = composite(
        MRImageStorage,
        Modality="MR",
        Manufacturer="SIEMENS",
        ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        InstanceNumber=number,
        AcquisitionNumber=number,
        AcquisitionTime=f"1200{number:02}.0",
        ContentTime=f"1200{number:02}.0",
        ImagePositionPatient=ds(corner),
        ImageOrientationPatient=ds([*directions[:, 2], *directions[:, 1]]),
        PixelSpacing=ds(geometry.spacing[1:]),
        SliceThickness=ds([geometry.spacing[0]])[0],
        SpacingBetweenSlices=ds([geometry.spacing[0]])[0],
        RepetitionTime="2000",
        EchoTime="30",
        ProtocolName="ep2d",
        SeriesDescription="ep2d",
        **shared,
    )
    put_pixels(dataset, image)
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    stated = {}
    if diffusion:
        stated["B_value"] = [f"{diffusion[0]:g}"]
        if diffusion[0]:
            stated["DiffusionGradientDirection"] = [f"{value:.8f}" for value in diffusion[1:]]
    header = csa(
        NumberOfImagesInMosaic=[str(COUNT)],
        MosaicRefAcqTimes=[f"{float(k * 150 % 2000)}" for k in range(COUNT)],
        **stated,
        SliceNormalVector=[f"{value:.8f}" for value in directions[:, 0]],
    )
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x10, "OB", header + bytes(len(header) % 2))
    return Made(dataset, encode(dataset))


@pytest.mark.parametrize("flipped", [False, True])
def test_a_mosaic_is_the_volume_that_dcm2niix_makes(tmp_path: Path, flipped: bool) -> None:
    affine = oblique((0.3, -0.2, 0.1), (4.0, 3.0, 3.0), (-20, -30, 10))
    if flipped:
        affine[:3, 0] *= -1
    shared = {"SeriesInstanceUID": "1.2.3.4", "StudyInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.9"}
    made = [mosaic(affine, number, **shared) for number in (1, 2, 3)]
    plans = split_series([one.dataset for one in made])
    assert [plan.shape for plan in plans] == [(COUNT, *TILE)] * 3
    volumes = [Volume.from_instances([one.data for one in made], plan=plan) for plan in plans]
    for number, volume in enumerate(volumes, 1):
        at = np.indices(volume.array.shape).reshape(3, -1).T
        own = np.round(VolumeGeometry((COUNT, *TILE), affine).to_index(volume.geometry.to_lps(at))).astype(
            int
        )
        assert np.array_equal(volume.array.reshape(-1), slices(number)[tuple(own.T)])
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed; to run this test: apt install dcm2niix")
    write(tmp_path / "in", made)
    (tmp_path / "out").mkdir()
    subprocess.run(
        [program, "-b", "n", "-z", "n", "-o", tmp_path / "out", tmp_path / "in"],
        check=True,
        capture_output=True,
    )
    (path,) = (tmp_path / "out").glob("*.nii")
    judge = nib.load(path)
    assert judge.shape == (TILE[1], TILE[0], COUNT, 3)
    values = judge.get_fdata()
    for number, volume in enumerate(volumes):
        grid = VolumeGeometry.from_ijk_to_ras((COUNT, *TILE), judge.affine)
        at = np.indices(volume.array.shape).reshape(3, -1).T
        theirs = np.round(grid.to_index(volume.geometry.to_lps(at)), 2)
        assert np.abs(theirs - np.round(theirs)).max() < 0.02
        k, j, i = np.round(theirs).astype(int).T
        assert np.array_equal(values[i, j, k, number], volume.array.reshape(-1))


def test_diffusion_is_exported_as_dcm2niix_does(settings: Settings, tmp_path: Path) -> None:
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed; to run this test: apt install dcm2niix")
    affine = oblique((0.3, -0.2, 0.1), (4.0, 3.0, 3.0), (-20, -30, 10))
    shared = {"SeriesInstanceUID": "1.2.3.4", "StudyInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.9"}
    weights = [(0.0,), (1000.0, 0.6, 0.8, 0.0), (1000.0, 0.0, -0.6, 0.8), (700.0, 0.0, 0.0, 1.0)]
    made = [mosaic(affine, at, weight, **shared) for at, weight in enumerate(weights, 1)]
    write(tmp_path / "in", made)
    with Archive.open(settings) as archive:
        archive.import_paths(tmp_path / "in")
        (outcome,) = archive.export_as(["1.2.3"], tmp_path / "out", "nifti")
    (tmp_path / "judge").mkdir()
    subprocess.run([program, "-o", tmp_path / "judge", tmp_path / "in"], check=True, capture_output=True)
    mine = tmp_path / "out" / outcome.path
    (theirs,) = (tmp_path / "judge").glob("*.nii")
    image, judge = nib.load(mine), nib.load(theirs)
    assert image.shape == judge.shape == (TILE[1], TILE[0], COUNT, 4)
    assert image.header.get_zooms()[3] == pytest.approx(judge.header.get_zooms()[3])
    stem = mine.with_name(mine.name.removesuffix(".nii.gz"))
    assert np.loadtxt(f"{stem}.bval").tolist() == np.loadtxt(theirs.with_suffix(".bval")).tolist()

    def in_patient(affine: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        sign = -1 if np.linalg.det(axes) > 0 else 1
        return axes @ (vectors * np.array([[sign], [1], [1]]))

    assert np.allclose(
        in_patient(image.affine, np.loadtxt(f"{stem}.bvec")),
        in_patient(judge.affine, np.loadtxt(theirs.with_suffix(".bvec"))),
        atol=1e-3,
    )
    sidecar = json.loads(stem.with_suffix(".json").read_text())
    due = json.loads(theirs.with_suffix(".json").read_text())
    for name in ("RepetitionTime", "EchoTime", "SliceTiming"):
        assert sidecar[name] == pytest.approx(due[name]), name


@pytest.mark.parametrize(
    ("lacking", "count", "why"),
    [
        ([0x00291010], None, "does not state of how many"),
        ([0x00291010], 0, "does not state of how many"),
        ([0x00291010], 30, "30 slices, into which its 96 x 80 pixels cannot be divided"),
        (["ImagePositionPatient"], None, "does not state where they lie"),
        (["PixelSpacing"], None, "Pixel Spacing"),
        (["SpacingBetweenSlices", "SliceThickness"], None, "how far apart they lie"),
    ],
)
def test_a_mosaic_that_cannot_be_divided_is_refused_with_the_reason(
    lacking: list[int | str], count: int | None, why: str
) -> None:
    dataset = mosaic(oblique((0, 0, 0), (4, 3, 3), (0, 0, 0))).dataset
    for one in lacking:
        del dataset[one]
    if count is not None:
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count)
    (plan,) = split_series([dataset])
    with pytest.raises(GeometryError, match=why):
        plan.require_spatial()


@pytest.mark.slow
@given(st.binary(max_size=400), st.integers(0, 700))
def test_damaged_csa_headers_give_what_is_whole(noise: bytes, cut: int) -> None:
    whole = csa(A=["1", "2"], B=["x"])
    assert read_csa(whole) == {"A": ("1", "2"), "B": ("x",)}
    assert set(read_csa(whole[:cut])) <= {"A", "B"}
    read_csa(noise)
    read_csa(b"SV10" + noise)
