"""Search the index, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from dicomdock.archive.index.access import Condition, few_rows, is_sparse, served
from dicomdock.archive.index.attributes import (
    INSTANCE_KEYWORDS,
    SEQUENCE,
    SERIES_KEYWORDS,
    STUDY_KEYWORDS,
)
from dicomdock.archive.index.clauses import Clause, all_of, one_of_ids
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.criteria_sql import TABLES, Plan, column_of, plan
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.mapping import json_writer
from dicomdock.archive.index.offsets import COUNTED, Counted
from dicomdock.archive.index.ordering import asked_order, asked_stretches, can_sort
from dicomdock.archive.index.paging import Order, Rows, Stretches
from dicomdock.archive.index.queries import ArchivedInstance, instances_of
from dicomdock.archive.index.schema import ALL_LEVELS, DEVIATIONS, Deviation, Table
from dicomdock.archive.storage.backend import Storage
from dicomdock.archive.storage.local import IntegrityCheck
from dicomdock.dicom.criteria import Interval
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.errors import DamagedInstances, WireError
from dicomdock.sources import JsonValue, Match, Page

FIRST_PAGE, LARGEST_PAGE = 100, 2000  # the first is there at once; later ones save round trips

_STUDY = (
    *STUDY_KEYWORDS,
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "InstanceAvailability",
)
_SERIES = (*SERIES_KEYWORDS, SEQUENCE, "NumberOfSeriesRelatedInstances")
_INSTANCE = (*INSTANCE_KEYWORDS, "AvailableTransferSyntaxUID", "InstanceAvailability")
_OWN: Mapping[SearchLevel, Sequence[str]] = {"studies": _STUDY, "series": _SERIES, "instances": _INSTANCE}
_ABOVE: Mapping[SearchLevel, Sequence[tuple[str, Sequence[str]]]] = {
    "studies": (),
    "series": (("StudyInstanceUID", _STUDY),),
    "instances": (("StudyInstanceUID", _STUDY), ("SeriesInstanceUID", _SERIES)),
}

# Numbers order only what belongs together; ids order a list from everywhere without sorting it first.
_ORDERS: Mapping[SearchLevel, Order] = {
    "studies": Order(('study."StudyDate"', 'study."StudyTime"', "study.id"), descending=True),
    "series": Order(("series.id",)),
    "instances": Order(("instance.id",)),
}
_LATEST_FIRST = (("-StudyDate",), ("-StudyDate", "-StudyTime"))  # is the order of ``_ORDERS``
_BY_NUMBER: Mapping[SearchLevel, Order] = {
    "series": Order(('series."SeriesNumber" NULLS LAST', "series.id"), keyed=False),
    "instances": Order(
        (
            'series."SeriesNumber" NULLS LAST',
            "series.id",
            'instance."InstanceNumber" NULLS LAST',
            "instance.id",
        ),
        keyed=False,
    ),
}
_TABLES: Mapping[SearchLevel, str] = {
    "studies": "study",
    "series": "series JOIN study ON series.study = study.id",
    "instances": ALL_LEVELS,
}


def search(index: Index, storage: Storage, integrity: IntegrityCheck, query: Query) -> Iterator[Page]:
    """Answer a query in the order that it asks for, else the latest studies first, series and instances by
    their numbers.

    A match carries what the index has of its level. What it has of the levels above comes too where the query
    does not name them by UID, or asks for it.
    """
    deviations = _deviations(index, query)
    planned = plan(query, index.dialect, deviations=deviations)
    keywords = returned_keywords(query)
    warnings = tuple(
        f"{keyword} is not in the local index; the answer was not narrowed by it."
        for keyword in planned.ignored
    ) + tuple(
        f"{keyword} is not in the local index at this level; the answer was not sorted by it."
        for keyword in (part.removeprefix("-") for part in query.order)
        if not can_sort(query, keyword)
    )
    own = _OWN[query.level]
    write = json_writer(keywords, [keyword for keyword in keywords if keyword not in own])
    not_indexed = fields_not_indexed(query)
    left, skip, size = query.limit, query.offset, FIRST_PAGE
    with index.reading() as connection:
        rows_from = _rows_of(connection, query, planned, keywords, deviations)
        if planned.exact:
            rows_from.pass_over(connection, skip)
            skip = 0
    while True:
        wanted = min(size, left) if planned.exact and left is not None else size
        with index.reading() as connection:
            rows = rows_from.next(connection, wanted)
            matches = [Match(write(row)) for row in rows]
            for deviation in deviations:
                matches = [_as_stated(connection, match, query, deviation) for match in matches]
        more = rows_from.more
        if not planned.exact:
            matches = [match for match in matches if query.matches(match.attributes, keys=planned.keys)]
            skip, matches = max(0, skip - len(matches)), matches[skip:]
        if left is not None:
            more = more or len(matches) > left
            matches = matches[:left]
            left -= len(matches)
        done = not more or left == 0
        if not_indexed:
            reader = _Fields(index, storage, integrity, not_indexed)
            matches = [reader.added_to(match) for match in matches]
            warnings += reader.warnings
        if matches or done:
            yield Page(tuple(matches), more=more, warnings=warnings)
            warnings = ()
        if done:
            return
        size = min(size * 4, LARGEST_PAGE)


def _deviations(index: Index, query: Query) -> tuple[Deviation, ...]:
    """Return what a query asks for and some series state otherwise than their study."""
    asked = [one for one in DEVIATIONS if not query.criteria.keys().isdisjoint(one.keywords)]
    if not asked:
        return ()
    with index.reading() as connection:
        return tuple(one for one in asked if connection.first(f"SELECT series FROM {one.table.name} LIMIT 1"))


def _as_stated(connection: Connection, match: Match, query: Query, deviation: Deviation) -> Match:
    """Return a match with what the query asks for as a series states it, where the study does not."""
    table = deviation.table
    keys = frozenset(keyword for keyword in query.criteria if keyword in deviation.keywords)
    if query.matches(match.attributes, keys=keys):
        return match
    resource = resource_in(match.attributes)
    study_uid = resource.study if resource is not None else query.match.get("StudyInstanceUID", "")
    series_uid = resource.series if resource is not None else None
    inside = [Clause('study."StudyInstanceUID" = ?', (study_uid,))]
    inside += [Clause('series."SeriesInstanceUID" = ?', (series_uid,))] if series_uid is not None else []
    of_match = all_of(inside)
    columns = ", ".join(table.qualified(table[keyword]) for keyword in deviation.keywords)
    found = f"""
        SELECT {columns} FROM {table.name}
        JOIN series ON {table.name}.series = series.id JOIN study ON series.study = study.id
        WHERE {of_match.sql}
    """
    write = json_writer(deviation.keywords, ())
    for row in connection.all(found, *of_match.values):
        stated = write(row)
        if query.matches({**match.attributes, **stated}, keys=keys):
            return Match(dict(sorted({**match.attributes, **stated}.items())))
    return match


def returned_keywords(query: Query) -> tuple[str, ...]:
    """Choose what a match carries."""
    wanted = list(_OWN[query.level])
    for uid, above in _ABOVE[query.level]:
        named = query.match.get(uid, "")
        asked = {name.partition(".")[0] for name in (*query.match, *query.fields)}
        wanted += above if not named or "all" in asked else [uid, *(name for name in above if name in asked)]
    return tuple(dict.fromkeys(wanted))


def fields_not_indexed(query: Query) -> tuple[str, ...]:
    """Name the wanted attributes that only the files have."""
    asked = {
        name.partition(".")[0]
        for name in (*query.fields, *(key for key in query.match if not query.match[key]))
    }
    given = ("all", "InstanceAvailability", "RetrieveURL", "SpecificCharacterSet")
    return tuple(sorted(name for name in asked if name not in given and column_of(name) is None))


class _Fields:
    """Adds attributes from the first file of each match, compared with its digest before.

    A file that is damaged, missing or cannot be read adds none.

    Parameters
    ----------
    index, storage, integrity : of the archive.
    keywords : the attributes.
    """

    def __init__(
        self, index: Index, storage: Storage, integrity: IntegrityCheck, keywords: Sequence[str]
    ) -> None:
        self._index, self._storage, self._integrity, self._keywords = index, storage, integrity, keywords
        self._damaged: list[Resource] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """Name the damaged files."""
        if not self._damaged:
            return ()
        return (f"{', '.join(self._keywords)} cannot be read: {DamagedInstances(self._damaged)}",)

    def added_to(self, match: Match) -> Match:
        """Return a match with the attributes."""
        from dicomdock.archive.metadata import read_fields

        study_uid = text(match.attributes, "StudyInstanceUID")
        series_uid = text(match.attributes, "SeriesInstanceUID") or None
        resource = Resource(study_uid, series_uid, text(match.attributes, "SOPInstanceUID") or None)
        first = self._first(resource)
        found: Mapping[str, JsonValue] = {}
        if first is not None and self._integrity.is_intact(first):
            with suppress(OSError, WireError):
                found = read_fields(first.path, self._keywords)
        elif first is not None and self._first(first.resource) is not None:  # else it was removed meanwhile
            self._damaged.append(first.resource)
        return Match(dict(sorted({**found, **match.attributes}.items())))

    def _first(self, resource: Resource) -> ArchivedInstance | None:
        with self._index.reading() as connection:
            return next(instances_of(connection, self._storage, resource, limit=1), None)


def _column(keyword: str) -> str:
    if keyword == "InstanceAvailability":
        return "'ONLINE'"
    found = column_of(keyword)
    assert found is not None
    table, column = found
    return table.qualified(column)


def _rows_of(
    connection: Connection,
    query: Query,
    planned: Plan,
    keywords: Sequence[str],
    deviations: Sequence[Deviation],
) -> Rows | Stretches:
    """Return the rows that satisfy a plan, in the order of the answer."""
    named = bool(query.match.get("StudyInstanceUID") or query.match.get("SeriesInstanceUID"))
    by_uid = named or "SOPInstanceUID" in query.match
    table = TABLES[query.level]
    ids = None if by_uid else few_rows(connection, table, planned.conditions, planned.besides)
    order = _ORDERS[query.level] if query.level == "studies" or not named else _BY_NUMBER[query.level]
    asked = None if query.level == "studies" and query.order in _LATEST_FIRST else asked_order(query)
    stretches = asked_stretches(query) if asked and not by_uid and ids is None else []
    visible: set[str] = set()
    if ids is None and not by_uid and not stretches:
        visible = {each.keyword for each in planned.conditions if each.table is table and each.gives_order}
        visible = {*sorted(visible)[:1], "StudyDate"}
    clause = plan(query, connection.dialect, deviations=deviations, visible=visible).clause
    if ids is not None:
        clause = all_of((one_of_ids(f"{table.name}.id", ids, connection.dialect), clause))
    columns, tables = [_column(keyword) for keyword in keywords], _TABLES[query.level]
    # An order that is asked for may be one by columns of the levels above.
    alone = planned.alone and not named and (asked is None or query.level == "studies")
    narrow = table.name if alone else tables
    if alone and ids is None and not by_uid and planned.conditions:
        walked = all_of(each.clause for each in planned.conditions if each.keyword in visible)
        first = stretches[0][1] if stretches else order
        if is_sparse(connection, table, walked, clause, first):
            by_index = all_of((*served(connection, table, planned.conditions), planned.clause))
            found_by = f"{table.name}.id"
            return Rows(columns, tables, narrow, by_index, asked or order.sorting(), found_by=found_by)
    if stretches:
        return Stretches(
            [Rows(columns, tables, narrow, all_of((part, clause)), each) for part, each in stretches]
        )
    counted = _counted(table, planned.conditions, clause) if alone and asked is None else None
    return Rows(columns, tables, narrow, clause, asked or order, counted=counted, any_=ids != [])


def _counted(table: Table, conditions: Sequence[Condition], clause: Clause) -> Counted | None:
    """Return the counts of the rows that satisfy a clause; None where it is more than their bounds."""
    counted = COUNTED[table.name]
    if clause == all_of(()):
        return counted
    for one in conditions:
        if one.clause == clause and one.column.name == counted.column and isinstance(one.criterion, Interval):
            return replace(counted, low=one.criterion.low, high=one.criterion.high)
    return None
