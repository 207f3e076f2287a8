"""Choose how the rows that a search may match are reached, so that none reads the whole index.

Where few rows satisfy one of the conditions, an index names them and only they are looked at. Where many
satisfy each of them, the rows are read in the order of the answer, which mostly has a page full soon; where
it has not, they are found by the indexes of the conditions and sorted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dicomdock.archive.index import text_search
from dicomdock.archive.index.attributes import FOLDED, MULTIVALUED
from dicomdock.archive.index.clauses import NOTHING, Clause, one_of, one_of_ids
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.mapping import split_values
from dicomdock.archive.index.paging import Order
from dicomdock.archive.index.schema import Column, Table, instance, series, study
from dicomdock.dicom.criteria import Criterion, Empty, Interval, Name, OneOf, Wildcard, accepts
from dicomdock.dicom.dictionary import vr_of

FEW = 5000  # rows that are looked at one by one
HEAD, PAGE = 2000, 50  # rows that are read in the order of the answer, and matches among them that suffice
DISTINCT = 1000  # values of a column that are looked at one by one
_RANK = (study, series, instance)


@dataclass(frozen=True)
class Condition:
    """One condition of a search.

    Parameters
    ----------
    table : whose columns it is about.
    keyword : the attribute.
    column : that holds it.
    criterion : what it asks for; None where that is a span of a date and a time.
    clause : the same in SQL.
    """

    table: Table
    keyword: str
    column: Column
    criterion: Criterion | None
    clause: Clause

    @property
    def gives_order(self) -> bool:
        """Whether the index of the column has its matches in the order of the answer."""
        one = isinstance(self.criterion, OneOf) and len(self.criterion.values) == 1
        return (one or isinstance(self.criterion, Empty)) and self.keyword not in MULTIVALUED | FOLDED


def few_rows(
    connection: Connection,
    wanted: Table,
    conditions: Sequence[Condition],
    besides: Mapping[str, Clause],
) -> list[int] | None:
    """Return the ids of all rows that may match; None where every condition leaves many.

    Parameters
    ----------
    wanted : table of the matches.
    besides : by attribute, what matches whatever the condition on it.
    """
    # The outer rows of an instance are not needed: the clauses name series or studies by their ids.
    owner = "series JOIN instance ON instance.series = series.id" if wanted is instance else wanted.name
    others = {
        clause: _at_most(connection, f"{wanted.name}.id", owner, clause, FEW)
        for clause in {*besides.values()}
    }
    best: list[int] | None = None
    for condition in conditions:
        found = _rows(connection, wanted, condition)
        if condition.keyword in besides:
            more = others[besides[condition.keyword]]
            found = None if found is None or more is None else list({*found, *more})
        if found is not None and (best is None or len(found) < len(best)):
            best = found
        if best is not None and not best:
            break
    return best


def is_sparse(connection: Connection, wanted: Table, walked: Clause, clause: Clause, order: Order) -> bool:
    """Return whether few of the first rows in an order satisfy a clause: fewer than fill a page.

    Parameters
    ----------
    walked : all rows that are read in this order satisfy it, the index sees to that.
    """
    # Were the clause among what is selected, PostgreSQL would look up an EXISTS for the whole table at once.
    used = dict.fromkeys(["id", *re.findall(rf'\b{wanted.name}\.("\w+")', clause.sql)])
    statement = f"""
        SELECT 1 FROM (
            SELECT {", ".join(used)} FROM {wanted.name} WHERE {walked.sql} ORDER BY {order.sql} LIMIT {HEAD}
        ) AS {wanted.name} WHERE {clause.sql} LIMIT {PAGE}
    """
    if len(connection.all(statement, *walked.values, *clause.values)) == PAGE:
        return False
    behind = f"SELECT 1 FROM {wanted.name} WHERE {walked.sql} ORDER BY {order.sql} LIMIT 1 OFFSET {HEAD}"
    return connection.first(behind, *walked.values) is not None


def served(connection: Connection, wanted: Table, conditions: Sequence[Condition]) -> list[Clause]:
    """Return what indexes find of the conditions on the matches' own columns."""
    found: list[Clause] = []
    for condition in conditions:
        serving = _serving(connection, condition) if condition.table is wanted else None
        if serving is None:
            continue
        tables, clause = serving
        if tables != wanted.name:
            inner = f"SELECT rowid FROM {tables} WHERE {clause.sql}"
            clause = Clause(f"{wanted.name}.id IN ({inner})", clause.values)
        found.append(clause)
    return found


def _rows(connection: Connection, wanted: Table, condition: Condition) -> list[int] | None:
    serving = _serving(connection, condition)
    if serving is None:
        return None
    tables, clause = serving
    if clause == NOTHING:
        return []
    own, level = _RANK.index(condition.table), _RANK.index(wanted)
    if own <= level:
        name = f"{tables}.id" if tables == condition.table.name else f"{tables}.rowid"
        found = _at_most(connection, name, tables, clause, FEW)
        for upper, lower in pairwise(_RANK[own : level + 1]):
            found = _related(connection, f"{lower.name}.id", lower, f"{lower.name}.{upper.name}", found, FEW)
        return found
    # Several of them may belong to one match.
    owner = _RANK[own - 1]
    found = _at_most(connection, f"{tables}.{owner.name}", tables, clause, 4 * FEW)
    if own - level == 2:
        found = _related(connection, "series.study", series, "series.id", found, 4 * FEW)
    return found if found is not None and len(found) <= FEW else None


def _related(
    connection: Connection, name: str, table: Table, key: str, ids: Sequence[int] | None, most: int
) -> list[int] | None:
    """Return the numbers in a column of the rows whose key is one of these; None where they are many.

    A join would leave it to the database where to begin, and PostgreSQL reads the whole table for some
    thousand rows.
    """
    if not ids:
        return None if ids is None else []
    return _at_most(connection, name, table.name, one_of_ids(key, ids, connection.dialect), most)


def _at_most(connection: Connection, name: str, tables: str, clause: Clause, most: int) -> list[int] | None:
    """Return the different numbers in a column; None where there are more rows than so many."""
    statement = f"SELECT {name} FROM {tables} WHERE {clause.sql} LIMIT {most + 1}"
    found = connection.column(statement, *clause.values)
    return list(dict.fromkeys(found)) if len(found) <= most else None


def _serving(connection: Connection, condition: Condition) -> tuple[str, Clause] | None:
    """Return table and clause of all rows that may satisfy a condition, served by an index."""
    table, criterion = condition.table, condition.criterion
    if criterion is None or _is_served(condition.keyword, criterion):
        return table.name, condition.clause
    pieces = text_search.pieces_of(condition.keyword, criterion) if table is study else None
    if pieces is not None and text_search.is_available(connection):
        return text_search.rows_with(connection, condition.keyword, pieces)
    values = _satisfying(connection, condition, criterion)
    if values is None:
        return None
    return table.name, one_of(table.qualified(condition.column), values)


def _is_served(keyword: str, criterion: Criterion) -> bool:
    """Return whether an index of the column finds what satisfies the clause of a criterion."""
    if keyword in MULTIVALUED:
        return isinstance(criterion, Empty)
    match criterion:
        case Empty() | OneOf() | Interval():
            return True
        case Wildcard(patterns):
            return all(pattern[0] not in "*?" for pattern in patterns)
        case Name(patterns) if keyword in FOLDED:
            return all(pattern and pattern[0] not in "*?=" and "=" not in pattern for pattern in patterns)
    return False


def _satisfying(connection: Connection, condition: Condition, criterion: Criterion) -> list[str] | None:
    """Return the values of a column that satisfy a criterion; None where it has very many values."""
    if condition.keyword in FOLDED or "." in condition.keyword:
        return None
    table = condition.table
    column = condition.column.quoted
    values = connection.column(
        f"""
        WITH RECURSIVE found (value) AS (
            SELECT min({column}) FROM {table.name}
            UNION ALL
            SELECT (SELECT min({column}) FROM {table.name} WHERE {column} > found.value)
            FROM found WHERE found.value IS NOT NULL
        )
        SELECT value FROM found WHERE value IS NOT NULL LIMIT {DISTINCT + 1}
        """
    )
    if len(values) > DISTINCT:
        return None
    vr, several = vr_of(condition.keyword), condition.keyword in MULTIVALUED
    return [
        value
        for value in values
        if accepts(criterion, vr, split_values(value) or [""] if several else [str(value)])
    ]
