"""Text beside the pixels: comments in JPEG and JPEG 2000 streams, and what lies behind the last frame.

What a comment says is overwritten where it stands, so that no length and no pixel changes.

References
----------
ISO/IEC 10918-1 §B.2.4 (COM, APPn); ISO/IEC 14495-1 §C.2; ISO/IEC 15444-1 §A.9.2 (COM); PS3.5 §A.4.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

_ITEM = b"\xfe\xff\x00\xe0"
_START, _START_2000 = b"\xff\xd8", b"\xff\x4f"
_SCAN, _TILE = 0xDA, 0x90
_COMMENT, _COMMENT_2000 = 0xFE, 0x64
_APPLICATION = frozenset(range(0xE1, 0xF0)) - {0xE2, 0xE8, 0xEE}
"""Application segments but those that say how colours are meant: JFIF, ICC profiles, SPIFF, Adobe."""

_WITHOUT_LENGTH = frozenset((0x01, 0xD8, 0xD9, *range(0xD0, 0xD8)))
PIXEL_DATA = 0x7FE00010


def clean_comments(dataset: Dataset) -> bool:
    """Overwrite comments in the compressed frames of a Dataset; return whether there were any."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated or PIXEL_DATA not in dataset:
        return False
    data = dataset[PIXEL_DATA].value
    if not isinstance(data, bytes):
        return False
    spans = [span for start, end in _fragments(data) for span in _texts(data, start, end)]
    if not any(data[first:last].strip(b" ") for first, last in spans):
        return False
    changed = bytearray(data)
    for first, last in spans:
        changed[first:last] = b" " * (last - first)
    element = DataElement(PIXEL_DATA, "OB", bytes(changed))
    element.is_undefined_length = True
    dataset[PIXEL_DATA] = element
    return True


def clean_end(dataset: Dataset) -> bool:
    """Cut what lies behind the last frame of pixels that are not compressed; return whether there was any."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated or PIXEL_DATA not in dataset:
        return False
    data = dataset[PIXEL_DATA].value
    sizes = [int(dataset.get(keyword) or 0) for keyword in ("Rows", "Columns", "BitsAllocated")]
    frames, samples = (int(dataset.get(one) or 1) for one in ("NumberOfFrames", "SamplesPerPixel"))
    size = (math.prod(sizes) * frames * samples + 7) // 8
    if not isinstance(data, bytes) or not data[size:].strip(b"\0"):
        return False
    dataset[PIXEL_DATA] = DataElement(PIXEL_DATA, dataset[PIXEL_DATA].VR, data[:size] + bytes(size % 2))
    return True


def _fragments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the fragments of encapsulated pixel data begin and end, the offset table among them."""
    at = 0
    while data[at : at + 4] == _ITEM and at + 8 <= len(data):
        (length,) = struct.unpack_from("<L", data, at + 4)
        yield at + 8, min(at + 8 + length, len(data))
        at += 8 + length


def _texts(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the comments of a stream begin and end, those before its first scan or tile."""
    newer = data[start : start + 2] == _START_2000
    if not newer and data[start : start + 2] != _START:
        return
    at = start + 2
    while at + 4 <= end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in (_SCAN, _TILE) and (marker == _TILE) == newer:
            return
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        last = min(at + 2 + length, end)
        if newer and marker == _COMMENT_2000:
            yield at + 6, max(last, at + 6)  # behind what kind of text it is
        elif not newer and (marker == _COMMENT or marker in _APPLICATION):
            yield at + 4, max(last, at + 4)
        at += 2 + max(2, length)
