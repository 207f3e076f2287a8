"""Read DICOM JSON as servers really send it, write it strictly, and show it to people.

Tolerant on the way in: a label with parameters or in capitals, 204, an empty body, ``[{}]``, one object
instead of a list, values outside a list. What is not JSON at all (a login page, XML) becomes a WireError that
says what came.

References
----------
PS3.18 Annex F (DICOM JSON model).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from dicomdock.dicom import json_text
from dicomdock.dicom.dictionary import keyword_of, tag_of
from dicomdock.dicom.element_encoding import NUMBER_FORMATS
from dicomdock.errors import WireError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
DicomJson: TypeAlias = "Mapping[str, JsonValue]"
"""One data set in the DICOM JSON model: ``{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}`` (PS3.18 §F.2)."""

NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
MAX_DEPTH: Final = 32  # sequences inside sequences; real objects stay below 10
UNCHECKED: Final = 64 << 20  # bytes of objects that a document may become, whatever it holds
MAX_DENSITY: Final = 12  # bytes of objects for each byte of a larger document; attributes have 4 to 9
_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")


def parse(body: bytes, content_type: str = "", *, what: str = "the answer") -> list[DicomJson]:
    """Read the data sets of an answer body; nothing at all gives an empty list.

    Parameters
    ----------
    body : the answer, without its transfer or content coding.
    content_type : the label it came with; only used for the words of the error.
    what : words for what was asked, for the error sentence.

    Raises
    ------
    WireError
        It is HTML, XML or otherwise not DICOM JSON.
    """
    return parse_read(body, content_type, what=what)[0]


def parse_read(
    body: bytes, content_type: str = "", *, what: str = "the answer"
) -> tuple[list[DicomJson], str]:
    """Read the data sets of an answer body, and how letters that are not Unicode were read.

    See ``parse`` and ``json_text.load``.
    """
    text = body.strip(b" \t\r\n\0\xef\xbb\xbf")
    if text in (b"", b"null"):  # programs that write an empty list of none as null
        return [], ""
    if json_text.begin(body) not in ("[", "{"):
        raise WireError(
            f"The server answered {what} with {_nature(text, content_type)} instead of DICOM JSON; "
            f"{_advice(text)}"
        )
    check_density(200 * text.count(b"{") + 80 * text.count(b"["), len(text), what)
    with json_text.without_full_collections(len(body)):
        try:
            loaded, reading = json_text.load(body, content_type)
        except (ValueError, RecursionError) as error:
            raise WireError(f"The server's DICOM JSON for {what} is broken ({_shortly(error)}).") from error
        found = loaded if isinstance(loaded, list) else [loaded]
        data_sets = [clean(item) for item in found if isinstance(item, dict)]
    # Orthanc's own REST API answers /studies with a list of names; others with {"error": "..."}.
    if found and not any(data_sets) and any(found):
        raise WireError(
            f"The server answered {what} with JSON that is not DICOM JSON; "
            "is the address the DICOMweb base URL?"
        )
    return data_sets, reading


def check_density(size: int, length: int, what: str) -> None:
    """Refuse a document that is nearly nothing but brackets: its objects would take far more memory."""
    if size > UNCHECKED and size > MAX_DENSITY * length:
        raise WireError(f"The server answered {what} with a document of brackets, which is refused.")


def clean(item: Mapping[str, JsonValue], *, depth: int = 0) -> DicomJson:
    """Return a data set with tags in capitals and every Value a list, without what is not an attribute."""
    if depth > MAX_DEPTH:
        raise WireError("The server's DICOM JSON nests sequences deeper than any real object.")
    cleaned: dict[str, JsonValue] = {}
    for tag, attribute in item.items():
        if not _TAG.match(tag) or not isinstance(attribute, dict):
            continue
        value = attribute.get("Value")
        if value is not None:
            values: list[JsonValue] = value if isinstance(value, list) else [value]
            if attribute.get("vr") == "SQ":
                values = [dict(clean(inner, depth=depth + 1)) for inner in values if isinstance(inner, dict)]
            if values is not value:
                attribute = {**attribute, "Value": values}
        cleaned[tag.upper()] = attribute
    return cleaned


def values(attributes: DicomJson, name: str) -> list[JsonValue]:
    """Return all values of an attribute; an empty list where it is absent or empty.

    Parameters
    ----------
    name : its keyword, or its tag as eight upper-case hexadecimal digits.
    """
    attribute = attributes.get(name if name[:1].isdigit() else tag_of(name))
    found = attribute.get("Value") if isinstance(attribute, Mapping) else None
    if found is None:
        return []
    return list(found) if isinstance(found, Sequence) and not isinstance(found, str) else [found]


def value(attributes: DicomJson, name: str) -> JsonValue:
    """Return the first value of an attribute; None where it is absent or empty."""
    found = values(attributes, name)
    return found[0] if found else None


def texts(attributes: DicomJson, name: str) -> list[str]:
    """Return all values of an attribute as text; person names as ``Alphabetic=Ideographic=Phonetic``."""
    return [
        _as_text(item)
        for item in values(attributes, name)
        if not isinstance(item, Mapping) or any(group in item for group in NAME_GROUPS)
    ]


def text(attributes: DicomJson, name: str) -> str:
    """Return the first value of an attribute as text without padding; empty where there is none.

    Of a person name it is the alphabetic group, or the first that is not empty.
    """
    for item in values(attributes, name):
        if isinstance(item, Mapping):
            return first_group(item)
        if item is not None:
            return str(item).strip(" \0")
    return ""


def first_group(name: Mapping[str, JsonValue]) -> str:
    """Return the alphabetic group of a person name, or the first that is not empty (PS3.18 §F.2.2)."""
    return next((str(name[group]).strip(" \0") for group in NAME_GROUPS if name.get(group)), "")


def _as_text(item: JsonValue) -> str:
    if item is None:
        return ""
    if isinstance(item, Mapping):
        return "=".join(str(item.get(group) or "") for group in NAME_GROUPS).rstrip("=")
    return str(item)


def items(attributes: DicomJson, name: str) -> list[DicomJson]:
    """Return the items of a sequence."""
    return [item for item in values(attributes, name) if isinstance(item, dict)]


def flatten(attributes: DicomJson) -> dict[str, JsonValue]:
    """Return a data set by keyword, for people and ``--json``.

    One value stands alone, several become a list; a person name becomes its alphabetic text where it has no
    other form, sequences become lists of flattened items, bulk data its address, short binary data is left as
    base64. A tag without a keyword (private) keeps its number; an empty attribute is None.
    """
    return {
        keyword_of(tag): _flat(attribute)
        for tag, attribute in attributes.items()
        if isinstance(attribute, Mapping)
    }


def _flat(attribute: Mapping[str, JsonValue]) -> JsonValue:
    if "BulkDataURI" in attribute:
        return {"BulkDataURI": attribute["BulkDataURI"]}
    if "InlineBinary" in attribute:
        return attribute["InlineBinary"]
    value = attribute.get("Value")
    found = value if isinstance(value, list) else [] if value is None else [value]
    if attribute.get("vr") == "SQ":
        return [dict(flatten(item)) for item in found if isinstance(item, Mapping)]
    plain = [_plain(item) for item in found]
    return None if not plain else plain[0] if len(plain) == 1 else plain


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping) and set(value) <= {"Alphabetic"}:
        return value.get("Alphabetic")
    return value


def _nature(text: bytes, content_type: str) -> str:
    start = text[:512].lower()
    if b"<html" in start or b"<!doctype html" in start:
        return "an HTML page"
    if text.startswith(b"<"):
        return "XML"
    if text.startswith(b"--"):
        return "a multipart body"
    label = content_type.split(";")[0].strip()[:60]
    return (
        f"{label or 'unlabelled data'} ({text[:40]!r}...)"
        if len(text) > 40
        else f"{label or 'text'} ({text!r})"
    )


def _advice(text: bytes) -> str:
    start = text[:512].lower()
    if b"<html" in start or b"<!doctype html" in start:
        return (
            "is the address the DICOMweb base URL (often .../dicom-web or .../rs), "
            "or does a login page stand before it?"
        )
    if text.startswith(b"<"):
        return "this server does not give JSON, which dicomdock needs."
    return "is the address the DICOMweb base URL?"


def _shortly(error: BaseException) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__


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
