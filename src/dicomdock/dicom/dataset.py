"""Read data sets with pydicom: bounded, without its warnings, and behind what it ends at.

References
----------
PS3.5 §A.5 (Deflated Explicit VR Little Endian).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Final, cast

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from dicomdock.dicom.deflate_guard import check_inflated, max_inflated, too_large
from dicomdock.dicom.part10 import walk
from dicomdock.dicom.read_errors import READ_ERRORS, quiet
from dicomdock.errors import WireError

_HEAD: Final = 1 << 16  # bytes that hold Specific Character Set, one of the first elements
_ODD_CHARSET: Final = re.compile(
    rb"(?:\x08\x00\x05\x00|\x00\x08\x00\x05)(?:(?P<short>AT|FD|FL|SL|SS|UL|US)|OB|OD|OF|OL|OV|OW|SV|UV)"
)
"""Specific Character Set in either byte order with a VR that is not text; it has a short or long length."""


class _Guarded:
    """A file that is not read to its end, which pydicom does only to inflate it, where that would hurt."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size >= 0:
            return self._file.read(size)
        here = self._file.tell()
        end = self._file.seek(0, io.SEEK_END)
        self._file.seek(here)
        if end - here > max_inflated(end - here):
            raise too_large(end - here)
        deflated = self._file.read()
        check_inflated(deflated)
        return deflated

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def guarded(file: BinaryIO) -> BinaryIO:
    """Return a file that pydicom can read without inflating more than ``max_inflated`` bytes.

    Reading raises WireError where it would.
    """
    return cast(BinaryIO, _Guarded(file))


class _Renamed:
    """A file in which some VRs are others.

    Parameters
    ----------
    vrs : where they stand in the file, and what they are read as.
    """

    def __init__(self, file: BinaryIO, vrs: Sequence[tuple[int, bytes]]) -> None:
        self._file = file
        self._letters = {at + n: vr[n] for at, vr in vrs for n in (0, 1)}

    def read(self, size: int | None = -1) -> bytes:
        start = self._file.tell()
        read = bytearray(self._file.read(-1 if size is None else size))
        for at, letter in self._letters.items():
            if start <= at < start + len(read):
                read[at - start] = letter
        return bytes(read)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def read_file(file: BinaryIO, **options: Any) -> Dataset:
    """Read a file with ``dcmread``, also behind elements at which it ends and dcmtk and others read on.

    These are elements of a VR that does not exist, and a Specific Character Set with the VR of a number or of
    bytes, whose value is text all the same.

    Parameters
    ----------
    options : of ``dcmread``.
    """
    start = file.tell()
    try:
        read = dcmread(guarded(file), **options)
    except READ_ERRORS:
        vrs = _charset_vr(file, start)
        if not vrs:
            raise
    else:
        if not _ended_early(read, file):
            return read
        position = file.tell()
        vrs = _odd_vrs(file, start)
        if not vrs:
            file.seek(position)
            return read
    file.seek(start)
    renamed = _Renamed(file, [(start + at, vr) for at, vr in vrs])
    return dcmread(guarded(cast(BinaryIO, renamed)), **{**options, "defer_size": None})


def _charset_vr(file: BinaryIO, start: int) -> Sequence[tuple[int, bytes]]:
    """Find a Specific Character Set with a VR that is not text: where it is, and what it is to be read as."""
    file.seek(start)
    found = _ODD_CHARSET.search(file.read(_HEAD))
    return [] if found is None else [(found.end() - 2, b"CS" if found["short"] else b"UN")]


def _odd_vrs(file: BinaryIO, start: int) -> Sequence[tuple[int, bytes]]:
    """Find the VRs that do not exist, likewise; none in a file that is cut or damaged."""
    file.seek(start)
    data = file.read()
    try:
        header = walk(data, len(data))
    except WireError:
        return []
    return [] if header is None else header.odd_vrs


def _ended_early(read: Dataset, file: BinaryIO) -> bool:
    """Return whether pydicom may have taken all that follows an element for its value.

    So it does where a VR does not exist: it takes two bytes of length and two of the value for the length. It
    is then the last element, or passed over beyond the end of the file.
    """
    here = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(here)
    if here > end:
        return True
    last = next(reversed(list(read.keys())), None)
    element: object = None if last is None else read.get_item(last, keep_deferred=True)
    implicit, _ = read.original_encoding
    return isinstance(element, RawDataElement) and element.VR is None and not implicit


def read_dataset(
    file: BinaryIO,
    *,
    pixels: bool = True,
    keywords: Iterable[str] | None = None,
    defer: int | None = None,
) -> Dataset:
    """Read the data set of a DICOM file, with or without its preamble and file meta information.

    Parameters
    ----------
    pixels : False leaves the pixel data and what is behind them unread; the file is at them then.
    keywords : of the attributes to read; None for all.
    defer : bytes; longer values are read only when they are used.

    Raises
    ------
    WireError
        It cannot be read.
    """
    with quiet():
        try:
            return read_file(
                file,
                force=True,
                stop_before_pixels=not pixels,
                specific_tags=None if keywords is None else list(keywords),
                defer_size=defer,
            )
        except READ_ERRORS as error:
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise WireError(f"The DICOM file cannot be read: {reason}.") from error
