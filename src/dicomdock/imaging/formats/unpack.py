"""Unpack files within bounds: what a header claims is compared with what the file can hold."""

from __future__ import annotations

import bz2
import zlib

from dicomdock.errors import UnreadableFile

SMALL = 256 << 20  # bytes that any packed file may unpack to: a label map of 1000 slices of 512 x 512
RATIO = 256  # times its own size that a larger one may unpack to
MOST = 8 << 30  # bytes that no file may exceed

BOXES, BOXES_RATIO = 224 << 20, 224
"""Bytes that the boxes of all segments of a file may take: so many, or so many times its own size."""

_CHUNK = 1 << 20
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZ"


def allowance(stored: int) -> int:
    """Return how many bytes a packed file of a size may unpack to."""
    return min(max(SMALL, RATIO * stored), MOST)


def boxes(stored: int) -> int:
    """Return how many bytes the boxes of all segments of a file of a size may take."""
    return max(BOXES, BOXES_RATIO * stored)


def unpack(data: bytes | memoryview, limit: int) -> bytearray:
    """Return at most ``limit`` bytes of gzip (one or several members) or bzip2 data; fewer where it is cut.

    Raises
    ------
    UnreadableFile
        The data is damaged.
    """
    found = bytearray()
    rest = bytes(data)
    while rest and len(found) < limit:
        unpacker = _unpacker(rest)
        if unpacker is None:
            break
        try:
            while not unpacker.eof and len(found) < limit:
                part = unpacker.decompress(rest, min(_CHUNK, limit - len(found)))
                rest = b""
                found += part
                if not part and not unpacker.eof and unpacker.needs_input:
                    return found  # the data are cut
        except (zlib.error, OSError, ValueError, EOFError) as error:
            raise UnreadableFile(f"The file cannot be unpacked: {error}") from error
        rest = unpacker.unused_data
    return found


class _Gzip:
    """One member of gzip data, with the interface of ``bz2.BZ2Decompressor``."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._rest = b""

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes, limit: int) -> bytes:
        found = self._unpacker.decompress(self._rest + data, limit)
        self._rest = self._unpacker.unconsumed_tail
        return found


def _unpacker(data: bytes) -> _Gzip | bz2.BZ2Decompressor | None:
    if data[:2] == _GZIP:
        return _Gzip()
    return bz2.BZ2Decompressor() if data[:2] == _BZIP2 else None
