"""The database of the transfers, or of another list: one SQLite file that all processes of the user share."""

from __future__ import annotations

import logging
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from dicomdock.config.lock import FileLock
from dicomdock.config.migrations import migrate
from dicomdock.config.sqlite import error_code, is_full, make_private, use_write_ahead_log
from dicomdock.errors import ArchiveError, ArchiveLocked, NoSpace

T = TypeVar("T")
log = logging.getLogger(__name__)

LOCK_TIMEOUT = 10.0  # seconds to wait for another process; a group of outcomes takes it a fraction of one
NAME = "The list of transfers"
_TABLES = (
    """
    create table if not exists transfer (
        id integer primary key,
        kind text not null,
        server text not null,
        resources text not null,
        files text not null,
        options text not null,
        state text not null,
        wish text not null default '',
        message text not null default '',
        progress text not null default '{}',
        report text not null default '{}',
        owner integer not null default 0,
        created real not null,
        updated real not null
    )
    """,
    """
    create table if not exists item (
        transfer integer not null references transfer (id) on delete cascade,
        resource text not null,
        status text not null,
        reason text not null,
        primary key (transfer, resource)
    ) without rowid
    """,
)


def first_tables(connection: sqlite3.Connection) -> None:
    """Lead to version 1; dicomdock 0.1 wrote these tables without stating a version."""
    for table in _TABLES:
        connection.execute(table)


def owner_lock(connection: sqlite3.Connection) -> None:
    """Lead to version 2: the lock that the process holds that works on a transfer."""
    connection.execute("alter table transfer add column owner_lock text not null default ''")


def options_of_deidentification(_connection: sqlite3.Connection) -> None:
    """Lead to version 3: pushes may ask for de-identified copies.

    The tables are the same; but an earlier dicomdock knows nothing of the option, and would send such a push
    as it is. It refuses the newer version.
    """


MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (
    first_tables,
    owner_lock,
    options_of_deidentification,
)


class Database:
    """A connection per use: cheap for SQLite, and safe in every thread.

    A damaged file is moved aside and a new one begun, at the start and whenever it shows.

    Parameters
    ----------
    file : the database; its folder must be there.
    migrations : the steps to its tables.
    name : what it is, to begin a sentence with.

    Raises
    ------
    ArchiveLocked
        Another process holds it for too long.
    ArchiveTooNew
        A later version of dicomdock wrote it.
    """

    def __init__(
        self,
        file: Path,
        migrations: Sequence[Callable[[sqlite3.Connection], None]] = MIGRATIONS,
        name: str = NAME,
    ) -> None:
        self._file = file
        self._migrations, self._name = migrations, name
        self._prepared(self._migrate)
        # The last connection to close empties the log and waits for the disk: one stays open, unused.
        weakref.finalize(self, self._open().close)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work on one connection."""

        def reading() -> T:
            with self.reading() as connection:
                return work(connection)

        return self._prepared(reading)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work in one transaction; it may run twice where the file turns out to be damaged."""

        def writing() -> T:
            with self.writing() as connection:
                return work(connection)

        return self._prepared(writing)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection."""
        with closing(self._open()) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a connection that writes; what it did lasts when the block is left without an error."""
        with closing(self._open()) as connection:
            connection.execute("begin immediate")
            yield connection
            connection.execute("commit")

    def version(self, connection: sqlite3.Connection) -> int:
        """Read the version of the schema; 0 where there are no tables, or those of dicomdock 0.1."""
        return int(connection.execute("pragma user_version").fetchone()[0])

    def set_version(self, connection: sqlite3.Connection, version: int) -> None:
        """Write the version of the schema."""
        connection.execute(f"pragma user_version = {version:d}")

    def _migrate(self) -> None:
        migrate(self, self._migrations, name=self._name)

    def _open(self) -> sqlite3.Connection:
        make_private(self._file)
        connection = sqlite3.connect(
            self._file, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            use_write_ahead_log(connection, LOCK_TIMEOUT)
            connection.execute("pragma synchronous = normal")
            connection.execute("pragma foreign_keys = on")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepared(self, work: Callable[[], T]) -> T:
        """Run work; begin a new file and run it again where the present one is damaged."""
        try:
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    self._move_aside(error)
                elif error_code(error) != sqlite3.SQLITE_ERROR:  # a table or column that is not there yet:
                    raise  # another process has begun the file anew and is still making them
                self._migrate()
                return work()
        except sqlite3.Error as error:
            raise self._our_error(error) from error

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        with FileLock(self._file.with_name(f"{self._file.name}.lock")).held():
            if self._is_whole():  # another process was faster
                return
            aside = self._file.with_name(f"{self._file.stem}-damaged-{time.strftime('%Y%m%dT%H%M%S')}.db")
            while aside.exists():
                aside = aside.with_name(f"{aside.stem}x.db")
            for suffix in ("-wal", "-shm", ""):
                part = self._file.with_name(self._file.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
            log.warning(
                "%s was damaged (%s). It was moved to %s, and a new one begun.", self._name, error, aside
            )

    def _is_whole(self) -> bool:
        try:
            with self.reading() as connection:
                return bool(connection.execute("pragma quick_check(1)").fetchone() == ("ok",))
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                return False
            raise

    def _our_error(self, error: sqlite3.Error) -> ArchiveError:
        code = error_code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return ArchiveLocked(f"Another process has held {self._file} for {LOCK_TIMEOUT:g} seconds.")
        if is_full(error, self._file):
            return NoSpace(f"The disk of {self._file} is full.")
        return ArchiveError(f"{self._name} {self._file} cannot be used: {error}.")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return error_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
