"""Label maps taken apart: the mask of each value, read block by block, within a bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.segmentation.mask import Mask

MOST_SCATTERED, SCATTER = 128 << 20, 8
"""Bytes of the boxes of all segments: so many, or so many times the label map."""

BLOCK = 1 << 20  # voxels that are looked at together

Ends = npt.NDArray[np.int64]


def masks_of(labels: npt.NDArray[Any], *, most: int | None = None) -> dict[int, Mask]:
    """Take a label map (k, j, i) apart: the mask of each value but 0, in ascending order.

    Parameters
    ----------
    most : bytes that the boxes of all segments may take together; by default by the size of the label map.

    Raises
    ------
    GeometryError
        The values are not whole numbers from 0 to 65535, or the boxes of the segments are too large.
    """
    whole = _whole(labels)
    low, high = _boxes(whole, max(MOST_SCATTERED, SCATTER * labels.size) if most is None else most)
    masks = {}
    for number in np.flatnonzero(high[:, 0]).tolist():
        (k, j, i), (k1, j1, i1) = low[number].tolist(), high[number].tolist()
        masks[number] = Mask((k, j, i), whole[k:k1, j:j1, i:i1] == number)
    return masks


def _whole(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels as unsigned integers, in C order."""
    if labels.dtype.kind not in "iubf":
        raise GeometryError("A label map holds whole numbers from 0 to 65535.")
    if labels.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(labels)
    whole = np.empty(labels.size, np.uint16)
    flat = labels.reshape(-1)
    for at in _blocks(flat.size):
        with np.errstate(invalid="ignore"):
            whole[at] = flat[at]
        if not np.array_equal(whole[at], flat[at]):
            if np.array_equal(np.floor(flat[at]), flat[at]):
                raise GeometryError("A label map holds whole numbers from 0 to 65535.")
            raise GeometryError("A label map holds whole numbers only.")
    return whole.reshape(labels.shape)


def _boxes(whole: npt.NDArray[Any], most: int) -> tuple[Ends, Ends]:
    """Return where the box of each label begins and ends (label, axis); both are 0 for those without voxels.

    It is given up as soon as the boxes are too large.
    """
    flat, (_, rows, columns) = whole.reshape(-1), whole.shape
    labels = int(whole.max(initial=0)) + 1
    low, high = np.zeros((labels, 3), np.int64), np.zeros((labels, 3), np.int64)
    for block in _blocks(flat.size):
        inside = np.flatnonzero(flat[block])
        if not inside.size:
            continue
        order = np.argsort(flat[block][inside], kind="stable")  # within a label, voxels stay in order
        inside = inside[order] + block.start
        values = flat[inside]
        begins = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        ends = np.append(begins[1:], len(inside)) - 1
        found, at = values[begins], inside // columns
        column, row = inside - at * columns, at % rows
        least = (
            inside[begins] // (rows * columns),
            *(np.minimum.reduceat(one, begins) for one in (row, column)),
        )
        last = (
            inside[ends] // (rows * columns),
            *(np.maximum.reduceat(one, begins) for one in (row, column)),
        )
        first = high[found, :1] == 0
        low[found] = np.where(first, np.stack(least, 1), np.minimum(low[found], np.stack(least, 1)))
        high[found] = np.maximum(high[found], np.stack(last, 1) + 1)
        needed = int(np.prod((high - low).astype(np.float64), axis=1).sum())
        if needed > most:
            raise GeometryError(
                f"The {np.count_nonzero(high[:, 0])} segments of the label map are scattered so far that they"
                f" would need more than {most >> 20:,} MB."
            )
    return low, high


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))
