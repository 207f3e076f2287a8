"""Write the matching rules of PS3.4 as SQL.

Each clause lets every true match through; where SQL cannot say a rule exactly (several values, sequences,
fuzzy names) the plan is marked and the rows are looked over once more by ``Query.matches``, which is the one
authority.

References
----------
PS3.4 §C.2.2.2 (attribute matching).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Column, ColumnElement, Table, and_, exists, or_, select

from dicomdock.archive.index.attributes import (
    COMPONENT_GROUPS,
    FOLDED,
    MULTIVALUED,
    PATIENT_KEYWORDS,
    SEQUENCE,
)
from dicomdock.archive.index.schema import instance, patient, series, study
from dicomdock.dicom.criteria import (
    NEAR_WORD,
    Criterion,
    Empty,
    FuzzyName,
    Interval,
    Name,
    OneOf,
    Universal,
    Wildcard,
    combined,
)
from dicomdock.dicom.query import COMBINED, Query, SearchLevel
from dicomdock.dicom.uid import UID_KEYWORDS

Clause: TypeAlias = "ColumnElement[bool]"

TABLES: dict[SearchLevel, Table] = {"studies": study, "series": series, "instances": instance}
_RANK = [study, series, instance]
_OTHER_NAMES = {"AvailableTransferSyntaxUID": instance.c.TransferSyntaxUID}


@dataclass(frozen=True)
class Plan:
    """A search as SQL.

    Parameters
    ----------
    clauses : all of them hold for a match.
    exact : only matches satisfy them.
    keys : the matching keys to look at once more where it is not.
    ignored : the matching keys that the index cannot serve.
    """

    clauses: tuple[Clause, ...]
    exact: bool
    keys: frozenset[str]
    ignored: tuple[str, ...]


def plan(query: Query, dialect: str, *, mixed: bool = False) -> Plan:
    """Write a query's matching keys as SQL.

    Parameters
    ----------
    mixed : some series have another patient than their study, which is searched too.

    Raises
    ------
    InvalidInput
        A key is unknown, or its value cannot be one of its VR.
    """
    builder = _Builder(query, dialect, mixed=mixed)
    for keyword, criterion in query.criteria.items():
        builder.add(keyword, criterion)
    return builder.plan()


def column_of(keyword: str) -> tuple[Table, Column[str]] | None:
    """Find the table and column that hold an attribute, None where none does."""
    for table in _RANK:
        if keyword in table.c and keyword[0].isupper():
            return table, table.c[keyword]
    column = _OTHER_NAMES.get(keyword)
    return (column.table, column) if column is not None else None


class _Builder:
    def __init__(self, query: Query, dialect: str, *, mixed: bool) -> None:
        self._mixed = mixed
        self._own_patient: list[Clause] = []
        self._other_patient: list[Clause] = []
        self._query = query
        self._rank = _RANK.index(TABLES[query.level])
        self._glob = sqlite_glob if dialect == "sqlite" else standard_like
        self._clauses: list[Clause] = []
        self._exact = True
        self._keys: set[str] = set()
        self._ignored: list[str] = []

    def add(self, path: str, criterion: Criterion) -> None:
        keyword, _, inside = path.partition(".")
        found = column_of(keyword)
        if found is None or bool(inside) != (keyword == SEQUENCE):
            if not isinstance(criterion, Universal):
                self._ignored.append(path)
            return
        table, column = found
        if isinstance(criterion, Universal) or self._in_a_span(keyword):
            self._keys.add(path)
            return
        if inside:
            clause, exact = (column == "" if isinstance(criterion, Empty) else column != ""), False
            clause = clause if not isinstance(criterion, Empty) else column.is_not(None)
        else:
            clause, exact = self._clause(keyword, table, column, criterion)
        below = _RANK.index(table) > self._rank
        if below and not exact:
            self._ignored.append(path)
            return
        if not below:
            self._keys.add(path)
        self._exact &= exact
        if self._mixed and keyword in PATIENT_KEYWORDS:
            self._own_patient.append(clause)
            self._other_patient.append(self._clause(keyword, patient, patient.c[keyword], criterion)[0])
            return
        self._clauses.append(
            self._below(table, clause, few=_names_uids(column, criterion)) if below else clause
        )

    def plan(self) -> Plan:
        if self._own_patient:
            self._clauses.append(or_(and_(*self._own_patient), self._in_other_patient()))
        return Plan(tuple(self._clauses), self._exact, frozenset(self._keys), tuple(self._ignored))

    def _in_other_patient(self) -> Clause:
        """Return the clause that a match has another patient than its study, who satisfies the criteria."""
        if self._rank > 0:
            found = select(patient.c.series).where(*self._other_patient)
            return series.c.id.in_(found)
        of_series = series.alias()
        joined = select(of_series.c.study).join(patient, patient.c.series == of_series.c.id)
        return study.c.id.in_(joined.where(*self._other_patient))

    def _in_a_span(self, keyword: str) -> bool:
        """Add the clause of a date with its time, and tell whether the keyword is one of such a pair."""
        for date, time in COMBINED.items():
            if keyword in (date, time):
                criteria = self._query.criteria
                span = combined(criteria.get(date), criteria.get(time))
                places = column_of(date), column_of(time)
                if span is None or places[0] is None or places[1] is None:
                    return False
                if keyword == date:
                    table, clause = places[0][0], _span(places[0][1], places[1][1], *span)
                    below = _RANK.index(table) > self._rank
                    self._clauses.append(self._below(table, clause, few=False) if below else clause)
                return True
        return False

    def _below(self, table: Table, clause: Clause, *, few: bool) -> Clause:
        """Return the clause that something below the match satisfies the clause.

        Parameters
        ----------
        few : an index finds those few at once, so that it pays to begin with them.
        """
        upper = _RANK[self._rank]
        if table is instance and upper is study:
            owner, inner = (
                series.c.study,
                select(series.c.study).join(instance, instance.c.series == series.c.id),
            )
        else:
            owner = table.c[upper.name]
            inner = select(owner)
        if few:
            return upper.c.id.in_(inner.where(clause))
        return exists(inner.where(clause, owner == upper.c.id).correlate(upper))

    def _clause(
        self, keyword: str, table: Table, column: Column[str], criterion: Criterion
    ) -> tuple[Clause, bool]:
        several = keyword in MULTIVALUED
        match criterion:
            case Empty():
                return (column.is_(None) if _is_number(column) else column == ""), True
            case OneOf(values) if _is_number(column):
                numbers = [int(value) for value in values if value.lstrip("-").isdigit() and len(value) < 19]
                return column.in_(numbers), True
            case OneOf(values) if several:
                return or_(*(self._glob(column, f"*\\{_literal(value)}\\*") for value in values)), True
            case OneOf(values):
                return column.in_(values), True
            case Wildcard(patterns) if several:
                return or_(*(self._glob(column, f"*\\{pattern}\\*") for pattern in patterns)), False
            case Wildcard(patterns):
                return or_(*(self._like(column, pattern) for pattern in patterns)), True
            case Interval(low=low, high=high):
                bounds = [column >= low] if low else []
                return and_(column != "", *bounds, *([column <= high] if high else [])), True
            case Name(patterns) if keyword in FOLDED:
                groups = [table.c[keyword + group] for group in COMPONENT_GROUPS]
                return or_(*(self._name(groups, pattern) for pattern in patterns)), True
            case FuzzyName(words) if keyword in FOLDED:
                groups = [table.c[keyword + group] for group in COMPONENT_GROUPS]
                return and_(*(self._near(groups, word) for word in words)), False
        return column != "", False

    def _name(self, groups: Sequence[Column[str]], pattern: str) -> Clause:
        if "=" not in pattern:
            return or_(*(and_(group != "", self._like(group, pattern)) for group in groups))
        pairs = zip(groups, pattern.split("="), strict=False)
        return and_(*(self._like(group, wanted) for group, wanted in pairs if wanted))

    def _near(self, groups: Sequence[Column[str]], word: str) -> Clause:
        # With one letter amiss, one half of the word is still there in full.
        half = len(word) // 2
        pieces = [word] if len(word) < NEAR_WORD else [word[:half], word[half:]]
        return or_(*(self._glob(group, f"*{_literal(piece)}*") for group in groups for piece in pieces))

    def _like(self, column: Column[str], pattern: str) -> Clause:
        """Compare with a pattern; its fixed beginning is said as a range too, which an index can serve."""
        if "*" not in pattern and "?" not in pattern:
            return column == pattern
        fixed = pattern[: min(at for at in (pattern.find("*"), pattern.find("?")) if at >= 0)]
        clause = self._glob(column, pattern)
        if fixed and ord(fixed[-1]) < 0xD7FF:
            return and_(column >= fixed, column < fixed[:-1] + chr(ord(fixed[-1]) + 1), clause)
        return clause


def _literal(text: str) -> str:
    return text.replace("*", "").replace("?", "")


def sqlite_glob(column: Column[str], pattern: str) -> Clause:
    """Compare with ``*`` and ``?`` in SQLite, where LIKE would not tell A from a."""
    return column.op("GLOB", is_comparison=True)(pattern.replace("[", "[[]"))


def standard_like(column: Column[str], pattern: str) -> Clause:
    """Compare with ``*`` and ``?`` in standard SQL."""
    escaped = re.sub(r"[!%_]", r"!\g<0>", pattern).replace("*", "%").replace("?", "_")
    return column.like(escaped, escape="!")


def _names_uids(column: Column[str], criterion: Criterion) -> bool:
    return isinstance(criterion, OneOf) and column.name in UID_KEYWORDS["instances"]


def _is_number(column: Column[str]) -> bool:
    return column.type.python_type is int


def _span(date: Column[str], time: Column[str], dates: Interval, times: Interval) -> Clause:
    parts: list[Clause] = [date != ""]
    if dates.low:
        parts.append(or_(date > dates.low, and_(date == dates.low, time >= times.low)))
    if dates.high:
        latest = [time <= times.high] if times.high else []
        parts.append(or_(date < dates.high, and_(date == dates.high, *latest)))
    return and_(*parts)
