"""Rebuild the index from the files and the journal when it is damaged or missing.

While the file ``rebuilding`` is there, the index is not whole yet: a rebuild that was killed goes on with the
next opening. Other processes may use the archive meanwhile.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby, islice
from pathlib import Path

from dicomdock.archive.adoption import BATCH, adopt, insert_recorded
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.migrations import migrate
from dicomdock.archive.index.queries import known_rows, mark_sent, set_pinned, summary_of
from dicomdock.archive.index_faults import MARK, Judge
from dicomdock.archive.journal_state import JournalState, Recorded
from dicomdock.archive.pending import PendingInstance
from dicomdock.archive.recovery import finish_announced
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.local import disk_errors
from dicomdock.archive.storage.sessions import NOTE, Announcement
from dicomdock.config.lock import FileLock
from dicomdock.dicom.header import SERIES, SOP_INSTANCE, STUDY, Header
from dicomdock.dicom.resource import Resource

log = logging.getLogger(__name__)
REPORT_EVERY = 2.0  # seconds between two messages of the progress


def rebuild(files: Files, index: Index, fault: Judge, damaged: int | None = None) -> None:
    """Fill the index from the files and the journal.

    One process does it; others that ask for it meanwhile wait until it is done.

    Parameters
    ----------
    fault : returns what is wrong with the index, None once nothing is.
    damaged : inode of the file that SQLite called damaged, if it did. That counts for nothing where another
        process is rebuilding the index: it fails so too while files are moved.

    Raises
    ------
    ArchiveError
        The files cannot be read, or the index cannot be written.
    """
    mark = index.folder / MARK
    lock = FileLock(index.folder / f"{MARK}.lock")
    with disk_errors("Rebuilding the index"), ExitStack() as leaving:
        if not lock.acquire():
            lock.acquire(wait=True)
            damaged = None
        leaving.callback(lock.release)
        index.disconnect()
        found = fault(damaged)
        if found is None:  # another process was faster
            return
        mark.touch(mode=0o600)
        files.reached("rebuild: announced")
        log.warning("The archive's index is %s; it is rebuilt from the files.", found)
        if found == "damaged":
            log.warning("The damaged one is moved to %s.", _move_aside(index))
            files.reached("rebuild: moved aside")
        migrate(index)
        files.reached("rebuild: tables made")
        for note in files.incoming.glob(f"*/*{NOTE}"):
            if announcement := Announcement.read(note):
                finish_announced(files, index, announcement, alive=True)
        with JournalState(files.journal) as state:
            strays = _adopt_all(files, index, state)
            missing = _insert_missing(files, index, state)
            _restore_marks(index, state)
            lost_lines = state.damaged
        files.reached("rebuild: filled")
        mark.unlink(missing_ok=True)
    with index.reading() as connection:
        summary = summary_of(connection)
    log.warning("The index is rebuilt: %d instances of %d studies.", summary.instances, summary.studies)
    if missing or strays:
        log.warning(
            "%d instances have no readable file, and %d files are not instances; see 'dicomdock verify'.",
            missing,
            strays,
        )
    if lost_lines:
        log.warning("%d records of %s are damaged and were passed over.", lost_lines, files.journal.path)


def _move_aside(index: Index) -> Path:
    """Rename the database's files, and return the new name of the first."""
    assert index.path is not None
    index.disconnect()
    name = f"{index.path.stem}-damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}{index.path.suffix}"
    aside = index.path.with_name(name)
    # The log first: beside a new database it would be taken for the new one's.
    for ending in ("-wal", "-shm", ""):
        part = index.path.with_name(index.path.name + ending)
        if part.exists():
            part.replace(aside.with_name(aside.name + ending))
    return aside


def _adopt_all(files: Files, index: Index, state: JournalState) -> int:
    """Insert a row for each file, and return the number of files that are not instances."""
    strays = done = 0
    reported = time.monotonic()
    keys = files.storage.listed()
    while some := list(islice(keys, BATCH)):
        strays += sum(1 for finding in adopt(files, index, some, state) if finding.status == "stray")
        files.reached("rebuild: some adopted")
        done += len(some)
        if time.monotonic() - reported >= REPORT_EVERY:
            reported = time.monotonic()
            log.warning("Rebuilding the index: %d files read.", done)
    return strays


def _insert_missing(files: Files, index: Index, state: JournalState) -> int:
    """Insert rows for what the journal records and no readable file holds, and return their number."""
    number = 0
    with index.writing() as connection:
        state.catch_up()  # what others removed meanwhile is not missing
        going = {*connection.column("SELECT path FROM doomed")}
        unseen = map(_lost, state.unseen())
        while some := list(islice(unseen, BATCH)):
            there = known_rows(connection, (item.resource for item, _ in some))
            fresh = [
                (item, known)
                for item, known in some
                if item.resource not in there and item.key(files.storage) not in going
            ]
            insert_recorded(connection, fresh, time.time())
            number += len(fresh)
    return number


def _lost(known: Recorded) -> tuple[PendingInstance, Recorded]:
    resource = known.resource
    uids = {STUDY: resource.study, SERIES: resource.series or "", SOP_INSTANCE: resource.instance or ""}
    header = Header({tag: uid.encode() for tag, uid in uids.items()})
    return PendingInstance(resource, header, Path(), known.size, known.digest), known


def _restore_marks(index: Index, state: JournalState) -> None:
    """Insert the sent marks and pins that the journal records."""
    with index.writing() as connection:
        for server, at, resources in _sent_groups(state):
            mark_sent(connection, resources, server, at)
        for resource in state.pins():
            set_pinned(connection, resource, pinned=True)


def _sent_groups(state: JournalState) -> Iterator[tuple[str, float, list[Resource]]]:
    for (server, at), group in groupby(state.sent(), lambda mark: mark[1:]):
        while some := [mark[0] for mark in islice(group, BATCH)]:
            yield server, at, some
