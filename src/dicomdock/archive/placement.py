"""Bring the files of a commit to their storage, so that a crash leaves nothing unknown behind.

A folder: files are synced before the index's write lock is taken, and renamed under it. An object store: what
is about to be uploaded is listed in the index, then uploaded without a lock; under the lock the list must be
there still, and goes with the transaction that inserts the rows. What is listed or has a row is not deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import known_rows
from dicomdock.archive.index.schema import deletions, uploads
from dicomdock.archive.pending import PendingInstance
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.local import LocalFolder
from dicomdock.archive.storage.syncing import sync_files

if TYPE_CHECKING:
    from dicomdock.archive.storage.object_store import ObjectStore

STALE = 86400.0  # seconds after which an upload of another machine is given up for dead
_OF_SESSION = "SELECT path FROM upload WHERE session = ?"


class Placement(Protocol):
    """How the files of one commit reach their storage."""

    def prepare(self, note: Path, pending: Sequence[PendingInstance]) -> None:
        """Do what takes long, before the index is locked."""

    def place(
        self,
        connection: Connection,
        notes: Sequence[Path],
        items: Sequence[PendingInstance],
        replaced: Sequence[str],
    ) -> None:
        """Bring files to where they belong, under the lock.

        Parameters
        ----------
        notes : with which they were prepared.
        replaced : keys of the files that they replace.
        """

    def finish(self, items: Iterable[PendingInstance]) -> None:
        """Tidy up once the rows are committed."""


def placement(files: Files, index: Index) -> Placement:
    """Return how the files of a commit reach the storage of an archive."""
    return InFolder(files, files.local) if files.objects is None else InBucket(files, files.objects, index)


class InFolder:
    """Files are renamed into a folder."""

    def __init__(self, files: Files, folder: LocalFolder) -> None:
        self._files, self._folder = files, folder

    def prepare(self, note: Path, pending: Sequence[PendingInstance]) -> None:
        """Sync the files and the note."""
        sync_files([note, *(item.temporary for item in pending)])

    def place(
        self,
        connection: Connection,  # noqa: ARG002 - of the protocol
        notes: Sequence[Path],  # noqa: ARG002
        items: Sequence[PendingInstance],
        replaced: Sequence[str],  # noqa: ARG002
    ) -> None:
        """Rename the files; one that is replaced has the same path."""
        self._folder.move((item.temporary, item.relative_path) for item in items)

    def finish(self, items: Iterable[PendingInstance]) -> None:
        """Do nothing: the files are renamed."""


class InBucket:
    """Files are uploaded as objects."""

    def __init__(self, files: Files, objects: ObjectStore, index: Index) -> None:
        self._files, self._objects, self._index = files, objects, index

    def prepare(self, note: Path, pending: Sequence[PendingInstance]) -> None:
        """List the objects in the index, and upload those that it does not have yet."""
        with self._index.writing() as connection:
            there = known_rows(connection, (item.resource for item in pending))
            # What is restored has a row already, and is uploaded under the lock, as nothing may list it.
            wanted = [
                item
                for item in pending
                if item.resource not in there or (item.replace and there[item.resource][1] != item.digest)
            ]
            announce(connection, session_of(note), [self._key(item) for item in wanted])
        self._files.reached("upload: announced")
        self._upload(wanted)
        self._files.reached("upload: done")

    def place(
        self,
        connection: Connection,
        notes: Sequence[Path],
        items: Sequence[PendingInstance],
        replaced: Sequence[str],
    ) -> None:
        """See that the objects are still listed; else they were deleted meanwhile, and are uploaded again."""
        ensure_table(connection)  # the index may have been rebuilt meanwhile
        sessions = [session_of(note) for note in notes]
        listed = {key for session in sessions for key in connection.column(_OF_SESSION, session)}
        self._upload([item for item in items if self._key(item) not in listed])
        placed = {self._key(item) for item in items}
        connection.execute_many("DELETE FROM upload WHERE session = ?", [(one,) for one in sessions])
        # Whoever else uploads the same gives up nothing that has a row.
        connection.execute_many("DELETE FROM upload WHERE path = ?", [(key,) for key in placed])
        doom(connection, [*(listed - placed), *(key for key in replaced if key not in placed)])

    def finish(self, items: Iterable[PendingInstance]) -> None:
        """Keep the files as local copies: what has just come is often looked at."""
        for item in items:
            with suppress(OSError):
                self._objects.cache.add(self._key(item), item.temporary, time.time())

    def _upload(self, items: Sequence[PendingInstance]) -> None:
        if items:
            self._objects.upload(
                [(item.temporary, self._key(item)) for item in items],
                lambda: self._files.reached("upload: one done"),
            )

    def _key(self, item: PendingInstance) -> str:
        return item.key(self._objects)


def session_of(note: Path) -> str:
    """Return what the uploads of a commit are listed under."""
    return f"{note.parent.name}/{note.name}"


def announce(connection: Connection, session: str, keys: Iterable[str]) -> None:
    """List objects that are about to be uploaded."""
    ensure_table(connection)
    now = time.time()
    connection.execute_many(uploads.insert_or_pass, [(key, session, now) for key in keys])


def ensure_table(connection: Connection) -> None:
    """Make the list of uploads where there is none: only archives in an object store have it."""
    if not connection.has_table(uploads.name):
        for statement in uploads.create(connection.dialect):
            connection.execute(statement)


def give_up(connection: Connection, sessions: Iterable[str]) -> None:
    """Let the uploads of sessions be deleted that are dead."""
    ensure_table(connection)
    for session in sessions:
        keys = connection.column(_OF_SESSION, session)
        connection.execute("DELETE FROM upload WHERE session = ?", session)
        doom(connection, keys)


def uploading(connection: Connection) -> list[str]:
    """Return the keys of objects that are being uploaded."""
    return connection.column("SELECT path FROM upload") if connection.has_table(uploads.name) else []


def stale_sessions(connection: Connection) -> list[str]:
    """Return the sessions that began so long ago that they are dead, on whichever machine they were."""
    if not connection.has_table(uploads.name):
        return []
    return connection.column("SELECT DISTINCT session FROM upload WHERE at < ?", time.time() - STALE)


def doom(connection: Connection, keys: Iterable[str]) -> None:
    """List objects to be deleted."""
    connection.execute_many(deletions.insert_or_pass, [(key,) for key in keys])


def deletable(connection: Connection, limit: int) -> list[str]:
    """Return some of the objects to be deleted that nobody uploads again."""
    ensure_table(connection)
    wanted = "SELECT path FROM doomed WHERE path NOT IN (SELECT path FROM upload) LIMIT ?"
    return connection.column(wanted, limit)
