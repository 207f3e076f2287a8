"""Open the database of the index: connections, transactions and errors.

SQLite by default, with a write-ahead log so that several processes read while one writes; PostgreSQL by URL.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dicomdock.archive.index.connection import Connection, Driver
from dicomdock.archive.index.schema import Dialect
from dicomdock.errors import ArchiveError, ArchiveLocked, InvalidInput, MissingDependency, NoSpace

LOCK_TIMEOUT = 30.0  # seconds to wait for another process; a group of instances takes it a fraction of one
WRITERS = 0x6469636F  # number of the advisory lock by which PostgreSQL lets one writer in at a time
CONNECTIONS, IDLE = 32, 8  # open at once, and left open when nobody uses them
_SQLITE_FULL = 13
_LOCKED_STATES = ("55P03", "57014", "40P01")  # PostgreSQL: lock not available, statement time-out, deadlock
_FULL_STATES = ("53100", "53200")
_URL = re.compile(r"(?P<backend>\w+)(?:\+\w+)?:(?P<rest>//.*)", re.DOTALL)
_FILE = re.compile(r"///(?P<path>[^?]+)(?:\?.*)?", re.DOTALL)


class Index:
    """The database.

    Parameters
    ----------
    url : ``sqlite:///PATH`` or ``postgresql://...``; empty for SQLite in the folder.
    folder : of the archive.
    lock_timeout : seconds to wait for another process.

    Raises
    ------
    InvalidInput
        The URL is not one, or names a database that is not supported.
    """

    def __init__(self, url: str, folder: Path, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self._lock_timeout = lock_timeout
        self.dialect: Dialect
        self.dialect, self._connect, self._errors = _driver(url, folder / "index.sqlite", lock_timeout)
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: list[Driver] = []
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Return a connection that sees one state of the index.

        Raises
        ------
        ArchiveLocked, ArchiveError
        """
        with self._lent() as connection:
            if self.dialect == "sqlite":
                connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Return the one connection that writes; committed when the block ends without an error.

        Raises
        ------
        ArchiveLocked, NoSpace, ArchiveError
        """
        with self._lent() as connection:
            if self.dialect == "sqlite":
                connection.execute("BEGIN IMMEDIATE")
            else:
                connection.execute(f"SELECT pg_advisory_xact_lock({WRITERS})")
            yield connection
            connection.commit()

    def close(self) -> None:
        """Close all connections; those in use when they are given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        """Lend a connection, which is rolled back at the end: what was committed is not touched by that."""
        if not self._room.acquire(timeout=self._lock_timeout):
            raise ArchiveLocked("The archive's index is busy.")
        try:
            try:
                driver = self._idle.pop()
            except IndexError:
                driver = self._connect()
            try:
                yield Connection(driver, self.dialect)
            finally:
                self._take_back(driver)
        except self._errors as error:
            raise _our_error(error, self._lock_timeout) from error
        finally:
            self._room.release()

    def _take_back(self, driver: Driver) -> None:
        try:
            driver.rollback()
        except self._errors:  # it is broken, which the block has reported
            driver.close()
            return
        if self._closed or len(self._idle) >= IDLE:
            driver.close()
        else:
            self._idle.append(driver)


def _our_error(error: Exception, waited: float) -> ArchiveError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    state = getattr(error, "sqlstate", "") or ""
    if code in (5, 6) or state in _LOCKED_STATES:
        return ArchiveLocked(f"Another program has held the archive's index for {waited:g} seconds.")
    if code == _SQLITE_FULL or state in _FULL_STATES:
        return NoSpace("The disk of the archive's index is full.")
    return ArchiveError(f"The archive's index failed: {reason}.")


def _driver(
    url: str, default: Path, lock_timeout: float
) -> tuple[Dialect, Callable[[], Driver], type[Exception]]:
    """Return the dialect of a URL, what connects to its database, and the errors that this raises."""
    if not url:
        return "sqlite", lambda: _connect_sqlite(str(default), lock_timeout), sqlite3.Error
    found = _URL.fullmatch(url)
    if found is None:
        raise InvalidInput("The setting 'database' is not the URL of a database.")
    if found["backend"] == "sqlite":
        file = _FILE.fullmatch(found["rest"])
        if file is None:
            raise InvalidInput("The setting 'database' names no file of SQLite.")
        path = file["path"]
        return "sqlite", lambda: _connect_sqlite(path, lock_timeout), sqlite3.Error
    if found["backend"] != "postgresql":
        raise InvalidInput(f"The archive's index lies in SQLite or PostgreSQL, not in {found['backend']}.")
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise MissingDependency("psycopg", "install dicomdock[postgresql]") from error
    wanted = f"postgresql:{found['rest']}"
    try:
        conninfo_to_dict(wanted)
    except psycopg.Error:
        # Without its cause, which may quote a part of the password.
        raise InvalidInput("The setting 'database' is not the URL of a database.") from None

    def connect() -> Driver:
        connection: Driver = psycopg.connect(wanted)
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {int(lock_timeout * 1000)}", ())
        cursor.close()
        connection.commit()
        return connection

    return "postgresql", connect, psycopg.Error


def _connect_sqlite(path: str, lock_timeout: float) -> Driver:
    connection = sqlite3.connect(
        path,
        timeout=lock_timeout,
        isolation_level=None,  # transactions are begun by ``reading`` and ``writing``
        check_same_thread=False,  # one thread after the other
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # what was said to be stored is stored, power cut or not
        "foreign_keys = ON",
        "cache_size = -16000",
        "mmap_size = 268435456",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection
