"""Keep the journal: write it for an archive that has none, and compact it when it has grown."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import ALL_LEVELS
from dicomdock.archive.index.schema import instance, remark, sent, series, study
from dicomdock.archive.journal_state import (
    JournalState,
    Recorded,
    path_of,
    records_of,
    stored_records,
    uids_of,
)
from dicomdock.archive.storage.journal import Pinned, Record, Sent
from dicomdock.archive.storage.local import Files, disk_errors
from dicomdock.dicom.resource import Resource

GROWN = 4 << 20  # bytes by which a journal has more than doubled before it is compacted
BATCH = 500
_UIDS = (study.c.StudyInstanceUID, series.c.SeriesInstanceUID, instance.c.SOPInstanceUID)


def see_journal(files: Files, index: Index) -> None:
    """Write the journal of an archive of an earlier version, and compact one that has grown."""
    journal = files.journal
    try:
        size = journal.path.stat().st_size
    except FileNotFoundError:
        size = 0
    if 0 < size <= 2 * journal.compacted_size() + GROWN:
        return
    with disk_errors("Writing the archive's journal"), index.writing() as connection:
        if size:
            with JournalState(journal) as state:
                journal.replace(records_of(state))
        elif not journal.path.exists() and connection.execute(select(study.c.id).limit(1)).first():
            journal.replace(records_of_index(connection))
            files.reached("journal: from the index")


def records_of_index(connection: Connection) -> Iterator[Record]:
    """Return the records that amount to what the index holds."""
    wanted = (
        select(
            *_UIDS,
            instance.c.size,
            instance.c.digest,
            instance.c.origin,
            instance.c.made_here,
            instance.c.added,
            remark.c.text,
        )
        .select_from(ALL_LEVELS.outerjoin(remark, remark.c.instance == instance.c.id))
        .order_by(series.c.id, instance.c.added, instance.c.id)
    )
    rows = connection.execution_options(yield_per=BATCH).execute(wanted)
    yield from stored_records(
        Recorded(
            Resource(*row[:3]),
            *row[3:6],
            bool(row[6]),
            row[7],
            tuple((row[8] or "").split("\n")) if row[8] else (),
        )
        for row in rows
    )
    marks = select(sent.c.server, sent.c.at, *_UIDS).select_from(
        ALL_LEVELS.join(sent, sent.c.instance == instance.c.id)
    )
    for server, at, *uids in connection.execute(marks.order_by(sent.c.server, sent.c.at)):
        yield Sent(server, [path_of(Resource(*uids))], at)
    for depth, level in enumerate((study, series, instance), 1):
        pinned = select(*_UIDS[:depth]).select_from(ALL_LEVELS).where(level.c.pinned).distinct()
        for row in connection.execute(pinned):
            yield Pinned(uids_of(Resource(*row)), pinned=True)
