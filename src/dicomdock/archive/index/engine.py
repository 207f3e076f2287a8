"""Open the database of the index: connections, transactions and errors.

SQLite by default, with a write-ahead log so that several processes read while one writes; PostgreSQL by URL.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from dicomdock.archive.index.connection import Connection, Driver
from dicomdock.archive.index.schema import TABLES, Dialect
from dicomdock.config.sqlite import error_code, is_full, make_private, use_write_ahead_log
from dicomdock.errors import (
    ArchiveError,
    ArchiveLocked,
    IndexDamaged,
    InvalidInput,
    MissingDependency,
    NoSpace,
)

LOCK_TIMEOUT = 30.0  # seconds to wait for another process; a group of instances takes it a fraction of one
WRITERS = 0x6469636F  # number of the advisory lock by which PostgreSQL lets one writer in at a time
CONNECTIONS, IDLE = 32, 8  # open at once, and left open when nobody uses them
FILE = "index.sqlite"
_SQLITE_DAMAGED = (11, 26, 522)  # a damaged page, no database at all, a file that is too short
_OF_OTHERS = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)
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
    read_only : how SQLite is to open a file that cannot be written: URI parameters.
    file : name of SQLite's file in the folder, where the URL is empty.

    Attributes
    ----------
    folder : of the archive.
    path : the database's file; None where it is not one.
    on_damage : called with the inode of a file that is found damaged, None where something else is wrong
        with it; rebuilds it, or waits until another process has done so.
    on_close : called at the end.

    Raises
    ------
    InvalidInput
        The URL is not one, or names a database that is not supported.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
        read_only: str = "",
        file: str = FILE,
    ) -> None:
        self._lock_timeout = lock_timeout
        self.folder = folder
        self.dialect: Dialect
        self.path: Path | None
        self.dialect, self.path, self._connect, self._errors = _driver(
            url, folder / file, lock_timeout, read_only
        )
        self.on_damage: Callable[[int | None], None] | None = None
        self.on_close: Callable[[], None] = lambda: None
        self._opened: int | None = None  # the file that the connections are of
        self._generation = 0  # counts the files that it was
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: list[Driver] = []
        self._closed = False
        self._mending = threading.RLock()  # others wait until what one thread rebuilds is whole

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Return a connection that sees one state of the index.

        Raises
        ------
        ArchiveLocked, ArchiveError
        """
        with self._lent("BEGIN") as (connection, _):
            yield connection

    @contextmanager
    def writing(self, *, synced: bool = True) -> Iterator[Connection]:
        """Return the one connection that writes; committed when the block ends without an error.

        Parameters
        ----------
        synced : what was committed is on the disk then. Else SQLite has it in its log, which the system
            writes when it pleases: a power cut can take it back, but never in part, and never without what
            was committed later.

        Raises
        ------
        ArchiveLocked, NoSpace, ArchiveError
        """
        synchronous = f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}"
        with self._lent(synchronous, "BEGIN IMMEDIATE") as (connection, inode):
            if self.dialect == "postgresql":
                connection.execute(f"SELECT pg_advisory_xact_lock({WRITERS})")
            yield connection
            connection.commit()
        if inode is not None and self.inode() != inode:
            raise ArchiveError("Another process has rebuilt the archive's index meanwhile; try again.")

    def log(self) -> Path | None:
        """Return SQLite's log, where what is not synced lies; None where there is none."""
        log = self.path and self.path.with_name(f"{self.path.name}-wal")
        return log if log and log.exists() else None

    def inode(self) -> int | None:
        """Return what distinguishes the database's file from another in its place; None for no file."""
        try:
            return self.path.stat().st_ino if self.path else None
        except OSError:
            return None

    def disconnect(self) -> None:
        """Close all connections, those in use when they are given back; the next use opens new ones."""
        self._generation += 1
        self._opened = None
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Close all connections for good; those in use when they are given back."""
        self._closed = True
        self.disconnect()
        self.on_close()

    def _reopen(self) -> tuple[int | None, bool]:
        """Let go of a database in whose place another one is, once that one is whole.

        Returns
        -------
        The inode of its file, and whether it must be whole: not while this thread rebuilds it.
        """
        with self._mending:
            inode = self.inode()
            if inode != self._opened:
                gone = self._opened
                if gone is not None:
                    self.disconnect()
                    self._repair(gone)
                    inode = self.inode()
                self._opened = inode
            return inode, self.on_damage is not None

    def _repair(self, inode: int | None) -> bool:
        with self._mending:
            repair, self.on_damage = self.on_damage, None  # the repair reads the index too
            if repair is None:
                return False
            try:
                repair(inode)
            finally:
                self.on_damage = repair
            return True

    @contextmanager
    def _lent(self, *begin: str) -> Iterator[tuple[Connection, int | None]]:
        """Lend a connection, which is rolled back at the end: what was committed is not touched by that."""
        if not self._room.acquire(timeout=self._lock_timeout):
            raise ArchiveLocked("The archive's index is busy.")
        inode = None
        try:
            driver, generation, inode = self._begun(begin)
            try:
                yield Connection(driver, self.dialect), inode
            finally:
                self._take_back(driver, generation)
        except self._errors as error:
            if not _is_damage(error):
                raise _our_error(error, self._lock_timeout, self.path) from error
            if not self._repair(inode if _is_of_file(error) else None):
                raise IndexDamaged(f"The archive's index is damaged: {error}.") from error
            message = "The archive's index was damaged; it has been rebuilt."
            raise IndexDamaged(message, remedy="Try again.") from error
        finally:
            self._room.release()

    def _begun(self, begin: Sequence[str]) -> tuple[Driver, int, int | None]:
        """Return a connection with a transaction of SQLite that sees a whole index.

        What another process does to the file does not disturb the transaction from then on. Where it moves
        the file before, SQLite fails in many ways; the next try waits until that process is done.
        """
        for last in (False, True):
            inode, whole = self._reopen()
            generation = self._generation
            try:
                driver = self._idle.pop()
            except IndexError:
                driver = None
            try:
                driver = driver or self._connect()
                if self.dialect == "sqlite":
                    connection = Connection(driver, self.dialect)
                    for statement in begin:
                        connection.execute(statement)
                    if whole:
                        connection.execute("SELECT id FROM study WHERE id = 0")
            except self._errors as error:
                if driver is not None:
                    driver.close()
                if last or self.path is None or error_code(error) in _OF_OTHERS:
                    raise
                if not self._repair(inode if _is_of_file(error) else None):
                    raise
            else:
                return driver, generation, inode
        raise AssertionError("The last try has returned or raised.")

    def _take_back(self, driver: Driver, generation: int) -> None:
        try:
            driver.rollback()
        except self._errors:  # it is broken, which the block has reported
            driver.close()
            while self._idle:  # a server that has restarted has cut them all
                self._idle.pop().close()
            return
        if self._closed or generation != self._generation or len(self._idle) >= IDLE:
            driver.close()
        else:
            self._idle.append(driver)


def _is_damage(error: Exception) -> bool:
    """Return whether an error means that the database's file is damaged."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:
        # The version of the schema says that they are there.
        return str(error).removeprefix("no such table: ") in {table.name for table in TABLES}
    return _is_of_file(error)


def _is_of_file(error: Exception) -> bool:
    """Return whether the file itself is damaged; tables may be missing because another process makes them."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code in _SQLITE_DAMAGED or code & 0xFF in _SQLITE_DAMAGED


def _our_error(error: Exception, waited: float, file: Path | None) -> ArchiveError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    code = error_code(error)
    state = getattr(error, "sqlstate", "") or ""
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or state in _LOCKED_STATES:
        return ArchiveLocked(f"Another program has held the archive's index for {waited:g} seconds.")
    if state in _FULL_STATES or (file is not None and is_full(error, file)):
        return NoSpace("The disk of the archive's index is full.")
    return ArchiveError(f"The archive's index failed: {reason}.")


def _driver(
    url: str, default: Path, lock_timeout: float, read_only: str
) -> tuple[Dialect, Path | None, Callable[[], Driver], type[Exception]]:
    """Return the dialect of a URL, its file, what connects to it, and the errors that this raises."""

    def sqlite(path: Path) -> tuple[Dialect, Path, Callable[[], Driver], type[Exception]]:
        return "sqlite", path, lambda: _connect_sqlite(path, lock_timeout, read_only), sqlite3.Error

    if not url:
        return sqlite(default)
    found = _URL.fullmatch(url)
    if found is None:
        raise InvalidInput("The setting 'database' is not the URL of a database.")
    if found["backend"] == "sqlite":
        file = _FILE.fullmatch(found["rest"])
        if file is None:
            raise InvalidInput("The setting 'database' names no file of SQLite.")
        return sqlite(Path(file["path"]))
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
        # Compiling a statement takes seconds, and what it is compiled for milliseconds: a page of rows.
        cursor.execute("SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'jit'", ())
        cursor.close()
        connection.commit()
        return connection

    return "postgresql", None, connect, psycopg.Error


def _connect_sqlite(path: Path, lock_timeout: float, read_only: str) -> Driver:
    if not read_only:
        make_private(path)
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{read_only}" if read_only else path,
        uri=bool(read_only),
        timeout=lock_timeout,
        isolation_level=None,  # transactions are begun by ``reading`` and ``writing``
        check_same_thread=False,  # one thread after the other
    )
    if not read_only:
        use_write_ahead_log(connection, lock_timeout)
    for pragma in (
        "synchronous = FULL",  # what was reported as stored is stored, power cut or not
        "foreign_keys = ON",
        "cache_size = -16000",
        "mmap_size = 33554432",  # counts as memory of the process, once for each connection
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection
