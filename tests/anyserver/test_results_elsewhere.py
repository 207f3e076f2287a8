"""Images on a store that only reads, results on one's own: pulled from one, sent to the other, told apart."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from dicomdock.archive import Archive
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.dicom.resource import Resource
from dicomdock.transfer import missing_sources
from tests.builders import Made, composite, ct_series, made, write
from tests.servers.canned import answering
from tests.servers.imitations import Dcm4chee, StaticWado

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def segmentation_of(images: list[Made], **attributes: str) -> Made:
    """Make the head of a segmentation that refers to images."""
    dataset = composite(SEGMENTATION, Modality="SEG", **attributes)
    series = Dataset()
    series.SeriesInstanceUID = images[0].series
    series.ReferencedInstanceSequence = [Dataset() for _ in images]
    for item, image in zip(series.ReferencedInstanceSequence, images, strict=True):
        item.ReferencedSOPClassUID = image.dataset.SOPClassUID
        item.ReferencedSOPInstanceUID = image.instance
    dataset.ReferencedSeriesSequence = [series]
    return made(dataset)


@pytest.fixture
def images() -> list[Made]:
    return ct_series(3, PatientID="R1")


@pytest.fixture
def stores(images, settings):
    """A public store that only reads, with the images, and one's own, empty."""
    public, own = StaticWado(), Dcm4chee()
    public.add(images)
    with answering(public) as one, answering(own) as two:
        for name, server, url in (("public", public, one.url), ("own", own, two.url)):
            load_profiles(settings).with_profile(ServerProfile(name, url + server.base)).save(settings)
        yield public, own


@pytest.mark.slow
def test_results_go_to_ones_own_server_and_the_images_stay_where_they_are(stores, images, run, tmp_path):
    result = segmentation_of(images, StudyInstanceUID=images[0].study, PatientID="R1")
    assert run("pull", images[0].study, "--server", "public").code == 0
    write(tmp_path / "result", [result])
    assert run("import", tmp_path / "result").code == 0
    place = f"{result.study}/{result.series}"
    assert run("push", place, "--server", "public").code == 1  # it only reads
    pushed = run("push", place, "--server", "own", "--json")
    assert [row["status"] for row in pushed.json["results"]] == ["stored"]
    assert [one.place for one in stores[1].held] == [result.resource]
    assert run("list", images[0].study, "--json").json["missing_sources"] == []


@pytest.mark.slow
def test_a_result_without_its_images_says_who_has_them(stores, images, run):
    result = segmentation_of(images, StudyInstanceUID=images[0].study)
    stores[1].add([result])
    pulled = run("pull", result.study, "--server", "own", "--json")
    assert pulled.code == 0, pulled.err
    (missing,) = pulled.json["missing_sources"]
    assert missing == {
        "series": f"{images[0].study}/{images[0].series}",
        "referred_by": str(result.resource),
        "instances": 3,
        "servers": ["public"],
    }
    assert f"dicomdock pull {missing['series']} --server public" in pulled.err
    listed = run("list", result.study)
    assert "which is not in the archive" in listed.err
    assert run("pull", missing["series"], "--server", "public").code == 0
    assert "which is not in the archive" not in run("list", result.study).err


def test_what_is_named_in_another_study_is_looked_for_there(images, settings):
    result = segmentation_of(images)
    elsewhere = Dataset()
    elsewhere.StudyInstanceUID = images[0].study
    elsewhere.ReferencedSeriesSequence = result.dataset.ReferencedSeriesSequence
    result.dataset.StudiesContainingOtherReferencedInstancesSequence = [elsewhere]
    del result.dataset.ReferencedSeriesSequence
    with Archive.open(settings) as archive:
        with archive.writer() as writer:
            for one in (made(result.dataset), *images[:1]):
                writer.add(_part(one))
        (missing,) = missing_sources(archive, result.resource.parent)
    assert str(missing.series) == f"{images[0].study}/{images[0].series}"
    assert sorted(missing.instances) == sorted(one.instance for one in images[1:])  # one is here


def test_a_study_of_images_is_not_read_for_what_it_refers_to(images, settings, monkeypatch):
    with Archive.open(settings) as archive:
        with archive.writer() as writer:
            for one in images:
                writer.add(_part(one))
        # A study may have 100,000 instances; its row says that none of them refers to others.
        monkeypatch.delattr(Archive, "sop_classes")
        monkeypatch.delattr(Archive, "instances")
        assert missing_sources(archive, Resource(images[0].study)) == ()


@pytest.mark.slow
def test_images_and_broken_files_refer_to_nothing(images, settings):
    result = segmentation_of(images)
    with Archive.open(settings) as archive:
        with archive.writer() as writer:
            for one in (images[0], result):
                writer.add(_part(one))
        assert missing_sources(archive, images[0].resource) == ()
        (kept,) = archive.instances(result.resource)
        kept.path.write_bytes(b"broken")
        assert missing_sources(archive, result.resource) == ()


def _part(one: Made):
    from dicomdock.sources import Part

    return Part("application/dicom", lambda: iter([one.data]), length=len(one.data))
