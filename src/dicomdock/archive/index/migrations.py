"""Migrate an index of an earlier version to this one.

To change the schema, change ``schema.py`` for new archives and append a function here for those that are
there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from dicomdock.archive.index import schema, text_search
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.config import migrations

Migration: TypeAlias = Callable[[Connection], None]


def first_tables(connection: Connection) -> None:
    """Version 1."""
    for table in schema.TABLES:
        _create(connection, table)
    text_search.create(connection)


def add_patients(connection: Connection) -> None:
    """Version 2: the patients of series that are not their study's."""
    _create(connection, schema.patient)


def add_remarks(connection: Connection) -> None:
    """Version 3: what was odd about instances when they were stored."""
    _create(connection, schema.remark)


def index_what_is_searched(connection: Connection) -> None:
    """Version 4: indexes of all attributes, and of what stands in texts."""
    for name in ("study_by_name", "study_by_patient", "study_by_accession", "series_by_use"):
        connection.execute(f"DROP INDEX IF EXISTS {name}")
    for table in (schema.study, schema.series, schema.instance):
        for statement in table.create_indexes():
            connection.execute(statement)
    text_search.create(connection)


MIGRATIONS: Sequence[Migration] = (first_tables, add_patients, add_remarks, index_what_is_searched)


def version_of(connection: Connection) -> int:
    """Return the version of the index's schema; 0 where it has no tables."""
    if not connection.has_table(schema.archive.name):
        return 0
    row = connection.first("SELECT version FROM archive")
    return int(row[0]) if row else 0


def _create(connection: Connection, table: schema.Table) -> None:
    for statement in table.create(connection.dialect):
        connection.execute(statement)


class _VersionedIndex:
    """An index whose version is the only row of a table of its own."""

    def __init__(self, index: Index) -> None:
        self._index = index

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._index.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self._index.writing() as connection:
            yield connection

    def version(self, connection: Connection) -> int:
        return version_of(connection)

    def set_version(self, connection: Connection, version: int) -> None:
        connection.execute("DELETE FROM archive")
        connection.execute(schema.archive.insert, version)


def migrate(index: Index, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the index to this version.

    Raises
    ------
    ArchiveTooNew
        A later version of dicomdock wrote it.
    """
    # A new archive gets today's tables at once.
    migrations.migrate(_VersionedIndex(index), steps, name="The archive", create=first_tables)
