"""The numbers of each segment of a segmentation over the images that it was drawn on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dicomdock.errors import GeometryError
from dicomdock.imaging.measurements.measurement import UPTAKE, quantity_of
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.statistics.shape import Shape, measure_shape
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
    shape : its size, on the grid that it is stored on.
    quantity, unit : what the values measure, in which unit.
    values : of its voxels; None where it has none in the images.
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


def segment_statistics(
    segmentation: Segmentation, volume: Volume, placed: Segmentation | None = None
) -> Iterator[SegmentStatistics]:
    """Yield the numbers of each segment over a volume.

    Where the grids differ, sizes are those of the segmentation's own grid, and values those of the voxels
    that ``onto`` finds.

    Parameters
    ----------
    volume : grey values; PET in what ``to_suv`` returns for uptake, else in its stated unit.
    placed : the segmentation on the grid of the volume, where that is known already.

    Raises
    ------
    GeometryError
        The volume is in colour, has no position in the patient, or another frame of reference.
    """
    if volume.colour or not volume.spatial:
        raise GeometryError("Segments are measured on grey images with a position in the patient only.")
    frames = (segmentation.frame_of_reference, volume.frame_of_reference)
    if all(frames) and frames[0] != frames[1]:
        raise GeometryError("The segmentation and the images have different frames of reference.")
    if placed is None:
        placed = place(segmentation, volume)
    quantity, unit = quantity_of(volume)
    for number, (own, there) in enumerate(zip(segmentation.segments, placed.segments, strict=True), 1):
        shape = measure_shape(own.mask.array, segmentation.geometry)
        values = summarize(volume.array[there.mask.box][there.mask.array], volume.padding)
        found = SegmentStatistics(number, own.label, shape, quantity, unit, values)
        if quantity != UPTAKE or values is None:
            yield found
            continue
        chosen = np.argwhere(there.mask.array) + np.array(there.mask.start)
        yield replace(
            found,
            peak=peak(volume.array, volume.geometry, chosen, volume.padding),
            metabolic_volume=shape.volume,
            glycolysis=values.mean * shape.volume if volume.units != unit_of("BSA") else None,
        )


def place(segmentation: Segmentation, volume: Volume) -> Segmentation:
    """Return a segmentation on the grid of a volume; the same one where it lies on it already."""
    same = segmentation.geometry.matches(volume.geometry)
    return segmentation if same else segmentation.onto(volume.geometry)
