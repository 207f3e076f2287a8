"""The tables of the work list, and the version of their schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.migrations import VersionedIndex, create
from dicomdock.archive.index.schema import Column, Table
from dicomdock.config import migrations

steps = Table(
    "procedure_step",
    (Column("uid"), Column("state"), Column("lock"), Column("attributes")),
    key=("uid",),
    indexes={"procedure_step_by_state": ("state", "uid")},
)
version = Table("worklist", (Column("version", "number"),), key=())


def first_tables(connection: Connection) -> None:
    """Version 1."""
    for table in (steps, version):
        create(connection, table)


MIGRATIONS: Sequence[Callable[[Connection], None]] = (first_tables,)


def migrate(database: Index) -> None:
    """Bring the tables to this version; made where there are none.

    Raises
    ------
    ArchiveTooNew
        A later version of dicomdock wrote them.
    """
    migrations.migrate(VersionedIndex(database, version), MIGRATIONS, name="The work list")
