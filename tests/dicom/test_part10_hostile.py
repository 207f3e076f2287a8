"""Files that would cost much or mislead: refused, in little memory, with an error of ours."""

from __future__ import annotations

import struct
import tracemalloc

import hypothesis.strategies as st
import pytest
from hypothesis import given

from dicomdock.dicom.header import MAX_ITEMS
from dicomdock.dicom.part10 import identify
from dicomdock.errors import WireError
from tests.builders import composite, ct_series
from tests.dicom.test_part10 import (
    BEFORE,
    META,
    PIXELS,
    SYNTAXES,
    WHOLE,
    deflated,
    element,
    encoded,
    is_whole,
    read,
    values,
)


def test_sequences_nested_without_end_are_refused_quickly() -> None:
    head = struct.pack("<HH2sHL", 0x40, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    data = META + BEFORE + (head + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 20_000
    with pytest.raises(WireError, match="deeper"):
        read(data)


@pytest.mark.slow
def test_a_million_items_are_not_a_million_objects() -> None:
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 120_000
    head = struct.pack("<HH2sHL", 0x40, 0x0275, b"SQ", 0, len(items))
    tracemalloc.start()
    try:
        header = read(META + BEFORE + head + items + PIXELS)
        assert len(header.items) <= MAX_ITEMS
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("syntax", [b"1.2.840.10008.1.2.1\r\nX-Evil: 1", b"1.2\n3", b"a/b", b"\xff\xfe"])
def test_a_transfer_syntax_that_is_not_a_uid_is_refused(syntax: bytes) -> None:
    meta = META.replace(
        element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0"), element(0x00020010, b"UI", syntax)
    )
    assert meta != META
    with pytest.raises(WireError, match="Transfer Syntax"):
        read(meta + BEFORE + PIXELS)


@pytest.mark.slow
def test_a_deflated_bomb_is_refused_in_little_memory() -> None:
    bomb = deflated(BEFORE + struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 300 << 20), 300)
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="holds more than"):
            read(bomb)
        assert identify(bomb) == WHOLE.resource()
        assert tracemalloc.get_traced_memory()[1] < 400 << 20
    finally:
        tracemalloc.stop()


def test_a_deflated_instance_that_is_cut_is_seen() -> None:
    data = deflated(BEFORE + PIXELS)
    assert read(data).raw == WHOLE.raw
    assert not any(is_whole(data[:cut]) for cut in range(len(data) - 40, len(data)))
    assert read(data + b"\0").trailing == 0  # padded to an even length


@pytest.mark.slow
@given(st.data())
def test_hostile_bytes_end_in_an_answer_or_our_error(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(HOSTILE)))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    try:
        header = read(bytes(whole))
        values(header)
        header.resource()
    except WireError as error:
        assert str(error)
    identify(bytes(whole))


HOSTILE = [encoded(composite("1.2.840.10008.5.1.4.1.1.7"), syntax)[:1500] for syntax in SYNTAXES] + [
    ct_series(1)[0].data[:1500]
]
