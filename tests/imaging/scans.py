"""Scans made in code: any grid, any kind of pixels, as the instances a scanner would send."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from dicomdock.imaging.geometry import VolumeGeometry
from tests.builders import Made, composite, encode

AXIAL = np.array([[0, 0, 0.7, -30], [0, 0.7, 0, -20], [2, 0, 0, 10], [0, 0, 0, 1.0]])
"""Affine (k, j, i) -> LPS: 0.7 mm pixels, 2 mm slices; i along x, j along y, k along z."""


def ds(values: Sequence[float]) -> list[str]:
    """Write numbers as DS values, 16 characters at most."""
    return [format_number_as_ds(float(value)) for value in values]


def grid(shape: tuple[int, int, int] = (6, 10, 12), affine: np.ndarray = AXIAL) -> VolumeGeometry:
    return VolumeGeometry(shape, affine)


def oblique(angles: Sequence[float], spacing: Sequence[float], origin: Sequence[float]) -> np.ndarray:
    """Return an affine (k, j, i) -> LPS turned by three angles (radians), k along the normal."""
    (a, b, c) = angles
    turn = (
        np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        @ np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
        turn[:, 2] * spacing[0],
        turn[:, 1] * spacing[1],
        turn[:, 0] * spacing[2],
    )
    affine[:3, 3] = origin
    return affine


def scan(array: np.ndarray, affine: np.ndarray = AXIAL, **attributes: Any) -> list[Made]:
    """Make the slices of a grey volume (k, j, i), stored as 16-bit integers.

    Parameters
    ----------
    affine : takes (k, j, i, 1) to mm, LPS.
    attributes : set on every slice.
    """
    geometry = VolumeGeometry(array.shape, affine)
    shared: dict[str, Any] = {
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "Modality": "CT",
        **attributes,
    }
    made = []
    for k, pixels in enumerate(array):
        dataset = composite(shared.get("SOPClassUID", CTImageStorage), **shared)
        dataset.InstanceNumber = k + 1
        place(dataset, geometry, k)
        put_pixels(dataset, pixels)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        made.append(Made(dataset, encode(dataset)))
    return made


def place(dataset: Dataset, geometry: VolumeGeometry, k: int) -> None:
    """Write the position of slice k into a header."""
    _, rows, columns = geometry.spacing
    directions = geometry.directions
    dataset.ImagePositionPatient = ds(geometry.to_lps([k, 0, 0]))
    dataset.ImageOrientationPatient = ds([*directions[:, 2], *directions[:, 1]])
    dataset.PixelSpacing = ds([rows, columns])
    normal = np.cross(directions[:, 2], directions[:, 1])
    dataset.SliceThickness = ds([abs(float(geometry.affine[:3, 0] @ normal))])[0]


def put_pixels(dataset: Dataset, pixels: np.ndarray) -> None:
    """Write grey pixels (rows, columns) or (frames, rows, columns)."""
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)


def headers(instances: Sequence[Made]) -> list[Dataset]:
    """Return the instances as Datasets without pixels."""
    found = []
    for instance in instances:
        found.append(dcmread(BytesIO(instance.data), stop_before_pixels=True))
    return found


def check_with_dciodvfy(data: bytes, folder: Path) -> str:
    """Validate an object with dicom3tools; give what it says, which must hold no error."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not here; to run this test: apt install dicom3tools")
    file = folder / "object.dcm"
    file.write_bytes(data)
    done = subprocess.run(
        [program, "-new", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    errors = [line for line in said.splitlines() if line.startswith("Error")]
    assert not errors, "\n".join(errors)
    return said
