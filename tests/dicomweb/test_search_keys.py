"""Keys and names of a search that servers read in their own way."""

import dataclasses
import re
from urllib.parse import quote

import pytest

from dicomdock.config.dialects import BUILT_IN
from dicomdock.dicom.query import Query
from dicomdock.dicomweb import Client
from dicomdock.dicomweb.auth import BasicAuth
from tests import builders
from tests.dicomweb.awkward import Awkward, studies
from tests.dicomweb.clients import client_of, orthanc_client
from tests.dicomweb.matches import found, words
from tests.servers.matching import as_written, by_standard, like

COMMAS = ("Head, contrast", "Head", " contrast")


class Reading(Awkward):
    """An awkward server that reads keys as a function says."""

    reads = staticmethod(by_standard)

    def satisfies(self, attributes, name, values):
        return self.reads(attributes, name, values)


def first_only(attributes, name, values):
    """Apply the first value of a list alone."""
    return by_standard(attributes, name, [re.split(r"[,\\]", values[0])[0]])


def no_ranges(attributes, name, values):
    """Compare dates and times as they are written."""
    return as_written(attributes, name, values) if "-" in values[0] else by_standard(attributes, name, values)


READINGS = {
    "as the standard": by_standard,
    "as written": as_written,
    "the first of a list": first_only,
    "no ranges": no_ranges,
    "nothing at all": lambda *_: True,
}
KEYS = {
    "single": ({"PatientID": "P003"}, [3]),
    "list of modalities": ({"Modality": "XA\\US"}, [1, 2, 3, 4]),
    "list with a comma": ({"Modality": "XA,US"}, [1, 2, 3, 4]),
    "list of IDs": ({"PatientID": "P001\\P003\\P9"}, [1, 3]),
    "range": ({"StudyDate": "20240102-20240104"}, [1, 2, 3]),
    "open range": ({"StudyDate": "-20240102"}, [0, 1]),
    "time": ({"StudyTime": "1000-1159"}, [2, 3]),
    "time and date": ({"StudyTime": "1200-", "StudyDate": "20240105"}, [4]),
    "name": ({"PatientName": "Name004^Jane"}, [4]),
    "wildcard": ({"PatientName": "Name00*", "PatientID": "P00?"}, [0, 1, 2, 3, 4]),
}


@pytest.fixture(scope="module")
def five():
    found = []
    for number, modality in enumerate(("CT", "XA", "XA", "US", "US")):
        found += studies(5, Modality=modality, StudyTime=f"{8 + number:02}0000")[number : number + 1]
    return found


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("key", KEYS)
def test_every_kind_of_key_finds_the_same_whatever_the_server_makes_of_it(key, reading, five, settings):
    match, expected = KEYS[key]
    level = "series" if "Modality" in match else "studies"
    server = Reading(five)
    server.reads = READINGS[reading]
    server.shows = frozenset({"StudyTime", "Modality"})
    with client_of(server, settings) as client:
        pages = list(client.search(Query(level, match)))
        again = list(client.search(Query(level, match)))
        nothing = list(client.search(Query(level, {**match, "PatientID": "nobody"})))
    for one in (pages, again):
        assert sorted(found(one)) == sorted(five[index].study for index in expected)
    assert found(nothing) == []
    assert len(server.asked) < 40


@pytest.mark.parametrize("key", ["PatientID", "StudyInstanceUID", "Modality"])
def test_a_universal_key_is_not_sent(key, five, settings):
    server = Awkward(five)
    with client_of(server, settings) as client:
        assert len(found(client.search(Query(match={key: "*"})))) == 5
    assert "*" not in "".join(request.path for request in server.asked)


def test_a_comma_inside_a_value_is_encoded_and_never_divides_it(settings):
    made = studies(3)
    named = [builders.changed(one, StudyDescription=value) for one, value in zip(made, COMMAS, strict=True)]

    class Splitting(Awkward):  # dcm4chee divides a query at commas before it decodes it
        def __call__(self, request):
            path, _, query = request.path.partition("?")
            pairs = [piece.partition("=")[::2] for piece in query.split("&") if piece]
            divided = [f"{name}={one}" for name, values in pairs for one in values.split(",")]
            return super().__call__(dataclasses.replace(request, path=f"{path}?{'&'.join(divided)}"))

    server = Splitting(named)
    with client_of(server, settings) as client:
        pages = list(client.search(Query(match={"StudyDescription": "Head, contrast"})))
    assert found(pages) == [named[0].study]
    assert len(server.asked) == 2


FOREIGN = {
    "wildcard": ("PatientName", "Müller*", [0, 1]),
    "first letter": ("PatientName", "*Jörg", [0, 1, 2]),
    "whole name": ("PatientName", "Müller1^Jörg", [1]),
    "as typed": ("PatientName", "müller", [0, 1]),
    "description": ("StudyDescription", "Schädel, nativ", [0]),
    "list": ("StudyDescription", "Schädel, nativ\\Füße", [0, 1]),
    "number": ("AccessionNumber", "Ä1", [1]),
    "blank": ("StudyDescription", "Kopf 3/4 + 1", [3]),
    "none": ("PatientName", "Möller*", []),
}


def with_foreign_letters():
    names = ("Müller0^Jörg", "Müller1^Jörg", "Miller^Jörg", "Mller^Jrg")
    descriptions = ("Schädel, nativ", "Füße", "Schdel", "Kopf 3/4 + 1")
    return [
        builders.changed(
            one,
            SpecificCharacterSet="ISO_IR 192",
            PatientName=name,
            StudyDescription=description,
            AccessionNumber=f"Ä{number}",
        )
        for number, (one, name, description) in enumerate(zip(studies(4), names, descriptions, strict=True))
    ]


@pytest.mark.parametrize("case", FOREIGN)
def test_characters_that_a_server_does_not_decode_are_found(case, settings):
    """A fake that compares the percent signs, as Orthanc does; the real one is asked below."""
    key, value, expected = FOREIGN[case]
    made = with_foreign_letters()

    class Undecoded(Awkward):
        def search(self, path, query):
            return super().search(path, [(name, quote(text, safe="!$'()*,/:=?@^")) for name, text in query])

    with client_of(Undecoded(made), settings) as client:
        pages = list(client.search(Query(match={key: value}, typed=case == "as typed")))
    assert sorted(found(pages)) == sorted(made[number].study for number in expected)
    assert not any("filter" in warning for page in pages for warning in page.warnings)


@pytest.mark.parametrize("case", FOREIGN)
def test_a_real_orthanc_finds_what_an_address_encodes(orthanc, case, settings):
    key, value, expected = FOREIGN[case]
    made = with_foreign_letters()
    orthanc.add(*[one.data for one in made])
    with orthanc_client(orthanc, settings) as client:
        pages = list(client.search(Query(match={key: value}, typed=case == "as typed")))
        limited = list(client.search(Query(match={key: value}, typed=case == "as typed", limit=1)))
    assert sorted(found(pages)) == sorted(made[number].study for number in expected)
    assert len(found(limited)) == min(1, len(expected))
    assert not any("filter" in warning for page in pages for warning in page.warnings)


@pytest.mark.servers
@pytest.mark.parametrize("modalities", ["CT\\MR", "CT,MR"])
@pytest.mark.parametrize("dialect", ["orthanc", "standard"])
def test_a_real_orthanc_finds_every_modality_of_a_list(orthanc, modalities, dialect, settings):
    orthanc.add(*(one.data for one in (*builders.ct_series(1), *builders.mr_series(1))))
    profile = dataclasses.replace(orthanc_client(orthanc, settings).profile, dialect=BUILT_IN[dialect])
    with Client(profile, settings=settings, auth=BasicAuth(orthanc.user, orthanc.password)) as client:
        pages = list(client.search(Query(match={"ModalitiesInStudy": modalities})))
        universal = list(client.search(Query(match={"StudyInstanceUID": "*", "PatientID": "*"})))
    assert len(found(pages)) == len(found(universal)) == 2


def test_matches_that_a_server_hid_are_reported(five, settings):
    server = Reading(five)
    server.reads = no_ranges
    with client_of(server, settings) as client:
        pages = list(client.search(Query(match={"StudyDate": "20240102-20240104"})))
        nothing = list(client.search(Query(match={"StudyDate": "19990102-19990104"})))
    assert "did not apply the filter on StudyDate as asked" in words(pages)
    assert words(nothing) == ""


def test_a_key_is_checked_once_a_session(five, settings):
    server = Awkward(five)
    with client_of(server, settings) as client:
        for _ in range(4):
            assert found(client.search(Query(match={"StudyDate": "19990101-19990102"}))) == []
    assert len(server.asked) == 6  # four searches, a sample and the check


class Literal(Awkward):
    """A server that compares names letter by letter, case and accents included."""

    def satisfies(self, attributes, name, values):
        if name != "PatientName":
            return super().satisfies(attributes, name, values)
        return like(values[0], attributes["00100010"]["Value"][0]["Alphabetic"])


def named(name):
    """Make a study of a patient."""
    return builders.changed(studies(1)[0], PatientName=name, SpecificCharacterSet="ISO_IR 192")


NAMES = ("Müller^Hans", "MÜLLER^HANS", "Muller^Hans", "muller^hans^p", "Łukasz^Hans", "Mulder^Hanna")


@pytest.mark.parametrize("habits", [{}, {"wildcard": False}, {"honours": frozenset()}, {"cap": 2}])
@pytest.mark.parametrize("typed", ["Müller, Hans", "hans muller", "MULLER^hans", "müller"])
def test_names_are_found_on_servers_that_compare_them_letter_by_letter(typed, habits, settings):
    made = [named(name) for name in NAMES]
    server = Literal(made, **habits)
    with client_of(server, settings) as client:
        got = found(client.search(Query(match={"PatientName": typed}, typed=True)))
    assert sorted(got) == sorted(one.study for one in made[:4])


def test_a_name_without_accents_is_asked_for_once_where_the_server_ignores_wildcards(settings):
    server = Literal([named("Doe^Jane")], wildcard=False)
    with client_of(server, settings, wildcard=False) as client:
        assert len(found(client.search(Query(match={"PatientName": "jane doe"}, typed=True)))) == 1
    assert len(server.searches) <= 2  # one page, and that nothing follows it


class Vague(Literal):
    """Returns one name besides those that match, as a server that compares names by sound."""

    def satisfies(self, attributes, name, values):
        one = attributes["00100010"]["Value"][0]["Alphabetic"]
        besides = one == "Doe^Jane" and values != ["*DICOMDOCKNOBODY*"]
        return super().satisfies(attributes, name, values) or (name == "PatientName" and besides)


@pytest.mark.parametrize("typed", ["Müller, Hans", "nobody"])
def test_a_server_that_ignores_names_is_asked_for_a_name_once(typed, settings):
    made = [named(name) for name in ("Müller^Hans", "Mulder^Hanna", "Doe^Jane")]
    wanted = [made[0].study] if typed != "nobody" else []
    server = Literal(made, honours=frozenset())
    asked = []
    with client_of(server, settings) as client:
        client.session.learn(short_page_ends=True)
        for _ in range(2):
            before = len(server.searches)
            assert found(client.search(Query(match={"PatientName": typed}, typed=True))) == wanted
            asked.append(len(server.searches) - before)
    assert asked == [2, 1]  # once a session a name that nobody has is asked for besides


def test_every_spelling_is_asked_for_where_some_names_only_do_not_match(settings):
    made = [named(name) for name in ("Müller^Hans", "MULLER^HANS", "Doe^Jane")]
    with client_of(Vague(made), settings) as client:
        got = found(client.search(Query(match={"PatientName": "Müller, Hans"}, typed=True)))
    assert sorted(got) == sorted(one.study for one in made[:2])


@pytest.mark.slow
def test_a_name_that_many_may_match_is_looked_for_among_2000_only(settings):
    server = Literal([named("Emma^M") for _ in range(30)])
    with client_of(server, settings) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr("dicomdock.dicomweb.typed_names.MOST_CANDIDATES", 10)
        client.session.learn(page_limit={"studies": 5})
        pages = list(client.search(Query(match={"PatientName": "Müm"}, typed=True)))
    assert found(pages) == [] and "among 10 names only" in words(pages)
