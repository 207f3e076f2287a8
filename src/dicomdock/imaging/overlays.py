"""Overlays: bit planes over an image, as attributes of their own or in bits that its samples leave free.

References
----------
PS3.3 §C.9.2 (Overlay Plane), §C.9.3 (Multi-frame Overlay); PS3.5 §8.1.2 (Overlay Data).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.imaging.attributes import integer
from dicomdock.imaging.codecs import Array

Bits: TypeAlias = npt.NDArray[np.bool_]

GROUPS = range(0x6000, 0x6020, 2)

_ROWS, _COLUMNS, _FRAMES, _ORIGIN, _FIRST_FRAME = 0x0010, 0x0011, 0x0015, 0x0050, 0x0051
_BITS_ALLOCATED, _BIT_POSITION, _DATA = 0x0100, 0x0102, 0x3000


@dataclass(frozen=True, slots=True)
class Overlay:
    """One group of a header.

    Parameters
    ----------
    frames : 1-based, of the image, that it has a plane for; None for one plane over all of them.
    origin : row and column of the image, from 0, that its first bit lies on.
    data : packed bits, the lowest first; empty where they lie in the pixel data.
    bit : of the pixel data's cells, where ``data`` is empty.
    """

    rows: int
    columns: int
    frames: range | None
    origin: tuple[int, int]
    data: bytes
    bit: int


def has_overlays(header: Dataset) -> bool:
    """Return whether a header has overlays with bits."""
    return next(_overlays(header), None) is not None


def overlay_bits(
    header: Dataset, frame: int, shape: tuple[int, int], cells: Callable[[], Array]
) -> Bits | None:
    """Return which pixels of a frame its overlays cover; None where there are none over it.

    Overlays over a part of the image, or over more than it, cover what they share with it.

    Parameters
    ----------
    header : with the overlays' data.
    frame : 1-based.
    shape : rows and columns of the image.
    cells : returns the frame's samples with every bit of Bits Allocated.
    """
    covered: Bits | None = None
    every: Array | None = None
    for overlay in _overlays(header):
        if overlay.frames is not None and frame not in overlay.frames:
            continue
        if covered is None:
            covered = np.zeros(shape, np.bool_)
        if overlay.data:
            covered |= bits_of(overlay, frame, shape)
            continue
        every = cells() if every is None else every
        if every.shape == shape and every.dtype.kind in "iu" and overlay.bit < every.dtype.itemsize * 8:
            covered |= (every >> overlay.bit) & 1 == 1
    return covered


def bits_of(overlay: Overlay, frame: int, shape: tuple[int, int]) -> Bits:
    """Return which pixels of a frame an overlay with data of its own covers."""
    covered: Bits = np.zeros(shape, np.bool_)
    _place(covered, _plane(overlay, frame), overlay.origin)
    return covered


def overlay_of(header: Dataset, group: int) -> Overlay | None:
    """Return the overlay of a group (0x6000 and so on); None where it has no bits."""
    rows, columns = _number(header, group, _ROWS), _number(header, group, _COLUMNS)
    data, bit = _value(header, group, _DATA), _number(header, group, _BIT_POSITION) or 0
    if isinstance(data, bytes) and data:
        if not rows or not columns or rows < 0 or columns < 0:
            return None
        if header.original_encoding[1] is False and _is_words(header, group):
            data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    elif _is_free(header, _number(header, group, _BITS_ALLOCATED), bit):
        data = b""
    else:
        return None
    count, first = _number(header, group, _FRAMES), _number(header, group, _FIRST_FRAME)
    frames = None if count is None and first is None else range(first or 1, (first or 1) + (count or 1))
    origin = _numbers(header, group, _ORIGIN)
    row, column = (origin[0], origin[1]) if len(origin) > 1 else (1, 1)
    return Overlay(rows or 0, columns or 0, frames, (row - 1, column - 1), data, bit)


def _overlays(header: Dataset) -> Iterator[Overlay]:
    tags = header.keys()  # iterating over the data set itself would read all values
    present = {tag >> 16 for tag in tags}  # none of overlays, mostly
    found = (overlay_of(header, group) for group in GROUPS if group in present)
    return (one for one in found if one is not None)


def _is_free(header: Dataset, allocated: int | None, bit: int) -> bool:
    """Return whether a bit of the pixel data's cells belongs to an overlay, and not to a sample."""
    stored, high = integer(header, "BitsStored"), integer(header, "HighBit")
    if not allocated or allocated != integer(header, "BitsAllocated") or stored is None:
        return False
    high = stored - 1 if high is None else high
    return 0 <= bit < allocated and not high - stored < bit <= high


def _plane(overlay: Overlay, frame: int) -> Bits:
    """Unpack the plane of a frame; what the data lack of it is empty."""
    size = overlay.rows * overlay.columns
    begin = size * (frame - overlay.frames.start if overlay.frames is not None else 0)
    packed = np.frombuffer(overlay.data, np.uint8)[begin // 8 : (begin + size + 7) // 8]
    bits = np.unpackbits(packed, bitorder="little")[begin % 8 :][:size]
    rows = -(-len(bits) // overlay.columns)
    padded = np.zeros(rows * overlay.columns, np.bool_)
    padded[: len(bits)] = bits
    return padded.reshape(rows, overlay.columns)


def _place(covered: Bits, plane: Bits, origin: tuple[int, int]) -> None:
    """Lay a plane over an image, at its origin; what lies beyond the image is left out."""
    low = [max(0, at) for at in origin]
    high = [min(covered.shape[axis], origin[axis] + plane.shape[axis]) for axis in (0, 1)]
    if low[0] < high[0] and low[1] < high[1]:
        part = plane[low[0] - origin[0] : high[0] - origin[0], low[1] - origin[1] : high[1] - origin[1]]
        covered[low[0] : high[0], low[1] : high[1]] |= part


def _is_words(header: Dataset, group: int) -> bool:
    return str(header[group << 16 | _DATA].VR) == "OW"


def _value(header: Dataset, group: int, element: int) -> Any:
    try:
        found = header.get(group << 16 | element)
        return None if found is None else found.value
    except READ_ERRORS:
        return None


def _numbers(header: Dataset, group: int, element: int) -> tuple[int, ...]:
    value = _value(header, group, element)
    try:
        return tuple(int(one) for one in (value if isinstance(value, (MultiValue, list, tuple)) else [value]))
    except READ_ERRORS:
        return ()


def _number(header: Dataset, group: int, element: int) -> int | None:
    found = _numbers(header, group, element)
    return found[0] if found else None
