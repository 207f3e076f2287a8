"""A connection to the database of the index: SQLite through ``sqlite3``, PostgreSQL through psycopg.

Statements are written once, in the SQL that both know, with ``?`` for each value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from dicomdock.archive.index.schema import Dialect, Table, Value

Row: TypeAlias = "tuple[Any, ...]"


class _Cursor(Protocol):
    """What both drivers have of a cursor."""

    def execute(self, statement: str, values: Sequence[Value], /) -> object: ...

    def executemany(self, statement: str, rows: Iterable[Sequence[Value]], /) -> object: ...

    def fetchone(self) -> Row | None: ...

    def fetchall(self) -> list[Row]: ...

    def __iter__(self) -> Iterator[Row]: ...

    def close(self) -> None: ...


class Driver(Protocol):
    """What both drivers have of a connection."""

    def cursor(self) -> _Cursor:
        """Return a new cursor."""

    def commit(self) -> None:
        """Commit the transaction."""

    def rollback(self) -> None:
        """Roll the transaction back; none is not an error."""

    def close(self) -> None:
        """Close the connection."""


class Connection:
    """A connection within a transaction; made by ``Index.reading`` and ``Index.writing``.

    Parameters
    ----------
    driver : of ``sqlite3`` or psycopg.
    dialect : which of them.
    """

    def __init__(self, driver: Driver, dialect: Dialect) -> None:
        self._driver = driver
        self.dialect: Dialect = dialect

    def execute(self, statement: str, *values: Value) -> None:
        """Execute a statement that returns nothing."""
        self._executed(statement, values).close()

    def execute_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Execute a statement for each row of values."""
        with closing(self._driver.cursor()) as cursor:
            cursor.executemany(self._written(statement), rows)

    def each(self, statement: str, *values: Value) -> Iterator[Row]:
        """Return the rows of a query one after the other."""
        with closing(self._executed(statement, values)) as cursor:
            yield from cursor

    def all(self, statement: str, *values: Value) -> list[Row]:
        """Return all rows of a query."""
        with closing(self._executed(statement, values)) as cursor:
            return cursor.fetchall()

    def column(self, statement: str, *values: Value) -> list[Any]:
        """Return the first value of all rows of a query."""
        return [row[0] for row in self.all(statement, *values)]

    def first(self, statement: str, *values: Value) -> Row | None:
        """Return the first row of a query, None where there is none."""
        with closing(self._executed(statement, values)) as cursor:
            return cursor.fetchone()

    def insert(self, table: Table, rows: Iterable[Sequence[Value]]) -> None:
        """Insert rows, each as ``Table.values`` orders it."""
        self.execute_many(table.insert, rows)

    def commit(self) -> None:
        """Commit the transaction."""
        self._driver.commit()

    def has_table(self, name: str) -> bool:
        """Return whether the database has a table."""
        if self.dialect == "sqlite":
            found = self.first("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", name)
        else:  # to_regclass would answer from a cache that does not know what another process has just made
            found = self.first("SELECT 1 FROM pg_class WHERE relname = ? AND pg_table_is_visible(oid)", name)
        return found is not None

    def _executed(self, statement: str, values: Sequence[Value]) -> _Cursor:
        """Return a cursor over the result of a statement, to be closed by the caller."""
        cursor = self._driver.cursor()
        try:
            cursor.execute(self._written(statement), values)
        except BaseException:
            cursor.close()
            raise
        return cursor

    def _written(self, statement: str) -> str:
        return statement if self.dialect == "sqlite" else _for_psycopg(statement)


@lru_cache(maxsize=512)
def _for_psycopg(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")
