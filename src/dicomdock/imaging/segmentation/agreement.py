"""How far two masks of the same structure agree: overlap, and the distances between their surfaces.

The surface of a mask is the set of its voxels that share a face with a voxel outside of it; each has the
distance of its centre to the nearest such centre of the other mask.

References
----------
Maier-Hein et al., Metrics Reloaded, Nature Methods 21 (2024): Dice similarity coefficient, average symmetric
surface distance, 95th percentile of the Hausdorff distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation.mask import BoolArray, Mask

MOST_VOXELS = 1 << 28  # of the box around two masks; a larger one needs more memory than a laptop has
REACH = 4.0  # largest voxel edges that the nearest surface is looked for at first; doubled until it is found


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two masks agree.

    Parameters
    ----------
    volumes : of both, in ml.
    dice : twice the common voxels by the voxels of both, from 0 to 1; None where both are empty.
    distance_95 : in mm; the larger of the 95th percentiles of the distances from either surface to the other.
        None where a mask is empty.
    mean_distance : in mm; the mean over the voxels of both surfaces. None where a mask is empty.
    remark : why there are no distances, although both masks have voxels.
    """

    volumes: tuple[float, float]
    dice: float | None
    distance_95: float | None
    mean_distance: float | None
    remark: str = ""


def agreement(first: Mask, second: Mask, geometry: VolumeGeometry) -> Agreement:
    """Compare two masks on one grid.

    Distances are not measured where a tilted gantry has sheared the grid, or the masks lie too far apart.

    Parameters
    ----------
    geometry : of the grid.
    """
    millilitres = abs(float(np.linalg.det(geometry.affine[:3, :3]))) / 1000
    counts = first.count, second.count
    volumes = counts[0] * millilitres, counts[1] * millilitres
    if not all(counts):
        return Agreement(volumes, 0.0 if any(counts) else None, None, None)
    dice = 2 * first.shared(second) / sum(counts)
    if geometry.sheared:
        why = "Distances are measured on slices that are not tilted; straighten the volume."
        return Agreement(volumes, dice, None, None, why)
    try:
        a, b = _in_one_box(first, second)
    except GeometryError as error:
        return Agreement(volumes, dice, None, None, error.reason)
    a, b = _surface(a), _surface(b)
    there, back = _distances(a, b, geometry.spacing), _distances(b, a, geometry.spacing)
    percentile = max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))
    return Agreement(volumes, dice, percentile, float(np.concatenate([there, back]).mean()))


def _in_one_box(first: Mask, second: Mask) -> tuple[BoolArray, BoolArray]:
    """Return both masks in the smallest box that holds them.

    Raises
    ------
    GeometryError
        It is too large.
    """
    start = [min(pair) for pair in zip(first.start, second.start, strict=True)]
    stop = [max(pair) for pair in zip(first.stop, second.stop, strict=True)]
    shape = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    if math.prod(shape) > MOST_VOXELS:
        raise GeometryError("The two segments lie too far apart to be compared.")

    def moved(mask: Mask) -> BoolArray:
        whole = np.zeros(shape, np.bool_)
        whole[tuple(slice(n.start - at, n.stop - at) for n, at in zip(mask.box, start, strict=True))] = (
            mask.array
        )
        return whole

    return moved(first), moved(second)


def _surface(mask: BoolArray) -> BoolArray:
    """Return the voxels of a mask that share a face with one outside of it."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    middle = slice(1, -1)
    for axis in range(3):
        for side in (slice(0, -2), slice(2, None)):
            at = [middle, middle, middle]
            at[axis] = side
            inner &= padded[tuple(at)]
    return mask & ~inner


def _distances(
    surface: BoolArray, other: BoolArray, spacing: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """Return the distance in mm of each voxel of a surface to the nearest one of another.

    Squared distances are built axis by axis, as far as a reach; a distance within the reach is exact, because
    no part of it along an axis is longer. Surfaces that agree are close, so that the first reach mostly does.
    """
    reach = REACH * max(spacing)
    while True:
        squares = _squares_at(surface, other, spacing, reach)
        if float(squares.max()) <= reach**2:
            return np.sqrt(squares, dtype=np.float64)
        reach *= 2


def _squares_at(
    places: BoolArray, surface: BoolArray, spacing: tuple[float, float, float], reach: float
) -> npt.NDArray[np.float32]:
    """Return the squared distances of places to a surface, exact as far as the reach."""
    squares = np.where(surface, np.float32(0), np.float32(np.inf))
    for axis, step in enumerate(spacing[:2]):
        here = np.moveaxis(squares, axis, 0)
        nearest = here.copy()
        for away in range(1, min(int(reach / step), here.shape[0] - 1) + 1):
            cost = np.float32((away * step) ** 2)
            np.minimum(nearest[away:], here[:-away] + cost, out=nearest[away:])
            np.minimum(nearest[:-away], here[away:] + cost, out=nearest[:-away])
        squares = np.moveaxis(nearest, 0, axis)
    # Along the last axis only the places themselves are of interest.
    steps = min(int(reach / spacing[2]), surface.shape[2] - 1)
    padded = np.pad(squares, ((0, 0), (0, 0), (steps, steps)), constant_values=np.inf)
    k, j, i = np.nonzero(places)
    found = np.full(len(k), np.inf, np.float32)
    for away in range(-steps, steps + 1):
        np.minimum(found, padded[k, j, i + steps + away] + np.float32((away * spacing[2]) ** 2), out=found)
    return found
