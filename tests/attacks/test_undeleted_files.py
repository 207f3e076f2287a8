"""A file that the system does not delete: it is named, everything else goes on, and it goes when it can."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.builders import ct_series, write


def test_what_cannot_be_deleted_is_named_until_it_is_gone(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    made = ct_series(3)
    files = write(tmp_path / "in", made)
    with Archive.open(settings) as archive:
        list(archive.import_paths(files))
        path = archive.instances(made[1].resource)[0].path
        path.unlink()
        path.mkdir()  # no rights are needed to see that a folder is not unlinked
        assert archive.remove(Resource(made[0].study)) == 3
        assert (
            f"1 file of removed instances cannot be deleted and is still on the disk: {path}" in caplog.text
        )
        caplog.clear()
        assert archive.instances(Resource(made[0].study)) == []
    assert list(path.parent.iterdir()) == [path]
    with Archive.open(settings) as archive:  # every later command works, and names it too
        assert str(path) in caplog.text
        assert "rebuilt" not in caplog.text
        *_, report = archive.import_paths(files)
        assert report.stored == 3
        assert [one.status for one in archive.verify()] == ["intact"] * 3
        assert archive.remove(made[1].resource) == 1
    caplog.clear()
    with Archive.open(settings):
        assert not caplog.text
