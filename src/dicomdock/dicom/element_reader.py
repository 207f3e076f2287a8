"""Walk over the elements of a data set without decoding them, and collect those that are wanted.

References
----------
PS3.5 §6.2.2 (UN), §7 (data set encoding), §A (transfer syntaxes).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from typing import Final, TypeAlias

from dicomdock.dicom.dictionary import keyword_of, vr_of
from dicomdock.dicom.element_encoding import (
    FORMS,
    FRAGMENT_VRS,
    LITTLE_ITEM,
    LONG_VRS,
    NUMBERS,
    SHORT_VRS,
    TEXTS,
    UNDEFINED,
    VRS,
    Beyond,
    Cut,
    Form,
    Malformed,
)
from dicomdock.dicom.header import (
    MAX_VALUE,
    SERIES,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    Buffer,
    Header,
    Raw,
    Wanted,
)
from dicomdock.dicom.sop_classes import kind_of

MAX_DEPTH: Final = 128  # sequences in sequences; deeper only in files made to do harm
_ROWS: Final = 0x00280010
_WITHOUT_PIXELS: Final = ("report", "key images", "structures", "document", "presentation", "other")
_PIXEL_GROUP: Final = 0x7FE0
PIXEL_TAGS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))  # float, double float, integer
_LATE_GROUP: Final = 0x0020  # the identifying attributes are in groups up to this one

_Keys: TypeAlias = "tuple[Mapping[int, int], frozenset[int], Mapping[int, int], int]"


class ElementReader:
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
        "_most_items",
        "_numbers",
        "_pixels",
        "_raw",
        "_sequence_key",
        "_size",
        "_wanted",
        "obstacle",
        "odd_vrs",
    )

    def __init__(
        self,
        data: Buffer,
        size: int,
        form: Form,
        wanted: Wanted,
        raw: dict[int, bytes],
        items: list[Raw],
    ) -> None:
        self._data, self._size, self._held, self._form = data, size, len(data), form
        self._keys, self._numbers, self._item_keys, self._sequence_key = _wanted_keys(wanted, form.big)
        self._raw, self._items, self._wanted = raw, items, wanted
        self._most_items = wanted.most_items
        self._at, self._before, self._pixels = 0, 0, False
        self.obstacle = ""
        """What ends the reading of pydicom before the end of the data set; empty for nothing."""
        self.odd_vrs: list[tuple[int, bytes]] = []
        """Where VRs stand that do not exist, and VRs with which pydicom reads on behind them."""

    def data_set(self, position: int) -> int:
        """Collect the wanted elements and follow the rest to the end; return the number of trailing bytes."""
        try:
            self._elements(position)
        except (Cut, Malformed) as error:
            if self._is_behind(self._at, self._pixels, self._form.tag(self._before), error):
                return self._size - self._at
            raise
        return 0

    def _elements(self, position: int) -> None:
        data, size, held, form = self._data, self._size, self._held, self._form
        keys, numbers, raw, explicit, big, sequence_key = (
            self._keys,
            self._numbers,
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
                        raise Beyond
                    raise Cut("inside the tag of an element")
                if explicit:
                    key, vr, length = unpack_vr(data, position)
                    value = position + 8
                    if vr in LONG_VRS:
                        if value + 4 > size:
                            raise Cut("inside the tag of an element")
                        (length,) = unpack_length(data, value)
                        value += 4
                    elif vr not in SHORT_VRS:
                        key, vr, value, length = self.element(position, True)
                else:
                    key, length = unpack(data, position)
                    value, vr = position + 8, b""
                if length == UNDEFINED:
                    position = self._undefined(key, vr, value)
                    continue
                end = value + length
                if end > size:
                    tag = form.tag(key)
                    if vr == b"SQ":  # a wrong length: its delimiter decides
                        position = self._top_sequence(value, vr, tag)
                        continue
                    raise Cut(f"in ({tag >> 16:04X},{tag & 0xFFFF:04X}), {end - size} bytes short")
                if key in keys and vr != b"SQ":
                    if end > held:
                        raise Beyond
                    if (
                        not self._pixels or keys[key] not in raw
                    ):  # what lies behind the pixels replaces nothing
                        found = data[value : min(end, value + MAX_VALUE)]
                        if (vr in NUMBERS) != (key in numbers):
                            found = self._as_expected(vr, found)
                        raw[keys[key]] = found
                elif key == sequence_key:
                    self._wanted_items(value, end, vr)
                else:
                    group = key >> 16 if big else key & 0xFFFF
                    if group == _PIXEL_GROUP:
                        self._pixels = self._pixels or form.tag(key) in PIXEL_TAGS
                    elif key == form.item_end:  # others of a defined length are passed over
                        self._meet(form.tag(key), "stands in no sequence")
                    elif group == 0 and raw and not any(data[position : position + 8]):
                        raise Malformed("zeros are in the place of elements")
                position = end
        finally:
            self._at, self._before = position, before

    def _as_expected(self, vr: bytes, value: bytes) -> bytes:
        """Return numbers of an attribute that has text, and text of one that has a number, as it has them."""
        if vr in NUMBERS:
            return self._form.text(vr, value)
        return self._form.unsigned(value) if vr in TEXTS else value

    def _undefined(self, key: int, vr: bytes, position: int) -> int:
        """Pass over a value of undefined length, and return where it ends."""
        form = self._form
        tag = form.tag(key)
        if key in (form.item, form.item_end, form.sequence_end):
            self._meet(tag, "stands in no sequence")
            return position
        if tag >> 16 != _PIXEL_GROUP:
            return self._top_sequence(position, vr, tag)
        end = self._fragments(position)
        self._pixels = True
        return end

    def _meet(self, tag: int, fault: str) -> None:
        """Record an obstacle, if it is the first."""
        self.obstacle = self.obstacle or f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {fault}"

    def _is_behind(self, position: int, pixels: bool, before: int, error: Exception) -> bool:
        """Return whether what cannot be read as an element is something behind the data set."""
        data, size, form = self._data, self._size, self._form
        if self._held < size:
            raise Beyond
        if size - position < 8:
            rest = data[position:size]
            blank = rest.isspace() and len(rest) > 2  # one or two may begin a tag of group 0020
            return pixels or rest in (b"\n", b"\r", b"\r\n") or blank or not rest.strip(b"\0")
        tag = form.tag(form.unpack(data, position)[0])
        if pixels:
            known = tag in (0xFFFAFFFA, 0xFFFCFFFC) or tag >> 16 in (_PIXEL_GROUP, _PIXEL_GROUP + 1)
            valid = data[position + 4 : position + 6] in VRS and tag > before if form.explicit else known
            return isinstance(error, Malformed) or not (valid and tag > 0x7FE00010)
        if _is_padding(data, position, size):
            return True
        # An object that has no pixels, and all of whose identifying attributes have been read.
        kind = kind_of(Header(self._raw).uid(SOP_CLASS))
        late = kind in _WITHOUT_PIXELS and before >> 16 > _LATE_GROUP and _ROWS not in self._raw
        identified = all(uid in self._raw for uid in (STUDY, SERIES, SOP_INSTANCE))
        return late and identified and isinstance(error, Malformed)

    def element(self, position: int, explicit: bool) -> tuple[int, bytes, int, int]:
        """Read the head of an element; return its key, VR, the place of its value, and its length.

        Where the VR is none, the encoding is found by what follows: two bytes of length behind it, none at
        all (Implicit VR), or four bytes as the later VRs have.
        """
        data, form = self._data, self._form
        if position + 12 > self._held and self._held < self._size:
            raise Beyond
        if position + 8 > self._size:
            raise Cut("inside the tag of an element")
        key, length = form.unpack(data, position)
        if not explicit or key in (form.item, form.item_end, form.sequence_end):
            return key, b"", position + 8, length
        _, vr, short = form.unpack_vr(data, position)
        if vr in SHORT_VRS:
            return key, vr, position + 8, short
        if position + 12 > self._size:
            long = UNDEFINED - 1
        else:
            (long,) = form.unpack_length(data, position + 8)
        if vr in LONG_VRS:
            if position + 12 > self._size:
                raise Cut("inside the tag of an element")
            return key, vr, position + 12, long
        forms = [(b"", position + 8, short), (b"", position + 8, length)]
        # All VRs to come have four bytes of length (PS3.5 §7.1.2).
        forms.insert(0 if vr.isalpha() and vr.isupper() else 2, (b"UN", position + 12, long))
        tag = form.tag(key)
        for found in forms:
            if found[2] != UNDEFINED and self.is_plausible(found[1] + found[2], tag, True):
                # pydicom takes what has no two capital letters as Implicit VR.
                if not (vr.isalpha() and vr.isupper()) and found != (b"", position + 8, length):
                    self.odd_vrs.append((position + 4, found[0] or _short_vr(tag)))
                return key, *found
        if long == UNDEFINED:
            return key, b"UN", position + 12, long
        if length == UNDEFINED:
            return key, b"", position + 8, length
        raise Malformed(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has a VR that does not exist")

    def is_plausible(self, position: int, before: int, explicit: bool) -> bool:
        """Return whether an element can begin here, behind one with the tag ``before``."""
        data, form = self._data, self._form
        if position >= self._size:
            return position == self._size
        if position + 8 > self._held:
            if self._held < self._size:
                raise Beyond
            return False
        key, length = map(int, form.unpack(data, position))
        tag = form.tag(key)
        if tag >> 16 == 0xFFFE:
            return tag in (0xFFFEE00D, 0xFFFEE0DD) and length == 0
        if explicit and tag >> 16 and data[position + 4 : position + 6] in VRS:
            return True
        if tag <= before or (explicit and not _is_known(tag)):
            return False  # an element without VR among others is one that everybody knows
        return length == UNDEFINED or position + 8 + length <= self._size

    def _wanted_items(self, position: int, end: int, vr: bytes) -> None:
        """Collect the items of the wanted sequence; one that is not a sequence has none."""
        if vr not in (b"SQ", b"UN", b"OB", b""):
            return
        if end > self._held:
            raise Beyond
        try:
            self._sequence(position, end, vr, 0, self._items)
        except (Cut, Malformed):
            return

    def _top_sequence(self, position: int, vr: bytes, tag: int) -> int:
        """Pass over a sequence of undefined length, also over one whose items cannot be read."""
        items = self._items if self._form.key(tag) == self._sequence_key else None
        try:
            return self._sequence(position, None, vr, 0, items)
        except Malformed:
            if self._held < self._size:
                raise Beyond from None
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
                    raise Beyond
                break
            key, length = form.unpack(data, position)
            position += 8
            if key == form.sequence_end:
                return position
            if key != form.item or position + length > size:
                break  # a wrong length: the delimiter decides, as it does for other readers
            position += length
        if self._held < size:
            raise Beyond
        end = self._find_end(at)
        if end < 0:
            raise Cut("in its encapsulated pixel data")
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
            raise Malformed(f"it nests sequences deeper than {MAX_DEPTH} levels")
        form = self._form
        if form.big and vr == b"UN" and self._data[position : position + 4] == LITTLE_ITEM:  # PS3.5 §6.2.2
            little = ElementReader(self._data, self._size, FORMS[False, False], self._wanted, {}, [])
            return little._sequence(position, end, vr, depth, items)
        while end is None or position < end:
            key, length = self._item_head(position, "in a sequence")
            position += 8
            if key == form.sequence_end:
                return position
            if key != form.item:
                raise Malformed("a sequence holds something other than items")
            wanted: dict[int, bytes] | None = None
            if items is not None and len(items) < self._most_items:
                wanted = {}
                items.append(wanted)
            if length != UNDEFINED and wanted is None:
                position += length
                if position > self._size:
                    raise Cut("in a sequence")
                continue
            item_end = None if length == UNDEFINED else position + length
            if item_end is not None and item_end > self._size:
                raise Cut("in an item of a sequence")
            position = self._item(position, item_end, vr, depth, wanted)
        return position

    def _item_head(self, position: int, where: str) -> tuple[int, int]:
        if position + 8 > self._held:
            if self._held < self._size:
                raise Beyond
            raise Cut(where)
        key, length = self._form.unpack(self._data, position)
        return key, length

    def _item(
        self, position: int, end: int | None, vr: bytes, depth: int, wanted: dict[int, bytes] | None
    ) -> int:
        data, form = self._data, self._form
        # A sequence as UN is in Implicit VR; some writers keep VRs in it, others leave them out in any item.
        explicit = (form.explicit or vr == b"UN") and data[position + 4 : position + 6] in VRS
        while end is None or position < end:
            self._item_head(position, "in an item of a sequence")
            key, inner, value, length = self.element(position, explicit)
            if key == form.item_end:
                return value
            if key == form.sequence_end and end is None:
                return position  # the item has no end of its own
            if length == UNDEFINED:
                if inner in FRAGMENT_VRS:
                    position = self._fragments(value)
                else:
                    position = self._sequence(value, None, inner if explicit else b"", depth + 1)
                continue
            position = value + length
            if position > (self._size if end is None else end):
                raise Cut("in an item of a sequence")
            if wanted is not None and key in self._item_keys:
                if position > self._held:
                    raise Beyond
                wanted[self._item_keys[key]] = data[value : min(position, value + MAX_VALUE)]
        return position


@cache
def _wanted_keys(wanted: Wanted, big: bool) -> _Keys:
    """Return the wanted tags by how they are read, those of numbers, those in items, and the sequence."""
    key = FORMS[True, big].key
    in_items = {key(tag): tag for tag in wanted.in_items}
    numbers = frozenset(key(tag) for tag in wanted.tags if _is_number(tag))
    return {key(tag): tag for tag in wanted.tags}, numbers, in_items, key(wanted.sequence)


def _is_number(tag: int) -> bool:
    """Return whether an attribute is a binary number; all that are wanted are US."""
    return vr_of(keyword_of(f"{tag:08X}")) == "US"


def _is_known(tag: int) -> bool:
    from pydicom import datadict

    return datadict.dictionary_has_tag(tag)


def _short_vr(tag: int) -> bytes:
    """Return the VR of an attribute, if it is one with two bytes of length; else LO."""
    from pydicom import datadict

    known = datadict.dictionary_has_tag(tag)
    vr = datadict.dictionary_VR(tag)[:2].encode() if known else b"LO"  # [:2]: it may be "US or SS"
    return vr if vr in SHORT_VRS else b"LO"


def _is_padding(data: Buffer, position: int, size: int) -> bool:
    """Return whether nothing but blanks, line ends or zeros follows."""
    for start in range(position, size, 1 << 20):
        if data[start : min(start + (1 << 20), size)].strip(b"\0 \r\n\t"):
            return False
    return True
