"""Probing: what a server is said to do, and what follows."""

import json
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from dicomdock.config.servers import ServerProfile
from dicomdock.dicom.query import Query
from dicomdock.dicomweb import Client, probe
from dicomdock.errors import AuthenticationError, Unreachable, WireError
from dicomdock.sources import Part
from tests import builders
from tests.dicomweb.awkward import Answer, Awkward, refused, rows, studies
from tests.dicomweb.clients import client_of, orthanc_client
from tests.servers.canned import answering
from tests.servers.matching import as_written, by_standard

LESS = ("studies", "studies/series", "studies/series/instances")


@pytest.fixture(scope="module")
def head():
    return [*builders.ct_series(3, PatientID="HEAD1"), *builders.mr_series(2, PatientID="KNEE2")]


def report_of(server, settings, **habits):
    with client_of(server, settings, **habits) as client:
        return probe.test(client)


def test_real_orthanc_is_described_by_few_requests(orthanc, head, settings):
    orthanc.add(*[one.data for one in head])
    with orthanc_client(orthanc, settings) as client:
        report = probe.test(client)
    assert report.reachable
    assert report.requests <= probe.MOST_REQUESTS
    assert report.dialect.name == "orthanc"
    assert report.overrides == {"thumbnail": False}  # only later plugins have it
    yes = ("offset", "limit", "filters", "wildcard", "includefield", "all-series", "all-instances")
    for topic in (*yes, "instance", "as-stored", "retrieve-series", "retrieve-study", "metadata", "rendered"):
        assert report.works(topic) is True, topic
    assert report.works("delete") is False
    assert report.works("store") is None
    assert report.works("worklist") is False


def test_the_next_orthanc_needs_no_override_and_works(orthanc_next, head, settings):
    with orthanc_client(orthanc_next, settings) as client:
        parts = [Part("application/dicom", lambda one=one: iter([one.data])) for one in head]
        assert {result.status for result in client.store(parts)} == {"stored"}
        report = probe.test(client)
        back = [b"".join(part.chunks()) for part in client.retrieve(head[0].resource.parent)]
    assert (report.dialect.name, report.overrides) == ("orthanc", {})
    assert report.works("thumbnail") is True
    assert sorted(back) == sorted(one.data for one in head[:3])


def test_real_tiny_pacs_is_described(tiny_pacs, head, settings):
    with Client(ServerProfile("tiny", tiny_pacs.url), settings=settings) as client:
        parts = [
            Part("application/dicom", lambda one=one: iter([one.data]), resource=one.resource) for one in head
        ]
        assert {result.status for result in client.store(parts)} == {"stored"}
        report = probe.test(client)
    assert report.reachable
    assert report.works("all-series") is False
    assert report.works("retrieve-series") is True
    assert report.works("metadata") is False
    assert report.dialect.root_levels == ("studies",)
    assert report.requests <= probe.MOST_REQUESTS


def test_a_server_by_the_standard_needs_no_overrides_in_its_searches(head, settings):
    report = report_of(Awkward(head), settings)
    assert set(report.overrides) <= {"metadata", "rendered", "thumbnail"}
    assert report.works("filters") is True


def test_habits_are_found_and_become_overrides(head, settings):
    server = Awkward(
        head,
        offset=False,
        honours=frozenset(),
        lists=LESS,
        levels=("instance",),
        single=True,
        takes=lambda accept: accept == "application/dicom",
    )
    report = report_of(server, settings)
    found = report.overrides
    assert found["offset"] is False
    assert found["root_levels"] == ("studies",)
    assert found["retrieve_level"] == "instance"
    assert found["single_part"] is True
    assert found["any_transfer_syntax"] is False
    assert found["metadata"] is found["rendered"] is found["thumbnail"] is False
    assert report.works("filters") is False
    assert report.requests <= probe.MOST_REQUESTS


@pytest.mark.slow
def test_that_only_whole_studies_come_is_found(head, settings):
    report = report_of(Awkward(head, levels=("study",)), settings)
    assert report.overrides["whole_studies"] is True
    assert (report.works("instance"), report.works("retrieve-study")) == (False, True)
    assert "whole_studies" not in report_of(Awkward(head), settings).overrides


def test_what_was_found_makes_a_client_that_works_at_once(head, settings):
    server = Awkward(head, offset=False, lists=LESS, levels=("instance",), single=True)
    report = report_of(server, settings)
    server.asked.clear()
    with client_of(server, settings, **report.overrides) as client:
        got = [b"".join(part.chunks()) for part in client.retrieve(head[0].resource.parent)]
    assert got == [one.data for one in head[:3]]
    assert {request.method for request in server.asked} == {"GET"}


def test_refused_wildcards_and_fields_are_findings(head, settings):
    report = report_of(Awkward(head, wildcard=False, refuses=frozenset({"StudyDescription"})), settings)
    assert report.works("wildcard") is False
    assert report.overrides["wildcard"] is False
    assert report.works("includefield") is False


def test_one_ignored_filter_does_not_cost_the_others(head, settings):
    report = report_of(Awkward(head, honours=frozenset({"PatientID"})), settings)
    assert report.works("filters") is False
    assert report.works("wildcard") is True
    assert not {"match_keys", "wildcard", "key_style"} & set(report.overrides)


def test_a_server_that_knows_tags_only_is_asked_by_tag(head, settings):
    class ByTag(Awkward):
        def search(self, path, query):
            known = [(name, value) for name, value in query if name[0].isdigit() or name[0].islower()]
            return super().search(path, known)

    server = ByTag(head)
    report = report_of(server, settings)
    assert report.overrides["key_style"] == "tag"
    assert report.works("filters") is True
    assert report.works("wildcard") is True


def test_an_empty_server_says_that_little_could_be_tried(settings):
    report = report_of(Awkward(), settings)
    assert report.reachable
    assert report.works("data") is None
    assert any("no study" in sentence for sentence in report.sentences)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refused(401), "login"),
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), "HTML"),
        (refused(404), "404"),
        (refused(400), "400"),
    ],
)
def test_a_server_that_cannot_be_tried_is_a_report_and_no_error(answer, said, settings):
    report = report_of(lambda _: answer, settings)
    assert not report.reachable
    assert said in report.error
    assert report.sentences == (report.error,)


def test_nobody_there_is_a_report_too(settings):
    profile = ServerProfile("gone", "http://127.0.0.1:9")
    with Client(profile, settings=replace(settings, retries=0)) as client:
        assert not probe.test(client).reachable


@pytest.mark.parametrize(
    ("answer", "works"),
    [
        (rows([{"00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}]), True),
        (Answer(204, b"", {}), True),
        (rows([]), True),
        (rows([{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]), False),  # studies at every address
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), False),
        (refused(404), False),
        (refused(501), False),
        (refused(403), None),
        (refused(500), None),
    ],
)
def test_a_work_list_is_a_finding(answer, works, head, settings):
    images = Awkward(head)
    report = report_of(lambda request: answer if "/workitems" in request.path else images(request), settings)
    assert report.reachable
    assert report.works("worklist") is works


def test_a_probe_only_reads(head, settings):
    server = Awkward(head)
    report_of(server, settings)
    assert {request.method for request in server.asked} == {"GET"}


def test_the_report_is_one_json_document(head, settings):
    document = json.loads(json.dumps(report_of(Awkward(head, offset=False), settings).to_json()))
    assert document["reachable"] is True
    assert document["overrides"]["offset"] is False
    assert {"topic", "works", "sentence"} == set(document["findings"][0])


# Finding the base


def connected(settings, auth=None):
    @contextmanager
    def connect(url):
        with Client(ServerProfile("new", url), settings=replace(settings, retries=0), auth=auth) as client:
            yield client

    return connect


@pytest.mark.parametrize(
    "pasted", ["{root}", "{root}/", "{root}/app/explorer.html", "{root}/dicom-web/studies", "{url}"]
)
def test_real_orthancs_base_is_found_from_its_root_and_pages(pasted, orthanc, settings):
    from dicomdock.web.auth import BasicAuth

    found = probe.find_base(
        pasted.format(root=orthanc.root, url=orthanc.url),
        connected(settings, BasicAuth(orthanc.user, orthanc.password)),
    )
    assert found.url == orthanc.url
    assert bool(found.changes) == (pasted != "{url}")


def test_a_login_that_is_missing_is_asked_for(orthanc, settings):
    with pytest.raises(AuthenticationError):
        probe.find_base(orthanc.root, connected(settings))


def test_no_dicomweb_anywhere_is_reported_with_the_places_tried(settings):
    page = Answer(200, b"<html>", {"Content-Type": "text/html"})
    with client_of(lambda _: page, settings) as client, pytest.raises(WireError, match="/dicom-web"):
        probe.find_base(client.profile.url, connected(settings))


def test_an_empty_json_list_elsewhere_does_not_win_over_real_dicomweb(settings):
    def reply(request):
        if request.path.startswith("/dicom-web/"):
            return rows([])
        return rows([], label="application/json")

    with client_of(reply, settings) as client:
        assert probe.find_base(client.profile.url, connected(settings)).url.endswith("/dicom-web")


def test_nobody_there_is_unreachable(settings):
    with pytest.raises(Unreachable):
        probe.find_base("http://127.0.0.1:9", connected(settings))


# ---- every kind of key, by a query whose answer is known


class Reading(Awkward):
    """An awkward server that reads keys as a function says."""

    reads = staticmethod(by_standard)

    def satisfies(self, attributes, name, values):
        return self.reads(attributes, name, values)


def lists_by_comma(attributes, name, values):
    """Divide at commas and take backslashes for letters."""
    return any(as_written(attributes, name, [one]) for one in values[0].split(","))


def no_ranges(attributes, name, values):
    return as_written(attributes, name, values) if "-" in values[0] else by_standard(attributes, name, values)


@pytest.mark.parametrize(
    ("reads", "expected", "dialect"),
    [
        (by_standard, {"ranges": True, "times": True, "names": True, "uid-lists": True, "lists": True}, {}),
        (
            as_written,
            {"ranges": False, "times": False, "names": True, "uid-lists": False, "lists": False},
            {"value_lists": "none", "uid_lists": False, "wildcard": False},
        ),
        (lists_by_comma, {"uid-lists": True, "lists": True}, {"value_lists": "comma", "uid_lists": True}),
        (no_ranges, {"ranges": False, "times": False, "names": True, "lists": True}, {}),
    ],
)
def test_every_kind_of_key_is_measured(reads, expected, dialect, settings):
    server = Reading(studies(3, StudyTime="101500", ModalitiesInStudy="CT"))
    server.reads = reads
    server.shows = frozenset({"StudyTime", "ModalitiesInStudy"})
    with client_of(server, settings) as client:
        report = probe.test(client)
    assert {topic: report.works(topic) for topic in expected} == expected
    assert {name: getattr(report.dialect, name) for name in dialect} == dialect
    assert report.requests <= probe.MOST_REQUESTS
    with client_of(server, settings, **report.overrides) as client:
        pages = client.search(Query(match={"StudyTime": "1000-1100"}))
        found = [one for page in pages for one in page.matches]
    assert len(found) == 3


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/x/y/wado", "/x/wado", "/wado", "/x/y/rs/wado"])
def test_wado_uri_is_found_where_retrievals_fail(place, head, settings, quick_retries):
    base, inner = "/x/y/rs", Awkward(head)

    def reply(request):
        path, _, query = request.path.partition("?")
        if path == place:
            asked = dict(parse_qsl(query))
            (one,) = [one for one in head if one.instance == asked["objectUID"]]
            return Answer(200, one.data, {"Content-Type": "application/dicom"})
        if not path.startswith(base + "/"):
            return refused(404)
        names = path[len(base) :].strip("/").split("/")
        if len(names) in (2, 4, 6):
            return refused(500)
        return inner(replace(request, path=request.path[len(base) :]))

    with answering(reply) as canned:
        profile = ServerProfile("odd", canned.url + base)
        with Client(profile, settings=replace(settings, retries=1)) as client:
            dialect = probe.test(client).dialect
        with Client(replace(profile, dialect=dialect), settings=replace(settings, retries=1)) as client:
            received = [b"".join(part.chunks()) for part in client.retrieve(head[0].resource)]
    assert received == [head[0].data]
