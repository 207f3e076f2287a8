"""Registrations of the archive: written for two series, read, and applied to volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.api.home import Home
from dicomdock.api.instances import found_in, headers_of, paths_of, read
from dicomdock.api.volume import Volume
from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError
from dicomdock.imaging import attributes
from dicomdock.imaging.registration import (
    SPATIAL_REGISTRATION,
    Registration,
    moved,
    read_registrations,
    registration_to_dicom,
    require_rigid,
)
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume.resample import resample
from dicomdock.imaging.volume.volume import AIR


def read_all(archive: Home, resource: Resource) -> list[Registration]:
    """Read the registrations of an instance, a series or a study; see ``Archive.registrations``."""
    found = [resource]
    if resource.level == "study":
        found = [*found_in(archive, resource, SOPClassUID=SPATIAL_REGISTRATION)]
    return [
        registration
        for one in found
        for path in paths_of(archive, one)
        for registration in read_registrations(read(path))
    ]


def save(
    archive: Home, fixed: Resource, moving: Resource, matrix: npt.ArrayLike, kind: Code | None, comment: str
) -> Resource:
    """Store a Spatial Registration in the study of the fixed series; see ``Archive.save_registration``."""
    headers = [headers_of(paths_of(archive, one)) for one in (fixed, moving)]
    frames = [_frame(ones, one) for ones, one in zip(headers, (fixed, moving), strict=True)]
    made = Registration(frames[0], frames[1], require_rigid(matrix), kind, comment)
    return archive.save_once(made, lambda: [registration_to_dicom(made, *headers)])


def apply(registrations: list[Registration], moving: Volume, fixed: Volume) -> Volume:
    """Return a volume moved into the frame of reference of another one, with its own voxels.

    Raises
    ------
    GeometryError
        No registration joins their frames of reference.
    """
    for one in registrations:
        matrix = one.between(fixed.frame_of_reference, moving.frame_of_reference)
        if matrix is not None:
            return moved(moving, matrix, fixed.frame_of_reference)
    raise GeometryError("No registration joins the frames of reference of the two series.")


def on_grid(registrations: list[Registration], moving: Volume, fixed: Volume) -> Volume:
    """Return a volume moved and resampled onto the grid of another one; beyond its edges lie air or 0.

    Raises
    ------
    GeometryError
        No registration joins their frames of reference.
    """
    there = apply(registrations, moving, fixed)
    fill = AIR if moving.units == "HU" else 0
    array = resample(there.array, there.geometry, fixed.geometry, linear=True, fill=fill)
    return replace(there, array=array, geometry=fixed.geometry, sources=(), padding=None)


def _frame(headers: list[Dataset], series: Resource) -> str:
    frames = {attributes.text(one, "FrameOfReferenceUID") for one in headers}
    if len(frames) != 1 or not (frame := frames.pop()):
        raise GeometryError(f"The images of {series} lie in no or in several frames of reference.")
    return frame
