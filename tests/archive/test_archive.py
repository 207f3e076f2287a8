"""The archive as a whole: what goes in comes out, found, counted, kept apart, removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text, texts, value
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveTooNew, InvalidInput, NotInArchive, WireError
from dicomdock.sources import Match
from tests.archive.adding import add, found
from tests.archive.conftest import part
from tests.builders import changed, composite, ct_series, document, made, mr_series


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


def test_a_later_version_is_not_touched(archive_settings: Settings) -> None:
    with Archive.open(archive_settings) as archive, archive._index.writing() as connection:
        connection.execute("UPDATE archive SET version = 99")
    with pytest.raises(ArchiveTooNew, match="later version"):
        Archive.open(archive_settings)


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
