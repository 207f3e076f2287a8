"""After kill -9 at any moment the archive is consistent, and what was said to be kept is there."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.journal_state import JournalState
from dicomdock.archive.storage.sessions import BYTES, NOTES, PREFIX, Announcement, Session
from dicomdock.config.process_folders import abandoned
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.archive.conftest import part
from tests.builders import changed, ct_series, write
from tests.programs import python

ROUNDS = 5

IMPORTING = """
import sys
from pathlib import Path
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
home, folder, database = sys.argv[1:]
settings = Settings(Path(home), Path(home), Path(home), database=database, free_space_floor=0)
import dicomdock.archive.writer as writer
writer.GROUP_FILES = 7
with Archive.open(settings) as archive:
    print("open", flush=True)
    for _ in archive.import_paths([Path(folder)]):
        pass
print("done", flush=True)
"""

WRITING = """
import sys
from pathlib import Path
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.sources import Part
home, folder, database = sys.argv[1:]
settings = Settings(Path(home), Path(home), Path(home), database=database, free_space_floor=0)
with Archive.open(settings) as archive, archive.writer(origin="pacs", replace=True) as writer:
    print("open", flush=True)
    for number, path in enumerate(sorted(Path(folder).iterdir())):
        writer.add(Part.from_file(path))
        if number % 5 == 4:
            writer.flush()
            print(number + 1, flush=True)
print("done", flush=True)
"""


def killed_after(seconds: float, program: str, *arguments: str) -> list[str]:
    """Run a program, kill it so long after it opened the archive, and give what it had said."""
    with python(program, *arguments) as process:
        process.line("open")
        if not process.ends_within(seconds):
            process.kill()
        process.ends()
        return process.stdout.split()


def unchanged(archive: Archive) -> Counter[str]:
    """Check that every row has its whole file and every file its row."""
    statuses = Counter(finding.status for finding in archive.verify())
    assert set(statuses) <= {"intact"}, statuses
    assert sum(1 for path in archive._files.storage.listed()) == statuses["intact"]
    return statuses


@pytest.fixture
def crash_settings(archive_settings: Settings, tmp_path: Path) -> Settings:
    home = tmp_path / "crash"
    return replace(archive_settings, config=home, archive=home, state=home)


@pytest.mark.slow
def test_a_killed_import(crash_settings: Settings, tmp_path: Path) -> None:
    chance = random.Random(1)
    series = ct_series(120, rows=64, columns=64)
    write(tmp_path / "in", series)
    arguments = (str(crash_settings.archive), str(tmp_path / "in"), crash_settings.database)
    for _ in range(ROUNDS):
        killed_after(chance.uniform(0.0, 0.25), IMPORTING, *arguments)
        with Archive.open(crash_settings) as archive:
            unchanged(archive)
            assert list(archive._files.incoming.iterdir()) == []
    with Archive.open(crash_settings) as archive:
        *_, report = archive.import_paths([tmp_path / "in"])
        assert report.stored + report.identical == 120
        assert unchanged(archive)["intact"] == 120
        counted = archive.summary()
        assert (counted.studies, counted.series, counted.instances) == (1, 1, 120)


@pytest.mark.slow
def test_a_killed_writer_keeps_what_it_flushed(crash_settings: Settings, tmp_path: Path) -> None:
    chance = random.Random(2)
    series = ct_series(60, rows=64, columns=64)
    for turn in range(ROUNDS):
        # Each turn replaces the files of the turn before, so that a crash comes between two versions as well.
        folder = tmp_path / f"in{turn}"
        paths = write(folder, [changed(one, PatientComments=str(turn)) for one in series])
        arguments = (str(crash_settings.archive), str(folder), crash_settings.database)
        said = killed_after(chance.uniform(0.0, 0.4), WRITING, *arguments)
        flushed = max((int(line) for line in said if line.isdigit()), default=0)
        with Archive.open(crash_settings) as archive:
            unchanged(archive)
            for path, one in list(zip(paths, series, strict=True))[:flushed]:
                (kept,) = archive.instances(one.resource)
                assert kept.path.read_bytes() == path.read_bytes()
                assert kept.origin == "pacs"


def test_files_renamed_but_not_indexed_are_found_when_opening(
    crash_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = ct_series(3)
    with Archive.open(crash_settings) as archive:

        def crash(*_: object, **__: object) -> None:
            raise RuntimeError("crash")

        monkeypatch.setattr("dicomdock.archive.commit.insert_instances", crash)
        monkeypatch.setattr(
            "dicomdock.archive.storage.sessions.Session.close", lambda self: self._lock.release()
        )
        with pytest.raises(RuntimeError), archive.writer(origin="pacs") as writer:
            for one in series:
                writer.add(part(one.data))
        monkeypatch.undo()
        assert archive.present(Resource(series[0].study)) == set()
    with Archive.open(crash_settings) as archive:
        assert archive.present(Resource(series[0].study)) == {one.instance for one in series}
        assert archive.instances(series[0].resource)[0].origin == "pacs"
        unchanged(archive)


def test_a_removal_is_finished_when_opening(
    crash_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = ct_series(3)
    with Archive.open(crash_settings) as archive:
        with archive.writer() as writer:
            for one in series:
                writer.add(part(one.data))
        monkeypatch.setattr("dicomdock.archive.archive.remove_deleted_files", lambda *_: None)
        archive.remove(Resource(series[0].study))
        monkeypatch.undo()
        assert len(list(archive._files.storage.listed())) == 3
    with Archive.open(crash_settings) as archive:
        assert list(archive._files.storage.listed()) == []
        assert unchanged(archive) == Counter()


def test_a_living_session_is_left_alone(crash_settings: Settings) -> None:
    series = ct_series(2)
    with Archive.open(crash_settings) as archive, archive.writer() as writer:
        writer.add(part(series[0].data))
        with Archive.open(crash_settings):
            assert len(list(archive._files.incoming.iterdir())) == 1
        writer.add(part(series[1].data))
        writer.flush()
        assert len(archive.present(Resource(series[0].study))) == 2


def test_a_note_serves_again_once_its_commit_is_synced(tmp_path: Path) -> None:
    synced: list[None] = []
    session = Session(tmp_path, lambda: synced.append(None))
    first, second = (Announcement({f"a/b/{number}.dcm": f"{number}" * 64}) for number in (1, 2))
    notes = [session.announce(first) for _ in range(NOTES)]
    for note in notes[:-1]:
        session.finished(note, 1)
    assert [Announcement.read(note) for note in notes] == [first] * NOTES
    assert not synced
    session.finished(notes[-1], 1)
    assert [Announcement.read(note) for note in notes] == [None] * NOTES
    assert len(synced) == 1
    assert session.announce(second) in notes
    large = session.announce(second)
    session.finished(large, BYTES)
    assert Announcement.read(large) is None, "its files would take long to read after a crash"


def test_a_note_stays_unless_its_commit_was_finished(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    session = Session(incoming, lambda: None)
    first, second = (Announcement({f"a/b/{number}.dcm": f"{number}" * 64}) for number in (1, 2))
    note = session.announce(second)
    other = session.announce(first)
    assert other != note
    session.finished(other, 1)
    session.close()
    assert Announcement.read(note) == second, "its files may lie in the archive without rows"
    with abandoned(incoming, PREFIX) as (folder,):
        assert note.parent == folder
    session = Session(incoming, lambda: None)
    session.finished(session.announce(first), 1)
    session.close()
    assert list(incoming.iterdir()) == []


def test_a_note_stays_where_the_disk_refused_the_sync(tmp_path: Path) -> None:
    def refuse() -> None:
        raise OSError(errno.EIO, "Input/output error")

    session = Session(tmp_path, refuse)
    announced = Announcement({"a/b/1.dcm": "1" * 64})
    note = session.announce(announced)
    session.finished(note, 1)
    session.close()
    assert Announcement.read(note) == announced


@pytest.mark.parametrize("lost", ["rows and records", "rows", "records"])
def test_what_was_stored_outlasts_a_power_cut_that_took_its_rows_or_records(
    crash_settings: Settings, lost: str
) -> None:
    """The files of the index and the journal are put back as they were before: neither had been synced."""
    root = crash_settings.archive
    series = ct_series(3)
    with Archive.open(crash_settings) as archive:
        assert [one.status for one in archive.store([part(series[0].data)])] == ["stored"]
    taken = [
        *(root.glob("index.sqlite*") if "rows" in lost else ()),
        *([root / "journal"] if "records" in lost else ()),
    ]
    before = {path: path.read_bytes() for path in taken}
    archive = Archive.open(crash_settings)
    assert [one.status for one in archive.store([part(series[1].data)])] == ["stored"]
    left = crash_settings.archive.with_name("left")
    shutil.copytree(root, left)  # what the disk holds at the moment of the cut
    archive.close()
    for path in left.glob("index.sqlite-*") if "rows" in lost else ():
        path.unlink()
    for path, data in before.items():
        (left / path.name).write_bytes(data)
    after = replace(crash_settings, archive=left)
    with Archive.open(after) as archive:
        assert archive.present(Resource(series[0].study)) == {made.instance for made in series[:2]}
        assert all(finding.status == "intact" for finding in archive.verify())
        assert not list(archive._files.incoming.iterdir())
        with JournalState(archive._files.journal) as state:
            recorded = {one.resource.instance: one.digest for one in state.all()}
    assert recorded == {made.instance: sha256(made.data).hexdigest() for made in series[:2]}


@pytest.mark.parametrize("removes", [True, False])
def test_a_session_that_is_being_made_is_not_lost_to_who_looks_for_dead_ones(
    crash_settings: Settings, monkeypatch: pytest.MonkeyPatch, removes: bool
) -> None:
    """Between the making of its lock file and the lock itself another process finds it unlocked."""
    really_open = os.open
    (one,) = ct_series(1)
    with ExitStack() as looking, Archive.open(crash_settings) as archive:

        def found_meanwhile(*arguments: Any) -> int:
            descriptor = really_open(*arguments)
            monkeypatch.undo()
            assert looking.enter_context(abandoned(archive._files.incoming, PREFIX))
            if removes:
                looking.close()
            return descriptor

        monkeypatch.setattr("dicomdock.config.lock.os.open", found_meanwhile)
        with archive.writer() as writer:
            with abandoned(archive._files.incoming, PREFIX) as dead:
                assert not dead
            writer.add(part(one.data))
        assert archive.present(Resource(one.study)) == {one.instance}


@pytest.mark.slow
def test_two_processes_import_the_same_at_once(crash_settings: Settings, tmp_path: Path) -> None:
    series = ct_series(100)
    write(tmp_path / "in", series)
    arguments = (str(crash_settings.archive), str(tmp_path / "in"), crash_settings.database)
    with python(IMPORTING, *arguments) as one, python(IMPORTING, *arguments) as other:
        for process in (one, other):
            process.line("done")
            assert process.ends() == 0, process.stderr
    with Archive.open(crash_settings) as archive:
        assert unchanged(archive)["intact"] == 100
        assert archive.summary().instances == 100
