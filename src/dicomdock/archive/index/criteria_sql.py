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
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from dicomdock.archive.index.access import Condition
from dicomdock.archive.index.attributes import (
    COMPONENT_GROUPS,
    FOLDED,
    MULTIVALUED,
    SEQUENCE,
)
from dicomdock.archive.index.clauses import Clause, all_of, any_of, one_of
from dicomdock.archive.index.schema import Column, Deviation, Dialect, Table, instance, series, study
from dicomdock.dicom.criteria import (
    NEAR_WORD,
    Criterion,
    Empty,
    FuzzyName,
    Interval,
    Name,
    NameWords,
    OneOf,
    Universal,
    Wildcard,
    combined,
)
from dicomdock.dicom.query import COMBINED, Query, SearchLevel
from dicomdock.dicom.uid import UID_KEYWORDS

TABLES: dict[SearchLevel, Table] = {"studies": study, "series": series, "instances": instance}
_RANK = [study, series, instance]
_OTHER_NAMES = {"AvailableTransferSyntaxUID": (instance, instance["TransferSyntaxUID"])}


@dataclass(frozen=True)
class Plan:
    """A search as SQL.

    Parameters
    ----------
    clause : holds for a match.
    exact : only matches satisfy them.
    keys : the matching keys to look at once more where it is not.
    ignored : the matching keys that the index cannot serve.
    conditions : one for each key that an index may serve.
    besides : for each attribute that single series may state otherwise, the matches in which one does.
    alone : only columns of the matches' own table are needed.
    """

    clause: Clause
    exact: bool
    keys: frozenset[str]
    ignored: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    besides: Mapping[str, Clause] = field(default_factory=dict)
    alone: bool = True


def plan(
    query: Query,
    dialect: Dialect,
    *,
    deviations: Sequence[Deviation] = (),
    visible: Container[str] | None = None,
) -> Plan:
    """Write a query's matching keys as SQL.

    Parameters
    ----------
    deviations : what some series state otherwise than their study, which is searched too.
    visible : the attributes, besides UIDs, whose indexes may be used; None for all. SQLite would take any.

    Raises
    ------
    InvalidInput
        A key is unknown, or its value cannot be one of its VR.
    """
    builder = _Builder(query, dialect, deviations, visible=visible)
    for keyword, criterion in query.criteria.items():
        builder.add(keyword, criterion)
    return builder.plan()


def column_of(keyword: str) -> tuple[Table, Column] | None:
    """Find the table and column that hold an attribute, None where none does."""
    for table in _RANK:
        if keyword in table and keyword[0].isupper():
            return table, table[keyword]
    return _OTHER_NAMES.get(keyword)


class _Builder:
    def __init__(
        self,
        query: Query,
        dialect: Dialect,
        deviations: Sequence[Deviation],
        *,
        visible: Container[str] | None,
    ) -> None:
        # For each of them the clauses of the study's own attributes, and of those that a series states.
        self._deviations: list[tuple[Deviation, list[Clause], list[Clause]]] = [
            (one, [], []) for one in deviations
        ]
        self._visible = visible if dialect == "sqlite" else None
        self._conditions: list[Condition] = []
        self._alone = True
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
            always = isinstance(criterion, Empty)
            clause, exact = all_of(()) if always else Clause(f"{self._name_of(table, column)} <> ''"), False
        else:
            clause, exact = self._clause(table, column, criterion)
        below = _RANK.index(table) > self._rank
        self._alone &= _RANK.index(table) >= self._rank
        if below and not exact:
            self._ignored.append(path)
            return
        if not below:
            self._keys.add(path)
        self._exact &= exact
        if not inside:
            self._conditions.append(Condition(table, keyword, column, criterion, clause))
        for deviation, own, others in self._deviations:
            if keyword in deviation.keywords:
                own.append(clause)
                others.append(self._clause(deviation.table, deviation.table[keyword], criterion)[0])
                return
        self._clauses.append(
            self._below(table, clause, few=_names_uids(column, criterion)) if below else clause
        )

    def plan(self) -> Plan:
        besides: dict[str, Clause] = {}
        for deviation, own, others in self._deviations:
            if own:
                some = self._in_a_series(deviation.table, all_of(others))
                self._clauses.append(any_of((all_of(own), some)))
                besides |= dict.fromkeys(deviation.keywords, some)
        clause, keys, ignored = all_of(self._clauses), frozenset(self._keys), tuple(self._ignored)
        conditions, alone = tuple(self._conditions), self._alone and not besides
        return Plan(clause, self._exact, keys, ignored, conditions, besides, alone)

    def _name_of(self, table: Table, column: Column) -> str:
        """Return the name of a column; SQLite uses no index of one that stands behind a plus."""
        shown = (
            self._visible is None or column.name in UID_KEYWORDS["instances"] or column.name in self._visible
        )
        return table.qualified(column) if shown else f"+{table.qualified(column)}"

    def _in_a_series(self, table: Table, clause: Clause) -> Clause:
        """Return the clause that a match is or has a series of which a row in a table satisfies a clause."""
        name = table.name
        if self._rank > 0:
            return Clause(
                f"series.id IN (SELECT {name}.series FROM {name} WHERE {clause.sql})", clause.values
            )
        return Clause(
            "study.id IN (SELECT of_series.study FROM series AS of_series"
            f" JOIN {name} ON {name}.series = of_series.id WHERE {clause.sql})",
            clause.values,
        )

    def _in_a_span(self, keyword: str) -> bool:
        """Add the clause of a date with its time, and return whether the keyword is one of such a pair."""
        for date, time in COMBINED.items():
            if keyword in (date, time):
                criteria = self._query.criteria
                span = combined(criteria.get(date), criteria.get(time))
                places = [found for found in (column_of(date), column_of(time)) if found is not None]
                if span is None or len(places) < 2:
                    return False
                if keyword == date:
                    table = places[0][0]
                    first, second = (self._name_of(*place) for place in places)
                    clause = _span(first, second, *span)
                    self._conditions.append(Condition(table, date, places[0][1], None, clause))
                    below = _RANK.index(table) > self._rank
                    self._alone &= _RANK.index(table) >= self._rank
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
            owner, tables = "series.study", "series JOIN instance ON instance.series = series.id"
        else:
            owner, tables = f"{table.name}.{upper.name}", table.name
        if few:
            inner = f"SELECT {owner} FROM {tables} WHERE {clause.sql}"
            return Clause(f"{upper.name}.id IN ({inner})", clause.values)
        inner = f"SELECT 1 FROM {tables} WHERE {clause.sql} AND {owner} = {upper.name}.id"
        return Clause(f"EXISTS ({inner})", clause.values)

    def _clause(self, table: Table, column: Column, criterion: Criterion) -> tuple[Clause, bool]:
        keyword, name = column.name, self._name_of(table, column)
        number, several = column.kind == "number", keyword in MULTIVALUED
        match criterion:
            case Empty():
                return Clause(f"{name} IS NULL" if number else f"{name} = ''"), True
            case OneOf(values) if number:
                numbers = [int(value) for value in values if value.lstrip("-").isdigit() and len(value) < 19]
                return one_of(name, numbers), True
            case OneOf(values) if several:
                return any_of(self._glob(name, f"*\\{_literal(value)}\\*") for value in values), True
            case OneOf(values):
                return one_of(name, values), True
            case Wildcard(patterns) if several:
                return any_of(self._glob(name, f"*\\{pattern}\\*") for pattern in patterns), False
            case Wildcard(patterns):
                return any_of(self._like(name, pattern) for pattern in patterns), True
            case Interval(low=low, high=high):
                bounds = [Clause(f"{name} >= ?", (low,))] if low else []
                bounds += [Clause(f"{name} <= ?", (high,))] if high else []
                return all_of((Clause(f"{name} <> ''"), *bounds)), True
            case Name(patterns) if keyword in FOLDED:
                groups = self._groups(table, keyword)
                return any_of(self._name(groups, pattern) for pattern in patterns), True
            case FuzzyName(words) if keyword in FOLDED:
                groups = self._groups(table, keyword)
                return all_of(self._near(groups, word) for word in words), False
            case NameWords(words) if keyword in FOLDED:
                groups = self._groups(table, keyword)
                inside = (any_of(self._glob(group, f"*{word}*") for group in groups) for word in words)
                return all_of(inside), True
        return Clause(f"{name} <> ''"), False

    def _groups(self, table: Table, keyword: str) -> list[str]:
        return [self._name_of(table, table[keyword + group]) for group in COMPONENT_GROUPS]

    def _name(self, groups: Sequence[str], pattern: str) -> Clause:
        if "=" not in pattern:
            if pattern.strip("*"):
                return any_of(self._like(group, pattern) for group in groups)
            return any_of(Clause(f"{group} <> ''") for group in groups)
        pairs = zip(groups, pattern.split("="), strict=False)
        return all_of(self._like(group, wanted) for group, wanted in pairs if wanted)

    def _near(self, groups: Sequence[str], word: str) -> Clause:
        # With one letter amiss, one half of the word is still there in full.
        half = len(word) // 2
        pieces = [word] if len(word) < NEAR_WORD else [word[:half], word[half:]]
        return any_of(self._glob(group, f"*{_literal(piece)}*") for group in groups for piece in pieces)

    def _like(self, name: str, pattern: str) -> Clause:
        """Compare with a pattern; its fixed beginning is a range too, which an index can serve.

        PostgreSQL finds that range by itself, and would take both for conditions that narrow each other.
        """
        if "*" not in pattern and "?" not in pattern:
            return Clause(f"{name} = ?", (pattern,))
        if self._glob is standard_like:
            return self._glob(name, pattern)
        fixed = pattern[: min(at for at in (pattern.find("*"), pattern.find("?")) if at >= 0)]
        clause = self._glob(name, pattern)
        if fixed and ord(fixed[-1]) < 0xD7FF:
            after = fixed[:-1] + chr(ord(fixed[-1]) + 1)
            return all_of((Clause(f"{name} >= ? AND {name} < ?", (fixed, after)), clause))
        return clause


def _literal(text: str) -> str:
    return text.replace("*", "").replace("?", "")


def sqlite_glob(name: str, pattern: str) -> Clause:
    """Compare with ``*`` and ``?`` in SQLite, where LIKE would not distinguish A from a."""
    return Clause(f"{name} GLOB ?", (pattern.replace("[", "[[]"),))


def standard_like(name: str, pattern: str) -> Clause:
    """Compare with ``*`` and ``?`` in standard SQL."""
    escaped = re.sub(r"[!%_]", r"!\g<0>", pattern).replace("*", "%").replace("?", "_")
    return Clause(f"{name} LIKE ? ESCAPE '!'", (escaped,))


def _names_uids(column: Column, criterion: Criterion) -> bool:
    return isinstance(criterion, OneOf) and column.name in UID_KEYWORDS["instances"]


def _span(date: str, time: str, dates: Interval, times: Interval) -> Clause:
    # The bounds of the dates alone are ranges that an index can serve.
    parts = [Clause(f"{date} <> ''")]
    if dates.low:
        parts.append(
            Clause(f"{date} >= ? AND ({date} > ? OR {time} >= ?)", (dates.low, dates.low, times.low))
        )
    if dates.high and times.high:
        parts.append(
            Clause(f"{date} <= ? AND ({date} < ? OR {time} <= ?)", (dates.high, dates.high, times.high))
        )
    elif dates.high:
        parts.append(Clause(f"{date} <= ?", (dates.high,)))
    return all_of(parts)
