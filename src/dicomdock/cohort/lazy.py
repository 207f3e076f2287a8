"""Arrays that are read block by block when Dask computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from dask import array, delayed

Block = Callable[[], Any]
"""Reads one block; it must be possible to pickle it."""


def stacked(blocks: Sequence[tuple[Block, int]], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return a Dask array of blocks that follow one another along the first axis.

    Parameters
    ----------
    blocks : what reads each, and how long it is along that axis.
    shape : of the whole.
    """
    read = delayed(_read, pure=False)
    arrays = [array.from_delayed(read(block), (length, *shape[1:]), dtype) for block, length in blocks]
    return array.concatenate(arrays)


def _read(block: Block) -> Any:
    return block()
