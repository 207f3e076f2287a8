"""Compare what was sent with what a server returns."""

from __future__ import annotations

import enum
import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, cast

from dicomdock.dicom.element_encoding import TEXTS, WORD_BYTES
from dicomdock.errors import WireError
from dicomdock.sources import Part

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SPOOL = 32 << 20  # bytes held in memory before a temporary file is used
MOST = 1 << 30  # bytes of an answer that are looked at, or ...
GROWN = 64  # ... so many times what was sent, which a server may have decompressed
PIXEL_DATA: Final = 0x7FE00010
TRAILING_PADDING: Final = 0xFFFCFFFC


class Comparison(enum.Enum):
    """How an instance compares with the one that was sent."""

    SAME_BYTES = enum.auto()
    SAME_DATA_SET = enum.auto()
    SAME_AND_MORE = enum.auto()
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
        ``SAME_DATA_SET`` when every element is equal although the encoding is not; ``SAME_AND_MORE`` when all
        bytes came back, and others behind them (a server that sends its buffer with what was in it before).
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
            if _begins_with(back, own):
                return Comparison.SAME_AND_MORE
            return Comparison.SAME_DATA_SET if same_data_set(own, back) else Comparison.OTHER


def _begins_with(longer: IO[bytes], shorter: IO[bytes]) -> bool:
    longer.seek(0)
    shorter.seek(0)
    while piece := shorter.read(1 << 20):
        if longer.read(len(piece)) != piece:
            return False
    return True


def same_data_set(first: IO[bytes], second: IO[bytes]) -> bool:
    """Return whether two DICOM files hold equal data sets.

    Every element is compared by the bytes of its value, item by item in sequences: nothing is decoded, so
    that NaN equals itself and a number that no library can read is compared too. What an encoding is free to
    choose does not count: preamble and file meta information, the VR that Implicit VR does not write, byte
    order, lengths of sequences, padding of a value, group lengths and Data Set Trailing Padding.
    Pixel data that differ in their bytes are compared as decoded pixels: another transfer syntax, or other
    fragments. Text that was converted to another character set is other content.

    References
    ----------
    PS3.5 §6.2 (padding), §7.2 (group length), §7.3 (byte order); PS3.10 §7.1, §7.2 (trailing padding).
    """
    from dicomdock.dicom.dataset import read_dataset
    from dicomdock.dicom.read_errors import READ_ERRORS, quiet
    from dicomdock.imaging.codecs import pixel_array

    first.seek(0)
    second.seek(0)
    try:
        with quiet():
            one, two = (read_dataset(cast(BinaryIO, file)) for file in (first, second))
            elements = [_elements(data_set) for data_set in (one, two)]
            pixels = [element.pop(PIXEL_DATA, None) for element in elements]
            if not _same_elements(one, two, *elements) or (pixels[0] is None) != (pixels[1] is None):
                return False
            if pixels[0] is None or _plain(pixels[0], "OB") == _plain(pixels[1], "OB"):
                return True
            return bool((pixel_array(one) == pixel_array(two)).all())
    except (WireError, *READ_ERRORS):
        return False  # what cannot be read cannot be called the same


def _elements(data_set: Dataset) -> dict[int, Any]:
    """Return the elements that count as they were read: looking at one lets pydicom decode others."""
    return {
        int(tag): data_set.get_item(tag)
        for tag in data_set.keys()  # noqa: SIM118 - the data set itself would decode all
        if tag.element and tag != TRAILING_PADDING
    }


def _same_elements(one: Dataset, two: Dataset, first: dict[int, Any], second: dict[int, Any]) -> bool:
    from pydicom import datadict

    if first.keys() != second.keys():
        return False
    for tag in first:
        elements = (first[tag], second[tag])
        vrs = [element.VR for element in elements if element.VR not in (None, "UN")]
        vr = vrs[0] if vrs else datadict.dictionary_VR(tag) if datadict.dictionary_has_tag(tag) else "UN"
        if vr == "SQ":
            if not _same_items(one[tag].value, two[tag].value):
                return False
        elif _plain(elements[0], vr) != _plain(elements[1], vr):
            return False
    return True


def _same_items(one: Sequence[Dataset], two: Sequence[Dataset]) -> bool:
    return len(one) == len(two) and all(
        _same_elements(first, second, _elements(first), _elements(second))
        for first, second in zip(one, two, strict=True)
    )


def _plain(element: Any, vr: str) -> bytes:
    """Return the bytes of a value as little endian and without padding."""
    from pydicom import dataelem

    if isinstance(element.value, bytes | None):
        value = element.value or b""
    else:  # the character set, which pydicom decodes as it reads
        value = "\\".join([element.value] if isinstance(element.value, str) else element.value).encode()
    if isinstance(element, dataelem.RawDataElement) and not element.is_little_endian and vr in WORD_BYTES:
        size = WORD_BYTES[vr]
        whole = len(value) // size * size
        words = (value[at : at + size][::-1] for at in range(0, whole, size))
        value = b"".join(words) + value[whole:]
    return value.rstrip(b" \0") if vr.encode() in TEXTS else value
