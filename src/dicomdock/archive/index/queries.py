"""Look up, mark and remove rows of the index within a transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicomdock.archive.index.clauses import Clause, all_of, one_of
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.counters import count_series, count_study
from dicomdock.archive.index.mapping import split_values
from dicomdock.archive.index.schema import (
    ALL_LEVELS,
    BY_NUMBER,
    DEVIATIONS,
    Deviation,
    deletions,
    instance,
    sent,
    series,
    study,
)
from dicomdock.archive.storage.backend import Storage
from dicomdock.dicom.resource import Resource

BATCH = 500  # values in one IN list


@dataclass(frozen=True, slots=True)
class ArchivedInstance:
    """An instance in the archive.

    Parameters
    ----------
    resource : its UIDs.
    storage : what holds its file.
    size : bytes.
    digest : SHA-256 of the file, hexadecimal.
    sop_class_uid, transfer_syntax_uid : empty where the file does not say.
    origin : name of the server that it came from; empty for imported and locally made ones.
    sent : names of the servers that confirmed to have stored it.
    pinned : it, its series or its study is exempt from eviction.
    made_here : it was created by this program.
    remarks : what was odd about it when it was stored, a sentence each.
    """

    resource: Resource
    storage: Storage = field(repr=False, compare=False)
    size: int
    digest: str
    sop_class_uid: str
    transfer_syntax_uid: str
    origin: str
    sent: tuple[str, ...]
    pinned: bool
    made_here: bool
    remarks: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Key of its file in the storage."""
        resource = self.resource
        return self.storage.key(resource.study, resource.series or "", resource.instance or "", self.digest)

    @property
    def path(self) -> Path:
        """Its file on this machine; an object is downloaded first. Where its bytes are gone, it is not there.

        Raises
        ------
        ArchiveError
            The storage cannot be reached.
        """
        return self.storage.fetch(self.key)


_DIGESTS = f"""
SELECT instance."SOPInstanceUID", instance.digest FROM {ALL_LEVELS}
WHERE study."StudyInstanceUID" = ? AND series."SeriesInstanceUID" = ?
"""
_KNOWN = f"""
SELECT instance."SOPInstanceUID", instance.id, instance.digest FROM {ALL_LEVELS}
WHERE study."StudyInstanceUID" = ? AND series."SeriesInstanceUID" = ? AND
"""
_INSTANCES = f"""
SELECT study."StudyInstanceUID", series."SeriesInstanceUID", instance."SOPInstanceUID", instance.size,
    instance.digest, instance."SOPClassUID", instance."TransferSyntaxUID", instance.origin,
    (instance.pinned OR series.pinned OR study.pinned), instance.made_here, remark.text, instance.id
FROM {ALL_LEVELS} LEFT JOIN remark ON remark.instance = instance.id
"""
_SENT = f"""
SELECT sent.instance, sent.server FROM {ALL_LEVELS} JOIN sent ON sent.instance = instance.id
"""


def digests(connection: Connection, study_uid: str, series_uid: str) -> dict[str, str]:
    """Return SOP Instance UID -> digest of a series."""
    return dict(connection.all(_DIGESTS, study_uid, series_uid))


def study_text(connection: Connection, study_uid: str, keyword: str) -> str:
    """Return an attribute of a study as text, empty where there is none."""
    column = study.qualified(study[keyword])
    row = connection.first(f'SELECT {column} FROM study WHERE "StudyInstanceUID" = ?', study_uid)
    return str(row[0] or "") if row else ""


def known_rows(connection: Connection, instances: Iterable[Resource]) -> dict[Resource, tuple[int, str]]:
    """Return id and digest of those among the instances that have rows already."""
    found: dict[Resource, tuple[int, str]] = {}
    groups: dict[tuple[str, str], list[str]] = {}
    for one in instances:
        groups.setdefault((one.study, one.series or ""), []).append(one.instance or "")
    for (study_uid, series_uid), uids in groups.items():
        for start in range(0, len(uids), BATCH):
            some = one_of('instance."SOPInstanceUID"', uids[start : start + BATCH])
            for uid, number, digest in connection.each(
                _KNOWN + some.sql, study_uid, series_uid, *some.values
            ):
                found[Resource(study_uid, series_uid, uid)] = (number, digest)
    return found


def within(resource: Resource) -> Clause:
    """Return the clause that a row of instance, joined with series and study, lies in a resource."""
    clauses = [Clause('study."StudyInstanceUID" = ?', (resource.study,))]
    if resource.series is not None:
        clauses.append(Clause('series."SeriesInstanceUID" = ?', (resource.series,)))
    if resource.instance is not None:
        clauses.append(Clause('instance."SOPInstanceUID" = ?', (resource.instance,)))
    return all_of(clauses)


def is_indexed(connection: Connection, resource: Resource) -> bool:
    """Return whether the index has an instance of a resource."""
    inside = within(resource)
    wanted = f"SELECT instance.id FROM {ALL_LEVELS} WHERE {inside.sql} LIMIT 1"
    return connection.first(wanted, *inside.values) is not None


def sizes_of(connection: Connection, storage: Storage, resource: Resource) -> Iterator[tuple[str, str, int]]:
    """Return SOP Instance UID, key and size of the instances of a resource."""
    inside = within(resource)
    uids = 'study."StudyInstanceUID", series."SeriesInstanceUID", instance."SOPInstanceUID"'
    wanted = f"SELECT {uids}, instance.size, instance.digest FROM {ALL_LEVELS} WHERE {inside.sql}"
    for row in connection.each(wanted, *inside.values):
        yield row[2], storage.key(row[0], row[1], row[2], row[4]), row[3]


def size_of(connection: Connection, resource: Resource) -> int:
    """Return the number of bytes of the instances of a resource."""
    inside = within(resource)
    row = connection.first(
        f"SELECT coalesce(sum(instance.size), 0) FROM {ALL_LEVELS} WHERE {inside.sql}", *inside.values
    )
    return int(row[0]) if row else 0


def sop_classes_in_study(connection: Connection, study_uid: str) -> list[str]:
    """Return the SOP Class UIDs of a study as its row sums them up; none where no instance states its own."""
    return [one for one in split_values(study_text(connection, study_uid, "SOPClassesInStudy")) if one]


def sop_classes_of(connection: Connection, resource: Resource) -> list[tuple[str, str, str]]:
    """Return Study and Series Instance UID and each SOP Class UID of the series of a resource."""
    inside = within(resource)
    names = 'study."StudyInstanceUID", series."SeriesInstanceUID", instance."SOPClassUID"'
    wanted = f"SELECT DISTINCT {names} FROM {ALL_LEVELS} WHERE {inside.sql} ORDER BY 1, 2, 3"
    return connection.all(wanted, *inside.values)


def instances_of(
    connection: Connection, storage: Storage, resource: Resource | None, *, limit: int | None = None
) -> Iterator[ArchivedInstance]:
    """Return the instances of a resource, or all, by series and instance number."""
    inside = within(resource) if resource is not None else all_of(())
    servers: dict[int, list[str]] = {}
    for number, server in connection.each(f"{_SENT} WHERE {inside.sql} ORDER BY sent.at", *inside.values):
        servers.setdefault(number, []).append(server)
    wanted = f"{_INSTANCES} WHERE {inside.sql} {BY_NUMBER} {'' if limit is None else f'LIMIT {limit:d}'}"
    for row in connection.each(wanted, *inside.values):
        place = Resource(*row[:3])
        size, digest, sop_class, syntax, origin, pinned, made_here, text, number = row[3:]
        sent_to = tuple(servers.get(number, ()))
        yield ArchivedInstance(
            place,
            storage,
            size,
            digest,
            sop_class,
            syntax,
            origin,
            sent_to,
            bool(pinned),
            bool(made_here),
            tuple(text.split("\n")) if text else (),
        )


def remove_rows(connection: Connection, storage: Storage, resource: Resource) -> int:
    """Remove the rows of a resource and list its files for deletion; return the number of instances."""
    inside = within(resource)
    found = connection.all(
        f"""
        SELECT instance.id, series.id, study.id,
            study."StudyInstanceUID", series."SeriesInstanceUID", instance."SOPInstanceUID", instance.digest
        FROM {ALL_LEVELS} WHERE {inside.sql}
        """,
        *inside.values,
    )
    if not found:
        return 0
    keys = [(storage.key(*row[3:]),) for row in found]
    connection.execute_many(deletions.insert_or_pass, keys)
    connection.execute_many("DELETE FROM instance WHERE id = ?", [row[:1] for row in found])
    for series_id in {row[1] for row in found}:
        count_series(connection, series_id)
    of_study = {row[2] for row in found}
    for study_id in of_study:
        connection.execute(
            'DELETE FROM series WHERE study = ? AND "NumberOfSeriesRelatedInstances" = 0', study_id
        )
        count_study(connection, study_id)
        connection.execute('DELETE FROM study WHERE id = ? AND "NumberOfStudyRelatedSeries" = 0', study_id)
        for deviation in DEVIATIONS:
            _let_follow(connection, study_id, deviation)
    return len(found)


def _let_follow(connection: Connection, study_id: int, deviation: Deviation) -> None:
    """Return a study what its series state where none of them states the study's own any more."""
    if connection.first(f"{deviation.own_series} LIMIT 1", study_id) is not None:
        return
    table, names = deviation.table, deviation.columns
    columns = ", ".join(table.qualified(table[name]) for name in names)
    row = connection.first(
        f"""
        SELECT {columns} FROM {table.name} JOIN series ON {table.name}.series = series.id
        WHERE series.study = ? LIMIT 1
        """,
        study_id,
    )
    if row is None:
        return
    connection.execute(study.update(names), *row, study_id)
    connection.execute(
        f"""
        DELETE FROM {table.name}
        WHERE {table[deviation.key].quoted} = ? AND series IN (SELECT id FROM series WHERE study = ?)
        """,
        row[names.index(deviation.key)],
        study_id,
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """What the archive holds.

    Parameters
    ----------
    bytes : of all files.
    """

    studies: int
    series: int
    instances: int
    bytes: int


def bytes_in(connection: Connection) -> int:
    """Return the bytes of all instances, which an index adds up."""
    row = connection.first("SELECT COALESCE(SUM(size), 0) FROM study")
    assert row is not None
    return int(row[0])


def summary_of(connection: Connection) -> Summary:
    """Count what is in the index."""
    row = connection.first(
        """
        SELECT COUNT(*), COALESCE(SUM("NumberOfStudyRelatedSeries"), 0),
            COALESCE(SUM("NumberOfStudyRelatedInstances"), 0), COALESCE(SUM(size), 0)
        FROM study
        """
    )
    assert row is not None
    return Summary(*map(int, row))


def series_not_used_since(connection: Connection, resource: Resource, moment: float) -> list[int]:
    """Return the ids of a resource's series that were last used before."""
    inside = within(Resource(resource.study, resource.series))
    wanted = f"SELECT series.id FROM series JOIN study ON series.study = study.id WHERE {inside.sql}"
    return connection.column(f"{wanted} AND series.used < ?", *inside.values, moment)


def mark_used(connection: Connection, series_ids: Sequence[int]) -> None:
    """Note that series are in use now."""
    now = time.time()
    connection.execute_many(series.update(["used"]), [(now, number) for number in series_ids])


def mark_sent(
    connection: Connection, instances: Iterable[Resource], server: str, at: float
) -> list[Resource]:
    """Record that a server has stored instances, and return those that are in the archive.

    Parameters
    ----------
    at : seconds since the epoch.
    """
    known = known_rows(connection, instances)
    connection.execute_many(sent.insert_or_pass, [(number, server, at) for number, _ in known.values()])
    return list(known)


def set_pinned(connection: Connection, resource: Resource, pinned: bool) -> bool:
    """Pin or unpin a resource; False where it is not there.

    Pinning marks the level that is named, so that what comes later is pinned too; unpinning clears all below.
    """
    inside = within(resource)
    found = connection.all(
        f"SELECT study.id, series.id, instance.id FROM {ALL_LEVELS} WHERE {inside.sql}", *inside.values
    )
    if not found:
        return False
    tables = (study, series, instance)
    level = ("study", "series", "instance").index(resource.level)
    for depth in range(level, level + 1 if pinned else len(tables)):
        numbers = {row[depth] for row in found}
        connection.execute_many(tables[depth].update(["pinned"]), [(pinned, number) for number in numbers])
    return True
