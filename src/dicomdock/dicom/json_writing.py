"""Write data sets and values in the DICOM JSON model.

References
----------
PS3.18 Annex F (DICOM JSON model).
"""

from __future__ import annotations

import math
import re
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from dicomdock.dicom.element_encoding import NUMBER_FORMATS
from dicomdock.dicom.json_model import NAME_GROUPS, JsonValue

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

BULK_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_AMBIGUOUS: Final = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}
_BINARY: Final = {**NUMBER_FORMATS, "AT": "H"}
_ONE_TEXT: Final = frozenset({"LT", "ST", "UR", "UT"})  # a backslash is a letter in them
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}\Z")
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}\Z")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\Z")

UTF_8 = b"ISO_IR 192"


def from_dataset(
    dataset: Dataset, base: str = "", *, charset: bytes = b"", signed: bool = False
) -> dict[str, JsonValue]:
    """Return a pydicom data set in the DICOM JSON model, bulk data as addresses.

    A value that is not what its VR requires is written as the text that it is, or left out; it never costs
    the other values. Group lengths, commands and the file meta information are left out.

    Parameters
    ----------
    base : a bulk value's address is this and the path through sequences to its tag:
        ``00880200/0/7FE00010``, items counted from 0.
    charset : Specific Character Set of the data set that this is an item of.
    signed : Pixel Representation of that data set is 1, which some VRs depend on.
    """
    from dicomdock.dicom.read_errors import READ_ERRORS

    if len(dataset) == 0:  # an item of eight bytes, of which a file can hold very many
        return {}
    with suppress(*READ_ERRORS):
        charset = _raw_value(dataset, 0x00080005) or charset
    with suppress(*READ_ERRORS):
        signed = _is_signed(dataset, signed)
    little = dataset.original_encoding[1] is not False
    found: dict[str, JsonValue] = {}
    for tag in sorted(dataset.keys()):
        if tag.element == 0 or tag.group <= 2 or tag.group == 0xFFFE:  # which is a delimiter gone astray
            continue
        name = f"{tag:08X}"
        vr = _vr_of(dataset, tag, signed)
        try:
            if vr in BULK_VRS:
                raw = dataset.get_item(tag, keep_deferred=True)
                empty = getattr(raw, "length", None) == 0 or getattr(raw, "value", None) == b""
                found[name] = {"vr": vr} if empty else {"vr": vr, "BulkDataURI": base + name}
                continue
            written: list[JsonValue]
            if vr == "SQ":
                written = [
                    from_dataset(item, f"{base}{name}/{number}/", charset=charset, signed=signed)
                    for number, item in enumerate(dataset[tag].value or ())
                ]
            elif vr in _BINARY and (numbers := _decoded_numbers(dataset, tag)):
                written = numbers
            else:
                decoded = not isinstance(dataset.get_item(tag).value, bytes)  # by pydicom
                written_in = UTF_8 if decoded else charset
                written = json_values(vr, _raw_value(dataset, tag), written_in, little=little)
        except READ_ERRORS:
            written = []
        found[name] = {"vr": vr, "Value": written} if written else {"vr": vr}
    return found


def _vr_of(dataset: Dataset, tag: BaseTag, signed: bool) -> str:
    from pydicom import datadict

    element = dataset.get_item(tag, keep_deferred=True)
    vr = str(getattr(element, "VR", None) or "")
    if not vr or (vr == "UN" and _is_short(element)):  # written by a program that does not know it
        vr = datadict.dictionary_VR(tag) if datadict.dictionary_has_tag(tag) else "UN"
    if vr == "US or SS":
        return "SS" if signed else "US"
    vr = _AMBIGUOUS.get(vr, vr)
    return vr if len(vr) == 2 and vr.isalpha() and vr.isupper() else "UN"


def _is_short(element: object) -> bool:
    """Return whether a value fits an attribute of any VR (PS3.5 §6.2.2, note 3)."""
    value = getattr(element, "value", None)
    length = getattr(element, "length", None)
    size = length if isinstance(length, int) else len(value) if isinstance(value, bytes) else 0
    return size < 0xFFFF


def _is_signed(dataset: Dataset, inherited: bool) -> bool:
    """Return whether the pixels of a data set are signed, as an item of it assumes too (PS3.5 §A.2)."""
    if 0x00280103 not in dataset:
        return inherited
    stored = dataset.get_item(0x00280103).value
    return stored == 1 or (isinstance(stored, bytes) and stored[:2] in (b"\1\0", b"\0\1"))


def _decoded_numbers(dataset: Dataset, tag: int) -> list[JsonValue]:
    """Return the numbers of an element that pydicom has decoded already, on its way to another one."""
    stored = dataset.get_item(tag).value
    if stored is None or isinstance(stored, bytes | str):
        return []
    numbers = stored if isinstance(stored, list | tuple) or not isinstance(stored, int | float) else [stored]
    if dataset.get_item(tag).VR == "AT":
        return [f"{number:08X}" for number in numbers]
    return [_finite(number) for number in numbers]


def _raw_value(dataset: Dataset, tag: int) -> bytes:
    if tag not in dataset:
        return b""
    element = dataset.get_item(tag)
    stored = element.value
    if stored is None:
        return b""
    if isinstance(stored, bytes):
        return stored
    several = stored if isinstance(stored, list | tuple) or element.VM > 1 else [stored]
    return "\\".join("" if one is None else str(one) for one in several).encode("utf-8")


def json_values(vr: str, raw: bytes, charset: bytes = b"", *, little: bool = True) -> list[JsonValue]:
    """Return the values of an attribute in the DICOM JSON model; an empty list for an empty one.

    Parameters
    ----------
    vr : its VR, of text or numbers.
    raw : the bytes of its value.
    charset : Specific Character Set.
    little : byte order of binary numbers.

    References
    ----------
    PS3.18 §F.2.3 (numbers that JSON cannot write are strings).
    """
    if not raw:
        return []
    if form := _BINARY.get(vr):
        size = struct.calcsize("=" + form)
        numbers: list[JsonValue] = list(
            struct.unpack(f"{'<' if little else '>'}{len(raw) // size}{form}", raw)
        )
        if vr == "AT":
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            return [f"{group:04X}{element:04X}" for group, element in pairs]
        return [_finite(number) for number in numbers]
    if raw.isascii() and b"\x1b" not in raw:
        text = raw.decode("ascii")
    else:
        from dicomdock.dicom.charset import decode_text

        text = decode_text(raw, vr, charset)
    parts = [text] if vr in _ONE_TEXT else text.rstrip(" \0").split("\\")
    found = [_json_text(vr, part.replace("\0", " ").rstrip(" ")) for part in parts]
    return found if any(value is not None for value in found) else []


def _finite(number: JsonValue) -> JsonValue:
    if not isinstance(number, float) or math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "inf" if number > 0 else "-inf"


def _json_text(vr: str, text: str) -> JsonValue:
    if not text:
        return None
    if vr == "PN":
        groups = {name: part.strip() for name, part in zip(NAME_GROUPS, text.split("="), strict=False)}
        return {name: part for name, part in groups.items() if part} or None
    number = text.strip()
    if vr == "IS" and _INTEGER.match(number):
        return int(number)
    if vr == "DS" and _DECIMAL.match(number) and math.isfinite(float(number)):
        return float(number)
    return number if vr in ("IS", "DS", "UI") else text


def number_or_text(vr: str, text: str) -> JsonValue:
    """Return a value that was written as text as the JSON model has it: a number where the VR is one."""
    if vr in ("IS", "DS"):
        return _json_text(vr, text)
    if vr in ("FL", "FD") and _DECIMAL.match(text) and math.isfinite(float(text)):
        return float(text)
    if vr in _BINARY and vr != "AT" and _WHOLE.match(text):
        return int(text)
    return text or None
