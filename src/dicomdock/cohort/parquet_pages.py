"""What the pages of a Parquet file become, by the header of each: the file's footer may state anything.

References
----------
Apache Parquet format, ``parquet.thrift`` (PageHeader); Thrift compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Final, TypeAlias

Fields: TypeAlias = dict[int, "int | Fields"]

_UNPACKED, _PACKED = 2, 3  # fields of a PageHeader: bytes of the page
_KINDS: Final = (5, 7, 8)  # its fields for each kind of page, whose first field is the number of values
_STOP, _TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = (
    0,
    1,
    2,
    3,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
)
_MOST = 1_000  # fields or elements of one header, which has about ten
_DEEP = 8  # structs within each other


class Unreadable(ValueError):
    """No header of a page stands there."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a column.

    Parameters
    ----------
    unpacked : bytes, once it is decompressed.
    values : in it, nulls among them.
    """

    unpacked: int
    values: int


def pages_of(data: mmap | bytes, start: int, end: int) -> Iterator[Page]:
    """Yield the pages of a column chunk, as a reader goes through them.

    Parameters
    ----------
    start, end : bytes of the chunk within the file.

    Raises
    ------
    Unreadable
        A header cannot be read, or a page ends behind the file.
    """
    if not 0 < start <= end <= len(data):
        raise Unreadable("a column lies outside the file")
    while start < end:
        header = _Header(data, start)
        fields = header.struct(0)
        unpacked, packed = fields.get(_UNPACKED), fields.get(_PACKED)
        if not isinstance(unpacked, int) or not isinstance(packed, int) or unpacked < 0 or packed < 0:
            raise Unreadable("the header of a page states no size")
        kinds = (found for kind in _KINDS if isinstance(found := fields.get(kind), dict))
        values = next((found.get(1, 0) for found in kinds), 0)
        yield Page(unpacked, values if isinstance(values, int) else 0)
        start = header.at + packed
    if start > len(data):
        raise Unreadable("a page ends behind the file")


class _Header:
    """Reads one struct; only its numbers and structs are returned."""

    def __init__(self, data: mmap | bytes, at: int) -> None:
        self._data = data
        self.at = at

    def struct(self, depth: int) -> Fields:
        if depth > _DEEP:
            raise Unreadable("the header of a page is nested too deep")
        fields: Fields = {}
        number = 0
        for _ in range(_MOST):
            head = self._byte()
            if head == _STOP:
                return fields
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            found = self._value(head & 15, depth)
            if found is not None:
                fields[number] = found
        raise Unreadable("the header of a page has too many fields")

    def _value(self, kind: int, depth: int) -> int | Fields | None:
        if kind in (_TRUE, _FALSE):
            return None
        if kind == _BYTE:
            self.at += 1
        elif _BYTE < kind <= _I64:
            return self._zigzag()
        elif kind == _DOUBLE:
            self.at += 8
        elif kind == _BINARY:
            length = self._varint()
            self.at += length
        elif kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            self._elements([head & 15] * min(count, _MOST + 1), depth)
        elif kind == _MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            self._elements([kinds >> 4, kinds & 15] * min(count, _MOST + 1), depth)
        elif kind == _STRUCT:
            return self.struct(depth + 1)
        else:
            raise Unreadable("the header of a page has a field of an unknown type")
        return None

    def _elements(self, kinds: list[int], depth: int) -> None:
        if len(kinds) > 2 * _MOST:
            raise Unreadable("the header of a page has too many elements")
        for kind in kinds:
            if kind in (_TRUE, _FALSE):
                self.at += 1
            else:
                self._value(kind, depth + 1)

    def _byte(self) -> int:
        if not 0 <= self.at < len(self._data):
            raise Unreadable("the header of a page is cut")
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Unreadable("a number in the header of a page is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
