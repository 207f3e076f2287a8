"""Migrations: how a database of an earlier version becomes one of this, whatever it is opened with.

The archive's index lies in SQLite or PostgreSQL, the list of transfers in SQLite. The rules are the same for
both and stated here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from dicomdock.errors import ArchiveTooNew

C = TypeVar("C")


class Versioned(Protocol[C]):
    """A database that states the version of its schema; 0 where it states none."""

    def reading(self) -> AbstractContextManager[C]:
        """Return a connection that sees one state of the database."""

    def writing(self) -> AbstractContextManager[C]:
        """Return the one connection that writes; a transaction of its own."""

    def version(self, connection: C) -> int:
        """Read the version of the schema."""

    def set_version(self, connection: C, version: int) -> None:
        """Write the version of the schema."""


def migrate(
    database: Versioned[C],
    migrations: Sequence[Callable[[C], None]],
    *,
    name: str,
    create: Callable[[C], None] | None = None,
) -> None:
    """Bring a database to this version, each step in a transaction of its own.

    Parameters
    ----------
    migrations : step ``n`` leads from version ``n`` to ``n + 1``.
    name : what the database is, for the error: "The archive".
    create : makes the tables of this version at once where there are none; without it step 0 does.

    Raises
    ------
    ArchiveTooNew
        A later version of dicomdock wrote it.
    """
    last = len(migrations)
    with database.reading() as connection:
        version = database.version(connection)
    if version > last:
        raise ArchiveTooNew(
            f"{name} was written by a later version of dicomdock (its database is of version {version}, this "
            f"program knows {last})."
        )
    while version < last:
        with database.writing() as connection:
            version = database.version(connection)  # another process may have been faster
            if version == 0 and create is not None:
                create(connection)
                version = last
            elif version < last:
                migrations[version](connection)
                version += 1
            database.set_version(connection, version)
