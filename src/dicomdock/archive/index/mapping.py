"""Map the raw values of a header to columns of the index, and columns to the DICOM JSON model.

References
----------
PS3.5 §6.1, §6.2 (character sets, VRs); PS3.18 §F.2 (DICOM JSON model).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Sequence
from typing import TypeAlias

from dicomdock.archive.index.attributes import (
    COMPONENT_GROUPS,
    FOLDED,
    INSTANCE_KEYWORDS,
    ITEM_KEYWORDS,
    MULTIVALUED,
    NUMBERS,
    SEQUENCE,
    SERIES_KEYWORDS,
    STUDY_KEYWORDS,
)
from dicomdock.dicom.criteria import fold_name, normal
from dicomdock.dicom.dictionary import tag_and_vr
from dicomdock.dicom.header import CHARSET, Header, Raw
from dicomdock.dicom.json_model import JsonValue

Row: TypeAlias = "dict[str, str | int | float | bool | None]"

TEXT_LIMIT = 1024  # characters stored of one attribute; the standard allows fewer
TEXT_BYTES, FOLDED_BYTES = 2048, 600  # PostgreSQL takes no more into one entry of an index
MAX_NUMBER = 1 << 62  # what any database holds
_SLASH = "\\"


def study_row(header: Header) -> Row:
    """Return the study's columns, as this instance states them."""
    return _row(header, _STUDY)


def series_row(header: Header) -> Row:
    """Return the series' columns, as this instance states them."""
    row = _row(header, _SERIES)
    items = []
    for item in header.items:
        found = {tag: text for name, tag, vr in _ITEM if (text := _text(item.get(tag), vr, header.raw))}
        items.append(
            {f"{tag:08X}": {"vr": "SH", "Value": [text[:TEXT_LIMIT]]} for tag, text in found.items()}
        )
    row[SEQUENCE] = json.dumps(items, ensure_ascii=False) if any(items) else ""
    return row


def instance_row(header: Header) -> Row:
    """Return the instance's columns."""
    return _row(header, _INSTANCE)


def study_columns(header: Header, keywords: Container[str]) -> Row:
    """Return some of the study's columns, as this instance states them."""
    return _row(header, [column for column in _STUDY if column[0] in keywords])


def study_text_of(header: Header, keyword: str) -> str:
    """Return an attribute of the study as an instance states it, empty where it states none."""
    return _text(header.raw.get(STUDY_TAGS[keyword]), _STUDY_VRS[keyword], header.raw)


def _plan(keywords: Iterable[str]) -> tuple[tuple[str, int, str], ...]:
    return tuple((name, int(tag, 16), vr) for name in keywords for tag, vr in [tag_and_vr(name)])


_STUDY, _SERIES, _INSTANCE, _ITEM = map(
    _plan, (STUDY_KEYWORDS, SERIES_KEYWORDS, INSTANCE_KEYWORDS, ITEM_KEYWORDS)
)
STUDY_TAGS = {keyword: tag for keyword, tag, _ in _STUDY}
_STUDY_VRS = {keyword: vr for keyword, _, vr in _STUDY}
SERIES_TAGS = {keyword: tag for keyword, tag, _ in _SERIES}


def _row(header: Header, plan: Iterable[tuple[str, int, str]]) -> Row:
    row: Row = {}
    raw = header.raw
    for keyword, tag, vr in plan:
        value = raw.get(tag)
        if keyword in NUMBERS:
            row[keyword] = _number(value, vr, header.byteorder)
            continue
        text = _text(value, vr, raw)
        if keyword in MULTIVALUED:
            text = join_values(part.strip() for part in text.split(_SLASH))
        row[keyword] = text
        if keyword in FOLDED:
            row.update(folded(keyword, text))
    return row


def folded(keyword: str, name: str) -> dict[str, str]:
    """Return the columns that a person name is searched in."""
    groups = [*fold_name(name).split("="), "", ""] if name else ["", "", ""]
    pairs = zip(COMPONENT_GROUPS, groups, strict=False)
    return {keyword + group: _short(part, FOLDED_BYTES) for group, part in pairs}


def join_values(parts: Iterable[str]) -> str:
    """Write several values as one text that begins and ends with the separator; nothing for none."""
    text = _SLASH.join(part for part in parts if part)
    return f"{_SLASH}{text}{_SLASH}" if text else ""


def split_values(text: str) -> list[str]:
    """Undo ``joined``."""
    return text.strip(_SLASH).split(_SLASH) if text else []


def _text(value: bytes | None, vr: str, raw: Raw) -> str:
    if not value:
        return ""
    if value.isascii() and b"\x1b" not in value:
        text = value.decode("ascii")
    else:
        from dicomdock.dicom.charset import decode_text

        text = decode_text(value, vr, raw.get(CHARSET, b""))
    text = text.strip("\0 ").replace("\0", "")
    if vr == "PN":
        text = text.rstrip("=")  # PS3.5 §6.2.1.1: delimiters of empty groups may be left out
    return _short(normal(vr, text)[:TEXT_LIMIT], TEXT_BYTES)


def _short(text: str, limit: int) -> str:
    """Cut a text after so many bytes of UTF-8."""
    if len(text) * 4 <= limit or (text.isascii() and len(text) <= limit):
        return text
    return text.encode("utf-8", "surrogatepass")[:limit].decode("utf-8", "ignore")


def _number(value: bytes | None, vr: str, byteorder: str) -> int | None:
    if not value:
        return None
    if vr == "US":
        return (
            int.from_bytes(value[:2], "big" if byteorder == "big" else "little") if len(value) > 1 else None
        )
    try:
        number = int(float(value.strip(b" \0").split(b"\\")[0]))
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < MAX_NUMBER else None


def json_writer(
    keywords: Sequence[str], optional: Container[str]
) -> Callable[[Sequence[object]], dict[str, JsonValue]]:
    """Return the function that writes columns as a data set in the DICOM JSON model, sorted by tag.

    Parameters
    ----------
    keywords : of the columns, in their order.
    optional : those that are left out where they are empty.
    """
    plan = sorted(
        (tag, vr, position, keyword in optional, keyword in MULTIVALUED)
        for position, keyword in enumerate(keywords)
        for tag, vr in [tag_and_vr(keyword)]
    )

    def write(row: Sequence[object]) -> dict[str, JsonValue]:
        data_set: dict[str, JsonValue] = {}
        for tag, vr, position, leave_out, several in plan:
            stored = row[position]
            if stored is None or stored == "":
                if not leave_out:
                    data_set[tag] = {"vr": vr}
            elif isinstance(stored, int):
                data_set[tag] = {"vr": vr, "Value": [stored]}
            else:
                data_set[tag] = {"vr": vr, "Value": _values(vr, str(stored), several)}
        return data_set

    return write


def _values(vr: str, stored: str, several: bool) -> list[JsonValue]:
    if vr == "SQ":
        items: list[JsonValue] = json.loads(stored)
        return items
    values = split_values(stored) if several else [stored]
    return [_person(value) for value in values] if vr == "PN" else list(values)


def _person(name: str) -> dict[str, JsonValue]:
    return {group: part for group, part in zip(COMPONENT_GROUPS, name.split("="), strict=False) if part}
