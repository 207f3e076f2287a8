"""Bring segments to another grid, and count what lies beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation.mask import Mask
from dicomdock.imaging.volume import resample

_EDGE = 1e-6  # voxels that rounding may add to where a voxel lies


class Labelled(Protocol):
    """A mask with a name: a segment."""

    @property
    def label(self) -> str:
        """What it is called."""

    @property
    def mask(self) -> Mask:
        """Its voxels."""


def lost(
    before: Sequence[Labelled], after: Sequence[Labelled], source: VolumeGeometry, target: VolumeGeometry
) -> list[str]:
    """Return what of segments lies beyond another grid, and which have no voxel on it."""
    found = []
    for one, there in zip(before, after, strict=True):
        if not one.mask.array.size:
            continue
        beyond = _beyond(one.mask, source, target)
        if not there.mask.array.any():
            found.append(f"{one.label} has no voxels on the images.")
        elif beyond:
            found.append(f"{beyond} of {one.mask.count} voxels of {one.label} lie beyond the images.")
    return found


def _beyond(mask: Mask, source: VolumeGeometry, target: VolumeGeometry) -> int:
    """Count the voxels of a mask whose centres lie outside another grid."""
    matrix = target.inverse @ source.affine
    start, shape = np.array(mask.start), np.array(mask.array.shape)
    corners = np.array([(k, j, i) for k in (0, 1) for j in (0, 1) for i in (0, 1)]) * (shape - 1) + start
    if not _outside(corners, matrix, target).any():
        return 0
    return sum(
        int(_outside(np.insert(np.argwhere(plane), 0, k, axis=1) + start, matrix, target).sum())
        for k, plane in enumerate(mask.array)
    )


def _outside(
    at: npt.NDArray[Any], matrix: npt.NDArray[np.float64], target: VolumeGeometry
) -> npt.NDArray[np.bool_]:
    """Return which indices of one grid lie outside another one."""
    there = at @ matrix[:3, :3].T + matrix[:3, 3]
    outside: npt.NDArray[np.bool_] = np.any(
        (there < -0.5 - _EDGE) | (there > np.array(target.shape) - 0.5 + _EDGE), axis=1
    )
    return outside


def resampled(mask: Mask, source: VolumeGeometry, target: VolumeGeometry) -> Mask:
    """Take the nearest voxel of a mask at each voxel of the part of a grid that can meet it."""
    if not mask.array.size:
        return mask
    box = source.part(mask.start, mask.stop)
    corners = np.array([(k, j, i) for k in (0, 1) for j in (0, 1) for i in (0, 1)])
    outer = corners * np.array(mask.array.shape) - 0.5  # the outer edges of the box's voxels
    reached = target.to_index(box.to_lps(outer))
    low = np.maximum(np.floor(reached.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(reached.max(axis=0)) + 1, target.shape).astype(int)
    if (high <= low).any():
        return Mask.of(np.zeros((1, 1, 1), np.bool_))
    start = (int(low[0]), int(low[1]), int(low[2]))
    part = target.part(start, (int(high[0]), int(high[1]), int(high[2])))
    found = Mask.of(resample(mask.array, box, part, linear=False))
    return found.moved(start, target.shape)
