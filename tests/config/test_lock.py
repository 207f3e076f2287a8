"""Locks between processes."""

import os
import threading
from pathlib import Path

import pytest

from dicomdock.config.lock import FileLock
from tests.programs import python
from tests.waiting import join

HOLDER = """
import sys
from pathlib import Path
from dicomdock.config.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.acquire()
print("held", flush=True)
sys.stdin.readline()
"""


def test_one_at_a_time(tmp_path: Path):
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()


def test_the_next_one_waits(tmp_path: Path):
    first, order = FileLock(tmp_path / "lock"), []

    def follow():
        with FileLock(tmp_path / "lock").held():
            order.append("second")

    with first.held():
        waiting = threading.Thread(target=follow, daemon=True)
        waiting.start()
        order.append("first")
    join(waiting)
    assert order == ["first", "second"]


def test_it_ends_with_a_killed_process(tmp_path: Path):
    lock = FileLock(tmp_path / "lock")
    with python(HOLDER, lock.path) as holder:
        holder.line("held")
        assert not lock.acquire()
        holder.kill()
        assert lock.acquire()


def test_a_lock_whose_file_was_removed_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever comes later locks the new file of that name, so the lock must be of that one."""
    path, really_open = tmp_path / "lock", os.open

    def removed_meanwhile(*arguments) -> int:
        descriptor = really_open(*arguments)
        monkeypatch.undo()
        path.unlink()
        return descriptor

    lock = FileLock(path)
    monkeypatch.setattr("dicomdock.config.lock.os.open", removed_meanwhile)
    assert lock.acquire()
    assert not FileLock(path).acquire()


def test_its_file_is_private_and_no_link(tmp_path: Path):
    lock = FileLock(tmp_path / "lock")
    lock.acquire()
    assert lock.path.stat().st_mode & 0o077 == 0
    (tmp_path / "link").symlink_to(tmp_path / "somewhere")
    with pytest.raises(OSError, match="link"):
        FileLock(tmp_path / "link").acquire()
    assert not (tmp_path / "somewhere").exists()
