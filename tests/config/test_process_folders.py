"""What a killed process left in its folder goes with the next one; what lives is left alone."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from dicomdock.config import process_folders
from dicomdock.config.process_folders import LOCK, abandoned, remove_folder, work_folder

HOLDS = """
import sys
from pathlib import Path
from dicomdock.config.process_folders import work_folder
with work_folder(Path(sys.argv[1]), "store-") as folder:
    (folder / "patient.dcm").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def holder(state: Path):
    """A process that holds a folder with a file in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, os.fspath(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_the_folder_of_a_killed_process_is_removed_by_the_next(holder, state):
    process, left = holder
    with work_folder(state, "store-") as mine:
        assert (left / "patient.dcm").exists()  # its process lives
        with work_folder(state, "store-"):
            assert mine.exists()
        process.kill()
        process.wait()
        assert (left / "patient.dcm").exists()
        with work_folder(state, "other-"):
            assert left.exists()
        with work_folder(state, "store-"):
            assert not left.exists()
            assert mine.exists()
        if os.name == "posix":
            assert mine.stat().st_mode & 0o777 == 0o700
    assert not list(state.iterdir())


def test_a_file_system_without_locks_has_folders_too(state, monkeypatch):
    def no_locks(*_: object) -> None:
        raise process_folders.NoLocks(errno.ENOLCK, "the file system has no locks")

    monkeypatch.setattr("dicomdock.config.lock._take_posix", no_locks)
    with work_folder(state, "store-") as first, work_folder(state, "store-") as second:
        assert first != second and first.exists()
    assert not list(state.iterdir())


@pytest.mark.parametrize("removed", range(4))
def test_a_folder_whose_removal_was_killed_is_removed_by_the_next(state, monkeypatch, removed):
    """Without its lock it would look like one that is just being made, and stay for a minute."""
    folder = state / "store-x"
    folder.mkdir(parents=True)
    for name in ("1.places", LOCK, "9.places"):
        (folder / name).touch()
    unlink, left = os.unlink, iter(range(removed))

    def killed(*path: object, **options: object) -> None:
        if next(left, None) is None:
            raise SystemExit
        unlink(*path, **options)

    monkeypatch.setattr(os, "unlink", killed)
    with suppress(SystemExit):
        remove_folder(folder)
    monkeypatch.undo()
    with abandoned(state, "store-"):
        pass
    assert not folder.exists() or not any(folder.iterdir())
