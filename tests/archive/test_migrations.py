"""Migrations: each step whole or not at all, also when two processes open the archive at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.index import migrations, offsets, schema, text_search
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.migrations import MIGRATIONS, migrate
from dicomdock.config.settings import Settings
from dicomdock.errors import ArchiveError, ArchiveTooNew
from tests.archive.conftest import part
from tests.builders import ct_series


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


def of_version_3(index: Index) -> None:
    """Make an index as it was before its attributes were indexed."""
    migrate(index)
    with index.writing() as connection:
        connection.execute("DROP TABLE accession")
        for statement in migrations._indexes():
            connection.execute(f"DROP INDEX {statement.split()[5]}")
        if connection.dialect == "sqlite":
            for kind, name in connection.all(
                "SELECT type, name FROM sqlite_master WHERE type = 'trigger' OR name = 'study_text'"
            ):
                connection.execute(f"DROP {kind} {name}")
        else:
            for keyword in text_search.KEYWORDS:
                connection.execute(f"DROP INDEX IF EXISTS study_text_{keyword}")
            for (name,) in connection.all(
                "SELECT tgfoid::regprocedure FROM pg_trigger WHERE NOT tgisinternal"
            ):
                connection.execute(f"DROP FUNCTION {name} CASCADE")
        for counted in offsets.COUNTED.values():
            connection.execute(f"DROP TABLE {counted.counts.name}")
        connection.execute("UPDATE archive SET version = 3")


def indexes(index: Index) -> set[str]:
    with index.reading() as connection:
        if connection.dialect == "sqlite":
            return set(connection.column("SELECT name FROM sqlite_master WHERE type = 'index'"))
        return set(connection.column("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"))


@pytest.mark.slow
def test_indexes_are_built_one_by_one_so_that_others_can_write_meanwhile(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_version_3(index)
    bare = indexes(index)
    built: list[int] = []
    writing = index.writing

    @contextmanager
    def counting() -> Iterator[Connection]:
        before = len(indexes(index))
        with writing() as connection:
            yield connection
        built.append(len(indexes(index)) - before)

    monkeypatch.setattr(index, "writing", counting)
    migrate(index)
    assert version(index) == len(MIGRATIONS)
    count = len(migrations._indexes())
    assert built[:count] == [1] * count
    assert count > 40
    assert len(indexes(index)) > len(bare) + 40


@pytest.mark.slow
def test_indexes_that_an_ended_process_left_half_built_are_completed(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(index)
    all_of_them = indexes(index)
    of_version_3(index)
    left = iter(range(7))
    writing = index.writing

    @contextmanager
    def ending() -> Iterator[Connection]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        with writing() as connection:
            yield connection

    with monkeypatch.context() as patched:
        patched.setattr(index, "writing", ending)
        with pytest.raises(KeyboardInterrupt):
            migrate(index)
    assert version(index) == 3
    migrate(index)
    assert version(index) == len(MIGRATIONS)
    assert indexes(index) == all_of_them


@pytest.mark.slow
def test_the_rows_of_an_earlier_archive_are_counted(index: Index) -> None:
    migrate(index)
    of_version_3(index)
    study = {"StudyInstanceUID": "1.2", "StudyDate": "20010101", "added": 0.0}
    with index.writing() as connection:
        connection.insert(schema.study, [schema.study.values(study)])
    migrate(index)
    with index.writing() as connection:
        connection.insert(schema.study, [schema.study.values(study | {"StudyInstanceUID": "1.3"})])
        assert connection.all("SELECT * FROM study_count") == [("20010101", 2)]


@pytest.mark.slow
def test_a_step_that_fails_leaves_nothing(index: Index) -> None:
    migrate(index)
    with pytest.raises(ArchiveError):
        migrate(index, (*MIGRATIONS, fail_halfway))
    assert version(index) == len(MIGRATIONS)
    with index.reading() as connection:
        assert not connection.has_table("half")


@pytest.mark.slow
def test_the_preparation_of_a_large_archive_is_reported(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.open(settings) as archive, archive.writer() as writer:
        for one in ct_series(2):
            writer.add(part(one.data))
    opened = Index("", settings.archive)
    of_version_3(opened)
    migrate(opened)
    assert not caplog.messages
    of_version_3(opened)
    monkeypatch.setattr(migrations, "LARGE", 1)
    migrate(opened)
    opened.close()
    assert "takes a while" in caplog.messages[0]
    total = len(migrations._indexes())
    assert caplog.messages[-1].endswith(f"{total} of {total}.")
