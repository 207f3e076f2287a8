"""QIDO-RS as any client asks it."""

import json
from dataclasses import dataclass

import pytest

from tests import builders
from tests.origin.running import Running

JSON = "application/dicom+json"


def answer(response):
    assert response.status == 200, response.data
    assert response.headers["Content-Type"] == JSON
    return response.json()


def uids(matches, tag):
    return [match[tag]["Value"][0] for match in matches]


@dataclass(frozen=True)
class Filled:
    server: Running
    first: builders.Made


@pytest.fixture
def filled(server):
    first = builders.ct_series(3, PatientName="Müller^Jörg", PatientID="M1")
    second = builders.mr_series(2, StudyInstanceUID=first[0].study, PatientName="Müller^Jörg", PatientID="M1")
    other = builders.ct_series(1, PatientName="Doe^Jane")
    server.add(*(made.data for made in (*first, *second, *other)))
    return Filled(server, first[0])


def test_all_three_levels_answer_at_the_root_and_below(filled):
    study, series = filled.first.study, filled.first.series
    counts = {
        "/studies": 2,
        "/series": 3,
        "/instances": 6,
        f"/studies/{study}/series": 2,
        f"/studies/{study}/instances": 5,
        f"/studies/{study}/series/{series}/instances": 3,
    }
    found = {path: len(answer(filled.server.ask("/dicom-web" + path, JSON))) for path in counts}
    assert found == counts


def test_a_name_is_found_by_wildcard_and_without_its_accents(filled):
    for name in ("Müller*", "muller^jorg", "M%C3%BCller%5EJ*"):
        matches = answer(filled.server.ask(f"/dicom-web/studies?PatientName={name}", JSON))
        assert uids(matches, "00100020") == ["M1"], name


def test_a_match_tells_where_it_can_be_retrieved(filled):
    matches = answer(filled.server.ask("/dicom-web/instances?PatientID=M1&Modality=CT", JSON))
    for match in matches:
        address = match["00081190"]["Value"][0]
        assert address.startswith(
            f"{filled.server.url}/studies/{filled.first.study}/series/{filled.first.series}/instances/"
        )
        assert filled.server.ask(address.removeprefix(filled.server.root)).status == 200


def test_pages_follow_each_other(filled):
    pages = [
        answer(filled.server.ask(f"/dicom-web/instances?limit=4&offset={offset}", JSON))
        for offset in (0, 4, 8)
    ]
    assert [len(page) for page in pages] == [4, 2, 0]
    assert len(set(uids(pages[0] + pages[1], "00080018"))) == 6


def test_matches_come_in_the_order_asked_for(filled):
    def patients(order):
        return uids(answer(filled.server.ask(f"/dicom-web/studies?orderby={order}", JSON)), "00100010")

    names = [{"Alphabetic": "Doe^Jane"}, {"Alphabetic": "Müller^Jörg"}]
    assert patients("PatientName") == patients("00100010,-StudyDate") == names
    assert patients("-PatientName") == names[::-1]
    response = filled.server.ask("/dicom-web/studies?orderby=Manufacturer", JSON)
    assert len(answer(response)) == 2
    assert "was not sorted by it" in response.headers["Warning"]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/dicom-web/studies?0010001=x&sort=up&limit=5&accept=*/*", "0010001, sort"),
        ("/dicom-web/studies?emptyvaluematching=true", "emptyvaluematching"),
        ("/dicom-web/studies?x%00%0d%0ay%c3%bc=true", "x y?"),
        ("{study}/rendered?annotation=patient&window=40,400", "annotation"),
        ("/dicom-web/studies?limit=5&fuzzymatching=true&includefield=all", ""),
        ("{study}/rendered?viewport=64,64&quality=50", ""),
    ],
)
def test_parameters_that_are_not_supported_are_named(filled, path, named):
    """PS3.18 §8.3.4.1: they are passed over, and the client is warned."""
    study = f"/dicom-web/studies/{filled.first.study}"
    response = filled.server.ask(path.format(study=study), "*/*")
    assert response.status == 200
    warning = f'299 dicomdock "Not supported, and passed over: {named}."' if named else None
    assert response.headers.get("Warning") == warning


def test_nothing_found_is_an_empty_list(filled):
    assert answer(filled.server.ask("/dicom-web/studies?PatientID=nobody", JSON)) == []
    assert answer(filled.server.ask("/dicom-web/studies/1.2.3/series", JSON)) == []


def test_plain_json_is_given_by_that_name(filled):
    response = filled.server.ask("/dicom-web/studies", "application/json")
    assert response.headers["Content-Type"] == "application/json"
    assert len(json.loads(response.data)) == 2


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=many",
        "offset=x",
        "fuzzymatching=perhaps",
        "StudyDate=yesterday",
        "NoSuchAttribute=1",
        "orderby=-NoSuchAttribute",
    ],
)
def test_a_query_that_cannot_be_right_is_reported_in_a_sentence(filled, query):
    response = filled.server.ask(f"/dicom-web/studies?{query}", JSON)
    assert response.status == 400
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.data.decode().rstrip().endswith(".")
    assert "Traceback" not in response.data.decode()


@pytest.mark.parametrize(
    "path", ["/studies/..%2Fx/series", "/studies/1%0A2/series", "/studies/%2e%2e/series"]
)
def test_what_is_not_a_uid_is_refused(filled, path):
    assert filled.server.ask(f"/dicom-web{path}", JSON).status in (400, 404)


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_every_match_names_the_character_set_of_the_answer(server, level):
    made = builders.changed(
        builders.ct_series(1)[0], SpecificCharacterSet="ISO_IR 100", PatientName="Buc^Jérôme"
    )
    server.add(made.data)
    (match,) = server.ask(f"/dicom-web/{level}", "application/dicom+json").json()
    assert match["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert match["00100010"]["Value"] == [{"Alphabetic": "Buc^Jérôme"}]


def test_a_zero_byte_within_a_value_is_a_bad_request(server):
    response = server.ask("/dicom-web/studies?PatientName=D*%00limit=5", "application/dicom+json")
    assert response.status == 400
    assert b"zero byte" in response.data
