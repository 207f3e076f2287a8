"""``search``: what is asked for is found and shown, on every level."""

from __future__ import annotations

import pytest
from tests.builders import ct_series, mr_series


@pytest.fixture
def studies(hospital):
    one = ct_series(2, PatientName="Doe^Jane", PatientID="P1", StudyDate="20240102", StudyDescription="Head")
    two = mr_series(1, PatientName="Roe^Rita", PatientID="P2", StudyDate="20230102", StudyDescription="Knee")
    hospital.add(*(made.data for made in (*one, *two)))
    return one, two


def names(ran) -> set[str]:
    return {match["PatientName"] for match in ran.json["matches"]}


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ([], {"Doe^Jane", "Roe^Rita"}),
        (["PatientName=doe*"], {"Doe^Jane"}),
        (["StudyDate=20240101-"], {"Doe^Jane"}),
        (["StudyDate=-20231231", "ModalitiesInStudy=MR"], {"Roe^Rita"}),
        (["PatientName=?oe^*", "PatientID=P2"], {"Roe^Rita"}),
        (["PatientID=nobody"], set()),
    ],
)
def test_studies_are_found_by_what_they_match(run, studies, keys, found):
    assert names(run("search", *keys, "--json")) == found


def test_every_level_is_found_and_its_resource_can_be_copied(run, studies):
    (one, _), _ = studies
    series = run("search", "series", f"StudyInstanceUID={one.study}", "--field", "FrameOfReferenceUID")
    assert f"{one.study}/{one.series}" in series.out.split()
    assert f"FrameOfReferenceUID: {one.dataset.FrameOfReferenceUID}" in series.out
    found = run("search", "instances", f"SeriesInstanceUID={one.series}", "--json").json
    assert found["level"] == "instances"
    assert len(found["matches"]) == 2
    place = run("search", "instances", f"SOPInstanceUID={one.instance}").out.split()[-1]
    assert run("pull", place, "--json").json["instances"]["received"] == 1


def test_a_person_sees_who_when_and_what(run, studies):
    shown = run("search", "PatientID=P1").out
    for word in ("Doe^Jane", "P1", "2024-01-02", "CT", "Head", "1 series", "2 instances"):
        assert word in shown
    assert "Nothing was found." in run("search", "PatientID=nobody").out


def test_a_limit_says_that_there_is_more(run, studies):
    first = run("search", "--limit", "1", "--json")
    assert len(first.json["matches"]) == 1
    assert first.json["more"] is not False
    second = run("search", "--limit", "1", "--offset", "1", "--json")
    assert names(first) | names(second) == {"Doe^Jane", "Roe^Rita"}


def test_a_selection_of_series_is_pulled(run, studies):
    pulled = run("pull", "Modality=MR", "StudyDate=20230102", "--json")
    assert pulled.json["instances"]["received"] == 1
    assert names(run("list", "--json")) == {"Roe^Rita"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("search", "--local", "PatientID=\udcff"),
        ("list", "PatientName=a\udcff"),
        ("worklist", "create", "a\udcff"),
        ("pull", "PatientID=\udcff", "--server", "pacs"),
    ],
)
def test_words_that_are_not_text_are_refused_in_a_sentence(run, words):
    """What an argument holds that the terminal's encoding does not know."""
    run("server", "add", "pacs", "http://127.0.0.1:9", "--untested")
    ran = run(*words)
    assert ran.code == 2
    assert "is not text in the encoding of this system" in ran.err
