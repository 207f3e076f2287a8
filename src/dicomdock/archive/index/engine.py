"""Connect to the database of the index: transactions and errors.

SQLite by default, with a write-ahead log so that several processes read while one writes; PostgreSQL by URL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dicomdock.errors import (
    ArchiveError,
    ArchiveLocked,
    IndexDamaged,
    InvalidInput,
    MissingDependency,
    NoSpace,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

LOCK_TIMEOUT = 30.0  # seconds to wait for another process; a group of instances takes it a fraction of one
WRITERS = 0x6469636F  # number of the advisory lock by which PostgreSQL lets one writer in at a time
_SQLITE_ERROR = 1
_SQLITE_FULL = 13
_SQLITE_DAMAGED = (11, 26, 522)  # a damaged page, no database at all, a file that is too short
FILE = "index.sqlite"
_LOCKED_STATES = ("55P03", "57014", "40P01")  # PostgreSQL: lock not available, statement time-out, deadlock
_FULL_STATES = ("53100", "53200")


class Index:
    """The database.

    Parameters
    ----------
    url : SQLAlchemy URL; empty for SQLite in the folder.
    folder : of the archive.
    lock_timeout : seconds to wait for another process.
    read_only : how SQLite is to open a file that cannot be written: URI parameters.

    Attributes
    ----------
    path : the database's file; None where it is not one.
    on_damage : called with the inode of a file that is found damaged, to rebuild it.
    on_close : called at the end.

    Raises
    ------
    InvalidInput
        The URL is not one, or names a database that is not supported.
    """

    def __init__(
        self, url: str, folder: Path, *, lock_timeout: float = LOCK_TIMEOUT, read_only: str = ""
    ) -> None:
        self._lock_timeout = lock_timeout
        self.folder = folder
        self.path = None if url else folder / FILE
        self._engine = _engine(url or f"sqlite:///{self.path}", lock_timeout, read_only)
        self.dialect = self._engine.dialect.name
        self._opened: int | None = None
        self.on_damage: Callable[[int | None], None] | None = None
        self.on_close: Callable[[], None] = lambda: None

    def inode(self) -> int | None:
        """Return what tells the database's file from another in its place; None where there is none."""
        try:
            return self.path.stat().st_ino if self.path else None
        except OSError:
            return None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Return a connection that sees one state of the index.

        Raises
        ------
        ArchiveLocked, ArchiveError
        """
        self._reopen()
        with self._mapped(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Return the one connection that writes; committed when the block ends without an error.

        Raises
        ------
        ArchiveLocked, NoSpace, ArchiveError
        """
        inode = self._reopen()
        with (
            self._mapped(),
            self._engine.connect().execution_options(writing=True) as connection,
            connection.begin(),
        ):
            if self.dialect == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITERS})"))
            yield connection
        if inode is not None and self.inode() != inode:
            raise ArchiveError("Another process has rebuilt the archive's index meanwhile; try again.")

    def disconnect(self) -> None:
        """Close all connections; the next use opens new ones."""
        self._engine.dispose()
        self._opened = None

    def close(self) -> None:
        """Close all connections, for good."""
        self.disconnect()
        self.on_close()

    def _reopen(self) -> int | None:
        """Let go of a database in whose place another one is, and return the inode of that one."""
        inode = self.inode()
        if inode != self._opened:
            if self._opened is not None:
                self._engine.dispose()
                if inode is None and self.on_damage is not None:
                    self._repair()
                    inode = self.inode()
            self._opened = inode
        return inode

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise ArchiveLocked("The archive's index is busy.") from error
        except DBAPIError as error:
            if is_damage(error):
                self._damaged(error)
            raise _our_error(error, self._lock_timeout) from error
        except SQLAlchemyError as error:
            raise ArchiveError(f"The archive's index failed: {error}.") from error

    def _damaged(self, error: DBAPIError) -> NoReturn:
        if not self._repair():
            raise IndexDamaged(f"The archive's index is damaged: {error.orig}.") from error
        raise IndexDamaged(
            "The archive's index was damaged; it has been rebuilt.", remedy="Try again."
        ) from error

    def _repair(self) -> bool:
        repair, self.on_damage = self.on_damage, None  # the repair reads the index too
        if repair is None:
            return False
        try:
            repair(self._opened)
        finally:
            self.on_damage = repair
        return True


def is_damage(error: DBAPIError) -> bool:
    """Return whether an error means that the database's file is damaged."""
    code = getattr(error.orig, "sqlite_errorcode", 0)
    if code == _SQLITE_ERROR:  # the version of the schema says that they are there
        return str(error.orig).startswith(("no such table", "no such column"))
    return code in _SQLITE_DAMAGED or code & 0xFF in _SQLITE_DAMAGED


def _our_error(error: DBAPIError, waited: float) -> ArchiveError:
    cause = error.orig
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    state = getattr(cause, "sqlstate", "") or ""
    if code in (5, 6) or state in _LOCKED_STATES:
        return ArchiveLocked(f"Another program has held the archive's index for {waited:g} seconds.")
    if code == _SQLITE_FULL or state in _FULL_STATES:
        return NoSpace("The disk of the archive's index is full.")
    return ArchiveError(f"The archive's index failed: {reason}.")


def _engine(url: str, lock_timeout: float, read_only: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise InvalidInput(f"The archive's index lies in SQLite or PostgreSQL, not in {backend}.")
        connect = partial(_connect_read_only, str(parsed.database), read_only) if read_only else None
        options = {"creator": connect} if connect else {}
        engine = create_engine(parsed, pool_size=8, max_overflow=24, pool_timeout=lock_timeout, **options)
    except (ArgumentError, NoSuchModuleError) as error:
        raise InvalidInput("The setting 'database' is not the URL of a database.") from error
    except ImportError as error:
        raise MissingDependency("psycopg", "install dicomdock[postgresql]") from error
    if backend == "sqlite":
        _prepare_sqlite(engine, lock_timeout, writable=not read_only)
    else:
        _prepare_postgresql(engine, lock_timeout)
    return engine


def _connect_read_only(path: str, parameters: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(path)}?{parameters}", uri=True, check_same_thread=False)


def _prepare_sqlite(engine: Engine, lock_timeout: float, *, writable: bool) -> None:
    @event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {int(lock_timeout * 1000)}",
            *(("journal_mode = WAL",) if writable else ()),
            "synchronous = FULL",  # what was said to be stored is stored, power cut or not
            "foreign_keys = ON",
            "cache_size = -16000",
            "mmap_size = 268435456",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _prepare_postgresql(engine: Engine, lock_timeout: float) -> None:
    @event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {int(lock_timeout * 1000)}")
        cursor.close()
        connection.commit()
