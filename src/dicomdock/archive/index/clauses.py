"""Conditions in SQL with their values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dicomdock.archive.index.schema import Dialect, Value, marks


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition.

    Parameters
    ----------
    sql : with ``?`` for each value; it needs no brackets beside others.
    values : in their order.
    """

    sql: str
    values: tuple[Value, ...] = ()


NOTHING = Clause("1 = 0")
"""The condition that never holds."""


def all_of(clauses: Iterable[Clause]) -> Clause:
    """Return the condition that all hold; none is always true."""
    return _joined(" AND ", clauses, "1 = 1")


def any_of(clauses: Iterable[Clause]) -> Clause:
    """Return the condition that at least one holds; none is never true."""
    return _joined(" OR ", clauses, "1 = 0")


def one_of(expression: str, values: Iterable[Value]) -> Clause:
    """Return the condition that an expression has one of the values."""
    values = tuple(values)
    if len(values) == 1:
        return Clause(f"{expression} = ?", values)
    return Clause(f"{expression} IN ({marks(len(values))})", values) if values else NOTHING


def one_of_ids(expression: str, ids: Iterable[int], dialect: Dialect) -> Clause:
    """Return the condition that an expression is one of many numbers.

    SQLite bounds the values of a statement, so the numbers stand in it; PostgreSQL, which plans a list of
    thousands for tens of milliseconds, has them as one array.
    """
    numbers = ",".join(f"{number:d}" for number in ids)
    if not numbers:
        return NOTHING
    if dialect == "sqlite":
        return Clause(f"{expression} IN ({numbers})")
    return Clause(f"{expression} = ANY(CAST(? AS BIGINT[]))", (f"{{{numbers}}}",))


def _joined(word: str, clauses: Iterable[Clause], empty: str) -> Clause:
    clauses = tuple(clauses)
    if len(clauses) == 1:
        return clauses[0]
    values = tuple(value for clause in clauses for value in clause.values)
    return Clause(f"({word.join(clause.sql for clause in clauses) or empty})", values)
