"""A DICOM file as a tree of elements whose bytes need not make sense: for mutations that pydicom refuses."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.tokens import ELEMENT_VALUES

LONG = tuple(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
UNDEFINED = 0xFFFFFFFF
_DELIMITERS = {0xFFFEE00D, 0xFFFEE0DD}
VRS = (*LONG, *b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())


@dataclass
class Element:
    """One element: its tag, VR and value; a length that is stated otherwise; items of a sequence."""

    tag: int
    vr: bytes
    value: bytes = b""
    items: list[list[Element]] | None = None
    length: int | None = None

    def copy(self) -> Element:
        items = None if self.items is None else [[one.copy() for one in item] for item in self.items]
        return Element(self.tag, self.vr, self.value, items, self.length)


@dataclass
class Tree:
    """A file: preamble and prefix, file meta information, data set, and the bytes behind."""

    head: bytes
    elements: list[Element] = field(default_factory=list)

    def copy(self) -> Tree:
        return Tree(self.head, [one.copy() for one in self.elements])


def parse(data: bytes) -> Tree:
    """Read a well-formed file in Explicit VR Little Endian; encapsulated pixel data stay one value."""
    elements, _ = _read(data, 132, len(data))
    return Tree(data[:132], elements)


def _read(data: bytes, at: int, end: int) -> tuple[list[Element], int]:
    found = []
    while at < end:
        group, number, vr, length = struct.unpack_from("<HH2sH", data, at)
        tag = group << 16 | number
        if tag in _DELIMITERS:
            return found, at + 8
        at += 8
        if vr in LONG:
            (length,) = struct.unpack_from("<L", data, at)
            at += 4
        if vr == b"SQ":
            items, at = _items(data, at, end if length == UNDEFINED else at + length)
            found.append(Element(tag, vr, items=items))
        elif length == UNDEFINED:  # encapsulated pixel data: to the end of the file
            found.append(Element(tag, vr, data[at:], length=UNDEFINED))
            at = end
        else:
            found.append(Element(tag, vr, data[at : at + length]))
            at += length
    return found, at


def _items(data: bytes, at: int, end: int) -> tuple[list[list[Element]], int]:
    items = []
    while at < end:
        tag, length = struct.unpack_from("<LL", data, at)
        at += 8
        if tag == 0xE0DDFFFE:
            break
        item, at = _read(data, at, len(data) if length == UNDEFINED else at + length)
        items.append(item)
    return items, at


def encode(tree: Tree) -> bytes:
    """Write the tree as it is, whatever it says."""
    return tree.head + _written(tree.elements)


def _written(elements: list[Element]) -> bytes:
    pieces = []
    for one in elements:
        value = one.value
        if one.items is not None:
            written = [_written(item) for item in one.items]
            value = b"".join(struct.pack("<LL", 0xE000FFFE, len(item)) + item for item in written)
        length = len(value) if one.length is None else one.length
        head = struct.pack("<HH", one.tag >> 16, one.tag & 0xFFFF) + one.vr
        if one.vr in LONG:
            head += struct.pack("<HL", 0, length & UNDEFINED)
        else:
            head += struct.pack("<H", length & 0xFFFF)
        pieces += [head, value]
    return b"".join(pieces)


def _levels(elements: list[Element]) -> list[list[Element]]:
    """Return every list of elements in the tree."""
    found = [elements]
    for one in elements:
        for item in one.items or ():
            found += _levels(item)
    return found


def mutate(tree: Tree, random: Random) -> bytes:
    """Change a few elements of a copy."""
    changed = tree.copy()
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        level = random.choice([one for one in _levels(changed.elements) if one])
        at = random.randrange(len(level))
        _CHANGES[random.randrange(len(_CHANGES))](level, at, random)
        if not changed.elements:
            break
    return encode(changed)


def _value(level: list[Element], at: int, random: Random) -> None:
    one = level[at]
    if one.items is None:
        one.value = random.choice(ELEMENT_VALUES)


def _bits(level: list[Element], at: int, random: Random) -> None:
    one = level[at]
    if one.value:
        value = bytearray(one.value)
        for _ in range(random.randint(1, 4)):
            value[random.randrange(min(len(value), 4096))] = random.randrange(256)
        one.value = bytes(value)


def _number(level: list[Element], at: int, random: Random) -> None:
    one = level[at]
    if one.items is None:
        sizes = {b"US": "<H", b"SS": "<h", b"UL": "<L", b"SL": "<l", b"FL": "<f", b"FD": "<d"}
        number = random.choice(
            (0, 1, 2, 3, 7, 8, 16, 255, 32767, 1e30, -1, 65535, 2**31 - 1, float("nan"), float("inf"))
        )
        form = sizes.get(one.vr)
        if form is None:
            one.value = f"{number}".encode()
            return
        try:
            one.value = struct.pack(form, number if form in ("<f", "<d") else int(number))
        except (struct.error, ValueError, OverflowError):
            one.value = b"\xff" * struct.calcsize(form)


def _vr(level: list[Element], at: int, random: Random) -> None:
    one = level[at]
    if one.items is not None:
        one.value, one.items = _written([element for item in one.items for element in item]), None
    one.vr = random.choice((*VRS, b"??", b"\0\0"))
    if one.vr == b"SQ":
        one.items = random.choice(([], [[]], [[Element(0x00080100, b"SH", b"x")]]))


def _length(level: list[Element], at: int, random: Random) -> None:
    level[at].length = random.choice(
        (0, 1, 3, 7, 255, 65535, 1 << 20, (1 << 31) - 1, UNDEFINED - 1, UNDEFINED)
    )


def _remove(level: list[Element], at: int, _random: Random) -> None:
    del level[at]


def _twice(level: list[Element], at: int, random: Random) -> None:
    level.insert(random.randrange(len(level) + 1), level[at].copy())


def _swap(level: list[Element], at: int, random: Random) -> None:
    other = random.randrange(len(level))
    level[at].value, level[other].value = level[other].value, level[at].value
    level[at].items, level[other].items = level[other].items, level[at].items


def _items_change(level: list[Element], at: int, random: Random) -> None:
    one = level[at]
    if not one.items:
        return
    kind = random.randrange(4)
    if kind == 0:
        one.items.pop(random.randrange(len(one.items)))
    elif kind == 1:
        one.items += [[element.copy() for element in one.items[0]] for _ in range(random.choice((1, 2, 50)))]
    elif kind == 2:
        one.items[random.randrange(len(one.items))] = []
    else:
        inner = [element.copy() for element in one.items[0]]
        for _ in range(random.choice((1, 5, 150))):
            inner = [Element(one.tag, b"SQ", items=[inner])]
        one.items = [inner]


def _cut(level: list[Element], at: int, random: Random) -> None:
    one = level[at]
    one.value = one.value[: random.randrange(len(one.value) + 1)]


_CHANGES = (
    _value,
    _value,
    _value,
    _number,
    _number,
    _bits,
    _vr,
    _length,
    _remove,
    _twice,
    _swap,
    _items_change,
    _items_change,
    _cut,
)
