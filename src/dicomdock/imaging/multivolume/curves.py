"""Values over the volumes of a series: of a voxel, and of the segments of a segmentation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.multivolume.projection import alike
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.statistics import ValueStatistics, place, summarize
from dicomdock.imaging.volume import Volume


@dataclass(frozen=True)
class Sample:
    """The values of a region in one volume.

    Parameters
    ----------
    at : number of the volume, from 0.
    label : of the region.
    values : None where it has none in the volume.
    """

    at: int
    label: str
    values: ValueStatistics | None


def region_curve(volumes: Iterable[Volume], segmentation: Segmentation) -> list[Sample]:
    """Return the values of each segment in each volume.

    Raises
    ------
    GeometryError
        Grids, units or frames of reference differ.
    """
    found: list[Sample] = []
    first: Volume | None = None
    placed: Segmentation | None = None
    for at, volume in enumerate(volumes):
        if first is None:
            frames = (segmentation.frame_of_reference, volume.frame_of_reference)
            if all(frames) and frames[0] != frames[1]:
                raise GeometryError("The segmentation and the images have different frames of reference.")
            placed = place(segmentation, volume)
        first = alike(first, volume)
        assert placed is not None, "set with the first volume"
        found += [
            Sample(
                at,
                segment.label,
                summarize(volume.array[segment.mask.box][segment.mask.array], volume.padding),
            )
            for segment in placed.segments
        ]
    return found


def voxel_curve(volumes: Iterable[Volume], point: npt.ArrayLike) -> list[Sample]:
    """Return the value of the voxel that holds a point, in each volume.

    Parameters
    ----------
    point : in mm, LPS.

    Raises
    ------
    GeometryError
        The point lies outside the images, or grids or units differ.
    """
    found: list[Sample] = []
    first: Volume | None = None
    for at, volume in enumerate(volumes):
        first = alike(first, volume)
        index = np.rint(volume.geometry.to_index(np.atleast_2d(point))[0]).astype(int)
        if (index < 0).any() or (index >= volume.geometry.shape).any():
            where = ", ".join(f"{value:g}" for value in np.asarray(point, dtype=float))
            raise GeometryError(f"The point ({where}) lies outside the images.")
        k, j, i = index
        found.append(Sample(at, "point", summarize(volume.array[k : k + 1, j, i], volume.padding)))
    return found
