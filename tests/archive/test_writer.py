"""Writers that are cut off, meet each other, or find no space: nothing is half written."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicomdock.archive import Archive
from dicomdock.archive.index.engine import Index
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import value
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, ArchiveLocked, NoSpace, WireError
from dicomdock.sources import Part
from tests.archive.adding import add
from tests.archive.conftest import part
from tests.builders import changed, ct_series, deflated_bomb
from tests.waiting import until


@pytest.mark.slow
def test_a_writer_remembers_little_of_each_instance(settings: Settings) -> None:
    """A study of 100,000 instances must be received in bounded memory: its UID, its digest, and no more."""
    (any_uid,) = ct_series(1, rows=4, columns=4)
    longest = any_uid.instance[:26].ljust(60, "7")  # what generate_uid makes is shorter now and then
    one = changed(any_uid, SOPInstanceUID=f"{longest}0000")
    number = 500

    def add_from(first: int) -> None:
        for index in range(first, first + number):
            writer.add(part(one.data.replace(one.instance.encode(), f"{longest}{index:04d}".encode())))
        writer.flush()
        gc.collect()

    with Archive.open(settings) as archive, archive.writer() as writer:
        add_from(0)
        tracemalloc.start()
        try:
            sizes = [0]
            for batch in (1, 2, 3):
                add_from(batch * number)
                sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert len(archive.present(Resource(one.study))) == 4 * number
    # What is allocated once, as by a table that grows, shows in one batch only.
    assert min(after - before for before, after in pairwise(sizes)) / number < 450


def test_a_part_that_breaks_off_leaves_no_trace(archive: Archive) -> None:
    one, two = ct_series(2)

    def broken():
        yield one.data[:100]
        raise WireError("cut")

    with archive.writer() as writer:
        with pytest.raises(WireError, match="cut"):
            writer.add(Part("application/dicom", broken))
        for data in (b"", b"no DICOM at all" * 100, one.data[:400], one.data[:-1]):
            with pytest.raises(WireError):
                writer.add(part(data))
        with pytest.raises(WireError, match="was expected"):
            writer.add(part(one.data), Resource("1.2.3"))
        assert writer.add(part(two.data), Resource(two.study)).status == "stored"
    assert archive.present(Resource(one.study)) == {two.instance}
    assert list(archive._files.incoming.rglob("*")) == []


@pytest.mark.slow
def test_a_small_file_that_inflates_to_gigabytes_is_refused(archive: Archive, tmp_path: Path) -> None:
    (one,) = ct_series(1)
    bomb = deflated_bomb(one, 600 << 20)
    assert len(bomb) < 1 << 20
    with archive.writer() as writer, pytest.raises(WireError, match="more than 128 MB"):
        writer.add(part(bomb))
    assert archive.summary().instances == 0


def test_an_error_in_the_block_keeps_what_came_whole(archive: Archive) -> None:
    series = ct_series(3)
    with pytest.raises(RuntimeError), archive.writer() as writer:
        for one in series:
            writer.add(part(one.data))
        raise RuntimeError
    assert len(archive.present(Resource(series[0].study))) == 3


@pytest.mark.slow
def test_many_threads_and_two_writers_at_once(archive_settings: Settings) -> None:
    study = generate_uid()
    series = [ct_series(60, StudyInstanceUID=study) for _ in range(4)]
    with Archive.open(archive_settings) as one, Archive.open(archive_settings) as two:
        with one.writer(origin="a") as first, two.writer(origin="b") as second, ThreadPoolExecutor(8) as pool:
            work = [(w, s) for w in (first, second) for s in series]
            list(pool.map(lambda job: [job[0].add(part(i.data)) for i in job[1]], work))
            late = (*first.flush(), *second.flush())
        assert all(result.status == "identical" for result in late)
        assert len(one.present(Resource(study))) == 240
        assert {finding.status for finding in one.verify()} == {"intact"}
        (page,) = two.search(Query("studies"))
        assert value(page.matches[0].attributes, "NumberOfStudyRelatedInstances") == 240


def test_a_conflict_between_processes_is_reported_when_flushing(archive_settings: Settings) -> None:
    (one,) = ct_series(1)
    other = changed(one, PatientName="Else")
    with Archive.open(archive_settings) as a, Archive.open(archive_settings) as b:
        with a.writer() as first, b.writer() as second:
            assert first.add(part(one.data)).status == "stored"
            assert second.add(part(other.data)).status == "stored"
            assert first.flush() == ()
            (late,) = second.flush()
            assert late.status == "conflict"
        assert [b"".join(p.chunks()) for p in a.retrieve(one.resource)] == [one.data]


def test_the_floor_of_free_space_stops_writing(archive_settings: Settings) -> None:
    with (
        Archive.open(replace(archive_settings, free_space_floor=1 << 60)) as archive,
        pytest.raises(NoSpace, match="free_space_floor"),
    ):
        archive.writer()


def test_a_full_disk_leaves_nothing_half_written(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    (one,) = ct_series(1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with archive.writer() as writer:
        monkeypatch.setattr("dicomdock.archive.placement.sync_files", full)
        writer.add(part(one.data))
        with pytest.raises(NoSpace):
            writer.flush()
        assert archive.present(Resource(one.study)) == set()
        monkeypatch.undo()
        assert writer.add(part(one.data)).status == "stored"
    assert archive.present(Resource(one.study)) == {one.instance}
    assert {finding.status for finding in archive.verify()} == {"intact"}


@pytest.mark.parametrize("together", [False, True])
def test_nothing_is_indexed_before_its_file_lasts(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    from dicomdock.archive import commit, placement
    from dicomdock.archive.storage import syncing

    steps: list[str] = []
    synced: list[Sequence[Path]] = []

    def noted(module: object, name: str) -> None:
        real = getattr(module, name)

        def step(*given: object, **named: object) -> object:
            steps.append(name)
            if name == "sync_files":
                (paths,) = given
                assert isinstance(paths, list)
                synced.append(paths)
            return real(*given, **named)

        monkeypatch.setattr(module, name, step)

    for module, name in (
        (placement, "sync_files"),
        (syncing, "_sync_folder"),
        (commit, "insert_instances"),
    ):
        noted(module, name)
    if together:
        results = archive.store(part(one.data) for one in ct_series(2))
        assert [result.status for result in results] == ["stored", "stored"]
    else:
        add(archive, *ct_series(2))
    # The folders of a new note; then the series' folder and those above it that are new.
    folder = "_sync_folder"
    assert steps == [folder, folder, "sync_files", folder, folder, folder, "insert_instances"]
    assert [len(paths) for paths in synced] == [3], "the note and both files"


@pytest.mark.slow
def test_a_lock_held_too_long_is_reported(archive_settings: Settings) -> None:
    with Archive.open(archive_settings) as archive:
        impatient = Index(archive_settings.database, archive_settings.archive, lock_timeout=0.2)
        with archive._index.writing(), pytest.raises(ArchiveLocked), impatient.writing():
            pass
        impatient.close()


@pytest.mark.slow
def test_an_index_that_is_locked_is_reported_before_everything_has_come(
    archive_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dicomdock.archive import writer
    from dicomdock.archive.storage.files import Files

    monkeypatch.setattr(writer, "GROUP_FILES", 1)
    monkeypatch.setattr(writer, "GROUPS_WAITING", 2)
    series = ct_series(8)
    given = 0
    with Archive.open(archive_settings) as holder:
        impatient = Index(archive_settings.database, archive_settings.archive, lock_timeout=0.2)
        with Archive(Files(archive_settings.archive, 0), impatient) as archive:
            with pytest.raises(ArchiveLocked), archive.writer() as adding, holder._index.writing():
                for one in series:
                    adding.add(part(one.data))
                    given += 1
            assert 2 <= given < len(series)
            with holder._index.writing():
                results = list(archive.store(part(one.data) for one in series))
            assert {(one.status, one.reason_code) for one in results} == {("failed", 0x0110)}
            assert {one.sop_instance_uid for one in results} == {one.instance for one in series}
            # Nothing of it hinders what comes later.
            assert add(archive, *series) == ["stored"] * len(series)


@pytest.mark.slow
def test_what_arrives_slowly_is_seen_while_more_is_awaited(archive_settings: Settings) -> None:
    (one,) = ct_series(1)
    with Archive.open(archive_settings) as archive, archive.writer() as adding:
        adding.add(part(one.data))
        until(lambda: archive.present(Resource(one.study)), "the instance, before the writer is closed,")


def test_an_error_after_the_renames_leaves_what_a_crash_leaves(
    archive: Archive, archive_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = ct_series(3)

    def fail(*_given: object, **_named: object) -> None:
        raise ArchiveError("The archive's index failed: disk I/O error.")

    monkeypatch.setattr("dicomdock.archive.commit.insert_instances", fail)
    with pytest.raises(ArchiveError, match="disk I/O"):
        add(archive, *series, origin="pacs")
    monkeypatch.undo()
    assert archive.summary().instances == 0
    with Archive.open(archive_settings) as again:
        assert [one.origin for one in again.instances(Resource(series[0].study))] == ["pacs"] * 3
        assert {finding.status for finding in again.verify()} == {"intact"}
        assert not [*again._files.incoming.iterdir()]
