"""The database of the index: its URL, its tables, its connections."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.index import engine, text_search
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.migrations import migrate
from dicomdock.archive.index.schema import TABLES, study
from dicomdock.config.settings import Settings
from dicomdock.errors import ArchiveError, ArchiveLocked, InvalidInput
from tests.conftest import PROJECT
from tests.waiting import until


def tables_of(database: Path) -> dict[str, object]:
    """Describe the tables of a SQLite file as SQLite itself sees them."""
    connection = sqlite3.connect(database)
    try:
        names = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ]
        return {
            name: (
                connection.execute(f"PRAGMA table_info({name})").fetchall(),
                connection.execute(f"PRAGMA foreign_key_list({name})").fetchall(),
                sorted(
                    (unique, origin, connection.execute(f"PRAGMA index_xinfo('{index}')").fetchall())
                    for _, index, unique, origin, _ in connection.execute(f"PRAGMA index_list({name})")
                ),
            )
            for name in names
        }
    finally:
        connection.close()


def test_postgresql_compiles_no_statement(new_database: Callable[[], str], settings: Settings) -> None:
    index = Index(new_database(), settings.archive)
    with closing(index), index.reading() as connection:
        assert connection.column("SHOW jit") == ["off"]


@pytest.mark.slow
def test_a_new_archive_has_the_tables_of_one_that_version_0_1_made(
    settings: Settings, tmp_path: Path
) -> None:
    with tarfile.open(PROJECT / "tests/data/home-0.1/home.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    (old,) = (tmp_path / "home").rglob("index.sqlite")
    index = Index(f"sqlite:///{old}", old.parent)
    migrate(index)
    index.close()
    Archive.open(settings).close()
    new = tables_of(settings.archive / "index.sqlite")
    assert new == tables_of(old)
    own = {name for name in new if not name.startswith(text_search.TABLE)}
    assert own == {table.name for table in TABLES}


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "not the URL of a database"),
        ("mysql://user@host/name", "not in mysql"),
        ("postgresql://user:p%zz@host/name", "not the URL of a database"),
        ("postgresql://host/name?no_such_option=1", "not the URL of a database"),
        ("sqlite://", "no file of SQLite"),
    ],
)
def test_what_is_not_a_url_is_refused_without_showing_it(url: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=sentence) as refused:
        Index(url, tmp_path)
    assert "p%zz" not in str(refused.value)


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_urls_of_earlier_versions_still_mean_the_same(driver: str, tmp_path: Path) -> None:
    index = Index(f"{driver}://nobody@/name?host={tmp_path}", tmp_path)
    assert index.dialect == "postgresql"
    with pytest.raises(ArchiveError, match="index failed"), index.reading():
        pass


def test_a_sqlite_file_is_named_as_before(tmp_path: Path) -> None:
    index = Index(f"sqlite:///{tmp_path / 'mine.db'}?timeout=3", tmp_path)
    migrate(index)
    index.close()
    assert (tmp_path / "mine.db").exists()


def test_what_fails_in_a_block_leaves_nothing_behind(archive: Archive) -> None:
    with pytest.raises(InvalidInput), archive._index.writing() as connection:
        connection.execute("UPDATE archive SET version = 77")
        raise InvalidInput("no")
    with pytest.raises(ArchiveError, match="index failed"), archive._index.writing() as connection:
        connection.execute("UPDATE archive SET version = 77")
        connection.execute("SELECT no_such_column FROM study")
    with archive._index.reading() as connection:
        assert connection.column("SELECT version FROM archive") != [77]


def test_a_row_without_what_it_must_state_is_not_written() -> None:
    with pytest.raises(KeyError):
        study.values({"StudyInstanceUID": "1.2"})
    assert len(study.values({"StudyInstanceUID": "1.2", "added": 1.0})) == study.insert.count("?")


def test_readers_side_by_side_have_connections_of_their_own(archive: Archive) -> None:
    def read(_: int) -> int:
        with archive._index.reading() as outer, archive._index.reading() as inner:
            return sum(
                outer.column("SELECT COUNT(*) FROM study") + inner.column("SELECT COUNT(*) FROM study")
            )

    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(read, range(64))] == [0] * 64


def test_nobody_waits_forever_for_a_connection(archive_settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr(engine, "CONNECTIONS", 1)
    archive_settings.archive.mkdir(parents=True)
    index = Index(archive_settings.database, archive_settings.archive, lock_timeout=0.1)
    with index.reading(), pytest.raises(ArchiveLocked, match="busy"), index.reading():
        pass
    with index.reading():
        pass
    index.close()


@pytest.mark.servers
def test_a_database_server_that_restarts_costs_one_error(
    new_database: Callable[[], str], settings: Settings
) -> None:
    """Each idle connection is cut at once; only the first that is used may fail."""
    import psycopg

    url = new_database()
    settings.archive.mkdir(parents=True)
    index = Index(url, settings.archive)
    try:
        with ExitStack() as open_at_once:
            for _ in range(4):
                open_at_once.enter_context(index.reading()).first("SELECT 1")
        with psycopg.connect(url, autocommit=True) as server:
            others = (
                "pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"
            )
            found = server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            assert len(found.fetchall()) == 4
            gone = f"SELECT count(*) FROM pg_stat_activity WHERE {others}"
            until(lambda: server.execute(gone).fetchall() == [(0,)], "the end of the connections")
        with pytest.raises(ArchiveError), index.reading() as connection:
            connection.first("SELECT 1")
        for _ in range(4):
            with index.reading() as connection:
                assert connection.first("SELECT 1") == (1,)
    finally:
        index.close()
