"""Text beside the pixels: comments in JPEG and JPEG 2000 streams, boxes about them, and what lies behind.

What a comment says is overwritten where it stands, so that no length and no pixel changes. So are
thumbnails (JFIF), and what an ICC profile says in words.

References
----------
ISO/IEC 10918-1 §B.2.4 (COM, APPn); ISO/IEC 10918-5 §10 (JFIF);
ICC.1:2022 §B.4; ISO/IEC 14495-1 §C.2; ISO/IEC 15444-1 §A.9.2 (COM), §I (boxes); PS3.5 §A.4.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from dicomdock.deidentify import icc

_ITEM = b"\xfe\xff\x00\xe0"
_START, _START_2000 = b"\xff\xd8", b"\xff\x4f"
_START_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
"""A JPEG 2000 stream in a file of boxes, which some programs put into a fragment."""

_BOXES = {b"jP  ", b"ftyp", b"ihdr", b"bpcc", b"pclr", b"cmap", b"cdef", b"res "}
"""Those that say how pixels are coded; of others (xml, uuid, intellectual property) nothing stays."""

_SCAN, _TILE, _TILE_DATA, _END_OF_STREAM = 0xDA, 0x90, 0x93, 0xD9
_COMMENT, _COMMENT_2000 = 0xFE, 0x64
_APPLICATION = range(0xE0, 0xF0)
_COLORS = ((b"JFIF\0", 14), (b"Adobe", 12), (b"SPIFF\0", 30), (b"mrfx", 5))
"""How application segments begin that say how colours are meant, and how much of them does."""

_PROFILE = b"ICC_PROFILE\0\1\1"  # the first part of one; of those in several parts nothing stays
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""A marker within or behind what is coded by entropy, in JPEG and JPEG-LS; restart markers belong to it."""

_WITHOUT_LENGTH = frozenset((0x01, 0xD8, 0xD9, *range(0xD0, 0xD8)))
PIXEL_DATA = 0x7FE00010


def clean_comments(dataset: Dataset) -> bool:
    """Overwrite comments in the compressed frames of a Dataset; return whether there were any."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated or PIXEL_DATA not in dataset:
        return False
    data = dataset[PIXEL_DATA].value
    if not isinstance(data, bytes):
        return False
    changed = bytearray(data)
    for fragments in _streams(data):
        stream = bytearray().join(data[start:end] for start, end in fragments)
        for first, last, text in _texts(bytes(stream)):
            stream[first:last] = text
        at = 0
        for start, end in fragments:
            changed[start:end] = stream[at : at + end - start]
            at += end - start
    if changed == data:
        return False
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


def _streams(data: bytes) -> Iterator[list[tuple[int, int]]]:
    """Yield the fragments of each stream: one that does not begin a stream goes on with the one before."""
    stream: list[tuple[int, int]] = []
    for start, end in _fragments(data):
        begins = data.startswith((_START, _START_2000, _START_JP2), start)
        if stream and begins:
            yield stream
            stream = []
        if stream or begins:
            stream.append((start, end))
    if stream:
        yield stream


def _texts(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield where the texts of a stream begin and end, and what takes their place.

    They stand before, between and behind its scans or tiles, and all that lies behind its end is one.
    """
    if data.startswith(_START_JP2):
        yield from _texts_of_boxes(data, 0, len(data))
        return
    newer, end = data[:2] == _START_2000, len(data)
    at = 2
    behind_tile = 0  # where the tile whose header is read ends
    while at + 2 <= end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _END_OF_STREAM:
            yield at + 2, end, bytes(end - at - 2)
            return
        if newer and marker == _TILE_DATA:
            at = behind_tile if behind_tile > at else end
            continue
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        if at + 4 > end:
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        last = min(at + 2 + length, end)
        if newer and marker == _COMMENT_2000:
            yield _blank(at + 6, last)  # behind what kind of text it is
        elif newer and marker == _TILE and last - at >= 10:
            (size,) = struct.unpack_from(">L", data, at + 6)
            behind_tile = at + size if size else data.rfind(_END, at)
        elif not newer and marker == _COMMENT:
            yield _blank(at + 4, last)
        elif not newer and marker in _APPLICATION:
            yield _application(data, at + 4, last)
        at += 2 + max(2, length)
        if not newer and marker == _SCAN:
            found = _MARKER.search(data, at)
            at = found.start() if found else end
    behind = data.rfind(_END, min(at, end)) + len(_END)
    if behind >= len(_END):  # the walk ended early, in a damaged stream
        yield behind, end, bytes(end - behind)


def _texts_of_boxes(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield what ``_texts`` does of the boxes from one place to another, and of the stream in one of them."""
    while at + 8 <= end:
        length, kind = struct.unpack_from(">L4s", data, at)
        first = at + 8
        if length == 1 and at + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, first)
            first += 8
        last = min(at + length, end) if length else end
        if last < first:
            break  # it is damaged
        if kind == b"jp2h":
            yield from _texts_of_boxes(data, first, last)
        elif kind == b"jp2c":
            for begin, stop, text in _texts(data[first:last]):
                yield first + begin, first + stop, text
        elif kind == b"colr":
            profile = icc.cleaned(data[first + 3 : last])
            yield (first + 3, last, profile) if profile is not None else _blank(first + 7, last)
        elif kind not in _BOXES:
            yield _blank(first, last)
        at = last
    yield at, end, bytes(end - at)


def _application(data: bytes, first: int, last: int) -> tuple[int, int, bytes]:
    content = data[first:last]
    at = first + len(_PROFILE)
    if content.startswith(_PROFILE) and (profile := icc.cleaned(data[at:last])) is not None:
        return at, last, profile
    kept = next((size for start, size in _COLORS if content.startswith(start)), 0)
    return _blank(first + kept, last)


def _blank(first: int, last: int) -> tuple[int, int, bytes]:
    last = max(first, last)
    return first, last, b" " * (last - first)
