"""Syncs side by side: none that failed is passed over."""

from __future__ import annotations

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
