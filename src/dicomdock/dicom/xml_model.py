"""The Native DICOM Model, DICOM's XML form, to and from the DICOM JSON model.

References
----------
PS3.19 §A.1 (Native DICOM Model); PS3.18 §F.2 (DICOM JSON model), §8.7.3 (media types).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dicomdock.dicom.dictionary import keyword_of
from dicomdock.dicom.json_model import MAX_DEPTH, NAME_GROUPS, DicomJson, JsonValue, check_density
from dicomdock.dicom.json_writing import number_or_text
from dicomdock.errors import WireError

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
NAME_PARTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
_VR = re.compile(r"[A-Z]{2}\Z")
# Compiled when a text is first written: that takes as long as loading several modules.
_NOT_XML: Final = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE = _IN_TEXT | str.maketrans({'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})
_TEXT: Final = frozenset({"LT", "ST", "UT"})  # blanks at the beginning are significant (PS3.5 Table 6.2-1)


def to_xml(attributes: DicomJson) -> bytes:
    """Write one data set in the Native DICOM Model.

    Parameters
    ----------
    attributes : in the DICOM JSON model.

    Notes
    -----
    The block of a private attribute is not part of its tag, but stands for its creator. A character that XML
    1.0 cannot contain becomes U+FFFD.
    """
    pieces = (
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        f'<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">\n',
        *_attributes(attributes),
        "</NativeDicomModel>\n",
    )
    return "".join(pieces).encode()


def _attributes(attributes: DicomJson) -> Iterator[str]:
    for tag in sorted(attributes):
        attribute = attributes[tag]
        if not _TAG.match(tag) or tag.endswith("0000") or not isinstance(attribute, Mapping):
            continue
        vr = str(attribute.get("vr", ""))
        yield f"<DicomAttribute {_identity(tag.upper(), attributes)}"
        yield f' vr="{vr}">' if _VR.match(vr) else ">"
        yield from _content(vr, attribute)
        yield "</DicomAttribute>\n"


def _identity(tag: str, attributes: DicomJson) -> str:
    if int(tag[3], 16) % 2 == 0:
        keyword = keyword_of(tag)
        return f'tag="{tag}"' + (f' keyword="{keyword}"' if keyword != tag else "")
    creator = _first_text(attributes.get(f"{tag[:4]}00{tag[4:6]}"))
    if tag[4:6] == "00" or not creator:
        return f'tag="{tag}"'
    return f'tag="{tag[:4]}00{tag[6:]}" privateCreator="{_attribute_text(creator)}"'


def _first_text(attribute: JsonValue) -> str:
    values = attribute.get("Value") if isinstance(attribute, Mapping) else None
    return str(values[0] or "") if isinstance(values, list) and values else ""


def _content(vr: str, attribute: Mapping[str, JsonValue]) -> Iterator[str]:
    if "BulkDataURI" in attribute:
        yield f'<BulkData uri="{_attribute_text(str(attribute["BulkDataURI"]))}"/>'
        return
    if "InlineBinary" in attribute:
        yield f"<InlineBinary>{_text(str(attribute['InlineBinary']))}</InlineBinary>"
        return
    values = attribute.get("Value")
    for number, value in enumerate(values if isinstance(values, Sequence) else (), start=1):
        if vr == "SQ":
            yield f'<Item number="{number}">\n'
            yield from _attributes(value) if isinstance(value, Mapping) else ()
            yield "</Item>\n"
        elif vr == "PN":
            yield f'<PersonName number="{number}">'
            yield from _name(value)
            yield "</PersonName>"
        elif value is None:
            yield f'<Value number="{number}"/>'
        else:
            yield f'<Value number="{number}">{_text(_written(value))}</Value>'


def _written(value: JsonValue) -> str:
    """Return a number as a decimal string writes it: at most 16 characters are needed for a whole number."""
    return (
        str(int(value))
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e15
        else str(value)
    )


def _name(value: JsonValue) -> Iterator[str]:
    for group in NAME_GROUPS:
        text = value.get(group) if isinstance(value, Mapping) else None
        if not text:
            continue
        yield f"<{group}>"
        # A sixth component is against PS3.5 §6.2.1.1; it is not lost.
        for name, part in zip(NAME_PARTS, str(text).split("^", len(NAME_PARTS) - 1), strict=False):
            if part:
                yield f"<{name}>{_text(part)}</{name}>"
        yield f"</{group}>"


def _text(value: str) -> str:
    return re.sub(_NOT_XML, "\ufffd", value).translate(_IN_TEXT)


def _attribute_text(value: str) -> str:
    return re.sub(_NOT_XML, "\ufffd", value).translate(_IN_ATTRIBUTE)


def from_xml(body: bytes, *, what: str = "the answer") -> DicomJson:
    """Read one data set in the Native DICOM Model into the JSON model.

    Raises
    ------
    WireError
        It is not well-formed, or declares a document type (which could make it grow without bound).
    """
    from xml.etree import ElementTree as ET

    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise WireError(
            f"The server answered {what} with XML that declares a document type, which is refused."
        )
    check_density(80 * body.count(b"<") + 100 * body.count(b"="), len(body), what)
    try:
        root = ET.fromstring(body)  # noqa: S314 - no document type, so no entities to expand
    except (ET.ParseError, LookupError, ValueError) as error:  # also an encoding that nobody knows
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise WireError(f"The server answered {what} with broken XML ({reason}).") from error
    return _from_element(root, 0)


def is_xml(body: bytes, content_type: str) -> bool:
    """Return whether an answer is DICOM XML, by its label and first character."""
    return "xml" in content_type.lower() or body.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"<?xml")


def _from_element(root: ET.Element, depth: int) -> DicomJson:
    if depth > MAX_DEPTH:
        raise WireError("The server's DICOM XML nests sequences deeper than any real object.")
    found: dict[str, JsonValue] = {}
    blocks = _Blocks()
    for element in root:
        tag = element.get("tag", "").upper()
        if not _TAG.match(tag):
            continue
        attribute = _from_attribute(element, depth)
        if creator := element.get("privateCreator", ""):
            tag = blocks.tag(tag, creator, found)
        elif int(tag[3], 16) % 2 and tag[4:6] == "00":
            blocks.declare(tag, _first_text(attribute))
        found[tag] = attribute
    return found


class _Blocks:
    """The blocks of private attributes, which the XML form names by their creators alone."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, str], str] = {}

    def declare(self, tag: str, creator: str) -> None:
        """Add a private creator attribute of the data set."""
        self._blocks.setdefault((tag[:4], creator), tag[6:])

    def tag(self, tag: str, creator: str, found: dict[str, JsonValue]) -> str:
        """Return the tag of a private attribute with its block; one that nothing declares is added."""
        if tag[4:6] != "00":  # written with its block, as some servers do
            return tag
        group = tag[:4]
        block = self._blocks.get((group, creator))
        if block is None:
            taken = {used for (owner, _), used in self._blocks.items() if owner == group}
            block = next((f"{n:02X}" for n in range(0x10, 0x100) if f"{n:02X}" not in taken), "FF")
            self._blocks[group, creator] = block
            found[f"{group}00{block}"] = {"vr": "LO", "Value": [creator]}
        return f"{group}{block}{tag[6:]}"


def _from_attribute(element: ET.Element, depth: int) -> dict[str, JsonValue]:
    vr = element.get("vr", "UN")
    values: list[JsonValue] = []
    for child in element:
        kind = child.tag.rpartition("}")[2]
        if kind == "Item":
            values.append(dict(_from_element(child, depth + 1)))
        elif kind == "Value":
            text = child.text or ""
            values.append(number_or_text(vr, text if vr in _TEXT else text.strip()))
        elif kind == "PersonName":
            values.append(_person_name(child) or None)
        elif kind == "BulkData" and child.get("uri"):
            return {"vr": vr, "BulkDataURI": child.get("uri")}
        elif kind == "InlineBinary":
            return {"vr": vr, "InlineBinary": "".join((child.text or "").split())}
    return {"vr": vr, "Value": values} if any(value is not None for value in values) else {"vr": vr}


def _person_name(element: ET.Element) -> dict[str, JsonValue]:
    groups: dict[str, JsonValue] = {}
    for group in element:
        parts = {part.tag.rpartition("}")[2]: (part.text or "").strip() for part in group}
        name = "^".join(parts.get(part, "") for part in NAME_PARTS).rstrip("^")
        if name:
            groups[group.tag.rpartition("}")[2]] = name
    return groups
