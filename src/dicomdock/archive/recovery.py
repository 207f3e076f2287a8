"""Finish what a crash left half done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from dicomdock.archive.commit import sync_commits
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import known_rows
from dicomdock.archive.pending import PendingInstance, insert_instances, replace_rows, stored_records
from dicomdock.archive.placement import deletable, give_up, session_of, stale_sessions
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.journal import Removed, Stored
from dicomdock.archive.storage.local import COPY, disk_errors
from dicomdock.archive.storage.sessions import NOTE, PREFIX, Announcement
from dicomdock.config.process_folders import abandoned
from dicomdock.dicom.resource import Resource
from dicomdock.errors import WireError

_STORED = "SELECT origin, made_here, added FROM instance WHERE id = ?"


def recover(files: Files, index: Index) -> None:
    """Finish what crashed processes began; cheap where there is nothing to do."""
    with disk_errors("Opening the archive"), abandoned(files.incoming, PREFIX) as sessions:
        if files.objects is not None:
            _give_up(index, [session_of(note) for session in sessions for note in session.glob(f"*{NOTE}")])
        for session in sessions if files.objects is None else ():
            for note in session.glob(f"*{NOTE}"):
                if announcement := Announcement.read(note):
                    finish_announced(files, index, announcement)
                    files.reached("recover: adopted")
    with index.reading() as connection:
        work = connection.first("SELECT path FROM doomed LIMIT 1") or connection.first(
            "SELECT path FROM replacing LIMIT 1"
        )
    if work:
        remove_deleted_files(files, index)
        _finish_replacements(files, index)


def _give_up(index: Index, sessions: Sequence[str]) -> None:
    """List for deletion what dead commits have uploaded and no row is of."""
    with index.reading() as connection:
        dead = [*sessions, *stale_sessions(connection)]
    if dead:
        with index.writing() as connection:
            give_up(connection, dead)


def finish_announced(files: Files, index: Index, announced: Announcement, *, alive: bool = False) -> None:
    """Insert or update the rows of files that a note names, where they were moved into the archive.

    Parameters
    ----------
    alive : the process that wrote the note may still be at work.
    """
    from dicomdock.archive.adoption import BATCH, read_instance

    origin, made_here = announced.origin, announced.made_here
    moved: list[PendingInstance] = []
    for path, digest in announced.digests.items():
        file = files.folder / path
        if not alive:
            with suppress(OSError):
                file.with_name(file.name + COPY).unlink(missing_ok=True)
        try:
            item = replace(read_instance(files.local, path), remarks=tuple(announced.remarks.get(path, ())))
        except (OSError, WireError):
            continue
        if digest in ("", item.digest) and item.relative_path == path:
            moved.append(item)
    for start in range(0, len(moved), BATCH):
        some = moved[start : start + BATCH]
        with index.writing() as connection:
            there = known_rows(connection, (item.resource for item in some))
            going = {*connection.column("SELECT path FROM doomed")}
            # A removal that came after it counts; a note of an earlier version says nothing of the bytes.
            some = [one for one in some if one.relative_path not in going]
            fresh = [
                one
                for one in some
                if one.resource not in there and (files.folder / one.relative_path).exists()
            ]
            others = [one for one in some if one.resource in there and announced.digests[one.relative_path]]
            exchanged = [one for one in others if there[one.resource][1] != one.digest]
            now = time.time()
            files.journal.append(
                [
                    *stored_records([*fresh, *exchanged], origin, made_here, now),
                    *_recorded_again(connection, [one for one in others if one not in exchanged], there),
                ]
            )
            insert_instances(connection, fresh, origin=origin, made_here=made_here, at=now)
            replaced = [(there[one.resource][0], one) for one in exchanged]
            replace_rows(connection, replaced, origin=origin, made_here=made_here, at=now)
    sync_commits(files, index)  # rows that were there may not have been on the disk


def _recorded_again(
    connection: Connection, indexed: Sequence[PendingInstance], there: Mapping[Resource, tuple[int, str]]
) -> Iterator[Stored]:
    """Return the records of instances that have rows: a power cut may have taken those alone."""
    for one in indexed:
        row = connection.first(_STORED, there[one.resource][0])
        assert row is not None
        origin, made_here, at = row
        yield from stored_records([one], origin, bool(made_here), at)


def remove_deleted_files(files: Files, index: Index) -> None:
    """Delete the files of rows that are gone.

    A file that the system does not let go stays listed, and is tried again when the archive is opened next.
    """
    if files.objects is None:
        with index.writing() as connection:
            _discard(files, connection, connection.column("SELECT path FROM doomed"))
        return
    from dicomdock.archive.storage.object_store import DELETED_AT_ONCE

    more = True
    while more:  # the store is asked under the lock: others wait for so many only
        with index.writing() as connection:
            keys = deletable(connection, DELETED_AT_ONCE)
            more = _discard(files, connection, keys) == DELETED_AT_ONCE


def _discard(files: Files, connection: Connection, keys: Sequence[str]) -> int:
    """Remove files, and return the number of those that are gone."""
    removed = []
    for key in files.storage.discard(keys):
        removed.append(key)
        if len(removed) == 1:
            files.reached("remove: one file removed")
    if removed:
        files.journal.append([Removed(removed)])
        files.reached("remove: in the journal")
        connection.execute_many("DELETE FROM doomed WHERE path = ?", [(key,) for key in removed])
    return len(removed)


def _finish_replacements(files: Files, index: Index) -> None:
    """Bring the rows of files up to date that an earlier version exchanged before a crash."""
    from dicomdock.archive.adoption import read_instance

    with index.writing() as connection:
        replaced: list[tuple[int, PendingInstance]] = []
        for path, number, digest in connection.all("SELECT path, instance, digest FROM replacing"):
            try:
                item = read_instance(files.local, path)
            except (OSError, WireError):
                continue
            if item.digest == digest:  # else it was not exchanged yet, or not by this
                replaced.append((number, item))
        now = time.time()
        files.journal.append(stored_records([item for _, item in replaced], "", False, now))
        replace_rows(connection, replaced, at=now)
