"""Any server, by its address alone: found, fetched byte for byte, sent to and deleted from where it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import connect
from tests.anyserver.conftest import CROWD, FEW, Case, head, news
from tests.builders import write
from tests.servers.imitations.base import crowd


def uids(ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [match["StudyInstanceUID"] for match in ran.json["matches"]]


def files(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file())


SEARCHES = (
    ["PatientID=H1"],
    ["PatientName=head*"],
    ["PatientName=*Ad?"],
    ["StudyDate=20231201-20231231"],
    ["PatientName=Head^Ada", "StudyDate=20231224"],
    ["AccessionNumber=N77", "ModalitiesInStudy=CT"],
    ["StudyDate=20230101-", "PatientID=H*"],
    ["PatientID=H1", "--fuzzy"],
)


def test_a_study_is_found(case: Case, run):
    found = {" ".join(keys): uids(run("search", *keys, "--json")) for keys in SEARCHES}
    assert found == {" ".join(keys): [head()[0].study] for keys in SEARCHES}
    assert uids(run("search", "PatientID=nobody", "--json")) == []


def test_a_filter_that_cannot_be_applied_is_reported(case: Case, run):
    ran = run("search", "StudyDescription=Chr*", "--json")
    if case.shows_descriptions:
        assert uids(ran) == [head()[0].study]
    else:
        assert any("StudyDescription" in warning for warning in ran.json["warnings"])


@pytest.mark.slow
def test_every_study_is_listed_once(case: Case, run):
    if case.imitation is not None:
        case.imitation.hold(crowd(CROWD - FEW))
    found = uids(run("search", "--json"))
    assert len(found) == len(set(found)) == (1 if case.imitation is None else CROWD + 1)
    some = run("search", "PatientName=Few*", "--limit", "3", "--offset", "2", "--json")
    assert len(uids(some)) == (0 if case.imitation is None else 3)


@pytest.mark.slow
def test_lists_below_a_study_and_over_all(case: Case, run):
    made = [one for one in head() if case.imitation is None or case.imitation.below(one.resource)]
    series = run("search", "series", f"StudyInstanceUID={made[0].study}", "--json").json["matches"]
    assert {one["SeriesInstanceUID"] for one in series} == {one.series for one in made}
    by_patient = run("search", "series", "PatientID=H1", "Modality=CT", "--json").json["matches"]
    assert [one["SeriesInstanceUID"] for one in by_patient] == [made[0].series]


def test_a_study_comes_whole_and_byte_for_byte(case: Case, run, tmp_path):
    made = [one for one in head() if case.imitation is None or case.imitation.below(one.resource)]
    pulled = run("pull", made[0].study, "--json")
    assert pulled.code == 0, (pulled.out, pulled.err)
    assert pulled.json["complete"] is True
    assert pulled.json["instances"]["received"] == len(made)
    assert run("export", made[0].study, tmp_path / "out").code == 0
    got = files(tmp_path / "out")
    assert got == sorted(one.data for one in made) or (case.rewrites and len(got) == len(made))


def test_what_is_sent_arrives_with_an_answer_for_each(case: Case, run, tmp_path, settings: Settings):
    write(tmp_path / "new", [*news()])
    pushed = run("push", tmp_path / "new", "--server", "there", "--json")
    if not case.stores:
        assert pushed.code == 1
        assert "uploads" in pushed.err or "no store service" in pushed.err
        return
    assert pushed.code == 0, (pushed.out, pushed.err)
    assert [row["status"] for row in pushed.json["results"]] == ["stored", "stored"]
    back = [b"".join(part.chunks()) for part in _client(settings).retrieve(Resource(news()[0].study))]
    assert sorted(back) == sorted(one.data for one in news()) or (case.rewrites and len(back) == 2)
    again = run("push", tmp_path / "new", "--server", "there", "--json")
    assert {row["status"] for row in again.json["results"]} == {"duplicate"}


@pytest.mark.slow
def test_it_deletes_what_it_can_and_says_what_it_cannot(case: Case, run):
    one = head()[0].resource
    places = {"instance": one, "series": Resource(one.study, one.series), "study": Resource(one.study)}
    for level, place in places.items():
        ran = run("remove", place, "--server", "there", "--yes", "--json")
        if level in case.deletes:
            assert ran.json == {"server": "there", "removed": [str(place)]}
            assert case.imitation is not None
            assert not case.imitation.below(place)
        else:
            assert ran.code == 1
            assert f"does not delete {'an' if level == 'instance' else 'a'} {level}" in ran.err
    if "study" in case.deletes:
        assert uids(run("search", "PatientID=H1", "--json")) == []


@pytest.mark.parametrize("case", ["standard"], indirect=True)
def test_nothing_is_deleted_on_a_server_without_a_yes(case: Case, run):
    ran = run("remove", "PatientID=H1", "--server", "there")
    assert ran.code == 2
    assert "Nothing was deleted" in ran.err
    assert uids(run("search", "PatientID=H1", "--json")) == [head()[0].study]


def _client(settings: Settings):
    return connect("there", settings)
