"""Syncs side by side: none that failed is passed over, and a forked process can sync too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicomdock.archive.storage.syncing import MANY, sync_files, sync_folders


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not synced there")
@pytest.mark.parametrize("place", [0, 1, 4])
def test_the_error_of_one_folder_is_raised(tmp_path: Path, place: int) -> None:
    folders = [tmp_path] * 4
    sync_folders(folders)
    folders.insert(place, tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="gone"):
        sync_folders(folders)


@pytest.mark.parametrize("count", [1, 2, MANY - 1])
def test_the_error_of_one_file_is_raised(tmp_path: Path, count: int) -> None:
    files = [tmp_path / f"{number}" for number in range(count)]
    for one in files:
        one.write_bytes(b"1")
    sync_files(files)
    files[-1].unlink()
    with pytest.raises(FileNotFoundError):
        sync_files(files)


FORKED = """
import os, sys
from pathlib import Path
from dicomdock.archive.storage.syncing import sync_folders

folders = [Path(sys.argv[1])] * 3
sync_folders(folders)
child = os.fork()
sync_folders(folders)
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks there")
def test_a_process_that_a_program_forks_can_sync_too(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED, tmp_path], check=True, timeout=60)
