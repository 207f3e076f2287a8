"""Write the order that a query asks for as SQL: what has no value last, and no two matches at one rank.

Matches of the same values are in the order in which the index of the first attribute has them.
"""

from __future__ import annotations

from collections.abc import Mapping

from dicomdock.archive.index.attributes import COMPONENT_GROUPS, FOLDED
from dicomdock.archive.index.clauses import Clause
from dicomdock.archive.index.criteria_sql import TABLES, column_of
from dicomdock.archive.index.mapping import MAX_NUMBER
from dicomdock.archive.index.paging import Order
from dicomdock.archive.index.schema import Column, Table, instance, series, study
from dicomdock.dicom.query import Query

_RANK = (study, series, instance)


def can_sort(query: Query, keyword: str) -> bool:
    """Return whether the index has one value of an attribute for each match: of its level or one above."""
    found = column_of(keyword)
    return found is not None and _RANK.index(found[0]) <= _RANK.index(TABLES[query.level])


def asked_order(query: Query) -> Order | None:
    """Return the order that a query asks for; None where it asks for none that the index has.

    Names are compared without case and accents.
    """
    keys = _keys(query)
    return _order(query, keys, keys) if keys else None


def asked_stretches(query: Query) -> list[tuple[Clause, Order]]:
    """Return the same order in stretches, one after the other, each of which an index has ready.

    Returns
    -------
    For each of them the condition on its rows and their order; none where no index has it.
    """
    keys = _keys(query)
    if not keys:
        return []
    first, *others = keys
    table, column = _place(first)
    if table is not TABLES[query.level]:
        return []
    name = table.qualified(column)
    rest = {keyword: keys[keyword] for keyword in others}
    if column.kind == "number":
        here = Clause(f"{name} > ?", (-MAX_NUMBER,))
        missing = [Clause(f"{name} IS NULL")] if column.optional else []
    else:
        here, missing = Clause(f"{name} > ?", ("",)), [Clause(f"{name} = ?", ("",))]
    return [
        (here, _order(query, keys, rest, {name: keys[first]})),
        *((clause, _order(query, keys, rest)) for clause in missing),
    ]


def _keys(query: Query) -> dict[str, bool]:
    """Return the attributes that the matches are sorted by, and whether the largest value is first."""
    keys: dict[str, bool] = {}
    for part in query.order:
        keyword = part.removeprefix("-")
        if can_sort(query, keyword):
            keys.setdefault(keyword, part.startswith("-"))
    return keys


def _order(
    query: Query,
    keys: Mapping[str, bool],
    sorted_by: Mapping[str, bool],
    before: Mapping[str, bool] | None = None,
) -> Order:
    """Return the order of columns that come before, then of attributes, then of what is alike."""
    columns: dict[str, bool] = dict(before or {})
    for keyword, falls in sorted_by.items():
        missing, value = _rank(keyword)
        columns |= {missing: False, value: falls}
    first, falls = next(iter(keys.items()))
    table = _place(first)[0]
    ties = ('study."StudyDate"', 'study."StudyTime"', "study.id") if table is study else (f"{table.name}.id",)
    for name in ties:
        columns.setdefault(name, falls is not (table is study))
    for below in _RANK[_RANK.index(table) + 1 : _RANK.index(TABLES[query.level]) + 1]:
        columns[f"{below.name}.id"] = False
    return Order(tuple(columns), turned=frozenset(name for name, falls in columns.items() if falls))


def _rank(keyword: str) -> tuple[str, str]:
    """Return what an attribute is sorted by: whether it is missing, and its value, neither of them NULL."""
    table, column = _place(keyword)
    name = table.qualified(column)
    if column.kind == "number":
        return f"CASE WHEN {name} IS NULL THEN 1 ELSE 0 END", f"COALESCE({name}, 0)"
    return f"CASE WHEN {name} <> '' THEN 0 ELSE 1 END", f"COALESCE({name}, '')"


def _place(keyword: str) -> tuple[Table, Column]:
    found = column_of(keyword)
    assert found is not None
    table, column = found
    return table, table[keyword + COMPONENT_GROUPS[0]] if keyword in FOLDED else column
