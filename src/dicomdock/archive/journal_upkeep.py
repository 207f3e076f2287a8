"""Keep the journal: write it for an archive that has none, and compact it when it has grown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dicomdock.archive.index.connection import Connection, Row
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import known_rows, mark_sent, set_pinned, within
from dicomdock.archive.index.schema import ALL_LEVELS
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.journal import Pinned, Record, Sent, uids_of
from dicomdock.archive.storage.local import disk_errors
from dicomdock.dicom.resource import Resource

if TYPE_CHECKING:
    from dicomdock.archive.journal_state import Recorded

GROWN = 4 << 20  # bytes by which a journal has more than doubled before it is compacted
_UIDS = ('study."StudyInstanceUID"', 'series."SeriesInstanceUID"', 'instance."SOPInstanceUID"')
_STORED = f"""
SELECT {", ".join(_UIDS)}, instance.size, instance.digest, instance.origin, instance.made_here,
    instance.added, remark.text
FROM {ALL_LEVELS} LEFT JOIN remark ON remark.instance = instance.id
ORDER BY series.id, instance.added, instance.id
"""
_SENT = f"""
SELECT sent.server, sent.at, {", ".join(_UIDS)} FROM {ALL_LEVELS} JOIN sent ON sent.instance = instance.id
ORDER BY sent.server, sent.at
"""


def see_journal(files: Files, index: Index) -> None:
    """Write the journal of an archive of an earlier version, and compact one that has grown."""
    journal = files.journal
    try:
        size = journal.path.stat().st_size
    except FileNotFoundError:
        size = 0
    if size:
        _repeat_last(files, index)
    if 0 < size <= 2 * journal.compacted_size() + GROWN:
        return
    from dicomdock.archive.journal_state import JournalState, records_of

    with disk_errors("Writing the archive's journal"), index.writing() as connection:
        if size > 0:
            with JournalState(journal) as state:
                journal.replace(records_of(state))
        elif not journal.path.exists() and connection.first("SELECT id FROM study LIMIT 1"):
            journal.replace(records_of_index(connection))
            files.reached("journal: from the index")


def _repeat_last(files: Files, index: Index) -> None:
    """Do again what the last record says, where a crash came before the index had it."""
    last = files.journal.last()
    if not any(record.keys() & {"sent", "pinned"} for record in last):
        return
    with index.reading() as connection:
        if all(_is_indexed(connection, record) for record in last):
            return
    with index.writing() as connection:
        for record in files.journal.last():
            if facts := record.get("pinned"):
                set_pinned(connection, Resource(*facts["uids"]), facts["pinned"])
            elif facts := record.get("sent"):
                resources = [Resource(*uids) for uids in facts["instances"]]
                mark_sent(connection, resources, facts["server"], facts["at"])


def _is_indexed(connection: Connection, record: Mapping[str, Any]) -> bool:
    if facts := record.get("pinned"):
        resource = Resource(*facts["uids"])
        inside = within(resource)
        wanted = f"SELECT {resource.level}.pinned FROM {ALL_LEVELS} WHERE {inside.sql} LIMIT 1"
        row = connection.first(wanted, *inside.values)
        return row is None or bool(row[0]) == facts["pinned"]
    facts = record["sent"]
    known = known_rows(connection, (Resource(*uids) for uids in facts["instances"]))
    has = "SELECT 1 FROM sent WHERE instance = ? AND server = ?"
    return all(connection.first(has, number, facts["server"]) for number, _ in known.values())


def records_of_index(connection: Connection) -> Iterator[Record]:
    """Return the records that amount to what the index holds."""
    from dicomdock.archive.journal_state import stored_records

    yield from stored_records(map(_recorded, connection.each(_STORED)))
    for server, at, *uids in connection.each(_SENT):
        yield Sent(server, [uids], at)
    for depth, level in enumerate(("study", "series", "instance"), 1):
        wanted = f"SELECT DISTINCT {', '.join(_UIDS[:depth])} FROM {ALL_LEVELS} WHERE {level}.pinned"
        for row in connection.each(wanted):
            yield Pinned(uids_of(Resource(*row)), pinned=True)


def _recorded(row: Row) -> Recorded:
    from dicomdock.archive.journal_state import Recorded

    study, series, instance, size, digest, origin, made_here, at, text = row
    remarks = tuple(text.split("\n")) if text else ()
    return Recorded(Resource(study, series, instance), size, digest, origin, bool(made_here), at, remarks)
