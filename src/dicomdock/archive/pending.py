"""Instances that wait to be committed, and the rows that they become."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Table, delete, insert, select, update

from dicomdock.archive.index.attributes import COMPONENT_GROUPS, FOLDED
from dicomdock.archive.index.counters import count_series, count_study
from dicomdock.archive.index.mapping import (
    PATIENT_ID,
    SERIES_TAGS,
    STUDY_TAGS,
    Row,
    instance_row,
    patient_id_of,
    patient_row,
    series_row,
    study_row,
)
from dicomdock.archive.index.queries import insert_or_pass, known_rows, mark_used
from dicomdock.archive.index.schema import instance, patient, remark, sent, series, study
from dicomdock.archive.storage.journal import Stored, StoredInstance
from dicomdock.archive.storage.local import relative_path
from dicomdock.dicom.part10 import Header
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
    for (study_uid, series_uid), group in _by_series(pending).items():
        if study_uid not in studies:
            row = {**study_row(group[0].header), "StudyInstanceUID": study_uid, "added": now}
            studies[study_uid] = _ensure(connection, study, row, ("StudyInstanceUID",))
        row = {**series_row(group[0].header), "SeriesInstanceUID": series_uid, "study": studies[study_uid]}
        row |= {"added": now, "used": now}
        series_id = _ensure(connection, series, row, ("study", "SeriesInstanceUID"))
        patient_id = _fill_study(connection, studies[study_uid], group)
        _fill(connection, series, series_id, group, series_row, SERIES_TAGS)
        _add_patients(connection, series_id, patient_id, group)
        common = {
            "series": series_id,
            "origin": origin,
            "made_here": made_here,
            "pinned": False,
            "added": now,
        }
        connection.execute(insert(instance), [{**_instance_row(item), **common} for item in group])
        _add_remarks(connection, group)
        count_series(connection, series_id)
        mark_used(connection, [series_id])  # a long pull must not be evicted while it goes on
    for study_id in studies.values():
        count_study(connection, study_id)


def _add_remarks(connection: Connection, pending: Iterable[PendingInstance]) -> None:
    odd = {item.resource: item for item in pending if item.remarks}
    if odd:
        numbers = known_rows(connection, odd)
        rows = [{"instance": numbers[one][0], "text": "\n".join(item.remarks)} for one, item in odd.items()]
        connection.execute(insert(remark), rows)


def _fill_study(connection: Connection, study_id: int, pending: Sequence[PendingInstance]) -> str:
    """Fill empty columns of a study from its own patient's instances, and return the patient's ID."""
    own = select(study.c.PatientID).where(study.c.id == study_id)
    patient_id = str(connection.execute(own).scalar_one())
    same = [one for one in pending if not patient_id or patient_id_of(one.header) in ("", patient_id)]
    _fill(connection, study, study_id, same, study_row, STUDY_TAGS)
    return patient_id or str(connection.execute(own).scalar_one())


def _fill(
    connection: Connection,
    table: Table,
    row_id: int,
    pending: Sequence[PendingInstance],
    row_of: Callable[[Header], Row],
    tags: Mapping[str, int],
) -> None:
    """Fill the empty columns of a row from whichever instance has values for them."""
    stored = connection.execute(select(table).where(table.c.id == row_id)).mappings().one()
    empty = {keyword: tag for keyword, tag in tags.items() if stored[keyword] in ("", None)}
    found: Row = {}
    for item in pending:
        if not any(item.header.raw.get(tag) for tag in empty.values()):
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
        connection.execute(update(table).where(table.c.id == row_id).values(found))


def _add_patients(
    connection: Connection, series_id: int, patient_id: str, pending: Sequence[PendingInstance]
) -> None:
    """Add the patients of a series that are not the study's."""
    headers = {one.header.raw.get(PATIENT_ID): one.header for one in pending}.values()
    others = [header for header in headers if patient_id_of(header) not in ("", patient_id)]
    if others and patient_id:
        rows = [{**patient_row(header), "series": series_id} for header in others]
        connection.execute(insert_or_pass(connection, patient), rows)


def _instance_row(item: PendingInstance) -> Row:
    return {
        **instance_row(item.header),
        "SOPInstanceUID": item.resource.instance,
        "TransferSyntaxUID": item.header.transfer_syntax[:64],
        "size": item.size,
        "digest": item.digest,
    }


def replace_row(
    connection: Connection,
    instance_id: int,
    item: PendingInstance,
    *,
    origin: str = "",
    made_here: bool = False,
) -> None:
    """Update the rows for a file that replaced another.

    No server is known to have these bytes but the one that they came from.
    """
    own = {**_instance_row(item), "origin": origin, "made_here": made_here}
    connection.execute(update(instance).where(instance.c.id == instance_id).values(own))
    connection.execute(delete(sent).where(sent.c.instance == instance_id))
    connection.execute(delete(remark).where(remark.c.instance == instance_id))
    _add_remarks(connection, [item])
    series_id, study_id = connection.execute(
        select(series.c.id, series.c.study)
        .join(instance, instance.c.series == series.c.id)
        .where(instance.c.id == instance_id)
    ).one()
    # What was corrected is often the patient.
    of_study = {**study_row(item.header), "StudyInstanceUID": item.resource.study}
    of_series = {**series_row(item.header), "SeriesInstanceUID": item.resource.series}
    connection.execute(update(study).where(study.c.id == study_id).values(of_study))
    connection.execute(update(series).where(series.c.id == series_id).values(of_series))
    count_series(connection, series_id)
    count_study(connection, study_id)


def refill_row(connection: Connection, instance_id: int, item: PendingInstance) -> None:
    """Fill what the rows lack once a damaged or missing file is there again with the same bytes.

    A row that was made from the journal alone has the UIDs only.
    """
    own = _instance_row(item)
    connection.execute(update(instance).where(instance.c.id == instance_id).values(own))
    series_id, study_id = connection.execute(
        select(series.c.id, series.c.study)
        .join(instance, instance.c.series == series.c.id)
        .where(instance.c.id == instance_id)
    ).one()
    _fill_study(connection, study_id, [item])
    _fill(connection, series, series_id, [item], series_row, SERIES_TAGS)
    count_series(connection, series_id)
    count_study(connection, study_id)


def _ensure(connection: Connection, table: Table, row: Mapping[str, object], unique: tuple[str, ...]) -> int:
    """Return the id of a row, which is inserted where it is missing."""
    wanted = select(table.c.id).where(*(table.c[name] == row[name] for name in unique))
    found = connection.execute(wanted).scalar()
    if found is None:
        connection.execute(insert(table).values(row))
        found = connection.execute(wanted).scalar_one()
    return int(found)
