"""Connect to the database of the index: transactions and errors.

SQLite by default, with a write-ahead log so that several processes read while one writes; PostgreSQL by URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dicomdock.errors import ArchiveError, ArchiveLocked, InvalidInput, MissingDependency, NoSpace

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

LOCK_TIMEOUT = 30.0  # seconds to wait for another process; a group of instances takes it a fraction of one
WRITERS = 0x6469636F  # number of the advisory lock by which PostgreSQL lets one writer in at a time
_SQLITE_FULL = 13
_LOCKED_STATES = ("55P03", "57014", "40P01")  # PostgreSQL: lock not available, statement time-out, deadlock
_FULL_STATES = ("53100", "53200")


class Index:
    """The database.

    Parameters
    ----------
    url : SQLAlchemy URL; empty for SQLite in the folder.
    folder : of the archive.
    lock_timeout : seconds to wait for another process.

    Raises
    ------
    InvalidInput
        The URL is not one, or names a database that is not supported.
    """

    def __init__(self, url: str, folder: Path, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self._lock_timeout = lock_timeout
        self._engine = _engine(url or f"sqlite:///{folder / 'index.sqlite'}", lock_timeout)
        self.dialect = self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Return a connection that sees one state of the index.

        Raises
        ------
        ArchiveLocked, ArchiveError
        """
        with self._mapped(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Return the one connection that writes; committed when the block ends without an error.

        Raises
        ------
        ArchiveLocked, NoSpace, ArchiveError
        """
        with (
            self._mapped(),
            self._engine.connect().execution_options(writing=True) as connection,
            connection.begin(),
        ):
            if self.dialect == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITERS})"))
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise ArchiveLocked("The archive's index is busy.") from error
        except DBAPIError as error:
            raise _our_error(error, self._lock_timeout) from error
        except SQLAlchemyError as error:
            raise ArchiveError(f"The archive's index failed: {error}.") from error


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


def _engine(url: str, lock_timeout: float) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise InvalidInput(f"The archive's index lies in SQLite or PostgreSQL, not in {backend}.")
        engine = create_engine(parsed, pool_size=8, max_overflow=24, pool_timeout=lock_timeout)
    except (ArgumentError, NoSuchModuleError) as error:
        raise InvalidInput("The setting 'database' is not the URL of a database.") from error
    except ImportError as error:
        raise MissingDependency("psycopg", "install dicomdock[postgresql]") from error
    if backend == "sqlite":
        _prepare_sqlite(engine, lock_timeout)
    else:
        _prepare_postgresql(engine, lock_timeout)
    return engine


def _prepare_sqlite(engine: Engine, lock_timeout: float) -> None:
    @event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {int(lock_timeout * 1000)}",
            "journal_mode = WAL",
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
