"""The tables of projects, beside those of the work list, and the version of their schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.migrations import VersionedIndex, create
from dicomdock.archive.index.schema import Column, Table
from dicomdock.config import migrations

projects = Table(
    "project",
    (Column("name"), Column("definition"), Column("created", "moment")),
    key=("name",),
)
cases = Table(
    "project_case",
    (
        Column("project"),
        Column("number", "number"),
        Column("slot", "number"),
        Column("study"),
        Column("series"),
        Column("server"),
        Column("patient"),
        Column("description"),
        Column("phase"),  # annotation, review, done or canceled; the step says whether somebody is at it
        Column("step"),
        Column("assigned"),
        Column("person"),
        Column("reviewer"),
        Column("note"),
        Column("result"),
        Column("rounds", "number"),
        Column("changed", "moment"),
    ),
    key=("project", "number", "slot"),
    indexes={"project_case_by_step": ("step",)},
)
history = Table(
    "project_history",
    (
        Column("project"),
        Column("number", "number"),
        Column("slot", "number"),
        Column("entry", "number"),
        Column("moment", "moment"),
        Column("event"),
        Column("person"),
        Column("note"),
        Column("result"),
    ),
    key=("project", "number", "slot", "entry"),
)
version = Table("project_schema", (Column("version", "number"),), key=())


def first_tables(connection: Connection) -> None:
    """Version 1."""
    for table in (projects, cases, history, version):
        create(connection, table)


MIGRATIONS: Sequence[Callable[[Connection], None]] = (first_tables,)


def migrate(database: Index) -> None:
    """Bring the tables to this version; made where there are none.

    Raises
    ------
    ArchiveTooNew
        A later version of dicomdock wrote them.
    """
    migrations.migrate(VersionedIndex(database, version), MIGRATIONS, name="The list of projects")
