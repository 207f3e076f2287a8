"""Another user reads what lies in a home: no file or folder of it is open to him, whoever made it first.

The folder of an archive may be one that the user had made before, for everybody to read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.config.home import OTHERS
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.query import Query
from dicomdock.transfer.queue import TransferQueue
from dicomdock.worklist.lists import LocalWorkList
from tests.builders import ct_series, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")

STEP: DicomJson = {
    "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
    "00741200": {"vr": "CS", "Value": ["LOW"]},
    "00741204": {"vr": "LO", "Value": ["segment"]},
    "00404005": {"vr": "DT", "Value": ["20260101120000+0000"]},
    "00404041": {"vr": "CS", "Value": ["READY"]},
}


@pytest.fixture
def careless() -> Iterator[None]:
    """Let everybody write what this process makes, unless it says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def used(settings: Settings, files: Path) -> list[Path]:
    """Use each database of a home, and return what is open to others while all are in use."""
    with Archive.open(settings) as archive:
        list(archive.import_paths([files]))
        LocalWorkList(archive).create(STEP)
        (page,) = archive.search(Query("studies", {}))
        assert page.matches
        TransferQueue(settings).add("pull", "box", ["1.2"])
        return [
            path
            for top in (settings.archive, settings.state)
            for path in top.rglob("*")
            if not path.is_symlink() and path.stat().st_mode & OTHERS
        ]


@pytest.mark.usefixtures("careless")
def test_nothing_is_open_to_others(settings: Settings, tmp_path: Path) -> None:
    settings.archive.mkdir(parents=True)  # by the user, for everybody
    files = tmp_path / "files"
    write(files, ct_series(2))
    assert used(settings, files) == []


def test_a_database_that_was_open_is_closed(settings: Settings, tmp_path: Path) -> None:
    files = tmp_path / "files"
    write(files, ct_series(2))
    used(settings, files)
    databases = [*settings.archive.glob("*.sqlite"), *settings.state.glob("*.db")]
    assert len(databases) >= 3
    for path in databases:  # as earlier versions left them
        path.chmod(0o644)
    elsewhere = settings.archive / "index-linked.sqlite"
    elsewhere.symlink_to(tmp_path / "files")
    assert used(settings, files) == []
