"""Read DICOM JSON as servers really send it, and show it to people.

Tolerant on the way in: a label with parameters or in capitals, 204, an empty body, ``[{}]``, one object
instead of a list, values outside a list. What is not JSON at all (a login page, XML) becomes a WireError that
says what came.

References
----------
PS3.18 Annex F (DICOM JSON model).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from dicomdock.dicom import json_text
from dicomdock.dicom.dictionary import keyword_of, tag_of
from dicomdock.errors import WireError

if TYPE_CHECKING:
    pass

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
