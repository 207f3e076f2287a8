"""Migrations: each step whole or not at all, also when two processes open the archive at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.migrations import MIGRATIONS, migrate
from dicomdock.config.settings import Settings
from dicomdock.errors import ArchiveError, ArchiveTooNew


@pytest.fixture
def index(archive_settings: Settings) -> Iterator[Index]:
    archive_settings.archive.mkdir(parents=True)
    opened = Index(archive_settings.database, archive_settings.archive)
    yield opened
    opened.close()


def version(index: Index) -> int:
    with index.reading() as connection:
        (found,) = connection.column("SELECT version FROM archive")
        return found


def add_table(connection: Connection) -> None:
    connection.execute("CREATE TABLE later (number INTEGER)")


def fail_halfway(connection: Connection) -> None:
    connection.execute("CREATE TABLE half (number INTEGER)")
    connection.execute("SELECT no_such_column FROM half")


def test_a_new_archive_is_of_this_version(index: Index) -> None:
    migrate(index)
    assert version(index) == len(MIGRATIONS)
    migrate(index)
    assert version(index) == len(MIGRATIONS)


def test_an_earlier_one_is_brought_up_to_date(index: Index) -> None:
    migrate(index)
    migrate(index, (*MIGRATIONS, add_table))
    assert version(index) == len(MIGRATIONS) + 1
    with index.reading() as connection:
        assert connection.has_table("later")
    with pytest.raises(ArchiveTooNew):
        migrate(index)


def test_a_step_that_fails_leaves_nothing(index: Index) -> None:
    migrate(index)
    with pytest.raises(ArchiveError):
        migrate(index, (*MIGRATIONS, fail_halfway))
    assert version(index) == len(MIGRATIONS)
    with index.reading() as connection:
        assert not connection.has_table("half")
