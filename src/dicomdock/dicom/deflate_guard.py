"""Inflate deflated data sets (PS3.5 §A.5) within bounds: a few kilobytes can claim gigabytes."""

from __future__ import annotations

import zlib

from dicomdock.errors import WireError


def inflated_head(deflated: bytes, most: int) -> bytes:
    """Return the beginning of a deflated data set, at most so many bytes of it."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, most)
    except zlib.error:
        return b""


def max_inflated(deflated: int) -> int:
    """Return how many bytes that many deflated ones may become.

    A megabyte of deflated zeros becomes a gigabyte, and it comes from anywhere.
    """
    return min(1 << 29, max(1 << 27, 32 * deflated))


def too_large(deflated: int) -> WireError:
    """Return the error for a deflated data set that holds more than ``max_inflated``."""
    limit = max_inflated(deflated) >> 20
    return WireError(f"The deflated DICOM file holds more than {limit} MB, which is not read into memory.")


def check_inflated(deflated: bytes) -> None:
    """Check, in constant memory, that a deflated data set stays within its bound.

    Raises
    ------
    WireError
        It does not.
    """
    inflate(deflated, 0)


def inflate(deflated: bytes, keep: int) -> tuple[bytes, int, int | None]:
    """Inflate a data set; return its beginning, its size, and the bytes behind it (None: it has no end)."""
    inflater, total, most = zlib.decompressobj(-zlib.MAX_WBITS), 0, max_inflated(len(deflated))
    head = bytearray()
    rest = deflated
    while rest and not inflater.eof:
        try:
            piece = inflater.decompress(rest, 1 << 20)
        except zlib.error:
            return bytes(head), total, None
        total += len(piece)
        head += piece[: keep - len(head)]
        rest = inflater.unconsumed_tail
        if total > most:
            raise too_large(len(deflated))
    return bytes(head), total, len(inflater.unused_data) if inflater.eof else None
