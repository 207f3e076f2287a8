"""What the values in a region are: mean, deviation, percentiles, and the peak of 1 ml."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.volume.pixels import valid

PERCENTILES = (5, 10, 25, 75, 90, 95)

PEAK_RADIUS = (3000 / (4 * math.pi)) ** (1 / 3)
"""Radius in mm of a sphere of 1 ml."""

_CHUNK = 1 << 22  # values gathered at a time


@dataclass(frozen=True)
class ValueStatistics:
    """The values of a region.

    Parameters
    ----------
    count : of the values; without those that are not numbers or padding.
    mean, minimum, maximum, median : of the values.
    deviation : their standard deviation, of the region itself (divided by ``count``).
    percentiles : for each of ``PERCENTILES``, with linear interpolation between values.
    """

    count: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    median: float
    percentiles: tuple[float, ...]


def summarize(values: npt.NDArray[Any], padding: tuple[float, float] | None = None) -> ValueStatistics | None:
    """Return the statistics of values; None where there is none.

    Parameters
    ----------
    padding : least and greatest value of what is not part of the image.
    """
    numbers = values[valid(values, padding)].astype(np.float64)
    if not numbers.size:
        return None
    low, *shares, median = np.percentile(numbers, [0, *PERCENTILES, 50])
    return ValueStatistics(
        int(numbers.size),
        float(numbers.mean()),
        float(numbers.std()),
        float(low),
        float(numbers.max()),
        float(median),
        tuple(float(one) for one in shares),
    )


def peak(
    array: npt.NDArray[Any],
    geometry: VolumeGeometry,
    chosen: npt.NDArray[np.integer[Any]],
    padding: tuple[float, float] | None = None,
) -> float | None:
    """Return the greatest mean in a sphere of 1 ml whose centre is a voxel of a region; None for none.

    A voxel belongs to the sphere when its centre does, also outside the region; what lies outside the image
    is left out.

    Parameters
    ----------
    array : the values (k, j, i) of the whole image.
    chosen : indices (n, 3) of the region's voxels.

    References
    ----------
    IBSI, global intensity peak (0F91).
    """
    offsets = _sphere(geometry)
    if not len(chosen):
        return None
    best: float | None = None
    shape = np.array(array.shape)
    step = max(1, _CHUNK // len(offsets))
    for begin in range(0, len(chosen), step):
        at = chosen[begin : begin + step, None, :] + offsets
        inside = ((at >= 0) & (at < shape)).all(axis=2)
        at = np.clip(at, 0, shape - 1)
        values = array[at[..., 0], at[..., 1], at[..., 2]].astype(np.float64)
        inside &= valid(values, padding)
        counts = inside.sum(axis=1)
        sums = np.where(inside, values, 0).sum(axis=1)
        if counts.any():
            found = float((sums[counts > 0] / counts[counts > 0]).max())
            best = found if best is None else max(best, found)
    return best


def _sphere(geometry: VolumeGeometry) -> npt.NDArray[np.int64]:
    """Return the offsets (n, 3) of the voxels whose centres lie in a sphere of 1 ml."""
    reach = np.floor(PEAK_RADIUS * np.linalg.norm(geometry.inverse[:3, :3], axis=1)).astype(np.int64)
    axes = [np.arange(-end, end + 1) for end in reach]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    away = np.linalg.norm(offsets @ geometry.affine[:3, :3].T, axis=1)
    inside: npt.NDArray[np.int64] = offsets[away <= PEAK_RADIUS]
    return inside
