"""Key checks: whether a server applies a kind of matching key, found by queries whose answer is known.

A key that a server does not know, or reads in its own way, looks like a search without matches. A match that
the server has listed before shows the difference: asked for by its own value, written in the same form, it
must be found. The search does this once a session for each kind of key that found nothing; the probe does it
for all of them.

References
----------
PS3.4 §C.2.2.2 (attribute matching).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from dicomdock.dicom import json_model
from dicomdock.dicom.criteria import Criterion, Empty, FuzzyName, Interval, Name, OneOf, Universal, Wildcard
from dicomdock.dicom.dictionary import vr_of
from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.errors import InvalidInput
from dicomdock.sources import DicomJson

Kind: TypeAlias = Literal["single", "list", "wildcard", "question mark", "range", "open range", "name"]
Ask: TypeAlias = Callable[[str, str], "Sequence[DicomJson] | None"]
"""Searches by one key, its keyword and value; None where the server refuses it."""

SAMPLE: Final = 20  # rows of the first page, among which one with a value of the key is looked for
_SPECIAL: Final = frozenset('*?,\\&#%+="')  # characters that servers read in their own ways
_PLAIN: Final = re.compile(r"\d{4,14}(\.\d+)?\Z")
NOBODY: Final = "DICOMDOCKNOBODY"  # a text that no data set has
_NOBODY: Final = {
    "UI": "2.25.1",
    "CS": "ZZ",
    "IS": "987654321",
    "DS": "987654321",
}  # a further value of a list


def kind_of(criterion: Criterion) -> Kind | None:
    """Return the kind of a matching key; None where every server passes it over."""
    match criterion:
        case Universal() | Empty() | FuzzyName():
            return None
        case Interval(low=low, high=high, ranged=True):
            return "range" if low and high else "open range"
        case Interval():
            return "single"
        case Wildcard(patterns) | Name(patterns) if any("*" in one for one in patterns):
            return "wildcard"
        case Wildcard(patterns) | Name(patterns) if any("?" in one for one in patterns):
            return "question mark"
        case OneOf(values) | Name(values) | Wildcard(values) if len(values) > 1:
            return "list"
        case Name():
            return "name"
        case _:
            return "single"


def known_value(kind: Kind, keyword: str, row: DicomJson) -> str:
    """Return a key of this kind that a row must match; empty where its value allows none."""
    vr = vr_of(keyword)
    value = json_model.text(row, keyword)
    if not value or not value.isascii() or not value.isprintable() or set(value) & _SPECIAL:
        return ""
    if kind in ("wildcard", "question mark"):
        return f"{value[:-1]}{'*' if kind == 'wildcard' else '?'}" if len(value) > 1 else ""
    if kind == "list":
        return f"{value}{',' if vr == 'UI' else chr(92)}{_NOBODY.get(vr, NOBODY)}"
    if vr in ("DA", "TM", "DT") and not _PLAIN.match(value):
        return ""  # 10:15:00, 2020.01.31: old forms, which not every server reads as what they mean
    if kind in ("range", "open range"):
        low, high = (f"{value[:2]}0000", f"{value[:2]}5959") if vr == "TM" else (value, value)
        return f"{low}-{high}" if kind == "range" else f"{low}-"
    return value


@dataclass
class KeyChecks:
    """What is known of a server's matching, by level, keyword and kind of key.

    Parameters
    ----------
    known : True where a key of the kind was seen to work, False where it was not; None where no row had a
        value to check by.
    doubtful : level and keyword of keys that were answered with rows which do not match them.
    ignored : the doubtful keys that were checked, and whether the server returns every row whatever they ask.
    """

    known: dict[tuple[SearchLevel, str, Kind], bool | None] = field(default_factory=dict)
    doubtful: set[tuple[SearchLevel, str]] = field(default_factory=set)
    ignored: dict[tuple[SearchLevel, str], bool] = field(default_factory=dict)

    def is_ignored(self, level: SearchLevel, keyword: str, ask: Ask) -> bool:
        """Return whether the server ignores a text key: it returns rows for a value that none has.

        Only a doubtful key is checked, by one request.
        """
        key = (level, keyword)
        if key not in self.doubtful:
            return False
        if key not in self.ignored:
            self.ignored[key] = bool(ask(keyword, f"*{NOBODY}*"))
        return self.ignored[key]

    def check(
        self, level: SearchLevel, keyword: str, kind: Kind, rows: Sequence[DicomJson], ask: Ask
    ) -> bool | None:
        """Return whether the server applies a kind of key, asked once; None where that is not known.

        Parameters
        ----------
        rows : what the server listed without this key.
        """
        key_kind = (level, keyword, kind)
        if key_kind not in self.known:
            keys = (_known_key(level, kind, keyword, row) for row in rows)
            key = next(filter(None, keys), "")
            self.known[key_kind] = _works(level, keyword, key, ask) if key else None
        return self.known[key_kind]


def _known_key(level: SearchLevel, kind: Kind, keyword: str, row: DicomJson) -> str:
    """Return a key that a row matches by PS3.4; empty where its value is none that can be searched by."""
    key = known_value(kind, keyword, row)
    try:
        return key if key and Query(level, {keyword: key}).matches(row) else ""
    except InvalidInput:  # a date or time that is none
        return ""


def _works(level: SearchLevel, keyword: str, key: str, ask: Ask) -> bool:
    found = ask(keyword, key)
    query = Query(level, {keyword: key})
    return any(query.matches(row) for row in found or ())
