"""Compare what was sent with what a server gives back."""

from __future__ import annotations

import enum
import hashlib
import tempfile
from collections.abc import Iterable
from typing import IO, BinaryIO, cast

from dicomdock.errors import WireError
from dicomdock.sources import Part

SPOOL = 32 << 20  # bytes kept in memory before a temporary file is used
MOST = 1 << 30  # bytes of an answer that are looked at, or ...
GROWN = 64  # ... so many times what was sent, which a server may have decompressed


class Comparison(enum.Enum):
    """How an instance compares with the one that was sent."""

    SAME_BYTES = enum.auto()
    SAME_DATA_SET = enum.auto()
    OTHER = enum.auto()


def compare(sent: Part, answer: Iterable[Part]) -> Comparison:
    """Compare an instance with the answer to its retrieval.

    Parameters
    ----------
    sent : the instance as sent; opened once or twice.
    answer : the parts of the answer; exactly one is expected.

    Returns
    -------
    Comparison
        ``SAME_DATA_SET`` when every element is equal although the encoding is not.
    """
    with tempfile.SpooledTemporaryFile(SPOOL) as back:
        digest, count = hashlib.sha256(), 0
        most = max(MOST, GROWN * (sent.length or 0))
        for part in answer:
            count += 1
            for chunk in part.chunks():
                digest.update(chunk)
                if back.tell() > most:
                    return Comparison.OTHER
                back.write(chunk)
        if count != 1:
            return Comparison.OTHER
        with tempfile.SpooledTemporaryFile(SPOOL) as own:
            own_digest = hashlib.sha256()
            for chunk in sent.chunks():
                own_digest.update(chunk)
                own.write(chunk)
            if digest.digest() == own_digest.digest():
                return Comparison.SAME_BYTES
            return Comparison.SAME_DATA_SET if same_data_set(own, back) else Comparison.OTHER


def same_data_set(first: IO[bytes], second: IO[bytes]) -> bool:
    """Tell whether two DICOM files hold equal data sets, file meta information and encoding aside.

    Pixel data in another transfer syntax are compared as decoded pixels.
    """
    from pydicom import dcmread

    from dicomdock.dicom.deflate_guard import guarded
    from dicomdock.dicom.part10_pydicom import BROKEN
    from dicomdock.imaging.codecs import pixel_array

    first.seek(0)
    second.seek(0)
    try:
        one, two = (dcmread(guarded(cast(BinaryIO, file)), force=True) for file in (first, second))
        pixels = [data_set.pop("PixelData", None) for data_set in (one, two)]
        if one != two:
            return False
        if pixels[0] == pixels[1]:
            return True
        if None in pixels:
            return False
        one["PixelData"], two["PixelData"] = pixels
        return bool((pixel_array(one) == pixel_array(two)).all())
    except (WireError, *BROKEN, RuntimeError, MemoryError):
        return False  # what cannot be read cannot be called the same
