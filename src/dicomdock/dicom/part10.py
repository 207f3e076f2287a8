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
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO, Final, TypeAlias

from dicomdock.dicom.deflate_guard import inflate, inflated_head, max_inflated
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.sop_classes import kind_of
from dicomdock.dicom.uid import UID_KEYWORDS, check_uid
from dicomdock.errors import InvalidInput, WireError

Buffer: TypeAlias = "bytes | mmap.mmap"
Raw: TypeAlias = "Mapping[int, bytes]"

HEAD: Final = 1 << 16  # bytes in which nearly every header ends; of what is longer the whole file is needed
MAX_VALUE: Final = 1 << 16  # bytes of one value that are read; more than the standard allows
MAX_DEPTH: Final = 128  # sequences in sequences; deeper only in files made to do harm
MAX_ITEMS: Final = 64  # items of the wanted sequence that are read
CHARSET: Final = 0x00080005
STUDY, SERIES, SOP_INSTANCE = (int(tag_of(keyword), 16) for keyword in UID_KEYWORDS["instances"])

IMPLICIT: Final = "1.2.840.10008.1.2"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
# Deflated, JPIP referenced deflated, JPIP HTJ2K referenced deflated.
DEFLATED: Final = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
_TRANSFER_SYNTAX, _MEDIA_INSTANCE = 0x00020010, 0x00020003
_ROWS, SOP_CLASS = 0x00280010, 0x00080016
_WITHOUT_PIXELS: Final = ("report", "structures", "document", "presentation", "other")
_PIXEL_GROUP: Final = 0x7FE0
_PIXELS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))  # float, double float, integer
_LATE_GROUP: Final = 0x0020  # the identifying attributes are in groups up to this one
_UNDEFINED: Final = 0xFFFFFFFF
PREAMBLE: Final = 132
META: Final = 1 << 12  # bytes; file meta information is a few hundred
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # four bytes of length
_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_VRS: Final = _LONG_VRS | _SHORT_VRS
_FRAGMENT_VRS: Final = frozenset((b"OB", b"OW"))


class _Beyond(Exception):
    """The element lies beyond the bytes at hand."""


class _Cut(Exception):
    """The file ends inside an element."""


class _Malformed(Exception):
    """The bytes are not an element."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The attributes to read, as tags.

    Parameters
    ----------
    tags : attributes of the data set.
    sequence : a sequence of it, 0 for none.
    in_items : attributes of that sequence's items.
    """

    tags: frozenset[int]
    sequence: int = 0
    in_items: frozenset[int] = frozenset()

    @classmethod
    def of(cls, keywords: Iterable[str], sequence: str = "", in_items: Iterable[str] = ()) -> Wanted:
        """Return the same for keywords; character set and identifying UIDs are always among them."""
        always = ("SpecificCharacterSet", "SOPClassUID", *UID_KEYWORDS["instances"])
        tags = frozenset(int(tag_of(keyword), 16) for keyword in (*keywords, *always))
        return cls(
            tags,
            int(tag_of(sequence), 16) if sequence else 0,
            frozenset(int(tag_of(keyword), 16) for keyword in in_items),
        )


@dataclass(frozen=True, slots=True)
class Header:
    """The wanted attributes of one instance, as raw values.

    Parameters
    ----------
    raw : tag -> the bytes of its value.
    items : the same for each item of the wanted sequence.
    transfer_syntax : UID; empty where the file does not state it.
    byteorder : of binary values.
    trailing : bytes behind the end of the data set.
    """

    raw: Raw
    items: Sequence[Raw] = ()
    transfer_syntax: str = ""
    byteorder: str = "little"
    trailing: int = 0

    def uid(self, tag: int) -> str:
        """Return a UID without its padding, empty where there is none."""
        raw = self.raw.get(tag, b"").strip(b" \0\t\r\n")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def resource(self) -> Resource:
        """Return the instance by its own UIDs.

        Raises
        ------
        WireError
            One is missing, or cannot be a UID.
        """
        study, series, instance = (self.uid(tag) for tag in (STUDY, SERIES, SOP_INSTANCE))
        named = {"Study Instance UID": study, "Series Instance UID": series, "SOP Instance UID": instance}
        if missing := [name for name, text in named.items() if not text]:
            raise WireError(f"The DICOM file has no {' and no '.join(missing)}.")
        try:
            return Resource(study, series, instance)
        except InvalidInput as error:
            raise WireError(f"The DICOM file has an unusable UID: {error}") from error


IDENTITY: Final = Wanted.of(())


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
    if group in (2, 8) and element < 0x2000 and (head[4:6] in _VRS or length <= 0x1000):
        return True
    return struct.unpack_from(">H", head)[0] == 8 and head[4:6] in _SHORT_VRS  # big endian


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
    with suppress(_Beyond, _Cut, _Malformed):
        _meta(head[:META], 1 << 40, found)
    return found.get(tag, b"").strip(b" \0\t\r\n").decode("ascii", "replace")


def identify(head: Buffer) -> Resource | None:
    """Return the instance that a file is, by its first bytes; None where they do not state it."""
    raw: dict[int, bytes] = {}
    with suppress(_Beyond, _Cut, _Malformed, WireError):  # what is read until then may be enough
        _walk(head, max(len(head) + 1, 1 << 40), IDENTITY, raw, [], partial=True)
    try:
        return Header(raw).resource()
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
        syntax, byteorder, trailing = _walk(data, size, wanted, raw, items)
    except _Beyond:
        return None
    except _Cut as error:
        raise WireError(f"The DICOM file is cut off {error}.") from None
    except _Malformed as error:
        raise WireError(f"The DICOM file cannot be read: {error}.") from None
    return Header(raw, items, syntax, byteorder, trailing)


def _walk(
    data: Buffer, size: int, wanted: Wanted, raw: dict[int, bytes], items: list[Raw], *, partial: bool = False
) -> tuple[str, str, int]:
    """Read transfer syntax, byte order and the number of trailing bytes; the values go to the collections."""
    meta: dict[int, bytes] = {}
    start = _meta(data, size, meta)
    syntax = meta.get(_TRANSFER_SYNTAX, b"").strip(b" \0\t\r\n").decode("ascii", "replace")
    if syntax:
        try:
            check_uid(syntax.replace("\ufffd", "/"), tolerant=True)
        except InvalidInput:
            raise _Malformed(f"its Transfer Syntax UID is {syntax[:80]!r}") from None
    behind = 0
    if syntax in DEFLATED:
        if partial:
            data = inflated_head(data[start:], HEAD)
        else:
            if len(data) < size:
                raise _Beyond
            data, size, behind = _inflated(data, start)
        start = 0
    form = _form(data, start, size, syntax)
    trailing = _Reader(data, size, form, wanted, raw, items).data_set(start)
    return syntax, "big" if form.big else "little", trailing + behind


def _meta(data: Buffer, size: int, found: dict[int, bytes]) -> int:
    """Collect the file meta information, and return where the data set begins."""
    position = PREAMBLE if data[128:PREAMBLE] == b"DICM" else 4 if data[:4] == b"DICM" else 0
    reader: _Reader | None = None
    unpack, held = _LITTLE_EXPLICIT.unpack_vr, len(data)
    while position + 8 <= held:
        key, vr, length = unpack(data, position)
        if key & 0xFFFF != 2:
            break
        value = position + 8
        if vr not in _SHORT_VRS:
            reader = reader or _Reader(data, size, _LITTLE_EXPLICIT, IDENTITY, {}, [])
            key, _, value, length = reader.element(position, True)
        end = value + length
        if length == _UNDEFINED or end > size:
            raise _Cut("in the file meta information")
        if end > len(data):
            raise _Beyond
        found[_LITTLE_EXPLICIT.tag(key)] = data[value : min(end, value + MAX_VALUE)]
        position = end
    if position + 8 > len(data) and len(data) < size:
        raise _Beyond
    return position


def _inflated(data: Buffer, start: int) -> tuple[bytes, int, int]:
    deflated = data[start:]
    kept, total, behind = inflate(deflated, max_inflated(len(deflated)))
    if behind is None:
        raise _Cut("in its deflated data set")
    # One zero byte makes the length even (PS3.5 §A.5).
    return kept, total, 0 if deflated[len(deflated) - behind :] in (b"", b"\0") else behind


class _Form:
    """How elements are encoded: byte order, and whether with VR."""

    __slots__ = (
        "big",
        "explicit",
        "item",
        "item_end",
        "sequence_end",
        "unpack",
        "unpack_length",
        "unpack_vr",
    )

    def __init__(self, *, explicit: bool, big: bool) -> None:
        order = ">" if big else "<"
        self.explicit, self.big = explicit, big
        self.unpack = struct.Struct(order + "LL").unpack_from
        self.unpack_vr = struct.Struct(order + "L2sH").unpack_from
        self.unpack_length = struct.Struct(order + "L").unpack_from
        self.item, self.item_end, self.sequence_end = map(self.key, (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))

    def key(self, tag: int) -> int:
        """Return the number that a tag is when its four bytes are read at once."""
        return tag if self.big else (tag & 0xFFFF) << 16 | tag >> 16

    tag = key  # it is its own inverse


_LITTLE_ITEM: Final = b"\xfe\xff\x00\xe0"
_LITTLE_EXPLICIT: Final = _Form(explicit=True, big=False)
_FORMS: Final = {
    (explicit, big): _Form(explicit=explicit, big=big) for explicit in (True, False) for big in (True, False)
}


def _form(data: Buffer, start: int, size: int, syntax: str) -> _Form:
    """Find how a data set is encoded by its first element; the label decides only where that is unclear."""
    if start + 8 > len(data):
        if len(data) < size:
            raise _Beyond
        return _FORMS[syntax != IMPLICIT, False]
    big = data[start] == 0 and data[start + 1] != 0
    has_vr, implicit = data[start + 4 : start + 6] in _VRS, syntax == IMPLICIT
    if has_vr and not implicit:
        return _FORMS[True, big]
    if has_vr or not implicit:
        form = _FORMS[False, big]
        key, length = form.unpack(data, start)
        end = start + 8 + length
        if _Reader(data, size, form, IDENTITY, {}, []).is_plausible(end, form.tag(key), False):
            implicit = data[end + 4 : end + 6] not in _VRS
        elif has_vr or not syntax:
            implicit = not has_vr
    return _FORMS[not implicit, big]


class _Reader:
    """Walks over the elements of one data set."""

    __slots__ = (
        "_at",
        "_before",
        "_data",
        "_form",
        "_held",
        "_item_keys",
        "_items",
        "_keys",
        "_pixels",
        "_raw",
        "_sequence_key",
        "_size",
        "_wanted",
    )

    def __init__(
        self,
        data: Buffer,
        size: int,
        form: _Form,
        wanted: Wanted,
        raw: dict[int, bytes],
        items: list[Raw],
    ) -> None:
        self._data, self._size, self._held, self._form = data, size, len(data), form
        self._keys, self._item_keys, self._sequence_key = _wanted_keys(wanted, form.big)
        self._raw, self._items, self._wanted = raw, items, wanted
        self._at, self._before, self._pixels = 0, 0, False

    def data_set(self, position: int) -> int:
        """Collect the wanted elements and follow the rest to the end; return the number of trailing bytes."""
        try:
            self._elements(position)
        except (_Cut, _Malformed) as error:
            if self._is_behind(self._at, self._pixels, self._form.tag(self._before), error):
                return self._size - self._at
            raise
        return 0

    def _elements(self, position: int) -> None:
        data, size, held, form = self._data, self._size, self._held, self._form
        keys, raw, explicit, big, sequence_key = (
            self._keys,
            self._raw,
            form.explicit,
            form.big,
            self._sequence_key,
        )
        unpack, unpack_vr, unpack_length = form.unpack, form.unpack_vr, form.unpack_length
        before = key = 0
        try:
            while position < size:
                before = key
                if position + 12 > held and (held < size or position + 8 > size):
                    if held < size:
                        raise _Beyond
                    raise _Cut("inside the tag of an element")
                if explicit:
                    key, vr, length = unpack_vr(data, position)
                    value = position + 8
                    if vr in _LONG_VRS:
                        if value + 4 > size:
                            raise _Cut("inside the tag of an element")
                        (length,) = unpack_length(data, value)
                        value += 4
                    elif vr not in _SHORT_VRS:
                        key, vr, value, length = self.element(position, True)
                else:
                    key, length = unpack(data, position)
                    value, vr = position + 8, b""
                if length == _UNDEFINED:
                    position = self._undefined(key, vr, value)
                    continue
                end = value + length
                if end > size:
                    tag = form.tag(key)
                    if vr == b"SQ":  # a wrong length: its delimiter decides
                        position = self._top_sequence(value, vr, tag)
                        continue
                    raise _Cut(f"in ({tag >> 16:04X},{tag & 0xFFFF:04X}), {end - size} bytes short")
                if key in keys and vr != b"SQ":
                    if end > held:
                        raise _Beyond
                    if (
                        not self._pixels or keys[key] not in raw
                    ):  # what lies behind the pixels replaces nothing
                        raw[keys[key]] = data[value : min(end, value + MAX_VALUE)]
                elif key == sequence_key:
                    self._wanted_items(value, end, vr)
                else:
                    group = key >> 16 if big else key & 0xFFFF
                    if group == _PIXEL_GROUP:
                        self._pixels = self._pixels or form.tag(key) in _PIXELS
                    elif group == 0 and raw:
                        raise _Malformed("an element of group 0 is in the data set")
                position = end
        finally:
            self._at, self._before = position, before

    def _undefined(self, key: int, vr: bytes, position: int) -> int:
        """Pass over a value of undefined length, and return where it ends."""
        form = self._form
        if key in (form.item, form.item_end, form.sequence_end):
            return position  # stray
        tag = form.tag(key)
        if tag >> 16 != _PIXEL_GROUP:
            return self._top_sequence(position, vr, tag)
        end = self._fragments(position)
        self._pixels = True
        return end

    def _is_behind(self, position: int, pixels: bool, before: int, error: Exception) -> bool:
        """Return whether what cannot be read as an element is something behind the data set."""
        data, size, form = self._data, self._size, self._form
        if self._held < size:
            raise _Beyond
        if size - position < 8:
            rest = data[position:size]
            blank = rest.isspace() and len(rest) > 2  # one or two may begin a tag of group 0020
            return pixels or rest in (b"\n", b"\r", b"\r\n") or blank or not rest.strip(b"\0")
        tag = form.tag(form.unpack(data, position)[0])
        if pixels:
            known = tag in (0xFFFAFFFA, 0xFFFCFFFC) or tag >> 16 in (_PIXEL_GROUP, _PIXEL_GROUP + 1)
            valid = data[position + 4 : position + 6] in _VRS and tag > before if form.explicit else known
            return isinstance(error, _Malformed) or not (valid and tag > 0x7FE00010)
        if _is_padding(data, position, size):
            return True
        # An object that has no pixels, and all of whose identifying attributes have been read.
        kind = kind_of(Header(self._raw).uid(SOP_CLASS))
        late = kind in _WITHOUT_PIXELS and before >> 16 > _LATE_GROUP and _ROWS not in self._raw
        identified = all(uid in self._raw for uid in (STUDY, SERIES, SOP_INSTANCE))
        return late and identified and isinstance(error, _Malformed)

    def element(self, position: int, explicit: bool) -> tuple[int, bytes, int, int]:
        """Read the head of an element; return its key, VR, the place of its value, and its length.

        Where the VR is none, the encoding is found by what follows: two bytes of length behind it, none at
        all (Implicit VR), or four bytes as the later VRs have.
        """
        data, form = self._data, self._form
        if position + 12 > self._held and self._held < self._size:
            raise _Beyond
        if position + 8 > self._size:
            raise _Cut("inside the tag of an element")
        key, length = form.unpack(data, position)
        if not explicit or key in (form.item, form.item_end, form.sequence_end):
            return key, b"", position + 8, length
        _, vr, short = form.unpack_vr(data, position)
        if vr in _SHORT_VRS:
            return key, vr, position + 8, short
        if position + 12 > self._size:
            long = _UNDEFINED - 1
        else:
            (long,) = form.unpack_length(data, position + 8)
        if vr in _LONG_VRS:
            if position + 12 > self._size:
                raise _Cut("inside the tag of an element")
            return key, vr, position + 12, long
        forms = [(b"", position + 8, short), (b"", position + 8, length)]
        # All VRs to come have four bytes of length (PS3.5 §7.1.2).
        forms.insert(0 if vr.isalpha() and vr.isupper() else 2, (b"UN", position + 12, long))
        tag = form.tag(key)
        for found in forms:
            if found[2] != _UNDEFINED and self.is_plausible(found[1] + found[2], tag, True):
                return key, *found
        if long == _UNDEFINED:
            return key, b"UN", position + 12, long
        if length == _UNDEFINED:
            return key, b"", position + 8, length
        raise _Malformed(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has the VR {vr!r}")

    def is_plausible(self, position: int, before: int, explicit: bool) -> bool:
        """Return whether an element can begin here, behind one with the tag ``before``."""
        data, form = self._data, self._form
        if position >= self._size:
            return position == self._size
        if position + 8 > self._held:
            if self._held < self._size:
                raise _Beyond
            return False
        key, length = map(int, form.unpack(data, position))
        tag = form.tag(key)
        if tag >> 16 == 0xFFFE:
            return tag in (0xFFFEE00D, 0xFFFEE0DD) and length == 0
        if explicit and tag >> 16 and data[position + 4 : position + 6] in _VRS:
            return True
        if tag <= before or (explicit and not _is_known(tag)):
            return False  # an element without VR among others is one that everybody knows
        return length == _UNDEFINED or position + 8 + length <= self._size

    def _wanted_items(self, position: int, end: int, vr: bytes) -> None:
        """Collect the items of the wanted sequence; one that is not a sequence has none."""
        if vr not in (b"SQ", b"UN", b"OB", b""):
            return
        if end > self._held:
            raise _Beyond
        try:
            self._sequence(position, end, vr, 0, self._items)
        except (_Cut, _Malformed):
            return

    def _top_sequence(self, position: int, vr: bytes, tag: int) -> int:
        """Pass over a sequence of undefined length, also over one whose items cannot be read."""
        items = self._items if self._form.key(tag) == self._sequence_key else None
        try:
            return self._sequence(position, None, vr, 0, items)
        except _Malformed:
            if self._held < self._size:
                raise _Beyond from None
            at = position
            while (end := self._find_end(at)) >= 0:
                if self.is_plausible(end, tag, self._form.explicit):
                    return end
                at = end
            raise

    def _find_end(self, position: int) -> int:
        """Return where the next Sequence Delimitation Item ends; -1 where there is none."""
        end = self._data.find(
            struct.pack(">LL" if self._form.big else "<LL", self._form.sequence_end, 0), position
        )
        return -1 if end < 0 else end + 8

    def _fragments(self, position: int) -> int:
        """Pass over encapsulated pixel data, and return where they end."""
        data, size, form = self._data, self._size, self._form
        while True:
            at = position
            if position + 8 > self._held:
                if self._held < size:
                    raise _Beyond
                break
            key, length = form.unpack(data, position)
            position += 8
            if key == form.sequence_end:
                return position
            if key != form.item or position + length > size:
                break  # a wrong length: the delimiter decides, as it does for other readers
            position += length
        if self._held < size:
            raise _Beyond
        end = self._find_end(at)
        if end < 0:
            raise _Cut("in its encapsulated pixel data")
        return end

    def _sequence(
        self, position: int, end: int | None, vr: bytes, depth: int, items: list[Raw] | None = None
    ) -> int:
        """Pass over the items of a sequence, and return where it ends.

        Parameters
        ----------
        end : where it ends, None for one of undefined length.
        items : takes what is wanted of each item; None to pass over them.
        """
        if depth > MAX_DEPTH:
            raise _Malformed(f"it nests sequences deeper than {MAX_DEPTH} levels")
        form = self._form
        if form.big and vr == b"UN" and self._data[position : position + 4] == _LITTLE_ITEM:  # PS3.5 §6.2.2
            little = _Reader(self._data, self._size, _FORMS[False, False], self._wanted, {}, [])
            return little._sequence(position, end, vr, depth, items)
        while end is None or position < end:
            key, length = self._item_head(position, "in a sequence")
            position += 8
            if key == form.sequence_end:
                return position
            if key != form.item:
                raise _Malformed("a sequence holds something other than items")
            wanted: dict[int, bytes] | None = None
            if items is not None and len(items) < MAX_ITEMS:
                wanted = {}
                items.append(wanted)
            if length != _UNDEFINED and wanted is None:
                position += length
                if position > self._size:
                    raise _Cut("in a sequence")
                continue
            item_end = None if length == _UNDEFINED else position + length
            if item_end is not None and item_end > self._size:
                raise _Cut("in an item of a sequence")
            position = self._item(position, item_end, vr, depth, wanted)
        return position

    def _item_head(self, position: int, where: str) -> tuple[int, int]:
        if position + 8 > self._held:
            if self._held < self._size:
                raise _Beyond
            raise _Cut(where)
        key, length = self._form.unpack(self._data, position)
        return key, length

    def _item(
        self, position: int, end: int | None, vr: bytes, depth: int, wanted: dict[int, bytes] | None
    ) -> int:
        data, form = self._data, self._form
        # A sequence as UN is in Implicit VR; some writers keep VRs in it, others leave them out in any item.
        explicit = (form.explicit or vr == b"UN") and data[position + 4 : position + 6] in _VRS
        while end is None or position < end:
            self._item_head(position, "in an item of a sequence")
            key, inner, value, length = self.element(position, explicit)
            if key == form.item_end:
                return value
            if key == form.sequence_end and end is None:
                return position  # the item has no end of its own
            if length == _UNDEFINED:
                if inner in _FRAGMENT_VRS:
                    position = self._fragments(value)
                else:
                    position = self._sequence(value, None, inner if explicit else b"", depth + 1)
                continue
            position = value + length
            if position > (self._size if end is None else end):
                raise _Cut("in an item of a sequence")
            if wanted is not None and key in self._item_keys:
                if position > self._held:
                    raise _Beyond
                wanted[self._item_keys[key]] = data[value : min(position, value + MAX_VALUE)]
        return position


_Keys: TypeAlias = "tuple[Mapping[int, int], Mapping[int, int], int]"


@cache
def _wanted_keys(wanted: Wanted, big: bool) -> _Keys:
    """Return the wanted tags by how they are read, the same for items, and the sequence's."""
    key = _FORMS[True, big].key
    in_items = {key(tag): tag for tag in wanted.in_items}
    return {key(tag): tag for tag in wanted.tags}, in_items, key(wanted.sequence)


def _is_known(tag: int) -> bool:
    from pydicom.datadict import dictionary_has_tag

    return dictionary_has_tag(tag)


def _is_padding(data: Buffer, position: int, size: int) -> bool:
    """Return whether nothing but blanks, line ends or zeros follows."""
    for start in range(position, size, 1 << 20):
        if data[start : min(start + (1 << 20), size)].strip(b"\0 \r\n\t"):
            return False
    return True
