"""The images that a derived object refers to: which of them lie on its slices.

References
----------
PS3.3 §C.7.6.16.2.6 (Derivation Image), §C.12.1.1.1 (Common Instance Reference).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import text
from dicomdock.imaging.geometry import Plane, VolumeGeometry, planes_of
from dicomdock.imaging.geometry.grid import GRID_TOLERANCE

_GEOMETRY = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "DimensionIndexSequence",
    "DimensionOrganizationSequence",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


@dataclass(frozen=True)
class Placed:
    """Images in the order of a grid's slices.

    Parameters
    ----------
    headers : the instances that lie on slices of the grid, each once; all of them where none does.
    slices : slice k -> instance and frame, where an image lies exactly on it.
    """

    headers: tuple[Dataset, ...]
    slices: dict[int, tuple[str, int]]


def place_sources(
    geometry: VolumeGeometry, sources: Sequence[Dataset], *, preferred: Collection[str] = ()
) -> Placed:
    """Find the images that lie on the slices of a grid.

    Parameters
    ----------
    sources : instances of one series, with or without pixels.
    preferred : SOP Instance UIDs that win where several images lie on one slice (echoes, time points).

    Raises
    ------
    GeometryError
        None of them is an image with a place in the patient.
    """
    headers: dict[str, Dataset] = {}
    planes: list[Plane] = []
    for source in sources:
        try:
            found = [plane for plane in planes_of(source) if plane.placed]
        except GeometryError:
            continue
        if found:
            headers[text(source, "SOPInstanceUID")] = source
            planes += found
    if not planes:
        raise GeometryError(
            "The source images state no position in the patient.",
            [text(one, "SOPInstanceUID") for one in sources],
        )
    slices: dict[int, tuple[str, int]] = {}
    for plane in sorted(planes, key=lambda one: (one.instance not in preferred, one.number, one.frame)):
        k = _slice_of(geometry, plane)
        if k is not None:
            slices.setdefault(k, (plane.instance, plane.frame))
    named = list(dict.fromkeys(instance for _, (instance, _) in sorted(slices.items())))
    return Placed(tuple(headers[uid] for uid in named or headers), slices)


def slim(header: Dataset) -> Dataset:
    """Give a copy with nothing but identity and geometry.

    Libraries that write objects check and copy much of their source; real headers hold values they refuse.
    What
    of patient and study belongs into the new object is added afterwards, as it was received.
    """
    copy = Dataset()
    for keyword in _GEOMETRY:
        if keyword in header:
            copy.add(header[keyword])
    for keyword in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
    ):
        setattr(copy, keyword, "")
    copy.StudyDate = copy.StudyTime = None
    if not text(copy, "FrameOfReferenceUID"):
        raise GeometryError(
            "The source images state no frame of reference.", [text(header, "SOPInstanceUID")]
        )
    return copy


def _slice_of(geometry: VolumeGeometry, plane: Plane) -> int | None:
    """Give the slice that a plane is; None where it is none, or another part of it."""
    if (plane.rows, plane.columns) != geometry.shape[1:] or plane.spacing is None:
        return None
    assert plane.along_row is not None and plane.along_column is not None and plane.origin is not None
    down = np.array(plane.along_column) * plane.spacing[0] * (plane.rows - 1)
    across = np.array(plane.along_row) * plane.spacing[1] * (plane.columns - 1)
    corners = np.array(plane.origin) + np.array([np.zeros(3), down, across])
    at = geometry.to_index(corners)
    k = int(np.round(at[0, 0]))
    due = np.array([[k, 0, 0], [k, plane.rows - 1, 0], [k, 0, plane.columns - 1]])
    close = bool(np.abs(at - due).max() <= 10 * GRID_TOLERANCE)
    return k if close and 0 <= k < geometry.shape[0] else None
