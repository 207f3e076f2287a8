"""How the elements of a data set are encoded: byte order, VRs and their lengths.

References
----------
PS3.5 §7.1 (data elements), §7.5 (sequences), §A (transfer syntaxes).
"""

from __future__ import annotations

import struct
from typing import Final

UNDEFINED: Final = 0xFFFFFFFF
LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # four bytes of length
SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
VRS: Final = LONG_VRS | SHORT_VRS
FRAGMENT_VRS: Final = frozenset((b"OB", b"OW"))
NUMBER_FORMATS: Final = dict(zip(["SS", "US", "SL", "UL", "SV", "UV", "FL", "FD"], "hHiIqQfd", strict=True))
"""VRs of binary numbers, and the format of each in ``struct``."""

VALUE_BYTES: Final = {**{vr: struct.calcsize("=" + form) for vr, form in NUMBER_FORMATS.items()}, "AT": 4}
"""VRs of binary numbers and tags, and the bytes of one value of each."""

WORD_BYTES: Final = {
    **VALUE_BYTES,
    **dict.fromkeys(("AT", "OW"), 2),
    **dict.fromkeys(("OF", "OL"), 4),
    **dict.fromkeys(("OD", "OV"), 8),
}
"""VRs whose bytes change with the byte order, and the bytes that are swapped together (PS3.5 §7.3)."""

NUMBERS: Final = {vr.encode(): form for vr, form in NUMBER_FORMATS.items()}

TEXTS: Final = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
"""VRs whose values are padded with a blank, UIDs with a NUL."""


class Beyond(Exception):
    """The element lies beyond the bytes at hand."""


class Cut(Exception):
    """The file ends inside an element."""


class Malformed(Exception):
    """The bytes are not an element."""


class Form:
    """How elements are encoded: byte order, and whether with VR."""

    __slots__ = (
        "_order",
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
        order = self._order = ">" if big else "<"
        self.explicit, self.big = explicit, big
        self.unpack = struct.Struct(order + "LL").unpack_from
        self.unpack_vr = struct.Struct(order + "L2sH").unpack_from
        self.unpack_length = struct.Struct(order + "L").unpack_from
        self.item, self.item_end, self.sequence_end = map(self.key, (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))

    def key(self, tag: int) -> int:
        """Return the number that a tag is when its four bytes are read at once."""
        return tag if self.big else (tag & 0xFFFF) << 16 | tag >> 16

    tag = key  # it is its own inverse

    def text(self, vr: bytes, value: bytes) -> bytes:
        """Return binary numbers of a VR as text, separated by backslashes."""
        step = struct.calcsize("=" + NUMBERS[vr])
        packed = struct.iter_unpack(self._order + NUMBERS[vr], value[: len(value) // step * step])
        return b"\\".join(
            b"%.17g" % number if vr in (b"FL", b"FD") else b"%d" % number for (number,) in packed
        )

    def unsigned(self, value: bytes) -> bytes:
        """Return a number that is written as text as US; nothing where it is none or does not fit."""
        try:
            return struct.pack(self._order + "H", int(value.split(b"\\")[0].strip(b" \0")))
        except (ValueError, struct.error):
            return b""


LITTLE_ITEM: Final = b"\xfe\xff\x00\xe0"
LITTLE_EXPLICIT: Final = Form(explicit=True, big=False)
FORMS: Final = {
    (explicit, big): Form(explicit=explicit, big=big) for explicit in (True, False) for big in (True, False)
}
