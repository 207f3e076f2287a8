"""The numbers of each segment of a segmentation over the images that it was drawn on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from dicomdock.errors import GeometryError
from dicomdock.imaging.measurements import Calibration, calibration_at
from dicomdock.imaging.measurements.measurement import UPTAKE, quantity_of
from dicomdock.imaging.segmentation import Mask, Segmentation
from dicomdock.imaging.statistics.shape import Shape, measure_area, measure_shape
from dicomdock.imaging.statistics.values import ValueStatistics, peak, summarize
from dicomdock.imaging.suv import unit_of
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume


@dataclass(frozen=True)
class SegmentStatistics:
    """The numbers of one segment.

    Parameters
    ----------
    number, label : of the segment, from 1.
    slice, image : of a segment on images without a position in the patient the slice k of the stack, and its
        SOP Instance UID and 1-based frame; None else, and where the segment is empty.
    shape : its size, on the grid that it is stored on.
    quantity, unit : what the values measure, in which unit.
    values : of its voxels; None where it has none in the images, and in colour.
    peak : the greatest mean in a sphere of 1 ml; only of Standardized Uptake Values.
    metabolic_volume : its volume in ml; only with Standardized Uptake Values.
    glycolysis : total lesion glycolysis, mean uptake times volume, in g; likewise, but not by body surface
        area, whose uptake is in cm2/ml.
    """

    number: int
    label: str
    shape: Shape
    quantity: Code
    unit: Code
    values: ValueStatistics | None
    peak: float | None = None
    metabolic_volume: float | None = None
    glycolysis: float | None = None
    slice: int | None = None
    image: tuple[str, int] | None = None


def segment_statistics(
    segmentation: Segmentation,
    volume: Volume,
    placed: Segmentation | None = None,
    calibrations: Mapping[str, Sequence[Calibration]] = MappingProxyType({}),
) -> Iterator[SegmentStatistics]:
    """Yield the numbers of each segment over a volume.

    Where the grids differ, sizes are those of the segmentation's own grid, and values those of the voxels
    that ``onto`` finds. On images without a position in the patient a segment has numbers for each image that
    it is drawn on, since these are not a volume.

    Parameters
    ----------
    volume : PET in what ``to_suv`` returns for uptake, else in its stated unit.
    placed : the segmentation on the grid of the volume, where that is known already.
    calibrations : what the pixels of images without a position measure, by SOP Instance UID.

    Raises
    ------
    GeometryError
        The volume has another frame of reference, or is not of the segmentation's images.
    """
    if not segmentation.spatial or not volume.spatial:
        if not segmentation.lies_on(volume):
            raise GeometryError("Segments without a position in the patient are measured on their images.")
        yield from _on_images(segmentation, volume, calibrations)
        return
    frames = (segmentation.frame_of_reference, volume.frame_of_reference)
    if all(frames) and frames[0] != frames[1]:
        raise GeometryError("The segmentation and the images have different frames of reference.")
    if placed is None:
        placed = place(segmentation, volume)
    quantity, unit = quantity_of(volume)
    for number, (own, there) in enumerate(zip(segmentation.segments, placed.segments, strict=True), 1):
        shape = measure_shape(own.mask.array, segmentation.geometry)
        values = _values(volume, there.mask)
        found = SegmentStatistics(number, own.label, shape, quantity, unit, values)
        if quantity != UPTAKE or values is None or shape.volume is None:
            yield found
            continue
        chosen = np.argwhere(there.mask.array) + np.array(there.mask.start)
        yield replace(
            found,
            peak=peak(volume.array, volume.geometry, chosen, volume.padding),
            metabolic_volume=shape.volume,
            glycolysis=values.mean * shape.volume if volume.units != unit_of("BSA") else None,
        )


def _values(volume: Volume, mask: Mask) -> ValueStatistics | None:
    return None if volume.colour else summarize(volume.array[mask.box][mask.array], volume.padding)


def _on_images(
    segmentation: Segmentation, volume: Volume, calibrations: Mapping[str, Sequence[Calibration]]
) -> Iterator[SegmentStatistics]:
    """Yield the numbers of each segment on each of the images that it is drawn on."""
    quantity, unit = quantity_of(volume)
    for number, segment in enumerate(segmentation.segments, 1):
        first, row, column = segment.mask.start
        used = np.flatnonzero(segment.mask.array.any(axis=(1, 2))).tolist()
        if not used:
            shape = measure_area(np.zeros((1, 1), np.bool_), None)
            yield SegmentStatistics(number, segment.label, shape, quantity, unit, None)
        for at in used:
            mask, k = Mask.of(segment.mask.array[at : at + 1]), first + at
            _, down, across = mask.start
            moved = Mask((k, row + down, column + across), mask.array)
            image = segmentation.source_frames[k]
            shape = measure_area(moved.array[0], _calibration(moved, calibrations.get(image[0], ())))
            values = _values(volume, moved)
            yield SegmentStatistics(
                number, segment.label, shape, quantity, unit, values, slice=k, image=image
            )


def _calibration(mask: Mask, stated: Sequence[Calibration]) -> Calibration | None:
    """Return what the pixels of a segment measure; None where they do not lie in one calibrated region."""
    (_, top, left), (_, bottom, right) = mask.start, mask.stop
    try:
        return calibration_at(stated, [(left, top), (right - 1, bottom - 1)])
    except GeometryError:
        return None


def place(segmentation: Segmentation, volume: Volume) -> Segmentation:
    """Return a segmentation on the grid of a volume; the same one where it lies on it already."""
    same = segmentation.lies_on(volume)
    return segmentation if same else segmentation.onto(volume.geometry)
