"""Instances that wait to be committed, and the rows that they become."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dicomdock.archive.index.attributes import COMPONENT_GROUPS, FOLDED
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.counters import add_to_series, add_to_study, count_series, count_study
from dicomdock.archive.index.mapping import (
    SERIES_TAGS,
    STUDY_TAGS,
    Row,
    instance_row,
    series_row,
    study_columns,
    study_row,
    study_text_of,
)
from dicomdock.archive.index.offsets import counting_instances
from dicomdock.archive.index.queries import known_rows, mark_used
from dicomdock.archive.index.schema import DEVIATIONS, Table, instance, remark, series, study
from dicomdock.archive.storage.backend import Storage
from dicomdock.archive.storage.journal import Stored, StoredInstance
from dicomdock.archive.storage.local import relative_path
from dicomdock.dicom.header import Header
from dicomdock.dicom.resource import Resource

AddStatus = Literal["stored", "identical", "conflict", "replaced"]


@dataclass(frozen=True, slots=True)
class PendingInstance:
    """A whole file that waits to be committed.

    Parameters
    ----------
    resource : its UIDs.
    header : its attributes.
    temporary : the file that it is in until then.
    size : bytes.
    digest : SHA-256, hexadecimal.
    replace : it replaces another with the same UID.
    repair : it restores a damaged or missing file of the same bytes.
    remarks : what is odd about it although it is stored, a sentence each.
    """

    resource: Resource
    header: Header
    temporary: Path
    size: int
    digest: str
    replace: bool = False
    repair: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def relative_path(self) -> str:
        """Path of its file below ``files/``."""
        assert self.resource.series
        assert self.resource.instance
        return relative_path(self.resource.study, self.resource.series, self.resource.instance)

    def key(self, storage: Storage, digest: str | None = None) -> str:
        """Return the key of its file in a storage, or of another of the same UIDs."""
        resource = self.resource
        uids = resource.study, resource.series or "", resource.instance or ""
        return storage.key(*uids, self.digest if digest is None else digest)


def _by_series(pending: Iterable[PendingInstance]) -> dict[tuple[str, str], list[PendingInstance]]:
    groups: dict[tuple[str, str], list[PendingInstance]] = {}
    for item in pending:
        groups.setdefault((item.resource.study, item.resource.series or ""), []).append(item)
    return groups


def stored_records(
    pending: Iterable[PendingInstance], origin: str, made_here: bool, at: float
) -> Iterator[Stored]:
    """Return the journal's records of instances, one for each series."""
    for (study_uid, series_uid), group in _by_series(pending).items():
        instances = [
            StoredInstance(item.resource.instance or "", item.size, item.digest, item.remarks)
            for item in group
        ]
        yield Stored(study_uid, series_uid, instances, origin, made_here, at)


def insert_instances(
    connection: Connection,
    pending: Sequence[PendingInstance],
    *,
    origin: str,
    made_here: bool,
    at: float | None = None,
) -> None:
    """Insert the rows of instances that have none, and update the counts of their series and studies.

    Parameters
    ----------
    at : seconds since the epoch, when they were stored; None for now.
    """
    now = time.time() if at is None else at
    studies: dict[str, int] = {}
    classes: dict[int, set[str]] = {}
    for (study_uid, series_uid), group in _by_series(pending).items():
        if study_uid not in studies:
            studies[study_uid] = _ensure(
                connection, study, {"StudyInstanceUID": study_uid}, study_row, group[0].header, {"added": now}
            )
        study_id = studies[study_uid]
        unique: Row = {"study": study_id, "SeriesInstanceUID": series_uid}
        moments: Row = {"added": now, "used": now}
        series_id = _ensure(connection, series, unique, series_row, group[0].header, moments)
        _fill_study(connection, study_id, group)
        _fill(connection, series, series_id, group, series_row, SERIES_TAGS)
        _add_deviations(connection, study_id, series_id, group)
        common: Row = {"series": series_id, "origin": origin, "made_here": made_here, "added": now}
        rows = [{**_instance_row(item), **common} for item in group]
        with counting_instances(connection):
            connection.insert(instance, map(instance.values, rows))
        _add_remarks(connection, group)
        add_to_series(connection, series_id, [item.size for item in group])
        mark_used(connection, [series_id])  # a long pull must not be evicted while it goes on
        classes.setdefault(study_id, set()).update(str(row["SOPClassUID"]) for row in rows)
    for study_id, added in classes.items():
        add_to_study(connection, study_id, added)


def _add_remarks(connection: Connection, pending: Iterable[PendingInstance]) -> None:
    odd = {item.resource: item for item in pending if item.remarks}
    if odd:
        numbers = known_rows(connection, odd)
        rows = [(numbers[one][0], "\n".join(item.remarks)) for one, item in odd.items()]
        connection.insert(remark, rows)


def _fill_study(connection: Connection, study_id: int, pending: Sequence[PendingInstance]) -> None:
    """Fill empty columns of a study from its own patient's instances."""
    row = connection.first('SELECT "PatientID" FROM study WHERE id = ?', study_id)
    own = ("", row[0]) if row is not None and row[0] else None
    same = [one for one in pending if own is None or study_text_of(one.header, "PatientID") in own]
    _fill(connection, study, study_id, same, study_row, STUDY_TAGS)


def _fill(
    connection: Connection,
    table: Table,
    row_id: int,
    pending: Sequence[PendingInstance],
    row_of: Callable[[Header], Row],
    tags: Mapping[str, int],
) -> None:
    """Fill the empty columns of a row from whichever instance has values for them."""
    columns = ", ".join(table[keyword].quoted for keyword in tags)
    stored = connection.first(f"SELECT {columns} FROM {table.name} WHERE id = ?", row_id)
    assert stored is not None
    empty = {
        keyword: tag
        for (keyword, tag), value in zip(tags.items(), stored, strict=True)
        if value in ("", None)
    }
    found: Row = {}
    for item in pending:
        raw = item.header.raw
        if raw.keys().isdisjoint(empty.values()) or not any(raw.get(tag) for tag in empty.values()):
            continue
        row = row_of(item.header)
        for keyword in [keyword for keyword in empty if row[keyword] not in ("", None)]:
            names = (
                (keyword, *(keyword + group for group in COMPONENT_GROUPS))
                if keyword in FOLDED
                else (keyword,)
            )
            found |= {name: row[name] for name in names}
            del empty[keyword]
    if found:
        connection.execute(table.update(found), *found.values(), row_id)


def _add_deviations(
    connection: Connection, study_id: int, series_id: int, pending: Sequence[PendingInstance]
) -> None:
    """Add what instances of a series state otherwise than their study."""
    keys = ", ".join(study[one.key].quoted for one in DEVIATIONS)
    stored = connection.first(f"SELECT {keys} FROM study WHERE id = ?", study_id)
    assert stored is not None
    for deviation, own in zip(DEVIATIONS, stored, strict=True):
        tag = STUDY_TAGS[deviation.key]
        headers = {item.header.raw.get(tag): item.header for item in pending}.values()
        rows = [
            deviation.table.values({**study_columns(header, deviation.keywords), "series": series_id})
            for header in headers
            if study_text_of(header, deviation.key) not in ("", own)
        ]
        if rows:
            connection.execute_many(deviation.table.insert_or_pass, rows)


def _instance_row(item: PendingInstance) -> Row:
    return {
        **instance_row(item.header),
        "SOPInstanceUID": item.resource.instance,
        "TransferSyntaxUID": item.header.transfer_syntax[:64],
        "size": item.size,
        "digest": item.digest,
    }


def replace_rows(
    connection: Connection,
    replaced: Sequence[tuple[int, PendingInstance]],
    *,
    origin: str = "",
    made_here: bool = False,
    at: float,
) -> None:
    """Update the rows for files that replaced others, and the counts of their series and studies once.

    No server is known to have these bytes but the one that they came from.

    Parameters
    ----------
    replaced : the ``id`` of the instance's row, and what it becomes.
    at : seconds since the epoch, when they were stored.
    """
    # What was corrected is often the patient, so series and study become what the last of theirs states.
    of_series: dict[int, PendingInstance] = {}
    of_study: dict[int, PendingInstance] = {}
    items_of: dict[tuple[int, int], list[PendingInstance]] = {}
    for number, item in replaced:
        row = {**_instance_row(item), "origin": origin, "made_here": made_here, "added": at}
        connection.execute(instance.update(row), *row.values(), number)
        levels = connection.first(_LEVELS, number)
        assert levels is not None
        of_series[levels[0]] = of_study[levels[1]] = item
        items_of.setdefault((levels[1], levels[0]), []).append(item)
    numbers = [(number,) for number, _ in replaced]
    connection.execute_many("DELETE FROM sent WHERE instance = ?", numbers)
    connection.execute_many("DELETE FROM remark WHERE instance = ?", numbers)
    _add_remarks(connection, [item for _, item in replaced])
    connection.execute_many(
        "DELETE FROM replacing WHERE path = ?", [(one.relative_path,) for _, one in replaced]
    )
    for number, item in of_series.items():
        row = {**series_row(item.header), "SeriesInstanceUID": item.resource.series}
        connection.execute(series.update(row), *row.values(), number)
        count_series(connection, number)
    for number, item in of_study.items():
        _let_others_deviate(connection, number, item.header, of_series)
        row = {**study_row(item.header), "StudyInstanceUID": item.resource.study}
        connection.execute(study.update(row), *row.values(), number)
        count_study(connection, number)
    for (study_id, series_id), items in items_of.items():
        for deviation in DEVIATIONS:
            connection.execute(f"DELETE FROM {deviation.table.name} WHERE series = ?", series_id)
        _add_deviations(connection, study_id, series_id, items)


def _let_others_deviate(
    connection: Connection, study_id: int, header: Header, replaced: Container[int]
) -> None:
    """Note what a study's series state before the study is described by the header of a replaced instance."""
    for deviation in DEVIATIONS:
        table, key, columns = deviation.table, deviation.key, deviation.columns
        names = ", ".join(study[name].quoted for name in columns)
        stored = connection.first(f"SELECT {names} FROM study WHERE id = ?", study_id)
        assert stored is not None
        own: Row = dict(zip(columns, stored, strict=True))
        if own[key] in ("", study_text_of(header, key)):
            continue
        found = connection.column(deviation.own_series, study_id)
        rows = [table.values({**own, "series": number}) for number in found if number not in replaced]
        connection.execute_many(table.insert_or_pass, rows)


def refill_row(connection: Connection, instance_id: int, item: PendingInstance) -> None:
    """Fill what the rows lack once a damaged or missing file is there again with the same bytes.

    A row that was made from the journal alone has the UIDs only.
    """
    row = _instance_row(item)
    connection.execute(instance.update(row), *row.values(), instance_id)
    levels = connection.first(_LEVELS, instance_id)
    assert levels is not None
    series_id, study_id = levels
    _fill_study(connection, study_id, [item])
    _fill(connection, series, series_id, [item], series_row, SERIES_TAGS)
    count_series(connection, series_id)
    count_study(connection, study_id)


_LEVELS = """
SELECT series.id, series.study FROM instance JOIN series ON instance.series = series.id WHERE instance.id = ?
"""


def _ensure(
    connection: Connection,
    table: Table,
    unique: Row,
    row_of: Callable[[Header], Row],
    header: Header,
    others: Row,
) -> int:
    """Return the id of a row, which is inserted where it is missing.

    Most instances belong to a series that has its row already, so that row is not made from their headers.

    Parameters
    ----------
    unique : the columns that identify the row.
    row_of : makes the columns that the header states.
    others : the columns that it does not state.
    """
    wanted = (
        f"SELECT id FROM {table.name} WHERE {' AND '.join(f'{table[name].quoted} = ?' for name in unique)}"
    )
    found = connection.first(wanted, *unique.values())
    if found is None:
        connection.execute(table.insert, *table.values({**row_of(header), **unique, **others}))
        found = connection.first(wanted, *unique.values())
    assert found is not None
    return int(found[0])
