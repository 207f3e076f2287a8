"""Migrations: how an index of an earlier version becomes one of this.

To change the schema, change ``schema.py`` for new archives and append a function here for those that are
there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from sqlalchemy import Connection, delete, insert, inspect, select

from dicomdock.archive.index import schema
from dicomdock.archive.index.engine import Index
from dicomdock.errors import ArchiveTooNew

Migration: TypeAlias = Callable[[Connection], None]


def first_tables(connection: Connection) -> None:
    """Version 1."""
    schema.metadata.create_all(connection)


MIGRATIONS: Sequence[Migration] = (first_tables,)


def migrate(index: Index, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the index to this version, each step in a transaction of its own.

    Raises
    ------
    ArchiveTooNew
        A later version of dicomdock wrote it.
    """
    with index.reading() as connection:
        version = _version(connection)
    if version > len(migrations):
        raise ArchiveTooNew(
            f"The archive was written by a later version of dicomdock (its index is of version {version}, "
            f"this program knows {len(migrations)})."
        )
    while version < len(migrations):
        with index.writing() as connection:
            version = _version(connection)  # another process may have been faster
            if version < len(migrations):
                # A new archive gets today's tables at once.
                step = first_tables if version == 0 else migrations[version]
                step(connection)
                version = len(migrations) if version == 0 else version + 1
                connection.execute(delete(schema.archive))
                connection.execute(insert(schema.archive).values(version=version))


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(schema.archive.name):
        return 0
    return int(connection.execute(select(schema.archive.c.version)).scalar() or 0)
