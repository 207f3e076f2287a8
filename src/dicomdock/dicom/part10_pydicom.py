"""Fallback: the header of a file in an unusual form, read by pydicom.

No preamble, big endian, deflated, wrong labels, out of order: rare, but nothing may be lost.
"""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.archive.index.attributes import INDEXED, ITEM_KEYWORDS, SEQUENCE
from dicomdock.dicom.deflate_guard import guarded
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.part10 import Header
from dicomdock.errors import WireError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# What pydicom raises on files that are broken in one way or other.
BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    EOFError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    AssertionError,
    struct.error,
    zlib.error,
)
_QUIET = threading.Lock()  # the filter of warnings belongs to the whole process


def decode_text(value: bytes, vr: str, charset: bytes) -> str:
    """Decode text that is not plain ASCII, as Specific Character Set says, and as well as it can be where it
    errs.

    References
    ----------
    PS3.5 §6.1 (character repertoires), §6.2.1 (person names).
    """
    from pydicom.charset import convert_encodings, decode_bytes
    from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

    names = [part.strip() for part in charset.decode("ascii", "replace").strip("\0 ").split("\\")]
    with quiet():
        try:
            encodings = convert_encodings(names if any(names) else "ISO_IR 6")
            if vr == "PN":
                return "\\".join(str(PersonName(part, encodings)) for part in _names(value, encodings))
            return decode_bytes(value, encodings, TEXT_VR_DELIMS)
        except (LookupError, *BROKEN):
            return value.decode("utf-8", "replace")


def _names(value: bytes, encodings: Sequence[str]) -> list[bytes]:
    # In these a backslash can be the second byte of a letter.
    return [value] if encodings[0] in ("gb18030", "gbk", "shift_jis") else value.split(b"\\")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from warning of what we only pass on; one thread at a time."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_with_pydicom(path: Path) -> Header:
    """Read what the index needs.

    Raises
    ------
    WireError
        pydicom cannot read it either.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    tags = [int(tag_of(name), 16) for name in (*INDEXED, SEQUENCE, "SpecificCharacterSet")]
    with quiet():
        try:
            with path.open("rb") as file:
                dataset = pydicom.dcmread(
                    guarded(file), force=True, stop_before_pixels=True, specific_tags=tags
                )
            raw = {tag: value for tag in tags if (value := _raw(dataset, tag)) is not None}
            sequence = dataset.get(SEQUENCE) or ()
            inner = [int(tag_of(name), 16) for name in ITEM_KEYWORDS]
            items = [
                {tag: value for tag in inner if (value := _raw(item, tag)) is not None} for item in sequence
            ]
            syntax = str(dataset.file_meta.get("TransferSyntaxUID", "") or "")
        except (InvalidDicomError, *BROKEN) as error:
            raise WireError(f"The DICOM header cannot be read: {error}.") from error
    little = dataset.original_encoding[1]
    return Header(raw, items, syntax, "big" if little is False else "little")


def _raw(dataset: Dataset, tag: int) -> bytes | None:
    from pydicom.dataelem import DataElement, RawDataElement

    if tag not in dataset:
        return None
    element: DataElement | RawDataElement = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        return element.value or b""
    values = element.value if element.VM > 1 else [element.value]  # pydicom has read it already
    return "\\".join("" if value is None else str(value) for value in values).encode("utf-8")
