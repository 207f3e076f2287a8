"""The archive as a whole: what goes in comes out, found, counted, kept apart, removed."""

from __future__ import annotations

import gc
import json
import tracemalloc
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicomdock.archive import Archive, adoption, eviction
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text, texts, value
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import (
    ArchiveError,
    ArchiveLocked,
    ArchiveTooNew,
    InvalidInput,
    NoSpace,
    NotInArchive,
    WireError,
)
from dicomdock.sources import Match, Part
from tests.archive.conftest import part
from tests.builders import Made, changed, composite, ct_series, deflated_bomb, document, made, mr_series
from tests.waiting import until


def add(archive: Archive, *instances: Made, **options: object) -> list[str]:
    with archive.writer(**options) as writer:
        return [writer.add(part(one.data)).status for one in instances]


def found(archive: Archive, level: str, **match: str) -> list[str]:
    keyword = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[
        level
    ]
    pages = archive.search(Query(level, match))
    return [text(one.attributes, keyword) for page in pages for one in page.matches]


def test_bytes_come_out_as_they_went_in(archive: Archive) -> None:
    series = ct_series(5)
    assert add(archive, *series, origin="pacs") == ["stored"] * 5
    parts = list(archive.retrieve(Resource(series[0].study)))
    assert [b"".join(one.chunks()) for one in parts] == [one.data for one in series]
    assert [one.resource for one in parts] == [one.resource for one in series]
    assert parts[0].content_type == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert archive.present(Resource(series[0].study)) == {one.instance for one in series}
    first = archive.instances(series[0].resource)[0]
    assert (first.origin, first.sent, first.pinned, first.made_here) == ("pacs", (), False, False)


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


def test_the_first_copy_is_kept_unless_another_is_wanted(archive: Archive) -> None:
    (one,) = ct_series(1)
    other = changed(one, PatientName="Else^Someone")
    assert add(archive, one, one) == ["stored", "identical"]
    assert add(archive, other) == ["conflict"]
    assert [b"".join(p.chunks()) for p in archive.retrieve(one.resource)] == [one.data]
    assert add(archive, other, replace=True) == ["replaced"]
    assert [b"".join(p.chunks()) for p in archive.retrieve(one.resource)] == [other.data]
    assert {f.status for f in archive.verify()} == {"intact"}
    assert archive.summary().bytes == len(other.data)


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_file_is_replaced_by_its_own_bytes(archive: Archive, gone: bool, replace: bool) -> None:
    one, beside = ct_series(2)
    add(archive, one, beside, origin="pacs")
    (kept,) = archive.instances(one.resource)
    if gone:
        kept.path.unlink()
    else:
        kept.path.write_bytes(one.data[:-1] + b"x")
    archive.retention.record_sent([one.resource], "backup")
    assert add(archive, one, beside, origin="pacs", replace=replace) == ["replaced", "identical"]
    assert archive.instances(one.resource)[0].sent == ("backup",)
    assert {finding.status for finding in archive.verify()} == {"intact"}
    assert archive.instances(one.resource)[0].path.read_bytes() == one.data


def test_the_last_of_several_under_one_uid_is_kept_where_that_is_wanted(archive: Archive) -> None:
    one, beside = ct_series(2)
    versions = [one, *(changed(one, PatientComments=f"version {number}") for number in (2, 3))]
    assert add(archive, *versions, beside, replace=True) == ["stored", "replaced", "replaced", "stored"]
    assert [b"".join(p.chunks()) for p in archive.retrieve(one.resource)] == [versions[-1].data]
    assert {finding.status for finding in archive.verify()} == {"intact"}
    assert archive.summary().instances == 2


def test_what_took_the_place_of_another_is_on_no_server_and_found_by_its_own_name(archive: Archive) -> None:
    (one,) = ct_series(1)
    add(archive, one, origin="pacs")
    archive.retention.record_sent([one.resource], "backup")
    corrected = changed(one, PatientName="Else^Someone", SeriesDescription="corrected")
    assert add(archive, corrected, replace=True) == ["replaced"]
    (kept,) = archive.instances(one.resource)
    assert (kept.origin, kept.sent) == ("", ())
    assert archive.retention.evict(0).removed == ()
    assert found(archive, "studies", PatientName="Else*") == [one.study]
    assert found(archive, "studies", PatientName=str(one.dataset.PatientName)) == []
    assert found(archive, "series", SeriesDescription="corrected") == [one.series]


def test_the_same_instance_uid_in_two_series_is_kept_twice(archive: Archive) -> None:
    (one,) = ct_series(1)
    other = changed(one, SeriesInstanceUID=generate_uid())
    assert add(archive, one, other) == ["stored", "stored"]
    assert len(archive.instances(Resource(one.study))) == 2


@pytest.mark.slow
def test_counts_and_modalities_follow_what_comes_and_goes(archive: Archive) -> None:
    study = generate_uid()
    ct, mr = ct_series(3, StudyInstanceUID=study), mr_series(2, StudyInstanceUID=study)
    add(archive, *ct)
    add(archive, *mr)
    (page,) = archive.search(Query("studies"))
    attributes = page.matches[0].attributes
    assert value(attributes, "NumberOfStudyRelatedSeries") == 2
    assert value(attributes, "NumberOfStudyRelatedInstances") == 5
    assert texts(attributes, "ModalitiesInStudy") == ["CT", "MR"]
    assert text(attributes, "InstanceAvailability") == "ONLINE"
    assert archive.remove(Resource(study, mr[0].series)) == 2
    (page,) = archive.search(Query("studies"))
    assert texts(page.matches[0].attributes, "ModalitiesInStudy") == ["CT"]
    archive.delete(ct[0].resource)
    assert archive.present(Resource(study)) == {one.instance for one in ct[1:]}
    archive.delete(Resource(study))
    assert (archive.summary().studies, archive.summary().bytes) == (0, 0)
    assert not [path for path in archive._files.folder.rglob("*") if path.is_file()]
    with pytest.raises(NotInArchive):
        archive.delete(Resource(study))


def test_levels_carry_what_was_asked_for(archive: Archive) -> None:
    series = ct_series(2, StudyDescription="Head")
    add(archive, *series)
    study = series[0].study
    (page,) = archive.search(Query("series", {"StudyInstanceUID": study}))
    assert text(page.matches[0].attributes, "StudyInstanceUID") == study
    assert text(page.matches[0].attributes, "PatientName") == ""
    (page,) = archive.search(
        Query("series", {"StudyInstanceUID": study, "PatientName": ""}, ("StudyDescription",))
    )
    assert text(page.matches[0].attributes, "PatientName") == "Doe^Jane"
    assert text(page.matches[0].attributes, "StudyDescription") == "Head"
    (page,) = archive.search(Query("instances"))
    assert text(page.matches[1].attributes, "PatientName") == "Doe^Jane"
    assert value(page.matches[1].attributes, "InstanceNumber") == 2
    (page,) = archive.search(Query("instances", fields=("SliceThickness", "PatientName")))
    assert value(page.matches[1].attributes, "SliceThickness") == 2.0


@pytest.mark.slow
def test_paging_gives_each_match_once(archive: Archive) -> None:
    for number in range(25):
        add(archive, made(composite("1.2.840.10008.5.1.4.1.1.7", StudyDate=f"202001{number + 1:02}")))
    everything = found(archive, "studies")
    assert len(set(everything)) == 25
    paged = []
    for offset in range(0, 30, 7):
        (page,) = archive.search(Query("studies", limit=7, offset=offset))
        paged += [text(one.attributes, "StudyInstanceUID") for one in page.matches]
        assert page.more == (offset + 7 < 25)
    assert paged == everything
    (page,) = archive.search(Query("studies", limit=0))
    assert page.matches == ()
    # a rule that SQL alone cannot say pages the same
    (page,) = archive.search(Query("instances", {"ImageType": ""}, limit=3, offset=2))
    assert len(page.matches) == 3


def test_what_cannot_be_searched_is_reported(archive: Archive) -> None:
    add(archive, *ct_series(1))
    (page,) = archive.search(Query("studies", {"KVP": "120"}))
    assert len(page.matches) == 1
    assert "KVP" in page.warnings[0]
    with pytest.raises(InvalidInput):
        list(archive.search(Query("studies", {"StudyDate": "yesterday"})))
    with pytest.raises(InvalidInput):
        list(archive.search(Query("studies", {"Nonsense": "1"})))


def test_lower_levels_narrow_upper_ones(archive: Archive) -> None:
    head, chest = ct_series(1, SeriesDescription="Head"), mr_series(1, SeriesDescription="Chest")
    add(archive, *head, *chest)
    assert found(archive, "studies", Modality="MR") == [chest[0].study]
    assert found(archive, "studies", SeriesDescription="He*") == [head[0].study]
    assert found(
        archive, "studies", SOPInstanceUID=f"{head[0].instance},{chest[0].instance}", Modality="CT"
    ) == [head[0].study]
    assert found(archive, "studies", ModalitiesInStudy="CT") == [head[0].study]
    assert found(archive, "series", StudyInstanceUID=f"{head[0].study},{chest[0].study}", Modality="CT") == [
        head[0].series
    ]


def test_metadata_leaves_bulk_data_out(archive: Archive) -> None:
    (one,) = ct_series(1)
    add(archive, one)
    (attributes,) = archive.metadata(one.resource)
    assert attributes["7FE00010"] == {"vr": "OW", "BulkDataURI": f"{one.resource.path}/bulk/7FE00010"}
    assert text(attributes, "PatientName") == "Doe^Jane"
    assert attributes["00280030"] == {"vr": "DS", "Value": [0.5, 0.75]}
    assert "00020010" not in attributes
    with pytest.raises(NotInArchive):
        list(archive.metadata(Resource("1.2.3")))


def test_store_tells_of_each_instance(archive: Archive) -> None:
    one, two = ct_series(2)
    other = changed(one, PatientName="Else")
    stranger = document()
    parts = [part(data) for data in (one.data, one.data, other.data, b"<html>", stranger.data, two.data[:-5])]
    results = list(archive.store(parts, study=one.study))
    told = {(result.sop_instance_uid, result.status, result.reason_code) for result in results}
    assert told == {
        (one.instance, "stored", None),
        (one.instance, "duplicate", None),
        (one.instance, "failed", 0x0111),
        ("", "failed", 0xC000),
        (stranger.instance, "failed", 0xA900),
    }
    assert len(results) == 6
    assert archive.present(Resource(stranger.study)) == set()


def test_frames_are_not_cut_here(archive: Archive) -> None:
    (one,) = ct_series(1)
    add(archive, one)
    with pytest.raises(InvalidInput):
        list(archive.retrieve(Resource(one.study, one.series, one.instance, (1,))))
    with pytest.raises(NotInArchive):
        list(archive.retrieve(Resource("1.2.3")))


@pytest.mark.parametrize("uid", ["../../x", "..", "REM SAMPLES 1", "a/b", "1.2.3\n"])
def test_a_uid_never_becomes_a_path(archive: Archive, uid: str) -> None:
    (one,) = ct_series(1)
    # Written as raw bytes, because pydicom itself would refuse some of these.
    hostile = one.data.replace(one.instance.encode(), uid.encode().ljust(len(one.instance), b"\0"))
    before = {path for path in archive._files.root.parent.rglob("*") if path.is_file()}
    with archive.writer() as writer:
        try:
            result = writer.add(part(hostile))
        except WireError:
            result = None
    new = set(archive._files.root.parent.rglob("*.dcm")) - before
    assert all(path.is_relative_to(archive._files.folder) for path in new)
    assert len(new) == (result is not None)
    if result is not None:
        assert uid.strip() not in str(next(iter(new)))
        assert archive.present(result.resource) == {result.resource.instance}


@pytest.mark.slow
def test_pins_sending_and_eviction(archive: Archive) -> None:
    pulled, pinned, own, imported = (ct_series(2) for _ in range(4))
    add(archive, *pulled, *pinned, origin="pacs")
    add(archive, *own, made_here=True)
    add(archive, *imported)
    archive.retention.pin(Resource(pinned[0].study))
    add(archive, *(later := ct_series(1, StudyInstanceUID=pinned[0].study)), origin="pacs")
    assert archive.instances(later[0].resource)[0].pinned  # what comes to a pinned study is pinned too
    report = archive.retention.evict(0)
    assert [one.study for one in report.removed] == [pulled[0].study]
    assert report.left == archive.summary().bytes > 0
    archive.retention.record_sent([one.resource for one in imported], "pacs")
    archive.retention.record_sent([one.resource for one in (*imported, *own)], "pacs")
    assert archive.instances(imported[0].resource)[0].sent == ("pacs",)
    assert [one.study for one in archive.retention.evict(0).removed] == [imported[0].study]
    archive.retention.unpin(Resource(pinned[0].study))
    archive.retention.evict(0)
    assert found(archive, "studies") == [own[0].study]
    assert {finding.status for finding in archive.verify()} == {"intact"}
    assert archive.retention.evict().removed == ()


@pytest.mark.slow
def test_eviction_reads_the_instances_of_no_more_series_than_it_removes(
    archive: Archive, archive_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        add(archive, *ct_series(2), origin="pacs")
    asked: list[str] = []
    executed = Connection._executed

    def seen(self, statement, values):
        asked.append(statement)
        return executed(self, statement, values)

    monkeypatch.setattr(Connection, "_executed", seen)
    report = archive.retention.evict(archive.summary().bytes - 1)
    assert len(report.removed) == 1
    assert asked.count(eviction._STILL) == 1
    if archive_settings.database:
        index = Index(archive_settings.database, archive_settings.archive)
        with closing(index), index.reading() as connection:
            plan = connection.column(f"EXPLAIN {eviction._NEXT}", -1.0, 0, eviction.AT_ONCE)
        assert not any("Anti Join" in line for line in plan), plan  # with all instances of the archive


def test_only_the_instance_that_was_sent_is_noted(archive: Archive) -> None:
    (one,) = ct_series(1)
    namesake = changed(one, SeriesInstanceUID=generate_uid(), SeriesDescription="filed under the same UID")
    add(archive, one, namesake)
    archive.retention.record_sent([one.resource], "pacs")
    assert [kept.sent for kept in archive.instances(namesake.resource)] == [()]
    assert [gone.series for gone in archive.retention.evict(0).removed] == [one.series]


def test_nobody_else_may_read_the_archive(settings: Settings) -> None:
    with Archive.open(settings):
        assert settings.archive.stat().st_mode & 0o077 == 0  # the index in it names patients


def test_the_least_recently_used_goes_first(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = ct_series(1), ct_series(1)
    for series in (older, newer):
        add(archive, *series, origin="pacs")
    monkeypatch.setattr("dicomdock.archive.eviction.USE_GRAIN", -1.0)
    list(archive.retrieve(older[0].resource))
    report = archive.retention.evict(len(older[0].data))
    assert [one.study for one in report.removed] == [newer[0].study]


def test_a_series_that_is_still_arriving_is_in_use(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    growing, other = ct_series(2), ct_series(1)
    for moment, arrived in enumerate((growing[0], other[0], growing[1])):
        monkeypatch.setattr("dicomdock.archive.index.queries.time.time", lambda moment=moment: 1e9 + moment)
        add(archive, arrived, origin="pacs")
    report = archive.retention.evict(archive.summary().bytes - 1)
    assert [one.study for one in report.removed] == [other[0].study]


def test_answers_of_servers_are_kept_apart(archive: Archive) -> None:
    (one,) = ct_series(1)
    add(archive, one)
    query = Query("studies", {"PatientName": "Do*"})
    (page,) = archive.search(query)
    assert archive.query_cache.get("pacs", "alice", query) is None
    archive.query_cache.put("pacs", "alice", query, page.matches, True)
    answer = archive.query_cache.get("pacs", "alice", query)
    assert answer is not None
    assert answer.matches == page.matches
    assert answer.more is True
    assert 0 <= answer.age < 60
    assert archive.query_cache.get("pacs", "bob", query) is None
    assert archive.query_cache.get("pacs", "alice", replace(query, limit=5)) is None
    archive.query_cache.drop("pacs")
    assert archive.query_cache.get("pacs", "alice", query) is None


def test_an_answer_with_half_a_letter_is_kept(archive: Archive) -> None:
    matches = [Match({"00100020": {"vr": "LO", "Value": ["\ud800 and \0 and ü"]}})]
    archive.query_cache.put("pacs", "alice", Query(), matches)
    answer = archive.query_cache.get("pacs", "alice", Query())
    assert answer is not None
    assert "ü" in text(answer.matches[0].attributes, "PatientID")


def test_verify_finds_changed_missing_and_unknown_files(archive: Archive) -> None:
    series = ct_series(4)
    add(archive, *series)
    files = {one.resource.instance: one.path for one in archive.instances(Resource(series[0].study))}
    files[series[0].instance].write_bytes(series[0].data[:-2] + b"xx")
    files[series[1].instance].unlink()
    (files[series[2].instance].parent / "notes.txt").write_text("mine")
    statuses = sorted(finding.status for finding in archive.verify())
    assert statuses == ["changed", "intact", "intact", "missing", "stray"]
    assert [f.status for f in archive.verify(series[3].resource)] == ["intact"]
    with archive._index.writing() as connection:
        connection.execute('DELETE FROM instance WHERE "SOPInstanceUID" = ?', series[3].instance)
    assert "adopted" in {finding.status for finding in archive.verify()}
    assert [b"".join(p.chunks()) for p in archive.retrieve(series[3].resource)] == [series[3].data]


@pytest.mark.slow
def test_what_changes_while_it_is_verified_is_not_called_damaged(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomdock.archive.verification.BATCH", 1)
    series = ct_series(4)
    add(archive, *series)
    findings = archive.verify()
    assert next(findings).status == "intact"
    archive.remove(series[2].resource)
    add(archive, changed(series[3], PatientComments="corrected"), replace=True)
    add(archive, *(later := ct_series(2)))
    assert [finding.status for finding in findings] == ["intact", "intact"]
    assert {finding.resource for finding in archive.verify(Resource(later[0].study))} == {
        one.resource for one in later
    }


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


def test_a_later_version_is_not_touched(archive_settings: Settings) -> None:
    with Archive.open(archive_settings) as archive, archive._index.writing() as connection:
        connection.execute("UPDATE archive SET version = 99")
    with pytest.raises(ArchiveTooNew, match="later version"):
        Archive.open(archive_settings)


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


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "sqlite+nothing://"])
def test_a_database_that_is_none_is_refused(settings: Settings, url: str) -> None:
    with pytest.raises(InvalidInput):
        Archive.open(replace(settings, database=url))


def test_a_folder_that_cannot_be_made_is_reported(settings: Settings, tmp_path: Path) -> None:
    from dicomdock.errors import ArchiveError

    blocker = tmp_path / "file"
    blocker.write_text("x")
    with pytest.raises(ArchiveError, match="Opening the archive"):
        Archive.open(replace(settings, archive=blocker / "archive"))


def damaged_in(archive: Archive, *instances: Made) -> tuple[Resource, Resource, Resource]:
    """Damage three of five instances: one is lost, one is cut, one has another byte."""
    add(archive, *instances, origin="pacs")
    lost, cut, changed_one = (one.resource for one in instances[1:4])
    (kept,) = archive.instances(lost)
    kept.path.unlink()
    (kept,) = archive.instances(cut)
    kept.path.write_bytes(kept.path.read_bytes()[:-20])
    (kept,) = archive.instances(changed_one)
    kept.path.write_bytes(kept.path.read_bytes()[:-1] + b"\xff")
    return lost, cut, changed_one


def test_a_row_is_no_proof_of_its_file(archive: Archive) -> None:
    series = ct_series(5)
    lost, cut, changed_one = damaged_in(archive, *series)
    assert archive.present(Resource(series[0].study)) == {
        one.instance for one in series if one.resource not in (lost, cut)
    }
    assert add(archive, *series) == ["identical", "replaced", "replaced", "replaced", "identical"]
    assert archive.present(Resource(series[0].study)) == {one.instance for one in series}
    assert {finding.status for finding in archive.verify()} == {"intact"}
    assert b"".join(b"".join(part.chunks()) for part in archive.retrieve(changed_one)) == series[3].data


def test_what_is_damaged_is_named_and_the_rest_goes_on(archive: Archive, tmp_path: Path) -> None:
    series = ct_series(5)
    bad = damaged_in(archive, *series)
    whole = [series[0].resource, series[4].resource]
    study = Resource(series[0].study)
    retrieved, exported, packed = [], [], []
    with pytest.raises(ArchiveError, match="3 instances are damaged") as error:
        retrieved.extend(part.resource for part in archive.retrieve(study))
    assert all(str(one) in str(error.value) for one in bad)
    with pytest.raises(ArchiveError, match="3 instances are damaged"):
        exported.extend(one.resource for one in archive.export([study], tmp_path / "out"))
    with pytest.raises(ArchiveError, match="3 instances are damaged"):
        packed.extend(one.resource for one in archive.export([study], tmp_path / "out.zip", zip=True))
    assert retrieved == exported == packed == whole
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
    assert len(zipfile.ZipFile(tmp_path / "out.zip").namelist()) == 2


def test_other_bytes_replace_a_file_that_is_gone(archive: Archive) -> None:
    (one,) = ct_series(1)
    add(archive, one)
    (kept,) = archive.instances(one.resource)
    kept.path.unlink()
    corrected = changed(one, PatientName="Else^Someone")
    assert add(archive, corrected) == ["replaced"]
    assert [b"".join(part.chunks()) for part in archive.retrieve(one.resource)] == [corrected.data]


def test_a_file_that_cannot_be_removed_closes_nothing(
    archive: Archive, archive_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = ct_series(3)
    add(archive, *series)
    stuck = archive.instances(series[0].resource)[0].path
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert archive.remove(Resource(series[0].study)) == 3
    assert [path.exists() for path in (stuck,)] == [True]
    with Archive.open(archive_settings) as again:
        assert again.summary().instances == 0
        monkeypatch.undo()
    with Archive.open(archive_settings):
        assert not stuck.exists()


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


def test_a_file_that_is_removed_while_it_is_adopted_gets_no_row(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = ct_series(1)
    add(archive, one)
    path = archive.instances(one.resource)[0].path
    data = path.read_bytes()
    archive.remove(one.resource)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    known = adoption.known_rows

    def remove_first(*given: object) -> object:
        path.unlink(missing_ok=True)
        return known(*given)

    monkeypatch.setattr(adoption, "known_rows", remove_first)
    list(archive.verify())
    assert archive.summary().instances == 0


def test_metadata_of_odd_files_do_not_cost_the_others(archive: Archive) -> None:
    series = ct_series(3)
    data = series[1].data
    place = data.index(b"\x10\x00\x10\x00PN")
    odd = data[:place] + b"\x10\x00\x01\x00??\x08\x0012345678" + data[place:]
    add(archive, series[0], Made(series[1].dataset, odd), series[2])
    found = list(archive.metadata(Resource(series[0].study)))
    assert {text(one, "SOPInstanceUID") for one in found} == {one.instance for one in series}
    assert {text(one, "PatientName") for one in found} == {"Doe^Jane"}
    json.dumps(found, allow_nan=False)
