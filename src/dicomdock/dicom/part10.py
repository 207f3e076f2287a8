"""Header: the indexed attributes of a file, read with as little work as possible.

A header in one of the usual encodings is walked here, because pydicom's 0.3 ms a file would be the greater
part of a pull; everything unusual goes through pydicom. Both give the same ``Header``.

References
----------
PS3.5 §7 (data set encoding), PS3.10 §7 (file format).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from dicomdock.archive.index.attributes import INDEXED, ITEM_KEYWORDS, SEQUENCE
from dicomdock.dicom.dictionary import tag_of
from dicomdock.errors import WireError

Buffer: TypeAlias = "bytes | mmap.mmap"
Raw: TypeAlias = "Mapping[int, bytes]"

HEAD = 1 << 16  # bytes in which nearly every header ends; what is longer is read from the file
VALUE = 1 << 16  # bytes of one value that are looked at; the longest that the standard allows here is shorter
MAX_DEPTH = 32  # sequences in sequences; deeper only in files made to do harm
IMPLICIT = "1.2.840.10008.1.2"
CHARSET = 0x00080005
SOP_INSTANCE, STUDY, SERIES = 0x00080018, 0x0020000D, 0x0020000E
_TRANSFER_SYNTAX = 0x00100002  # as read here: element, then group
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000FFFE, 0xE00DFFFE, 0xE0DDFFFE
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_PREAMBLE = 132
_TRAILER = struct.pack("<LL", _SEQUENCE_END, 0)
_IMPLICIT_ELEMENT, _EXPLICIT_ELEMENT, _LENGTH = (
    struct.Struct("<LL"),
    struct.Struct("<L2sH"),
    struct.Struct("<L"),
)
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # four bytes of length
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
# Big endian, deflated, JPIP deflated: what the walk below cannot read.
_OTHER_ENCODINGS = frozenset(
    ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
)


def _tags(keywords: Sequence[str]) -> dict[int, int]:
    """Give tags by what their four bytes are as one little endian number."""
    tags = [int(tag_of(keyword), 16) for keyword in keywords]
    return {(tag & 0xFFFF) << 16 | tag >> 16: tag for tag in tags}


_WANTED = _tags((*INDEXED, "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID"))
_WANTED_IN_ITEM = _tags(ITEM_KEYWORDS)
_SEQUENCE_TAG = int(tag_of(SEQUENCE), 16)
_LAST = max(_WANTED.values())


@dataclass(frozen=True, slots=True)
class Header:
    """What the index needs of one instance, as raw values.

    Parameters
    ----------
    raw : tag -> the bytes of its value.
    items : the same for each item of the Request Attributes Sequence.
    transfer_syntax : UID; empty where the file does not say.
    byteorder : of binary values.
    """

    raw: Raw
    items: Sequence[Raw] = ()
    transfer_syntax: str = ""
    byteorder: str = "little"


class _Unusual(Exception):
    """A form that is left to pydicom."""


class _Truncated(Exception):
    """The file ends inside an element."""


def read_header(head: bytes, size: int, path: Path) -> Header:
    """Read the header of an instance, and see that the file is whole.

    Parameters
    ----------
    head : the first bytes of the file, at least ``HEAD`` or all of them.
    size : bytes of the whole file.
    path : the file.

    Raises
    ------
    WireError
        It is no DICOM file, or it is cut off.
    """
    if not looks_like_dicom(head):
        raise WireError("The bytes are not a DICOM file.")
    header = walk(head, size)
    if header is None and size > len(head):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            header = walk(whole, size)
    if header is None:
        from dicomdock.dicom.part10_pydicom import read_with_pydicom

        header = read_with_pydicom(path)
    return header


def looks_like_dicom(head: bytes) -> bool:
    """Tell by the first bytes whether this can be a DICOM file at all, with or without its preamble."""
    if head[128:_PREAMBLE] == b"DICM":
        return True
    if len(head) < 8:
        return False
    group, element, length = struct.unpack_from("<HHL", head)
    explicit = head[4:6] in _SHORT_VRS or head[4:6] in _LONG_VRS
    if group in (2, 8) and element < 0x2000 and (explicit or length <= 0x1000):
        return True
    return struct.unpack_from(">H", head)[0] == 8 and head[4:6] in _SHORT_VRS  # big endian


def is_dicomdir(head: bytes) -> bool:
    """Tell by the first bytes whether this is a DICOMDIR."""
    return head[128:_PREAMBLE] == b"DICM" and b"\x14\x001.2.840.10008.1.3.10" in head[_PREAMBLE:1024]


def walk(data: Buffer, size: int) -> Header | None:
    """Read a header in a usual encoding; None where ``data`` holds too little of it, or its form is unusual.

    Parameters
    ----------
    data : the file, or its beginning.
    size : bytes of the whole file.

    Raises
    ------
    WireError
        The file is cut off.
    """
    try:
        start, syntax = _meta(data)
        if not syntax.startswith(IMPLICIT) or syntax in _OTHER_ENCODINGS:
            return None
        explicit = syntax != IMPLICIT
        if (data[start + 4 : start + 6] in _SHORT_VRS) != explicit:
            return None  # a wrong label; pydicom looks closer
        raw, items = _data_set(data, start, size, explicit)
    except (_Unusual, struct.error, IndexError):
        return None
    except _Truncated as error:
        raise WireError(f"The DICOM file is cut off {error}.") from None
    return Header(raw, items, syntax)


def _meta(data: Buffer) -> tuple[int, str]:
    """Give where the data set starts, and its transfer syntax."""
    if data[128:_PREAMBLE] != b"DICM":
        raise _Unusual
    position, syntax = _PREAMBLE, ""
    while True:
        tag, vr, length = _EXPLICIT_ELEMENT.unpack_from(data, position)
        if tag & 0xFFFF != 2:
            return position, syntax
        position += 8
        if vr in _LONG_VRS:
            (length,) = _LENGTH.unpack_from(data, position)
            position += 4
        elif vr not in _SHORT_VRS:
            raise _Unusual
        if tag == _TRANSFER_SYNTAX:
            syntax = data[position : position + length].rstrip(b"\0 ").decode("ascii", "replace")
        position += length


def _data_set(data: Buffer, position: int, size: int, explicit: bool) -> tuple[Raw, Sequence[Raw]]:
    """Collect the wanted elements and follow the rest to the end of the file."""
    raw: dict[int, bytes] = {}
    items: list[Raw] = []
    before, held = 0, len(data)
    while position < size:
        if position + 12 > held and (held < size or position + 8 > size):
            if held < size:
                raise _Unusual
            if data[position:size].strip(b"\0"):
                raise _Truncated("inside the tag of an element")
            break
        if explicit:
            key, vr, length = _EXPLICIT_ELEMENT.unpack_from(data, position)
            position += 8
            if vr in _LONG_VRS:
                (length,) = _LENGTH.unpack_from(data, position)
                position += 4
            elif vr not in _SHORT_VRS:
                if before > _LAST:
                    break  # whatever hangs behind the data set
                raise _Unusual
        else:
            key, length = _IMPLICIT_ELEMENT.unpack_from(data, position)
            vr = b""
            position += 8
        tag = (key & 0xFFFF) << 16 | key >> 16
        if tag <= before:
            if before > _LAST:
                break
            raise _Unusual
        before = tag
        if tag == _SEQUENCE_TAG:
            position = _sequence(data, position, size, length, explicit, items)
        elif length == _UNDEFINED:
            if tag == _PIXEL_DATA and held == size and data[size - 8 : size] == _TRAILER:
                break
            position = _sequence(data, position, size, length, explicit and vr != b"UN", None)
        else:
            end = position + length
            if end > size:
                raise _Truncated(f"in ({tag >> 16:04X},{tag & 0xFFFF:04X}), {end - size} bytes short")
            if key in _WANTED:
                if end > held:
                    raise _Unusual
                raw[tag] = data[position : min(end, position + VALUE)]
            position = end
    return raw, items


def _sequence(
    data: Buffer,
    position: int,
    size: int,
    length: int,
    explicit: bool,
    items: list[Raw] | None,
    depth: int = 0,
) -> int:
    """Pass over the items of a sequence, or the fragments of pixel data, and give where it ends.

    Parameters
    ----------
    items : takes what is wanted of each item; None to pass over them.
    """
    end = size if length == _UNDEFINED else position + length
    if end > size:
        raise _Truncated("in a sequence")
    if depth > MAX_DEPTH:
        raise _Unusual
    if items is None and length != _UNDEFINED:
        return end
    while position < end:
        if position + 8 > len(data):
            break
        key, length_of_item = _IMPLICIT_ELEMENT.unpack_from(data, position)
        position += 8
        if key == _SEQUENCE_END:
            return position
        if key != _ITEM:
            raise _Unusual
        if items is None and length_of_item != _UNDEFINED:
            position += length_of_item
            continue
        wanted: dict[int, bytes] = {}
        position = _item(data, position, size, length_of_item, explicit, wanted, depth)
        if items is not None:
            items.append(wanted)
    if length != _UNDEFINED and position == end:
        return end
    if len(data) < size:
        raise _Unusual
    raise _Truncated("in a sequence")


def _item(
    data: Buffer, position: int, size: int, length: int, explicit: bool, wanted: dict[int, bytes], depth: int
) -> int:
    end = size if length == _UNDEFINED else position + length
    if end > size:
        raise _Truncated("in an item of a sequence")
    while position < end:
        if position + 8 > len(data):
            break
        key, length_of_element = _IMPLICIT_ELEMENT.unpack_from(data, position)
        vr = b""
        if key == _ITEM_END:
            return position + 8
        if explicit:
            key, vr, length_of_element = _EXPLICIT_ELEMENT.unpack_from(data, position)
            if vr in _LONG_VRS:
                (length_of_element,) = _LENGTH.unpack_from(data, position + 8)
                position += 4
            elif vr not in _SHORT_VRS:
                raise _Unusual
        position += 8
        if length_of_element == _UNDEFINED:
            inner = explicit and vr != b"UN"
            position = _sequence(data, position, size, _UNDEFINED, inner, None, depth + 1)
            continue
        if key in _WANTED_IN_ITEM:
            wanted[_WANTED_IN_ITEM[key]] = data[position : position + min(length_of_element, VALUE)]
        position += length_of_element
    if length != _UNDEFINED and position == end:
        return end
    if len(data) < size:
        raise _Unusual
    raise _Truncated("in an item of a sequence")
