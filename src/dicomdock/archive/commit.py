"""Commit instances: move whole temporary files into the archive and insert their rows, safe against crashes.

Order: the final paths are written to a note, the note and the files synced, then under the index's write lock
the files are renamed, the folders synced, the journal appended, the rows inserted and committed. A crash in
between leaves files without rows and the note that names them; ``recovery`` reads it. So nobody waits for
journal and index: the note lasts until both are synced, which many commits share. ``placement`` says what
differs for an object store, whose notes say less: there each commit is synced.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import known_rows
from dicomdock.archive.pending import (
    AddStatus,
    PendingInstance,
    insert_instances,
    refill_row,
    replace_rows,
    stored_records,
)
from dicomdock.archive.placement import placement
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.journal import Removed
from dicomdock.archive.storage.local import disk_errors
from dicomdock.archive.storage.sessions import Announcement, Session
from dicomdock.archive.storage.syncing import sync_files
from dicomdock.dicom.resource import Resource


def prepare(
    files: Files,
    index: Index,
    session: Session,
    pending: Sequence[PendingInstance],
    *,
    origin: str = "",
    made_here: bool = False,
) -> Path:
    """Write the note of a commit and sync it with the temporary files; return the note.

    Many writers do so side by side, also while a commit goes on. Whoever called it calls ``Session.finished``
    after the commit.
    """
    with disk_errors("Writing to the archive"):
        keys = [(item.key(files.storage), item) for item in pending]
        digests = {key: item.digest for key, item in keys}
        remarks = {key: item.remarks for key, item in keys if item.remarks}
        note = session.announce(Announcement(digests, origin, made_here, remarks))
        files.reached("commit: announced")
        placement(files, index).prepare(note, pending)
        files.reached("commit: synced")
    return note


def commit(
    files: Files,
    index: Index,
    pending: Sequence[PendingInstance],
    notes: Sequence[Path],
    *,
    origin: str = "",
    made_here: bool = False,
) -> list[tuple[PendingInstance, AddStatus]]:
    """Move temporary files into the archive and insert their rows.

    Parameters
    ----------
    notes : with which they were prepared.

    Returns
    -------
    Those that another process had stored meanwhile, with the status that results.
    """
    placing = placement(files, index)
    with disk_errors("Writing to the archive"):
        keys = {item.resource: item.key(files.storage) for item in pending}
        # A note does not say what a repaired row lacked.
        synced = files.objects is not None or any(item.repair for item in pending)
        with index.writing(synced=synced) as connection:
            there = known_rows(connection, (item.resource for item in pending))
            fresh = [item for item in pending if item.resource not in there]
            others = [item for item in pending if item.resource in there]
            changed = [item for item in others if item.repair or (item.replace and _differs(item, there))]
            placed = [*fresh, *changed]
            back = _cancel_deletions(connection, [keys[item.resource] for item in placed])
            old = [item.key(files.storage, there[item.resource][1]) for item in changed]
            placing.place(connection, notes, placed, old)
            files.reached("commit: renamed")
            now = time.time()
            new = [item for item in placed if not item.repair]
            removed = [Removed(back)] if back else []
            files.journal.append([*removed, *stored_records(new, origin, made_here, now)], sync=synced)
            files.reached("commit: in the journal")
            if fresh:
                insert_instances(connection, fresh, origin=origin, made_here=made_here, at=now)
            numbered = [(there[item.resource][0], item) for item in changed]
            for number, item in numbered:
                if item.repair:
                    refill_row(connection, number, item)
            replaced = [(number, item) for number, item in numbered if not item.repair]
            if replaced:
                replace_rows(connection, replaced, origin=origin, made_here=made_here, at=now)
            files.reached("commit: rows inserted")
        files.reached("commit: committed")
        placing.finish(placed)
        late: list[tuple[PendingInstance, AddStatus]] = []
        for item in others:
            if item not in changed:
                item.temporary.unlink()
                late.append((item, "conflict" if _differs(item, there) else "identical"))
    return late


def sync_commits(files: Files, index: Index) -> None:
    """Make durable what commits wrote to the journal and the index.

    Raises
    ------
    OSError
    """
    written = (files.journal.path, index.log())
    sync_files([path for path in written if path is not None and path.exists()])


def _differs(item: PendingInstance, there: Mapping[Resource, tuple[int, str]]) -> bool:
    return there[item.resource][1] != item.digest


def _cancel_deletions(connection: Connection, paths: Sequence[str]) -> list[str]:
    """Remove files that are about to return from the list of those to delete, and return them."""
    going = {*connection.column("SELECT path FROM doomed")}
    back = [path for path in paths if path in going]
    if back:
        connection.execute_many("DELETE FROM doomed WHERE path = ?", [(path,) for path in back])
    return back
