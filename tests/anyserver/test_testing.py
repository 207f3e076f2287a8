"""``server test`` and ``doctor``: what is found of each server, what it costs, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomdock.config.dialects import Dialect
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dicomweb import Client, connect, probe
from dicomdock.dicomweb.probe import tls
from dicomdock.dicomweb.probe.store_checks import PATIENT
from tests.anyserver.conftest import Case
from tests.builders import Made, ct_series
from tests.servers.canned import answering, own_certificate
from tests.servers.imitations import Dcm4chee, Imitation, Kheops
from tests.servers.imitations.base import small

# What must be found of a server of which only the address is known.
HABITS = {
    "standard": {},
    "dcm4chee": {},
    "google": {"wildcard": False},
    "kheops": {"question_mark": False, "root_levels": ("studies",)},
    "kheops-strict": {"any_transfer_syntax": False, "root_levels": ("studies",)},
    "dcmjs": {"offset": False, "wildcard": False, "root_levels": ("studies",)},
    "slicer": {"wildcard": False, "root_levels": ("studies",), "retrieve_level": "instance"},
    "aws": {"offset": False, "retrieve_level": "instance", "single_part": True},
    "azure": {"wildcard": False},
    "static-wado": {"offset": False, "wildcard": False, "retrieve_level": "instance"},
    "static-wado-node": {"offset": False, "match_keys": ("StudyInstanceUID",)},
    "orthanc": {"name": "orthanc"},
    "orthanc-next": {"name": "orthanc", "thumbnail": True},
    "tiny-pacs": {"root_levels": ("studies",), "metadata": False},
}


@pytest.mark.slow
def test_a_test_finds_the_habits_by_few_requests(case: Case, request, settings: Settings):
    with connect("there", settings) as client:
        report = probe.test(client)
    assert report.reachable
    assert report.requests <= probe.MOST_REQUESTS
    for habit, value in HABITS[request.node.callspec.params["case"]].items():
        assert getattr(report.dialect, habit) == value, habit
    assert load_profiles(settings).get("there").dialect == report.dialect  # kept by ``server add``


@pytest.mark.slow
def test_a_test_that_may_write_leaves_nothing_or_says_what(case: Case, run, settings: Settings):
    tested = run("server", "test", "there", "--write", "--json")
    assert tested.code == 0, tested.err
    found = {one["topic"]: one for one in tested.json["findings"]}
    assert found["store"]["works"] == ("yes" if case.stores else "no")
    if not case.stores:
        return
    assert found["round-trip"]["works"] == "yes"
    with connect("there", settings) as client:
        left = [
            match for page in client.search(Query(match={"PatientID": PATIENT})) for match in page.matches
        ]
    if "study" in case.deletes:
        assert found["delete"]["works"] == "yes"
        assert not left
    else:
        assert found["delete"]["works"] == "no"
        assert PATIENT in found["delete"]["sentence"]
        assert left[0].attributes["0020000D"]["Value"][0] in found["delete"]["sentence"]


@pytest.fixture
def known(settings: Settings):
    """Return a function that makes a server known without asking it."""

    def known(url: str, **habits: object) -> None:
        profile = ServerProfile("there", url, dialect=replace(Dialect(), **habits))
        load_profiles(settings).with_profile(profile).save(settings)

    return known


@pytest.mark.slow
def test_what_is_found_is_kept_and_what_follows_is_reported(run, known, settings):
    server = Kheops()
    server.add([small(PatientID="K1")])
    with answering(server) as canned:
        known(canned.url + server.base)
        said = run("server", "test", "there")
        assert "The wildcard ? is applied by dicomdock." in said.out
        assert "A search for series or instances walks over the studies." in said.out
        assert "These habits are saved with there." in said.out
        assert run("server", "test", "there", "--json").json["saved"] is False  # nothing new
    assert load_profiles(settings).get("there").dialect.question_mark is False


def test_a_habit_that_the_user_pinned_stays(run, known, settings):
    server = Imitation()
    server.add([small(PatientID="K1")])
    with answering(server) as canned:
        known(canned.url + server.base, offset=False, pinned=("offset",))
        assert run("server", "test", "there").code == 0
    kept = load_profiles(settings).get("there").dialect
    assert (kept.offset, kept.pinned) == (False, ("offset",))


def test_nothing_is_kept_where_that_is_not_wanted(run, known, settings):
    server = Kheops()
    server.add([small()])
    with answering(server) as canned:
        known(canned.url + server.base)
        assert run("server", "test", "there", "--no-save").code == 0
    assert load_profiles(settings).get("there").dialect == Dialect()


@pytest.mark.parametrize(("kind", "whole"), [(Kheops, False), (Imitation, True)])
def test_a_cut_list_of_a_study_is_found_at_an_unknown_address(kind, whole, settings):
    server = kind()
    first = ct_series(4)
    server.add([small(PatientID="first"), *first, *ct_series(3, StudyInstanceUID=first[0].study)])
    with answering(server) as canned:
        profile = ServerProfile("there", canned.url + server.base)
        with Client(profile, settings=settings) as client:
            report = probe.test(client)
        assert report.dialect.study_instances is whole
        assert report.works("study-instances") is whole
        with Client(replace(profile, dialect=report.dialect), settings=settings) as client:
            pages = client.search(Query("instances", {"StudyInstanceUID": first[0].study}, limit=3))
            assert sum(len(page.matches) for page in pages) == 3
            pages = client.search(Query("instances", {"StudyInstanceUID": first[0].study}))
            assert sum(len(page.matches) for page in pages) == 7


def test_doctor_takes_any_address_and_only_reads(run):
    server = Dcm4chee()
    server.add([small(PatientID="D1")])
    with answering(server) as canned:
        ran = run("doctor", canned.url + server.base, "--json")
    assert ran.code == 0, ran.err
    topics = {finding["check"] for finding in ran.json["findings"]}
    assert {"reachable", "tls", "filters", "cap", "as-stored", "retrieve-study", "therefore"} <= topics
    assert {request.method for request in server.asked} == {"GET"}


def test_the_size_of_pages_is_seen(settings):
    server = Dcm4chee(most=50)
    server.add([small(PatientID=f"M{number}") for number in range(60)])
    with answering(server) as canned:
        profile = ServerProfile("there", canned.url + server.base)
        with Client(profile, settings=settings) as client:
            report = probe.test(client)
    assert report.works("cap") is False
    assert report.dialect.page_limit["studies"] == 50


def test_encryption_is_looked_at(tmp_path, settings):
    server = Imitation()
    certificate = own_certificate(tmp_path)
    server.add([small()])
    with answering(server, certificate=certificate) as canned:
        url = canned.url + server.base
        profile = ServerProfile("safe", url, ca_file=str(certificate))
        with Client(profile, settings=settings) as client:
            report = probe.test(client)
        (said,) = [one.sentence for one in report.findings if one.topic == "tls"]
    assert "TLS 1.3" in said
    assert "more days" in said  # the test's certificate lives for two days
    far = ServerProfile("far", "http://pacs.example.org/rs")
    assert tls.check(far, settings).works is False


def test_what_is_sent_to_a_test_is_nobody(known, run):
    server = Imitation()
    sent: list[Made] = []
    server.add([small()])
    keep = server.keep
    server.keep = lambda one: (sent.append(one), keep(one))[1]
    with answering(server) as canned:
        known(canned.url + server.base)
        run("server", "test", "there", "--write")
    assert {one.attributes["00100020"]["Value"][0] for one in sent} == {PATIENT}
