"""Migrate an index of an earlier version to this one.

To change the schema, change ``schema.py`` for new archives and append a function here for those that are
there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from dicomdock.archive.index import offsets, schema, text_search
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.config import migrations

Migration: TypeAlias = Callable[[Connection], None]

LARGE = 100_000  # instances of an archive whose preparation takes long enough to report it
REPORTED = 10  # indexes from one report to the next

log = logging.getLogger(__name__)


def first_tables(connection: Connection) -> None:
    """Version 1."""
    for table in schema.TABLES:
        create(connection, table)
    text_search.create(connection)
    offsets.create(connection)


def add_patients(connection: Connection) -> None:
    """Version 2: the patients of series that are not their study's."""
    create(connection, schema.patient)


def add_remarks(connection: Connection) -> None:
    """Version 3: what was odd about instances when they were stored."""
    create(connection, schema.remark)


def index_what_is_searched(connection: Connection) -> None:
    """Version 4: indexes of all attributes, and of what stands in texts."""
    for name in ("study_by_name", "study_by_patient", "study_by_accession", "series_by_use"):
        connection.execute(f"DROP INDEX IF EXISTS {name}")
    for statement in _indexes():
        connection.execute(statement)
    text_search.create(connection)


def add_accession_numbers(connection: Connection) -> None:
    """Version 5: the accession numbers of series that are not their study's."""
    create(connection, schema.accession)


def count_rows(connection: Connection) -> None:
    """Version 6: counts of the rows, by which an offset is found."""
    for counted in offsets.COUNTED.values():
        create(connection, counted.counts)
    offsets.create(connection)


def _indexes() -> list[str]:
    tables = (schema.study, schema.series, schema.instance)
    return [statement for table in tables for statement in table.create_indexes()]


def _build_indexes(index: Index, steps: Sequence[Migration]) -> None:
    """Build the indexes of version 4 one by one, each in a transaction of its own.

    In a large archive all of them take minutes, for which nobody could write. The migration finds them there.
    """
    with index.reading() as connection:
        version = version_of(connection)
        if not version or index_what_is_searched not in steps[version:]:
            return
        large = connection.first("SELECT id FROM instance WHERE id > ?", LARGE) is not None
    statements = _indexes()
    if large:
        log.warning("The archive's index is being prepared for searches; this takes a while, once.")
    for number, statement in enumerate(statements, 1):
        with index.writing() as connection:
            connection.execute(statement)
        if large and (number % REPORTED == 0 or number == len(statements)):
            log.warning("The archive's index is being prepared: %d of %d.", number, len(statements))


MIGRATIONS: Sequence[Migration] = (
    first_tables,
    add_patients,
    add_remarks,
    index_what_is_searched,
    add_accession_numbers,
    count_rows,
)


def version_of(connection: Connection, table: schema.Table = schema.archive) -> int:
    """Return the version of the schema that a table states in its only row; 0 where there is none."""
    if not connection.has_table(table.name):
        return 0
    row = connection.first(f"SELECT version FROM {table.name}")
    return int(row[0]) if row else 0


def create(connection: Connection, table: schema.Table) -> None:
    """Create a table with its indexes."""
    for statement in table.create(connection.dialect):
        connection.execute(statement)


class VersionedIndex:
    """A database whose version is the only row of a table of its own.

    Parameters
    ----------
    index : the database.
    table : with the column ``version`` alone.
    """

    def __init__(self, index: Index, table: schema.Table = schema.archive) -> None:
        self._index = index
        self._table = table

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Return a connection that sees one state of the database."""
        with self._index.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Return the one connection that writes; a transaction of its own."""
        with self._index.writing() as connection:
            yield connection

    def version(self, connection: Connection) -> int:
        """Read the version of the schema."""
        return version_of(connection, self._table)

    def set_version(self, connection: Connection, version: int) -> None:
        """Write the version of the schema."""
        connection.execute(f"DELETE FROM {self._table.name}")
        connection.execute(self._table.insert, version)


def migrate(index: Index, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the index to this version.

    Raises
    ------
    ArchiveTooNew
        A later version of dicomdock wrote it.
    """
    _build_indexes(index, steps)
    # A new archive gets today's tables at once.
    migrations.migrate(VersionedIndex(index), steps, name="The archive", create=first_tables)
