"""The UIDs of an instance are read from its first bytes, whatever those bytes try."""

from __future__ import annotations

import tracemalloc
import zlib

from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian

from dicomdock.dicom import identity
from tests.builders import composite, ct_series, made


def test_the_place_of_an_instance_is_read_from_its_head():
    one = ct_series(1)[0]
    assert identity.of_head(one.data) == one.resource
    assert identity.of_head(one.data[:200]) is None


def test_the_place_of_a_deflated_instance_is_read_too():
    one = made(composite(CTImageStorage, transfer_syntax=DeflatedExplicitVRLittleEndian))
    assert identity.of_head(one.data) == one.resource


def test_a_deflated_bomb_is_not_inflated():
    one = made(composite(CTImageStorage, transfer_syntax=DeflatedExplicitVRLittleEndian))
    start = 144 + int.from_bytes(one.data[140:144], "little")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(600)) + deflater.flush()
    tracemalloc.start()
    try:
        assert identity.of_head(one.data[:start] + bomb) is None
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
