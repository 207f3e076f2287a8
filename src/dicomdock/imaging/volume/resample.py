"""Bring values from one grid to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.geometry.grid import SNAP, Matrix
from dicomdock.imaging.volume.pixels import Array

_ALIGNED = 1e-9  # index steps below this are none


def resample(
    array: Array, source: VolumeGeometry, target: VolumeGeometry, *, linear: bool, fill: float = 0
) -> Array:
    """Return the values at the voxels of another grid.

    Parameters
    ----------
    array : values on ``source``, (k, j, i) or (k, j, i, 3).
    linear : interpolate; False takes the nearest voxel, as labels need it.
    fill : the value outside ``source``.
    """
    matrix = source.inverse @ target.affine
    out: Array = np.full((*target.shape, *array.shape[3:]), fill, array.dtype)
    # Where each axis of the target depends on one of the source (a new spacing, a straightened gantry), one
    # axis after the other is interpolated; in a turned grid every voxel has its own position.
    mixing = np.array([matrix[0, 1], matrix[0, 2], matrix[1, 2], matrix[2, 1]])
    aligned = bool(np.abs(mixing).max() < _ALIGNED)
    for k in range(target.shape[0]):
        if aligned:
            _aligned_slice(array, matrix, k, out[k], linear=linear)
        else:
            _turned_slice(array, matrix, k, out[k], linear=linear)
    return out


def values_at(array: Array, indices: npt.ArrayLike, *, fill: float = 0) -> Array:
    """Return linearly interpolated values at any points.

    Parameters
    ----------
    array : (k, j, i) or (k, j, i, 3); integers stay integers, rounded.
    indices : (..., 3), in voxels, in the order k, j, i.
    fill : the value outside the outermost voxel centres.
    """
    at = np.asarray(indices, dtype=np.float64)
    flat = list(at.reshape(-1, 3).T)
    out: Array = np.full((len(flat[0]), *array.shape[3:]), fill, array.dtype)
    inside = _all_inside(flat, array, linear=True)
    if inside.any():
        out[inside] = _as_type(_between(array, [one[inside] for one in flat]), out.dtype)
    return out.reshape(*at.shape[:-1], *array.shape[3:])


def _aligned_slice(array: Array, matrix: Matrix, k: int, out: Array, *, linear: bool) -> None:
    start = matrix[:3, 0] * k + matrix[:3, 3]
    at = [
        np.array([start[0]]),
        start[1] + matrix[1, 1] * np.arange(out.shape[0]),
        start[2] + matrix[2, 2] * np.arange(out.shape[1]),
    ]
    ranges = [
        np.flatnonzero(_inside(positions, size, linear=linear))
        for positions, size in zip(at, array.shape, strict=False)
    ]
    if any(there.size == 0 for there in ranges):
        return
    rows, columns = np.ix_(ranges[1], ranges[2])
    k_at, j_at, i_at = (positions[there] for positions, there in zip(at, ranges, strict=True))
    if not linear:
        nearest = np.ix_(_nearest(j_at, array.shape[1]), _nearest(i_at, array.shape[2]))
        out[rows, columns] = array[_nearest(k_at, array.shape[0])[0]][nearest]
        return
    values = _along(array, k_at, 0)[0]
    values = _along(values, j_at, 0)
    values = _along(values, i_at, 1)
    out[rows, columns] = _as_type(values, out.dtype)


def _inside(positions: Array, size: int, *, linear: bool) -> Array:
    """Return whether positions lie between the outermost voxel centres (for the nearest: within voxels)."""
    margin = 10.0**-SNAP if linear else 0.5
    inside: Array = (positions >= -margin) & (positions <= size - 1 + margin)
    return inside


def _all_inside(at: Sequence[Array], array: Array, *, linear: bool) -> Array:
    """Return which positions k, j, i lie inside along all axes."""
    axes = zip(at, array.shape, strict=False)
    inside: Array = np.logical_and.reduce([_inside(one, size, linear=linear) for one, size in axes])
    return inside


def _nearest(positions: Array, size: int) -> Array:
    """Return the nearest voxels; halfway between two the later one, so that none is taken twice."""
    nearest: Array = np.clip(np.floor(np.round(positions, SNAP) + 0.5).astype(np.intp), 0, size - 1)
    return nearest


def _along(values: Array, positions: Array, axis: int) -> Array:
    """Interpolate linearly along one axis."""
    size = values.shape[axis]
    below = np.clip(np.floor(positions).astype(np.intp), 0, max(size - 2, 0))
    share = np.clip(positions - below, 0, 1).reshape([-1 if at == axis else 1 for at in range(values.ndim)])
    lower = np.take(values, below, axis)
    if not share.any():
        return lower
    upper = np.take(values, np.minimum(below + 1, size - 1), axis)
    mixed: Array = lower * (1 - share) + upper * share
    return mixed


def _as_type(values: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind in "iu" and values.dtype.kind == "f":
        return np.round(values).astype(dtype)
    return values.astype(dtype, copy=False)


def _turned_slice(array: Array, matrix: Matrix, k: int, out: Array, *, linear: bool) -> None:
    j, i = np.ogrid[: out.shape[0], : out.shape[1]]
    at = [matrix[n, 0] * k + matrix[n, 1] * j + matrix[n, 2] * i + matrix[n, 3] for n in range(3)]
    inside = _all_inside(at, array, linear=linear)
    if not inside.any():
        return
    chosen = [positions[inside] for positions in at]
    if not linear:
        index = tuple(_nearest(positions, size) for positions, size in zip(chosen, array.shape, strict=False))
        out[inside] = array[index]
        return
    out[inside] = _as_type(_between(array, chosen), out.dtype)


def _between(array: Array, at: Sequence[Array]) -> Array:
    """Interpolate linearly at positions k, j, i, each (n,), that lie inside."""
    below = [
        np.clip(np.floor(positions).astype(np.intp), 0, max(size - 2, 0))
        for positions, size in zip(at, array.shape, strict=False)
    ]
    share = [np.clip(positions - low, 0, 1) for positions, low in zip(at, below, strict=True)]
    total = np.zeros((len(at[0]), *array.shape[3:]))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod([s if up else 1 - s for s, up in zip(share, corner, strict=True)], axis=0)
        index = tuple(
            np.minimum(low + up, size - 1) for low, up, size in zip(below, corner, array.shape, strict=False)
        )
        total += weight.reshape(-1, *[1] * (total.ndim - 1)) * array[index]
    return total
