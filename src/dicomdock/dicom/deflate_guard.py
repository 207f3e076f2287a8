"""Inflation: a deflated instance is looked at before pydicom inflates all of it in memory.

A megabyte of deflated zeros becomes a gigabyte, and it comes from anywhere.

References
----------
PS3.5 §A.5 (Deflated Explicit VR Little Endian).
"""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO, cast

from dicomdock.errors import WireError

MAX_INFLATED = 1 << 29  # bytes of one instance; four times the largest CT series in one object
_STEP = 1 << 20  # bytes inflated at once to count them


class _Guarded:
    """A file that is not read to its end, which pydicom does only to inflate it, where that would hurt."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size >= 0:
            return self._file.read(size)
        here = self._file.tell()
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(here)
        if end - here > MAX_INFLATED:
            raise _too_large()
        deflated = self._file.read()
        _count(deflated)
        return deflated

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def guarded(file: BinaryIO) -> BinaryIO:
    """Give a file that pydicom can read without inflating more than ``MAX_INFLATED`` bytes.

    Reading raises WireError where it would.
    """
    return cast(BinaryIO, _Guarded(file))


def _count(deflated: bytes) -> None:
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while deflated and not inflater.eof:
        try:
            total += len(inflater.decompress(deflated, _STEP))
        except zlib.error:
            return  # pydicom will say so
        deflated = inflater.unconsumed_tail
        if total > MAX_INFLATED:
            raise _too_large()


def _too_large() -> WireError:
    return WireError(
        f"The deflated DICOM file holds more than {MAX_INFLATED >> 20} MB, which is not read into memory."
    )
