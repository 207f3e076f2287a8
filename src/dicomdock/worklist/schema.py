"""The tables of the work list, and the version of their schema."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.migrations import VersionedIndex, create
from dicomdock.archive.index.schema import Column, Table
from dicomdock.config import migrations
from dicomdock.worklist.requirements import State

steps = Table(
    "procedure_step",
    (Column("uid"), Column("state"), Column("lock"), Column("attributes")),
    key=("uid",),
    indexes={"procedure_step_by_state": ("state", "uid")},
)
claims = Table(  # the steps that are IN PROGRESS, and when their performers were last heard of
    "procedure_step_claim",
    (Column("uid"), Column("heard", "moment")),
    key=("uid",),
    indexes={"procedure_step_claim_by_moment": ("heard",)},
)
subscribers = Table(  # AE titles, and whether they are subscribed to all steps
    "procedure_step_subscriber",
    (Column("title"), Column("everything", "flag")),
    key=("title",),
)
subscriptions = Table(
    "procedure_step_subscription",
    (Column("title"), Column("uid")),
    key=("title", "uid"),
    indexes={"procedure_step_subscription_by_step": ("uid",)},
)
reports = Table(
    "procedure_step_report",
    (Column("number", "number"), Column("title"), Column("sent", "flag"), Column("report")),
    key=("number",),
    indexes={"procedure_step_report_by_subscriber": ("title", "number")},
)
replacements = Table(  # the steps that were canceled because nobody was heard of, and those in their stead
    "procedure_step_replacement",
    (Column("uid"), Column("replacement")),
    key=("uid",),
)
filters = Table(  # what the steps match that an AE title with everything = True hears of; none: of all
    "procedure_step_filter",
    (Column("title"), Column("keys")),
    key=("title",),
)
version = Table("worklist", (Column("version", "number"),), key=())


def first_tables(connection: Connection) -> None:
    """Version 1."""
    for table in (steps, version):
        create(connection, table)


def add_claims(connection: Connection) -> None:
    """Version 2: when the performers of claimed steps were last heard of; today, as far as is known."""
    create(connection, claims)
    now = time.time()
    claimed = connection.column('SELECT "uid" FROM procedure_step WHERE "state" = ?', State.IN_PROGRESS.value)
    connection.insert(claims, [claims.values({"uid": uid, "heard": now}) for uid in claimed])


def add_subscriptions(connection: Connection) -> None:
    """Version 3: subscribers, their subscriptions and the reports that wait for them."""
    for table in (subscribers, subscriptions, reports):
        create(connection, table)


def add_replacements(connection: Connection) -> None:
    """Version 4: which step replaces an abandoned one."""
    create(connection, replacements)


def add_filters(connection: Connection) -> None:
    """Version 5: filtered global subscriptions."""
    create(connection, filters)


MIGRATIONS: Sequence[Callable[[Connection], None]] = (
    first_tables,
    add_claims,
    add_subscriptions,
    add_replacements,
    add_filters,
)


def migrate(database: Index) -> None:
    """Bring the tables to this version; made where there are none.

    Raises
    ------
    ArchiveTooNew
        A later version of dicomdock wrote them.
    """
    migrations.migrate(VersionedIndex(database, version), MIGRATIONS, name="The work list")
