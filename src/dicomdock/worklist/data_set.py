"""Read the data set that a request of the work list service brings: DICOM JSON, strictly.

What is stored goes out again as it came, so that nothing is tolerated that others could not read.

References
----------
PS3.18 Annex F (DICOM JSON model), §11.1.3 (no bulk data).
"""

from __future__ import annotations

import json
import re

from dicomdock.dicom.json_model import MAX_DEPTH, NAME_GROUPS, DicomJson, JsonValue, check_density
from dicomdock.errors import InvalidInput, WireError

_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
_VR = re.compile(r"[A-Z]{2}\Z")
_COMMAND = ("0000", "0002")  # groups of messages and of file meta information


def read_data_set(body: bytes) -> DicomJson:
    """Return the one data set of a request's body, alone or as a list of one; no body is an empty one.

    Raises
    ------
    InvalidInput
        It is not one data set in the DICOM JSON model.
    """
    text = body.strip(b" \t\r\n")
    if not text:
        return {}
    try:
        check_density(200 * text.count(b"{") + 80 * text.count(b"["), len(text), "a request")
        loaded = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError, WireError):  # whose sentence is about the answer of a server
        raise InvalidInput("The request's body is not DICOM JSON.") from None
    if isinstance(loaded, list):
        if len(loaded) != 1:
            raise InvalidInput(f"The request's body has {len(loaded)} data sets, not one.")
        loaded = loaded[0]
    data_set = _data_set(loaded, 0)
    try:
        json.dumps(data_set, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # half a surrogate pair, or a number that JSON does not have
        raise InvalidInput("The request's body has a value that JSON cannot represent.") from None
    return data_set


def _data_set(loaded: JsonValue, depth: int) -> dict[str, JsonValue]:
    if not isinstance(loaded, dict):
        raise InvalidInput("The request's body is not a data set of DICOM JSON.")
    if depth > MAX_DEPTH:
        raise InvalidInput("The request's body nests sequences deeper than any real object.")
    return {_checked_tag(tag): _attribute(tag, attribute, depth) for tag, attribute in loaded.items()}


def _checked_tag(tag: str) -> str:
    if not _TAG.match(tag) or tag.startswith(_COMMAND):
        raise InvalidInput(f"{tag[:20]!r} is not the tag of an attribute of a data set.")
    return tag.upper()


def _attribute(tag: str, attribute: JsonValue, depth: int) -> dict[str, JsonValue]:
    if not isinstance(attribute, dict) or not attribute.keys() <= {"vr", "Value", "InlineBinary"}:
        raise InvalidInput(f"Attribute {tag} has a vr and a Value or InlineBinary, and nothing else.")
    vr, value = attribute.get("vr"), attribute.get("Value", [])
    if not isinstance(vr, str) or not _VR.match(vr):
        raise InvalidInput(f"Attribute {tag} has no vr.")
    if not isinstance(value, list) or not isinstance(attribute.get("InlineBinary", ""), str):
        raise InvalidInput(f"The Value of attribute {tag} is not a list, or its InlineBinary not a text.")
    if vr == "SQ":
        return {**attribute, "Value": [_data_set(item, depth + 1) for item in value]} if value else {"vr": vr}
    if not all(_is_name(item) if vr == "PN" else _is_plain(item) for item in value):
        raise InvalidInput(f"A value of attribute {tag} is not one of the vr {vr}.")
    return attribute


def _is_plain(value: JsonValue) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def _is_name(value: JsonValue) -> bool:
    return value is None or (
        isinstance(value, dict)
        and value.keys() <= set(NAME_GROUPS)
        and all(isinstance(group, str) for group in value.values())
    )
