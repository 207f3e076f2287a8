"""Mask: the voxels of one segment, as the box that holds them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import Shape

BoolArray = npt.NDArray[np.bool_]

MOST_COUNTED = 1 << 29  # voxels of the box around several masks; in a larger one they are compared in pairs


@dataclass(frozen=True, eq=False)
class Mask:
    """Which voxels belong to a segment.

    Segments may overlap, so each has a mask of its own; a box costs as much memory as the segment is large.

    Parameters
    ----------
    start : index (k, j, i) of the box's first voxel in the segmentation's grid.
    array : the voxels of the box, (k, j, i); empty (0, 0, 0) for a segment without voxels.
    """

    start: Shape
    array: BoolArray

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> Mask:
        """Cut the box out of a whole array, (k, j, i); what is not zero belongs to the segment."""
        whole: BoolArray = array if array.dtype == np.bool_ else array != 0
        ends = _ends(np.any(whole, axis=(1, 2)))
        if ends is None:
            return EMPTY
        flat = np.any(whole[ends[0] : ends[1]], axis=0)
        rows, columns = _ends(np.any(flat, axis=1)), _ends(np.any(flat, axis=0))
        assert rows is not None and columns is not None, "a slice that is not empty has rows"
        (k0, k1), (j0, j1), (i0, i1) = ends, rows, columns
        return cls((k0, j0, i0), np.ascontiguousarray(whole[k0:k1, j0:j1, i0:i1]))

    @classmethod
    def of_slices(cls, planes: Mapping[int, BoolArray], *, most: float = math.inf) -> Mask:
        """Make a mask of whole slices (rows, columns), by their k; slices that are not given are empty.

        Parameters
        ----------
        most : voxels that its box may hold.

        Raises
        ------
        GeometryError
            The box would hold more: few slices that lie far apart.
        """
        used = sorted(k for k, plane in planes.items() if plane.any())
        if not used:
            return EMPTY
        rows = _ends(np.logical_or.reduce([np.any(planes[k], axis=1) for k in used]))
        columns = _ends(np.logical_or.reduce([np.any(planes[k], axis=0) for k in used]))
        assert rows is not None and columns is not None, "a slice that is not empty has rows"
        (j0, j1), (i0, i1) = rows, columns
        shape = (used[-1] + 1 - used[0], j1 - j0, i1 - i0)
        if math.prod(shape) > most:
            raise GeometryError(f"The slices of a segment lie so far apart that it spans {shape} voxels.")
        array = np.zeros(shape, np.bool_)
        for k in used:
            array[k - used[0]] = planes[k][j0:j1, i0:i1]
        return cls((used[0], j0, i0), array)

    @property
    def stop(self) -> Shape:
        """Index behind the box's last voxel."""
        (k, j, i), (dk, dj, di) = self.start, self.array.shape
        return k + dk, j + dj, i + di

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """The box as slices of the whole grid."""
        (k0, j0, i0), (k1, j1, i1) = self.start, self.stop
        return slice(k0, k1), slice(j0, j1), slice(i0, i1)

    @property
    def count(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.array))

    def whole(self, shape: Shape) -> BoolArray:
        """Return the voxels in an array of the whole grid."""
        array = np.zeros(shape, np.bool_)
        array[self.box] = self.array
        return array

    def moved(self, offset: Shape, shape: Shape) -> Mask:
        """Return the mask in a grid whose voxel ``offset`` is this one's first.

        Raises
        ------
        GeometryError
            Voxels would lie outside ``shape``.
        """
        if not self.array.size:
            return self
        (k, j, i), (dk, dj, di) = self.start, offset
        mask = Mask((k + dk, j + dj, i + di), self.array)
        if min(mask.start) < 0 or any(end > size for end, size in zip(mask.stop, shape, strict=True)):
            raise GeometryError("The segmentation reaches beyond the images it is to be put on.")
        return mask

    def slid(self, offsets: npt.NDArray[np.int64], shape: Shape) -> Mask:
        """Return the mask with each slice k moved by ``offsets[k]`` voxels (k, j, i).

        Voxels outside ``shape`` are left out.
        """
        planes = {}
        for at, plane in enumerate(self.array):
            dk, dj, di = (int(value) for value in offsets[self.start[0] + at])
            k, j, i = self.start[0] + at + dk, self.start[1] + dj, self.start[2] + di
            if not 0 <= k < shape[0]:
                continue
            top, left = max(-j, 0), max(-i, 0)
            inside = plane[top : max(shape[1] - j, 0), left : max(shape[2] - i, 0)]
            planes[k] = np.zeros(shape[1:], np.bool_)
            planes[k][j + top : j + top + inside.shape[0], i + left : i + left + inside.shape[1]] = inside
        return Mask.of_slices(planes)

    def turned(self, order: Sequence[int], flips: Sequence[bool], shape: Shape) -> Mask:
        """Return the mask with its axes reordered, then flipped within a grid of the new shape."""
        if not self.array.size:
            return self
        array = np.flip(self.array.transpose(order), tuple(axis for axis, flip in enumerate(flips) if flip))
        begin = [shape[to] - self.stop[own] if flips[to] else self.start[own] for to, own in enumerate(order)]
        return Mask((begin[0], begin[1], begin[2]), np.ascontiguousarray(array))

    def overlaps(self, other: Mask) -> bool:
        """Return whether two masks share a voxel."""
        return self.shared(other) > 0

    def same(self, other: Mask) -> bool:
        """Return whether two masks of one grid hold the same voxels, whatever their boxes."""
        return self.count == other.count == self.shared(other)

    def shared(self, other: Mask) -> int:
        """Return how many voxels belong to both of two masks."""
        low = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        high = tuple(min(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        if any(a >= b for a, b in zip(low, high, strict=True)):
            return 0
        return int(np.count_nonzero(self._part(low, high) & other._part(low, high)))

    def _part(self, low: tuple[int, ...], high: tuple[int, ...]) -> BoolArray:
        return self.array[tuple(slice(a - s, b - s) for a, b, s in zip(low, high, self.start, strict=True))]


EMPTY = Mask((0, 0, 0), np.zeros((0, 0, 0), np.bool_))


def overlap(masks: Iterable[Mask]) -> bool:
    """Return whether two of several masks share a voxel."""
    filled = [mask for mask in masks if mask.array.size]
    if len(filled) < 2:
        return False
    low = np.min([mask.start for mask in filled], axis=0)
    shape = np.max([mask.stop for mask in filled], axis=0) - low
    if math.prod(shape.tolist()) > MOST_COUNTED:
        return any(a.overlaps(b) for a, b in combinations(filled, 2))
    drawn = np.zeros(shape, np.bool_)  # memory is used where a mask lies
    for mask in filled:
        k, j, i = (np.array(mask.start) - low).tolist()
        dk, dj, di = mask.array.shape
        box = drawn[k : k + dk, j : j + dj, i : i + di]
        if (box & mask.array).any():
            return True
        box |= mask.array
    return False


def _ends(line: npt.NDArray[Any]) -> tuple[int, int] | None:
    there = np.flatnonzero(line)
    return (int(there[0]), int(there[-1]) + 1) if there.size else None
