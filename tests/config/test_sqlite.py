"""SQLite files that several processes share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from dicomdock.archive.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.config.sqlite import is_full, use_write_ahead_log
from dicomdock.transfer.queue import TransferQueue


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


@pytest.fixture
def holder(file: Path) -> Iterator[sqlite3.Connection]:
    """Return another user of the new file, who is just writing its first tables."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_who_begins_a_file_together_with_another_waits_for_it(file: Path, holder: sqlite3.Connection):
    tries: list[str] = []

    def end_at_the_third(statement: str) -> None:
        tries.append(statement)
        if len(tries) == 3:
            holder.execute("COMMIT")

    with closing(sqlite3.connect(file)) as connection:
        connection.set_trace_callback(end_at_the_third)
        use_write_ahead_log(connection, 60)
        connection.set_trace_callback(None)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert len(tries) == 3


@pytest.mark.usefixtures("holder")
def test_the_wait_ends(file: Path):
    with (
        closing(sqlite3.connect(file)) as connection,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        use_write_ahead_log(connection, 0.05)


@pytest.mark.parametrize("_round", range(5))
def test_first_commands_side_by_side(settings: Settings, _round: int):
    """Now and then one was refused at once: 'Another program has held the archive's index'."""

    def list_all(_number: int) -> tuple[int, int]:
        with Archive.open(settings) as archive:
            return archive.summary().instances, len(TransferQueue(settings).latest())

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(list_all, range(6))) == [(0, 0)] * 6


@pytest.mark.parametrize(
    ("code", "free", "full"),
    [
        (sqlite3.SQLITE_FULL, 1 << 40, True),  # a quota
        (sqlite3.SQLITE_IOERR | 19 << 8, 0, True),  # of the file beside it that readers share
        (sqlite3.SQLITE_CANTOPEN, 0, True),
        (sqlite3.SQLITE_IOERR, 1 << 30, False),
        (sqlite3.SQLITE_CORRUPT, 0, False),
    ],
)
def test_a_full_disk_is_distinguished_from_one_that_fails(
    code: int, free: int, full: bool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size of the disk is made up: SQLite gave these codes on a full one."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": free}))
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    assert is_full(error, file) is full
