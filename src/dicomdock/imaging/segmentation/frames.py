"""Where the frames of a segmentation lie, and the grid they make: often only the slices that hold something.

References
----------
PS3.3 §C.7.6.16.2 (functional groups), §C.8.20.3 (Segmentation Functional Groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, items, number, numbers, text
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.geometry.grid import GRID_TOLERANCE, Matrix
from dicomdock.imaging.geometry.stack import DRIFT_TOLERANCE, NORMAL_TOLERANCE, gap_tolerance

MAX_PLACES = 100_000  # slices of a grid; two frames a kilometre apart would else claim all memory


@dataclass(frozen=True)
class Frame:
    """One frame: its segment (0 in a label map) and its plane, as a 4 x 4 without a step between slices.

    Parameters
    ----------
    segment : Referenced Segment Number.
    origin : mm, LPS.
    down, across : mm, LPS: from one row, one column, to the next.
    step : mm between slices as the header states it; None where it does not.
    shape : rows, columns.
    """

    segment: int
    origin: tuple[float, ...]
    down: tuple[float, ...]
    across: tuple[float, ...]
    step: float | None
    shape: tuple[int, int]


def frames_of(dataset: Dataset, onto: VolumeGeometry | None = None) -> list[Frame]:
    """Read the frames of a multi-frame object with functional groups.

    Parameters
    ----------
    onto : the grid of the images; its spacing is taken where the object states none and its frames have as
        many rows and columns.

    Raises
    ------
    GeometryError
        A frame states no position, orientation or pixel spacing.
    """
    uid = text(dataset, "SOPInstanceUID")
    shared, groups, shape = functional_groups(dataset)
    seen: dict[int, tuple[tuple[float, ...], tuple[float, ...], float | None]] = {}

    def grid(item: Dataset) -> tuple[tuple[float, ...], tuple[float, ...], float | None] | None:
        orientation = first(item, "PlaneOrientationSequence") or first(shared, "PlaneOrientationSequence")
        measures = first(item, "PixelMeasuresSequence") or first(shared, "PixelMeasuresSequence")
        axes = numbers(orientation, "ImageOrientationPatient", 6)
        spacing = numbers(measures, "PixelSpacing", 2)
        if spacing is None and onto is not None and shape == onto.shape[1:]:
            spacing = onto.spacing[1:]
        if axes is None or spacing is None or min(spacing) <= 0:
            return None
        down = tuple(value * spacing[0] for value in axes[3:])
        across = tuple(value * spacing[1] for value in axes[:3])
        step = number(measures, "SpacingBetweenSlices") or number(measures, "SliceThickness")
        return down, across, abs(step) if step else None

    frames = []
    for item in groups:
        own = "PlaneOrientationSequence" in item or "PixelMeasuresSequence" in item
        key = id(item) if own else 0
        if key not in seen:
            found = grid(item)
            if found is None:
                raise GeometryError("The frames of the object state no orientation and pixel spacing.", [uid])
            seen[key] = found
        down, across, step = seen[key]
        position = first(item, "PlanePositionSequence") or first(shared, "PlanePositionSequence")
        origin = numbers(position, "ImagePositionPatient", 3)
        if origin is None:
            raise GeometryError("A frame of the object states no position.", [uid])
        frames.append(Frame(segment_number(item, shared), origin, down, across, step, shape))
    return frames


def functional_groups(dataset: Dataset) -> tuple[Dataset | None, Sequence[Dataset], tuple[int, int]]:
    """Return the shared functional groups, those of each frame, and rows and columns.

    Raises
    ------
    GeometryError
        Some of them are missing.
    """
    shape = (integer(dataset, "Rows") or 0, integer(dataset, "Columns") or 0)
    count = integer(dataset, "NumberOfFrames") or 1
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")[:count]
    if len(groups) < count or not min(shape):
        uid = text(dataset, "SOPInstanceUID")
        raise GeometryError("The object does not describe all of its frames.", [uid])
    return first(dataset, "SharedFunctionalGroupsSequence"), groups, shape


def segment_number(group: Dataset, shared: Dataset | None) -> int:
    """Return the Referenced Segment Number of a frame; 0 where it names none, as in a label map."""
    name = "SegmentIdentificationSequence"
    return integer(first(group, name) or first(shared, name), "ReferencedSegmentNumber") or 0


def grid_of(
    frames: Sequence[Frame], onto: VolumeGeometry | None, uid: str
) -> tuple[VolumeGeometry, list[int]]:
    """Find the grid of frames, and the slice k of each.

    Parameters
    ----------
    frames : at least one.
    onto : a grid that is taken, or a part of whose rows and columns is taken, when all frames are slices of
        it.
    uid : SOP Instance UID, for the error.

    Raises
    ------
    GeometryError
        The frames do not lie on one regular grid.
    """
    lead = frames[0]
    plane = np.array([lead.down, lead.across]).T
    sizes = np.linalg.norm(plane, axis=0)
    for frame in frames[1:]:
        if frame.down is not lead.down or frame.across is not lead.across:
            other = np.array([frame.down, frame.across]).T
            if np.abs((other - plane) / sizes).max() > NORMAL_TOLERANCE:
                raise GeometryError("The frames of the object are turned against each other.", [uid])
    origins = np.array([frame.origin for frame in frames])
    if onto is not None and (found := _slices_of(onto, plane, origins, lead.shape)) is not None:
        return found
    return _own_grid(plane, origins, lead, uid)


def _slices_of(
    onto: VolumeGeometry, plane: Matrix, origins: Matrix, shape: tuple[int, int]
) -> tuple[VolumeGeometry, list[int]] | None:
    """Return the part of a grid whose slices the frames are; None where they are not."""
    extent = np.array(shape) - 1
    drift = (plane - onto.affine[:3, 1:3]) * np.maximum(extent, 1)
    if (np.linalg.norm(drift, axis=0) > GRID_TOLERANCE * np.array(onto.spacing[1:])).any():
        return None
    at = onto.to_index(origins)
    nearest = np.round(at)
    if np.abs(at - nearest).max() > GRID_TOLERANCE or np.ptp(nearest[:, 1:], axis=0).any():
        return None
    places = nearest[:, 0].astype(int)
    if places.min() < 0 or places.max() >= onto.shape[0]:
        return None
    j, i = (int(value) for value in nearest[0, 1:])
    return onto.part((0, j, i), (onto.shape[0], j + shape[0], i + shape[1])), [int(k) for k in places]


def _own_grid(plane: Matrix, origins: Matrix, lead: Frame, uid: str) -> tuple[VolumeGeometry, list[int]]:
    normal = np.cross(plane[:, 1], plane[:, 0])
    normal /= np.linalg.norm(normal)
    pixel = float(np.linalg.norm(plane, axis=0).min())
    depths = origins @ normal
    order = np.argsort(depths, kind="stable")
    places = np.zeros(len(origins), int)
    gaps = np.diff(depths[order])
    distinct = gaps[gaps > GRID_TOLERANCE * pixel]
    unit = _unit(distinct, lead.step)
    if unit is None:
        raise GeometryError("The slices of the object do not lie at equal distances.", [uid])
    counts = np.where(gaps > GRID_TOLERANCE * pixel, np.round(gaps / unit), 0).astype(int)
    places[order[1:]] = np.cumsum(counts)
    total = int(places.max())
    if total >= MAX_PLACES:
        raise GeometryError("The slices of the object lie too far apart.", [uid])
    bottom, top = origins[order[0]], origins[order[-1]]
    step = (top - bottom) / total if total else normal * unit
    away = np.linalg.norm(origins - bottom - np.outer(places, step), axis=1)
    if away.max() > max(DRIFT_TOLERANCE * pixel, GRID_TOLERANCE):
        raise GeometryError("The frames of the object do not lie on one straight line.", [uid])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1:3], affine[:3, 3] = step, plane, bottom
    return VolumeGeometry((total + 1, *lead.shape), affine), [int(k) for k in places]


def _unit(gaps: Matrix, stated: float | None) -> float | None:
    """Return the distance that all gaps are whole multiples of."""
    if not gaps.size:
        return stated or 1.0
    for unit in (stated, float(gaps.min())):
        if unit and unit <= gaps.min() * 1.5:
            counts = np.round(gaps / unit)
            if (np.abs(gaps - counts * unit) <= counts * gap_tolerance(unit)).all():
                return unit
    return None
