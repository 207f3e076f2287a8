"""Commit instances: move whole temporary files into the archive and insert their rows, safe against crashes.

Order: the final paths are written to a note, the note and the files synced, then under the index's write lock
the files are renamed, the folders synced, the rows inserted and committed. A crash in between leaves files
without rows and the note that names them; ``recovery`` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import known_rows
from dicomdock.archive.index.schema import replacements
from dicomdock.archive.pending import AddStatus, PendingInstance, insert_instances, replace_rows
from dicomdock.archive.storage.local import Files, Session, disk_errors, sync_files
from dicomdock.dicom.resource import Resource


def commit(
    files: Files,
    index: Index,
    session: Session,
    pending: Sequence[PendingInstance],
    *,
    origin: str,
    made_here: bool,
) -> list[tuple[PendingInstance, AddStatus]]:
    """Sync temporary files, move them into the archive and insert their rows.

    Returns
    -------
    Those that another process had stored meanwhile, with the status that results.
    """
    with disk_errors("Writing to the archive"):
        facts = {"origin": origin, "made_here": made_here}
        note = session.announce(facts, (item.relative_path for item in pending))
        sync_files([note, *(item.temporary for item in pending)])
        if any(item.replace for item in pending):
            _announce_replacements(index, pending)
        with index.writing() as connection:
            there = known_rows(connection, (item.resource for item in pending))
            fresh = [item for item in pending if item.resource not in there]
            others = [item for item in pending if item.resource in there]
            changed = [item for item in others if item.repair or (item.replace and _differs(item, there))]
            _cancel_deletions(connection, [item.relative_path for item in pending])
            files.move((item.temporary, files.folder / item.relative_path) for item in (*fresh, *changed))
            if fresh:
                insert_instances(connection, fresh, origin=origin, made_here=made_here)
            replaced = [(there[item.resource][0], item) for item in changed if not item.repair]
            replace_rows(connection, replaced, origin=origin, made_here=made_here)
        note.unlink()
        late: list[tuple[PendingInstance, AddStatus]] = []
        for item in others:
            if item not in changed:
                item.temporary.unlink()
                late.append((item, "conflict" if _differs(item, there) else "identical"))
    return late


def _differs(item: PendingInstance, there: Mapping[Resource, tuple[int, str]]) -> bool:
    return there[item.resource][1] != item.digest


def _announce_replacements(index: Index, pending: Sequence[PendingInstance]) -> None:
    """Record for each file that is to be replaced the digest of the new one."""
    with index.writing() as connection:
        there = known_rows(connection, (item.resource for item in pending))
        rows = [
            (item.relative_path, there[item.resource][0], item.digest)
            for item in pending
            if item.resource in there and _differs(item, there)
        ]
        connection.execute_many("DELETE FROM replacing WHERE path = ?", [row[:1] for row in rows])
        connection.insert(replacements, rows)


def _cancel_deletions(connection: Connection, paths: Sequence[str]) -> None:
    """Remove files that are about to return from the list of those to delete."""
    if connection.first("SELECT path FROM doomed LIMIT 1") is not None:
        connection.execute_many("DELETE FROM doomed WHERE path = ?", [(path,) for path in paths])
