"""Clocks that jump, and processes that do opposite things at once: the archive is whole afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dicomdock.archive import Archive, adoption
from dicomdock.archive.storage.local import LocalFolder
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.transfer.queue import TransferQueue
from tests.builders import changed, ct_series, write
from tests.storms.inspection import inspected

YEARS = 10 * 365 * 86400.0


@pytest.fixture(params=range(5))
def jumping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock jump by years, back and forth, whenever it is asked."""
    random, now = Random(request.param), time.time
    monkeypatch.setattr(time, "time", lambda: max(0.0, now() + random.uniform(-YEARS, YEARS)))


@pytest.mark.usefixtures("jumping")
def test_a_clock_that_jumps_loses_and_keeps_nothing_wrongly(tmp_path: Path) -> None:
    home, pulled, ours = tmp_path / "home", ct_series(4), ct_series(3)
    settings = Settings.load(home)
    new = [changed(one, PatientComments="corrected") for one in pulled]
    for name, made in (("pulled", pulled), ("ours", ours), ("new", new)):
        write(tmp_path / name, made)
    with Archive.open(settings) as archive:
        list(archive.import_paths([tmp_path / "pulled"], origin="pacs"))
        list(archive.import_paths([tmp_path / "ours"]))
        with Archive.open(settings) as other:  # looks for what a crash left, by the ages of folders
            list(other.import_paths([tmp_path / "new"], origin="pacs", replace=True))
            other.retention.record_sent([ours[0].resource], "clinic")
            other.retention.pin(Resource(ours[0].study))
        archive.retention.evict(0)
    found = inspected(home)
    assert {name.split("/")[0] for name in found} == {ours[0].study}
    assert all(one.pinned for one in found.values())
    assert {one.sent for one in found.values()} == {("clinic",), ("",)}
    for path in settings.archive.glob("index.sqlite*"):
        path.unlink()
    assert inspected(home) == found


@pytest.mark.usefixtures("jumping")
def test_a_running_transfer_is_nobody_elses_whatever_the_clocks_say(settings: Settings) -> None:
    mine, other = TransferQueue(settings), TransferQueue(settings)
    transfer = mine.add("pull", "box", ["1.2"])
    assert mine.claim(transfer.id)
    other.recover()
    assert not other.claim(transfer.id)
    assert other.get(transfer.id).state == "running"


def test_a_file_that_is_removed_while_it_is_adopted_gets_no_row(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, made = ct_series(1), ct_series(3)
    with Archive.open(settings) as archive:
        list(archive.import_paths(write(tmp_path / "kept", kept)))
        list(archive.import_paths(write(tmp_path / "files", made)))
        with archive._index.writing() as connection:  # as where the index was restored and the files were not
            ours = 'SELECT id FROM study WHERE "StudyInstanceUID" = ?'
            series = f"SELECT id FROM series WHERE study IN ({ours})"
            connection.execute(f"DELETE FROM instance WHERE series IN ({series})", made[0].study)
            connection.execute(f"DELETE FROM series WHERE study IN ({ours})", made[0].study)
            connection.execute(f"DELETE FROM study WHERE id IN ({ours})", made[0].study)
    adopted, removed = adoption._adopted, []

    def after_a_removal(files: Any, index: Any, pending: Mapping[str, Any]) -> Any:
        monkeypatch.undo()
        with Archive.open(settings) as other:
            assert {one.status for one in other.verify()} == {"adopted", "intact"}
            removed.append(other.remove(Resource(made[0].study)))
        return adopted(files, index, pending)

    monkeypatch.setattr(adoption, "_adopted", after_a_removal)
    with Archive.open(settings) as archive:
        assert {one.status for one in archive.verify()} == {"intact"}
        assert removed == [3]
        assert archive.summary().instances == 1
        assert {one.status for one in archive.verify()} == {"intact"}


def test_what_is_removed_while_it_is_verified_is_not_called_damaged(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ct_series(5)
    digest = LocalFolder.digest

    def after_a_removal(self: LocalFolder, key: str) -> str | None:
        monkeypatch.undo()
        with Archive.open(settings) as other:
            assert other.remove(Resource(made[0].study)) == 5
        return digest(self, key)

    with Archive.open(settings) as archive:
        list(archive.import_paths(write(tmp_path / "files", made)))
        monkeypatch.setattr(LocalFolder, "digest", after_a_removal)
        assert [one for one in archive.verify() if one.status != "intact"] == []
