"""Read the head of a DICOM file: the wanted attributes as raw bytes, and whether the file is whole.

This is the one reader of files as they arrive. It walks over the elements without decoding them, because
pydicom's 0.3 ms a file would be the greater part of a pull, and reads what pydicom and dcmtk read: no
preamble, no file meta information, big endian, deflated, a wrong label, elements out of order or behind the
pixels, stray delimiters, VRs that are none, sequences written as UN in either encoding. What it cannot read
is an error; nothing is left out in silence.

References
----------
PS3.5 §6.2.2 (UN), §7 (data set encoding), §A (transfer syntaxes); PS3.10 §7 (file format).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import BinaryIO, Final

from dicomdock.dicom.deflate_guard import inflate, inflated_head, max_inflated
from dicomdock.dicom.element_encoding import (
    FORMS,
    LITTLE_EXPLICIT,
    SHORT_VRS,
    UNDEFINED,
    VRS,
    Beyond,
    Cut,
    Form,
    Malformed,
)
from dicomdock.dicom.element_reader import ElementReader
from dicomdock.dicom.header import (
    IDENTITY,
    MAX_VALUE,
    Buffer,
    Header,
    Raw,
    Wanted,
)
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import check_uid
from dicomdock.errors import InvalidInput, WireError

HEAD: Final = 1 << 16  # bytes in which nearly every header ends; of what is longer the whole file is needed
IMPLICIT: Final = "1.2.840.10008.1.2"
# Deflated, JPIP referenced deflated, JPIP HTJ2K referenced deflated.
DEFLATED: Final = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
_TRANSFER_SYNTAX, _MEDIA_INSTANCE = 0x00020010, 0x00020003
PREAMBLE: Final = 132
META: Final = 1 << 12  # bytes; file meta information is a few hundred


def read_header(
    head: bytes,
    size: int,
    whole: Callable[[], AbstractContextManager[Buffer]],
    wanted: Wanted = IDENTITY,
) -> Header:
    """Read the wanted attributes of an instance, and check that the file is whole.

    Parameters
    ----------
    head : the first bytes of the file, at least ``HEAD`` or all of them.
    size : bytes of the whole file.
    whole : opens the whole file as a buffer; called only where ``head`` is not enough.

    Raises
    ------
    WireError
        It is not a DICOM file, it is cut off, or it cannot be read.
    """
    if not looks_like_dicom(head):
        raise WireError("The bytes are not a DICOM file.")
    header = walk(head, size, wanted)
    if header is None:
        with whole() as data:
            header = walk(data, size, wanted)
    if header is None:
        raise WireError("The DICOM file changed while it was read.")
    return header


def looks_like_dicom(head: bytes) -> bool:
    """Return whether a file that begins so can be DICOM at all, with or without its preamble."""
    if head[128:PREAMBLE] == b"DICM" or head[:4] == b"DICM":
        return True
    if len(head) < 8:
        return False
    group, element, length = struct.unpack_from("<HHL", head)
    if group in (2, 8) and element < 0x2000 and (head[4:6] in VRS or length <= 0x1000):
        return True
    return struct.unpack_from(">H", head)[0] == 8 and head[4:6] in SHORT_VRS  # big endian


def has_prefix(head: bytes) -> bool:
    """Return whether bytes begin with a preamble and the DICOM prefix (PS3.10 §7.1)."""
    return head[128:PREAMBLE] == b"DICM"


def is_dicomdir(head: bytes) -> bool:
    """Return whether a file that begins so is a DICOMDIR."""
    return head[128:PREAMBLE] == b"DICM" and b"\x14\x001.2.840.10008.1.3.10" in head[PREAMBLE:1024]


def media_instance(head: bytes) -> str:
    """Return the Media Storage SOP Instance UID of the first bytes; empty where they do not state it."""
    return _meta_uid(head, _MEDIA_INSTANCE)


def transfer_syntax(head: bytes) -> str:
    """Return the Transfer Syntax UID of the first bytes; empty where they do not state it."""
    return _meta_uid(head, _TRANSFER_SYNTAX)


def _meta_uid(head: bytes, tag: int) -> str:
    if not has_prefix(head):
        return ""
    found: dict[int, bytes] = {}
    with suppress(Beyond, Cut, Malformed):
        _meta(head[:META], 1 << 40, found)
    return found.get(tag, b"").strip(b" \0\t\r\n").decode("ascii", "replace")


def read_partial(head: Buffer, wanted: Wanted = IDENTITY, size: int = 1 << 40) -> Header:
    """Return what the first bytes of a file hold of the wanted attributes, whole or not.

    Parameters
    ----------
    size : bytes of the whole file, where that is known.
    """
    raw: dict[int, bytes] = {}
    items: list[Raw] = []
    with suppress(Beyond, Cut, Malformed, WireError):  # what is read until then may be enough
        _walk(head, size, wanted, raw, items, partial=True)
    return Header(raw, items)


def identify(head: Buffer) -> Resource | None:
    """Return the instance that a file is, by its first bytes; None where they do not state it."""
    try:
        return read_partial(head).resource()
    except WireError:
        return None


def identify_file(file: BinaryIO) -> Resource | None:
    """Return the instance that an open file is; None where it does not state it."""
    head = file.read(HEAD)
    found = identify(head)
    if found is None and len(head) == HEAD and looks_like_dicom(head):
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            found = identify(whole)
    return found


def walk(data: Buffer, size: int, wanted: Wanted = IDENTITY) -> Header | None:
    """Read a header; None where ``data`` holds too little of it.

    Parameters
    ----------
    data : the file, or its beginning.
    size : bytes of the whole file.

    Raises
    ------
    WireError
        The file is cut off, or cannot be read.
    """
    raw: dict[int, bytes] = {}
    items: list[Raw] = []
    try:
        facts = _walk(data, size, wanted, raw, items)
    except Beyond:
        return None
    except Cut as error:
        raise WireError(f"The DICOM file is cut off {error}.") from None
    except Malformed as error:
        raise WireError(f"The DICOM file cannot be read: {error}.") from None
    return Header(raw, items, *facts)


def _walk(
    data: Buffer, size: int, wanted: Wanted, raw: dict[int, bytes], items: list[Raw], *, partial: bool = False
) -> tuple[str, str, int, str, Sequence[tuple[int, bytes]]]:
    """Read the facts of a ``Header`` from its transfer syntax on; the values go to the collections."""
    meta: dict[int, bytes] = {}
    start = _meta(data, size, meta)
    syntax = meta.get(_TRANSFER_SYNTAX, b"").strip(b" \0\t\r\n").decode("ascii", "replace")
    if syntax:
        try:
            check_uid(syntax.replace("\ufffd", "/"), tolerant=True)
        except InvalidInput:
            raise Malformed(f"its Transfer Syntax UID is {syntax[:80]!r}") from None
    behind = 0
    if syntax in DEFLATED:
        if partial:
            data = inflated_head(data[start:], HEAD)
        else:
            if len(data) < size:
                raise Beyond
            data, size, behind = _inflated(data, start)
        start = 0
    form = _form(data, start, size, syntax)
    reader = ElementReader(data, size, form, wanted, raw, items)
    trailing = reader.data_set(start)
    obstacle, odd_vrs = reader.obstacle, reader.odd_vrs
    if odd_vrs and syntax in DEFLATED:  # they stand nowhere in the file
        obstacle, odd_vrs = obstacle or "An element has a VR that does not exist", []
    return syntax, "big" if form.big else "little", trailing + behind, obstacle, odd_vrs


def _meta(data: Buffer, size: int, found: dict[int, bytes]) -> int:
    """Collect the file meta information, and return where the data set begins."""
    position = PREAMBLE if data[128:PREAMBLE] == b"DICM" else 4 if data[:4] == b"DICM" else 0
    reader: ElementReader | None = None
    unpack, held = LITTLE_EXPLICIT.unpack_vr, len(data)
    while position + 8 <= held:
        key, vr, length = unpack(data, position)
        if key & 0xFFFF != 2:
            break
        value = position + 8
        if vr not in SHORT_VRS:
            reader = reader or ElementReader(data, size, LITTLE_EXPLICIT, IDENTITY, {}, [])
            key, _, value, length = reader.element(position, True)
        end = value + length
        if length == UNDEFINED or end > size:
            raise Cut("in the file meta information")
        if end > len(data):
            raise Beyond
        found[LITTLE_EXPLICIT.tag(key)] = data[value : min(end, value + MAX_VALUE)]
        position = end
    if position + 8 > len(data) and len(data) < size:
        raise Beyond
    return position


def _inflated(data: Buffer, start: int) -> tuple[bytes, int, int]:
    deflated = data[start:]
    head, total, behind = inflate(deflated, max_inflated(len(deflated)))
    if behind is None:
        raise Cut("in its deflated data set")
    # One zero byte makes the length even (PS3.5 §A.5).
    return head, total, 0 if deflated[len(deflated) - behind :] in (b"", b"\0") else behind


def _form(data: Buffer, start: int, size: int, syntax: str) -> Form:
    """Find how a data set is encoded by its first element; the label decides only where that is unclear."""
    if start + 8 > len(data):
        if len(data) < size:
            raise Beyond
        return FORMS[syntax != IMPLICIT, False]
    big = data[start] == 0 and data[start + 1] != 0
    has_vr, implicit = data[start + 4 : start + 6] in VRS, syntax == IMPLICIT
    if has_vr and not implicit:
        return FORMS[True, big]
    if has_vr or not implicit:
        form = FORMS[False, big]
        key, length = form.unpack(data, start)
        end = start + 8 + length
        if ElementReader(data, size, form, IDENTITY, {}, []).is_plausible(end, form.tag(key), False):
            implicit = data[end + 4 : end + 6] not in VRS
        elif has_vr or not syntax:
            implicit = not has_vr
    return FORMS[not implicit, big]
