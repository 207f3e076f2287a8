"""Write the order that a query asks for as SQL: what has no value last, and no two matches at one rank."""

from __future__ import annotations

from dicomdock.archive.index.attributes import COMPONENT_GROUPS, FOLDED
from dicomdock.archive.index.criteria_sql import TABLES, column_of
from dicomdock.archive.index.paging import Order
from dicomdock.archive.index.schema import instance, series, study
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
    columns: dict[str, None] = {}
    turned: set[str] = set()
    for part in query.order:
        keyword = part.removeprefix("-")
        if not can_sort(query, keyword):
            continue
        missing, value = _rank(keyword)
        if value not in columns:
            columns |= {missing: None, value: None}
            turned |= {value} if part.startswith("-") else set()
    if not columns:
        return None
    return Order((*columns, f"{TABLES[query.level].name}.id"), turned=frozenset(turned))


def _rank(keyword: str) -> tuple[str, str]:
    """Return what an attribute is sorted by: whether it is missing, and its value, neither of them NULL."""
    found = column_of(keyword)
    assert found is not None
    table, column = found
    if keyword in FOLDED:
        column = table[keyword + COMPONENT_GROUPS[0]]
    name = table.qualified(column)
    if column.kind == "number":
        return f"CASE WHEN {name} IS NULL THEN 1 ELSE 0 END", f"COALESCE({name}, 0)"
    return f"CASE WHEN {name} <> '' THEN 0 ELSE 1 END", f"COALESCE({name}, '')"
