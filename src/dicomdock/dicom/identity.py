"""Whose bytes these are: the UIDs of an instance, read from its first bytes.

References
----------
PS3.10 §7.1 (File Meta Information).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, WireError

PREAMBLE: Final = 132  # bytes: 128 of preamble, then "DICM"
HEAD: Final = 1 << 20  # bytes within which the UIDs of any sane instance lie; private groups come later
# Always Explicit VR Little Endian.
_MEDIA_STORAGE_INSTANCE: Final = b"\x02\x00\x03\x00UI"  # (0002,0003)
_TRANSFER_SYNTAX: Final = b"\x02\x00\x10\x00UI"  # (0002,0010)
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_META_SCAN: Final = 1 << 12  # bytes; file meta information is a few hundred
_BROKEN: Final = (
    InvalidInput,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    zlib.error,
)


def is_dicom(head: bytes) -> bool:
    """Tell whether bytes begin a DICOM file (PS3.10)."""
    return head[128:PREAMBLE] == b"DICM"


def meta_instance(head: bytes) -> str:
    """Give the Media Storage SOP Instance UID of the first bytes; empty where they do not show it."""
    return _meta(head, _MEDIA_STORAGE_INSTANCE)


def transfer_syntax(head: bytes) -> str:
    """Give the Transfer Syntax UID of the first bytes; empty where they do not show it."""
    return _meta(head, _TRANSFER_SYNTAX)


def _meta(head: bytes, element: bytes) -> str:
    start = head.find(element, PREAMBLE, _META_SCAN) if is_dicom(head) else -1
    if start < 0:
        return ""
    length = int.from_bytes(head[start + 6 : start + 8], "little")
    return head[start + 8 : start + 8 + length].decode("ascii", "replace").strip(" \0")


def of_head(head: bytes) -> Resource | None:
    """Read study, series and SOP Instance UID from an instance's first bytes; None where not shown."""
    if transfer_syntax(head) == _DEFLATED:
        return _of(io.BytesIO(_inflated(head)))
    return _of(io.BytesIO(head[:HEAD]))


def _inflated(head: bytes) -> bytes:
    """Give the beginning of a deflated data set, and no more: a megabyte may hold a gigabyte of zeros."""
    (length,) = struct.unpack_from("<L", head, PREAMBLE + 8)  # group length, which PS3.10 puts first
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(head[PREAMBLE + 12 + length : HEAD], HEAD)
    except zlib.error:
        return b""


def of_file(path: Path) -> Resource | None:
    """Read study, series and SOP Instance UID of a file; None where it is no instance."""
    with path.open("rb") as file:
        return _of(file)


def _of(file: BinaryIO) -> Resource | None:
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    tags = [Tag(0x0020000D), Tag(0x0020000E), Tag(0x00080018)]  # study, series and SOP Instance UID
    try:
        dataset = read_partial(
            file,
            stop_when=lambda tag, _vr, _length: tag > 0x0020000E,
            force=True,
            specific_tags=[*tags],
        )
        # The raw bytes, because a server's odd UID is passed on and is nothing to warn of.
        raw = [dataset.get_item(tag) for tag in tags]
        study, series, instance = (
            bytes(item.value or b"").decode("ascii").strip(" \0") for item in raw if item
        )
        return Resource(study, series, instance)
    except (*_BROKEN, InvalidDicomError):
        return None  # pydicom tells broken bytes by many names; the outcome is the same: not an instance


def checked(opener: Callable[[], Iterator[bytes]], expected: Resource) -> Callable[[], Iterator[bytes]]:
    """Give the opener of a body that is refused when it begins as another instance than the one asked for."""

    def open_checked() -> Iterator[bytes]:
        head = b""
        rest = opener()
        for chunk in rest:
            head += chunk
            if len(head) >= _META_SCAN:
                break
        if meta_instance(head) not in ("", expected.instance):
            # Some files carry another UID in their meta information; only the data set decides.
            found = of_head(head)
            if found is not None and found.instance != expected.instance:
                raise WireError(
                    f"The server sent instance {found.instance} where {expected.instance} was asked for."
                )
        if head:
            yield head
        yield from rest

    return open_checked
