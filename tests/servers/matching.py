"""Attribute matching as servers do it, for the tests alone: pydicom's dictionary and plain comparison.

Nothing of dicomdock's own query code is used here, so that a server of the tests and the client cannot be
wrong in the same way. ``by_standard`` is PS3.4; each imitation puts in its place what its server does.

References
----------
PS3.4 §C.2.2.2 (attribute matching); PS3.18 §8.3.4 (query parameters).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

Row = Mapping[str, Any]
Satisfies = Callable[[Row, str, Sequence[str]], bool]

PARAMETERS = frozenset(
    {"limit", "offset", "includefield", "fuzzymatching", "orderby", "album", "inbox", "sort"}
)
_HEX = re.compile(r"[0-9A-Fa-f]{8}\Z")
_PATTERNED = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})


def tag_of(name: str) -> str:
    """Return the tag of a keyword or of a tag in hexadecimal; empty where there is none."""
    if _HEX.match(name):
        return name.upper()
    number = tag_for_keyword(name)
    return "" if number is None else f"{number:08X}"


def vr_of(tag: str) -> str:
    """Return the value representation of a tag."""
    return str(dictionary_VR(int(tag, 16)))


def shown(row: Row, name: str) -> list[str]:
    """Return the values of an attribute as text; of a person name its alphabetic group."""
    found = row.get(tag_of(name), {}).get("Value", [])
    return [
        str(one.get("Alphabetic", "")) if isinstance(one, dict) else str(one)
        for one in found
        if one is not None
    ]


def grouped(query: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the matching keys of a query by name, each with all its values."""
    keys: dict[str, list[str]] = {}
    for name, value in query:
        if name not in PARAMETERS and tag_of(name.split(".")[0]):
            keys.setdefault(name, []).append(value)
    return keys


def like(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """Return whether a value has the form of a pattern with ``*`` and ``?``."""
    expression = "".join(".*" if one == "*" else "." if one == "?" else re.escape(one) for one in pattern)
    return re.fullmatch(expression, value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


def between(wanted: str, value: str, *, last: str = "9") -> bool:
    """Return whether a date or time lies in ``A-B``, ``A-``, ``-B``, or in what a single ``A`` covers."""
    low, dash, high = wanted.partition("-")
    high = high if dash else low
    return value >= low.rstrip("0") and (not high or value.ljust(20, "0") <= high.ljust(20, last))


def by_standard(row: Row, name: str, values: Sequence[str]) -> bool:
    """Return whether a row satisfies a key by PS3.4: lists, ranges, wildcards, names without case."""
    vr = vr_of(tag_of(name))
    present = [value.strip(" ") for value in shown(row, name)]  # PS3.5 §6.2: padding means nothing
    separators = r"[,\\]" if vr == "UI" else r"\\"
    wanted = [one for value in values for one in re.split(separators, value)]
    if all(one in ("", "*") for one in wanted):
        return True
    if vr in ("DA", "TM", "DT"):
        return any(between(one, value) for one in wanted for value in present if value)
    if vr in _PATTERNED:
        return any(like(one, value, ignore_case=vr == "PN") for one in wanted for value in present if value)
    return any(one == value for one in wanted for value in present)


def as_written(row: Row, name: str, values: Sequence[str]) -> bool:
    """Return whether the first value of an attribute equals the key, letter by letter."""
    return shown(row, name)[:1] == [values[0]]
