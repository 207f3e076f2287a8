"""Look up, mark and remove rows of the index within a transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Table,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import sqlite

from dicomdock.archive.index.counters import count_series, count_study
from dicomdock.archive.index.schema import deletions, instance, patient, remark, sent, series, study
from dicomdock.archive.storage.local import relative_path
from dicomdock.dicom.resource import Resource

BATCH = 500  # values in one IN list


@dataclass(frozen=True, slots=True)
class ArchivedInstance:
    """An instance in the archive.

    Parameters
    ----------
    resource : its UIDs.
    path : its file.
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
    path: Path
    size: int
    digest: str
    sop_class_uid: str
    transfer_syntax_uid: str
    origin: str
    sent: tuple[str, ...]
    pinned: bool
    made_here: bool
    remarks: tuple[str, ...] = ()


def digests(connection: Connection, study_uid: str, series_uid: str) -> dict[str, str]:
    """Return SOP Instance UID -> digest of a series."""
    rows = connection.execute(
        select(instance.c.SOPInstanceUID, instance.c.digest)
        .join(series, instance.c.series == series.c.id)
        .join(study, series.c.study == study.c.id)
        .where(study.c.StudyInstanceUID == study_uid, series.c.SeriesInstanceUID == series_uid)
    )
    return {uid: digest for uid, digest in rows}  # noqa: C416 - rows are not pairs to mypy


def patient_of(connection: Connection, study_uid: str) -> str:
    """Return the Patient ID of a study, empty where there is none."""
    wanted = select(study.c.PatientID).where(study.c.StudyInstanceUID == study_uid)
    return str(connection.execute(wanted).scalar() or "")


def known_rows(connection: Connection, instances: Iterable[Resource]) -> dict[Resource, tuple[int, str]]:
    """Return id and digest of those among the instances that have rows already."""
    found: dict[Resource, tuple[int, str]] = {}
    groups: dict[tuple[str, str], list[str]] = {}
    for one in instances:
        groups.setdefault((one.study, one.series or ""), []).append(one.instance or "")
    for (study_uid, series_uid), uids in groups.items():
        columns = select(instance.c.SOPInstanceUID, instance.c.id, instance.c.digest)
        of_series = (
            columns.join(series, instance.c.series == series.c.id)
            .join(study, series.c.study == study.c.id)
            .where(study.c.StudyInstanceUID == study_uid, series.c.SeriesInstanceUID == series_uid)
        )
        for start in range(0, len(uids), BATCH):
            some = of_series.where(instance.c.SOPInstanceUID.in_(uids[start : start + BATCH]))
            for uid, number, digest in connection.execute(some):
                found[Resource(study_uid, series_uid, uid)] = (number, digest)
    return found


def within(resource: Resource) -> Sequence[ColumnElement[bool]]:
    """Return the clauses that a row of instance, joined with series and study, lies in a resource."""
    clauses = [study.c.StudyInstanceUID == resource.study]
    if resource.series is not None:
        clauses.append(series.c.SeriesInstanceUID == resource.series)
    if resource.instance is not None:
        clauses.append(instance.c.SOPInstanceUID == resource.instance)
    return clauses


ALL_LEVELS = instance.join(series, instance.c.series == series.c.id).join(study, series.c.study == study.c.id)


def is_indexed(connection: Connection, resource: Resource) -> bool:
    """Return whether the index has an instance of a resource."""
    wanted = select(instance.c.id).select_from(ALL_LEVELS).where(*within(resource)).limit(1)
    return connection.execute(wanted).first() is not None


def sizes_of(connection: Connection, resource: Resource) -> Iterator[tuple[str, str, int]]:
    """Return SOP Instance UID, relative path and size of the instances of a resource."""
    uids = (study.c.StudyInstanceUID, series.c.SeriesInstanceUID, instance.c.SOPInstanceUID)
    wanted = select(*uids, instance.c.size).select_from(ALL_LEVELS).where(*within(resource))
    for row in connection.execute(wanted):
        yield row[2], relative_path(*row[:3]), row[3]


def instances_of(
    connection: Connection, folder: Path, resource: Resource | None, *, limit: int | None = None
) -> Iterator[ArchivedInstance]:
    """Return the instances of a resource, or all, by series and instance number."""
    clauses = within(resource) if resource is not None else ()
    wanted = (
        select(
            study.c.StudyInstanceUID,
            series.c.SeriesInstanceUID,
            instance.c.SOPInstanceUID,
            instance.c.size,
            instance.c.digest,
            instance.c.SOPClassUID,
            instance.c.TransferSyntaxUID,
            instance.c.origin,
            or_(instance.c.pinned, series.c.pinned, study.c.pinned),
            instance.c.made_here,
            remark.c.text,
            instance.c.id,
        )
        .select_from(ALL_LEVELS.outerjoin(remark, remark.c.instance == instance.c.id))
        .where(*clauses)
        .order_by(
            study.c.id,
            series.c.SeriesNumber.nulls_last(),
            series.c.id,
            instance.c.InstanceNumber.nulls_last(),
            instance.c.id,
        )
        .limit(limit)
    )
    servers: dict[int, list[str]] = {}
    pairs = select(sent.c.instance, sent.c.server).order_by(sent.c.at)
    pairs = pairs.join(instance, sent.c.instance == instance.c.id)
    pairs = pairs.join(series, instance.c.series == series.c.id).join(study, series.c.study == study.c.id)
    for number, server in connection.execute(pairs.where(*clauses)):
        servers.setdefault(number, []).append(server)
    for row in connection.execute(wanted):
        place = Resource(*row[:3])
        path = folder / relative_path(*row[:3])
        size, digest, sop_class, syntax, origin, pinned, made_here, text, number = row[3:]
        sent_to = tuple(servers.get(number, ()))
        remarks = tuple(text.split("\n")) if text else ()
        yield ArchivedInstance(
            place,
            path,
            size,
            digest,
            sop_class,
            syntax,
            origin,
            sent_to,
            bool(pinned),
            bool(made_here),
            remarks,
        )


def remove_rows(connection: Connection, resource: Resource) -> int:
    """Remove the rows of a resource and list its files for deletion; return the number of instances."""
    found = connection.execute(
        select(
            instance.c.id,
            series.c.id,
            study.c.id,
            study.c.StudyInstanceUID,
            series.c.SeriesInstanceUID,
            instance.c.SOPInstanceUID,
        )
        .select_from(ALL_LEVELS)
        .where(*within(resource))
    ).all()
    if not found:
        return 0
    connection.execute(
        insert_or_pass(connection, deletions), [{"path": relative_path(*row[3:])} for row in found]
    )
    connection.execute(
        delete(instance).where(instance.c.id == bindparam("number")), [{"number": row[0]} for row in found]
    )
    for series_id in {row[1] for row in found}:
        count_series(connection, series_id)
    of_study = {row[2] for row in found}
    empty = series.c.study.in_(of_study) & (series.c.NumberOfSeriesRelatedInstances == 0)
    connection.execute(delete(series).where(empty))
    for study_id in of_study:
        count_study(connection, study_id)
    connection.execute(delete(study).where(study.c.id.in_(of_study), study.c.NumberOfStudyRelatedSeries == 0))
    for study_id in of_study:
        _let_patient_follow(connection, study_id)
    return len(found)


def _let_patient_follow(connection: Connection, study_id: int) -> None:
    """Return a study the patient of its series where none of them is its own patient's any more."""
    own = select(series.c.id).where(
        series.c.study == study_id, ~exists(select(patient.c.series).where(patient.c.series == series.c.id))
    )
    if connection.execute(own.limit(1)).first() is not None:
        return
    of_study = select(patient).join(series, patient.c.series == series.c.id).where(series.c.study == study_id)
    row = connection.execute(of_study.limit(1)).mappings().first()
    if row is None:
        return
    values = {name: value for name, value in row.items() if name != "series"}
    connection.execute(update(study).where(study.c.id == study_id).values(values))
    series_ids = select(series.c.id).where(series.c.study == study_id)
    same = patient.c.series.in_(series_ids), patient.c.PatientID == row["PatientID"]
    connection.execute(delete(patient).where(*same))


def insert_or_pass(connection: Connection, table: Table) -> Insert:
    """Return an insert that passes over rows which are there already."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # loads all its drivers, asyncio's too

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


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


def summary_of(connection: Connection) -> Summary:
    """Count what is in the index."""
    sums = [study.c.NumberOfStudyRelatedSeries, study.c.NumberOfStudyRelatedInstances, study.c.size]
    row = connection.execute(
        select(func.count(), *(func.coalesce(func.sum(column), 0) for column in sums))
    ).one()
    return Summary(*map(int, row))


def series_not_used_since(connection: Connection, resource: Resource, moment: float) -> list[int]:
    """Return the ids of a resource's series that were last used before."""
    wanted = select(series.c.id).join(study, series.c.study == study.c.id)
    wanted = wanted.where(study.c.StudyInstanceUID == resource.study, series.c.used < moment)
    if resource.series is not None:
        wanted = wanted.where(series.c.SeriesInstanceUID == resource.series)
    return list(connection.execute(wanted).scalars())


def mark_used(connection: Connection, series_ids: Sequence[int]) -> None:
    """Note that series are in use now."""
    connection.execute(
        update(series).where(series.c.id == bindparam("number")).values(used=time.time()),
        [{"number": number} for number in series_ids],
    )


def mark_sent(
    connection: Connection, instances: Iterable[Resource], server: str, at: float | None = None
) -> list[Resource]:
    """Record that a server has stored instances, and return those that are in the archive.

    Parameters
    ----------
    at : seconds since the epoch; None for now.
    """
    now = time.time() if at is None else at
    known = known_rows(connection, instances)
    rows = [{"instance": number, "server": server, "at": now} for number, _ in known.values()]
    if rows:
        connection.execute(insert_or_pass(connection, sent), rows)
    return list(known)


def set_pinned(connection: Connection, resource: Resource, pinned: bool) -> bool:
    """Pin or unpin a resource; False where it is not there.

    Pinning marks the level that is named, so that what comes later is pinned too; unpinning clears all below.
    """
    found = connection.execute(
        select(study.c.id, series.c.id, instance.c.id).select_from(ALL_LEVELS).where(*within(resource))
    ).all()
    if not found:
        return False
    tables = (study, series, instance)
    level = ("study", "series", "instance").index(resource.level)
    for depth in range(level, level + 1 if pinned else len(tables)):
        numbers = [{"number": number} for number in {row[depth] for row in found}]
        table = tables[depth]
        connection.execute(
            update(table).where(table.c.id == bindparam("number")).values(pinned=pinned), numbers
        )
    return True
