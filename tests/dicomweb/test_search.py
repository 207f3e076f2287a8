"""The Search transaction against servers of many habits."""

import dataclasses
from urllib.parse import parse_qs, urlsplit

import pytest

from dicomdock.dicom import json_model
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicomweb.search_request import warnings_of
from dicomdock.errors import InvalidInput, ServerFault, TransactionError, WireError
from tests import builders
from tests.dicomweb.awkward import Answer, Awkward, attributes_of, refused, rows, studies
from tests.dicomweb.clients import client_of, orthanc_client
from tests.dicomweb.matches import found, words


@pytest.fixture(scope="module")
def many():
    return studies(25)


@pytest.fixture(scope="module")
def head():
    """One study of two series, three and two instances."""
    first = builders.ct_series(3)
    second = builders.mr_series(2, StudyInstanceUID=first[0].study, SeriesNumber=2)
    return [*first, *second]


HABITS = {
    "as the standard": {},
    "ignores offset": {"offset": False},
    "ignores offset and limit": {"offset": False, "limit": False},
    "gives less than asked": {"cap": 7},
    "gives more than asked": {"longer": 3},
    "says the total": {"total": True, "cap": 10},
    "warns when it cuts": {"cap": 10, "warning": '299 "awkward" "There are 15 additional results"'},
    "labels wrongly": {"label": "text/plain; charset=utf-8"},
    "204 at the end": {"nothing": refused(204)},
    "404 at the end": {"nothing": refused(404)},
    "an empty object at the end": {"nothing": rows([{}])},
}


@pytest.mark.parametrize("habit", HABITS)
def test_every_match_comes_once_and_the_search_ends(habit, many, settings):
    server = Awkward(many, **HABITS[habit])
    with client_of(server, settings, page_limit={"studies": 10}) as client:
        pages = list(client.search(Query()))
    assert sorted(found(pages)) == sorted(one.study for one in many)
    assert pages[-1].more is False
    assert len(server.searches) < 12


@pytest.mark.parametrize("habit", HABITS)
def test_limit_and_offset_hold_over_pages(habit, many, settings):
    with client_of(Awkward(many, **HABITS[habit]), settings, page_limit={"studies": 5}) as client:
        pages = list(client.search(Query(limit=12, offset=4)))
    if "offset" not in HABITS[habit]:  # that offset is ignored shows only when a page repeats
        assert found(pages) == [one.study for one in many][4:16]
    assert len(found(pages)) == len(set(found(pages)))
    assert len(found(pages)) <= 12
    assert pages[-1].more is not False


def test_a_dialect_that_ignores_offset_counts_it_here(many, settings):
    server = Awkward(many, offset=False)
    with client_of(server, settings, offset=False) as client:
        pages = list(client.search(Query(limit=12, offset=4)))
    assert found(pages) == [one.study for one in many][4:16]
    assert pages[-1].more is True
    assert len(server.asked) == 1


def test_the_first_page_comes_before_the_second_is_asked_for(many, settings):
    server = Awkward(many)
    with client_of(server, settings, page_limit={"studies": 10}) as client:
        first = next(client.search(Query()))
    assert len(first.matches) == 10
    assert len(server.asked) == 1


def test_whether_more_follow_is_known_by_one_more_row(many, settings):
    with client_of(Awkward(many), settings) as client:
        assert [page.more for page in client.search(Query(limit=24))] == [True]
        assert next(client.search(Query(limit=25))).more is not True
    with client_of(Awkward(many, total=True), settings) as client:
        (page,) = client.search(Query(limit=25))
        assert (page.more, page.total) == (False, 25)


def test_a_short_page_needs_no_second_request_where_it_is_known_to_end(many, settings):
    server = Awkward(many)
    with client_of(server, settings, short_page_ends=True) as client:
        assert [page.more for page in client.search(Query())] == [False]
    assert len(server.asked) == 1


def test_what_is_asked_for_by_its_uid_needs_no_second_page(many, head, settings):
    server = Awkward([*many, *head])
    with client_of(server, settings) as client:
        (page,) = client.search(Query(match={"StudyInstanceUID": many[3].study}))
        below = {"StudyInstanceUID": head[0].study, "SeriesInstanceUID": head[0].series}
        list(client.search(Query("series", below)))
    assert (len(page.matches), page.more) == (1, False)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "nothing",
    [rows([]), rows([{}]), refused(204), refused(404), Answer(200), rows([], label="application/json")],
)
def test_nothing_found_in_every_form(nothing, settings):
    with client_of(Awkward(nothing=nothing), settings) as client:
        (page,) = client.search(Query())
    assert (page.matches, page.more) == ((), False)


def test_a_missing_list_is_reported_because_the_address_may_be_wrong(settings):
    with client_of(lambda _: refused(404), settings) as client:
        (page,) = client.search(Query())
    assert "check its address" in page.warnings[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(200, b"<html><body>Sign in</body></html>", {"Content-Type": "text/html"}), "HTML page"),
        (Answer(200, b"<?xml version='1.0'?><x/>", {"Content-Type": "application/dicom+xml"}), "XML"),
        (Answer(200, b'["a1b2", "c3"]', {"Content-Type": "application/json"}), "base URL"),
        (Answer(200, b'[{"0020000D":', {"Content-Type": "application/dicom+json"}), "broken"),
    ],
)
def test_what_is_not_a_search_answer_is_reported(answer, said, settings):
    with client_of(lambda _: answer, settings) as client, pytest.raises(WireError, match=said):
        list(client.search(Query()))


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"PatientID": "P003"}, [3]),
        ({"PatientName": "name00?*"}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"StudyDate": "20240105-20240107"}, [4, 5, 6]),
        ({"StudyDate": "-20240102", "PatientID": "P001"}, [1]),
        ({"PatientID": "nobody"}, []),
    ],
)
@pytest.mark.parametrize(
    "honours", [None, frozenset(), frozenset({"PatientID"})], ids=["all", "none", "one key"]
)
def test_filters_hold_whether_the_server_applies_them_or_not(match, expected, honours, many, settings):
    with client_of(Awkward(many, honours=honours), settings, page_limit={"studies": 10}) as client:
        pages = list(client.search(Query(match=match)))
        limited = list(client.search(Query(match=match, limit=2, offset=1)))
    assert found(pages) == [many[index].study for index in expected]
    assert found(limited) == [many[index].study for index in expected][1:3]
    if honours != {"PatientID"}:  # one ignored filter may hide behind another that is not
        assert ("filtered locally" in words(pages)) == (honours is not None)


def test_a_filter_that_the_dialect_knows_to_be_ignored_is_not_sent(many, settings):
    server = Awkward(many, honours=frozenset({"PatientID"}))
    with client_of(server, settings, match_keys=("PatientID",)) as client:
        pages = list(client.search(Query(match={"StudyDate": "20240105"})))
    assert found(pages) == [many[4].study]
    assert "StudyDate=" not in server.searches[0]
    assert words(pages) == ""


def test_wildcards_are_filtered_here_where_the_server_has_none(many, settings):
    server = Awkward(many, wildcard=False)
    with client_of(server, settings, wildcard=False) as client:
        assert found(client.search(Query(match={"PatientName": "Name01*"}))) == [
            one.study for one in many[10:20]
        ]
    assert "*" not in "".join(server.searches)


def test_a_refused_wildcard_is_filtered_here_and_reported(many, settings):
    with client_of(Awkward(many, wildcard=False), settings) as client:
        pages = list(client.search(Query(match={"PatientName": "Name01*"})))
    assert found(pages) == [one.study for one in many[10:20]]
    assert "refused the filter on PatientName" in words(pages)


def test_a_server_that_takes_uid_lists_literally_is_asked_one_by_one(many, head, settings):
    class Literal(Awkward):
        def search(self, path, query):
            return rows([]) if any("," in value for _, value in query) else super().search(path, query)

    uids = ",".join([*(one.study for one in many[:4]), "1.2.3"])
    with client_of(Literal([*many, *head]), settings) as client:
        pages = list(client.search(Query(match={"StudyInstanceUID": uids})))
        limited = list(client.search(Query(match={"StudyInstanceUID": uids}, limit=2, offset=1)))
        wanted = {"SeriesInstanceUID": f"{head[0].series},{head[3].series}"}
        series = list(client.search(Query("series", wanted)))
    assert found(pages) == [one.study for one in many[:4]]
    assert found(limited) == [one.study for one in many[1:3]]
    assert len(found(series)) == 2


def test_a_server_that_takes_wildcards_literally_is_seen_through(many, settings):
    class Literal(Awkward):
        def search(self, path, query):
            return rows([]) if any("*" in value for _, value in query) else super().search(path, query)

    server = Literal(many)
    with client_of(server, settings) as client:
        assert found(client.search(Query(match={"PatientName": "Name01*"}))) == [
            one.study for one in many[10:20]
        ]
        assert client.dialect.wildcard is False


def test_an_empty_answer_to_a_wildcard_is_believed_once_wildcards_are_seen_to_work(many, settings):
    server = Awkward(many)
    with client_of(server, settings) as client:
        for _ in range(3):
            assert found(client.search(Query(match={"PatientName": "Nobody*"}))) == []
        assert client.dialect.wildcard is True
    assert len(server.asked) == 5


def test_a_refused_field_is_found_left_out_and_remembered(many, settings):
    server = Awkward(many, refuses=frozenset({"StudyID", "AdmissionID"}))
    query = Query(
        fields=("StudyDescription", "StudyID", "AccessionNumber", "AdmissionID", "PatientSex"), limit=3
    )
    with client_of(server, settings) as client:
        (page,) = client.search(query)
        assert {"StudyDescription", "PatientSex"} <= set(json_model.flatten(page.matches[0].attributes))
        before = len(server.asked)
        list(client.search(query))
    assert len(server.asked) == before + 1


def test_fields_are_written_as_the_dialect_says(many, settings):
    written = {}
    for style in ("repeat", "comma", "never"):
        server = Awkward(many)
        with client_of(server, settings, fields=style, key_style="tag") as client:
            next(client.search(Query(match={"PatientID": "P001"}, fields=("StudyDescription", "StudyID"))))
        written[style] = parse_qs(urlsplit(server.searches[0]).query)
    assert written["repeat"]["includefield"] == ["00081030", "00200010"]
    assert written["comma"]["includefield"] == ["00081030,00200010"]
    assert "includefield" not in written["never"]
    assert written["never"]["00100020"] == ["P001"]


def test_a_limit_above_the_servers_is_lowered(many, settings):
    class Strict(Awkward):
        def search(self, path, query):
            return refused(400) if int(dict(query).get("limit", 0)) > 100 else super().search(path, query)

    server = Strict(many)
    with client_of(server, settings) as client:
        assert len(found(client.search(Query()))) == 25
        list(client.search(Query()))
    assert [int(parse_qs(urlsplit(path).query)["limit"][0]) for path in server.searches][-2:] == [100, 100]


def test_a_400_that_nothing_explains_is_an_error(settings):
    with client_of(lambda _: refused(400), settings) as client, pytest.raises(TransactionError) as error:
        list(client.search(Query()))
    assert error.value.status == 400


def test_an_unknown_key_is_refused_before_asking(many, settings):
    server = Awkward(many)
    with client_of(server, settings) as client, pytest.raises(InvalidInput, match="Nonsense"):
        list(client.search(Query(match={"Nonsense": "1"})))
    assert server.asked == []


def test_what_the_server_warns_of_is_passed_on_once(many, settings):
    server = Awkward(many, cap=10, warning='299 awkward: "There are more results"')
    with client_of(server, settings, short_page_ends=True) as client:
        pages = list(client.search(Query()))
    assert len(found(pages)) == 25
    assert [page.warnings for page in pages if page.warnings] == [("awkward says: There are more results",)]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (
            '299 dcm4chee "There are 5 additional results that can be requested"',
            "There are 5 additional results",
        ),
        ('299 {+service}: "The result was limited"', "The result was limited"),
        ('299 {+service}: Warning: 299 {+service}: "fuzzy is off"', ""),
        ("299 host not quoted at all", "not quoted at all"),
        ('199 host "miscellaneous"', ""),
        ("", ""),
    ],
)
def test_warnings_are_read_leniently(header, text):
    assert text in " ".join(warnings_of(header, "pacs"))


def test_series_and_instances_are_searched_below_what_the_query_names(head, settings):
    server = Awkward(head)
    study, series = head[0].study, head[0].series
    with client_of(server, settings) as client:
        below_study = list(client.search(Query("series", {"StudyInstanceUID": study, "Modality": "MR"})))
        below_series = list(
            client.search(Query("instances", {"StudyInstanceUID": study, "SeriesInstanceUID": series}))
        )
    assert found(below_study, "SeriesInstanceUID") == [head[3].series]
    assert found(below_series, "SOPInstanceUID") == [one.instance for one in head[:3]]
    assert server.asked[0].path.startswith(f"/studies/{study}/series?")
    assert server.asked[-1].path.startswith(f"/studies/{study}/series/{series}/instances?")


LESS = ("studies", "studies/series", "studies/series/instances")


@pytest.mark.parametrize(
    "lists", [("studies", "series", "instances", *LESS), LESS], ids=["root lists", "none"]
)
def test_series_and_instances_are_found_with_and_without_root_lists(lists, head, many, settings):
    with client_of(Awkward([*many[:3], *head], lists=lists), settings) as client:
        series = list(client.search(Query("series", {"Modality": "MR,CT", "PatientName": "doe*"})))
        every = list(client.search(Query("instances", {"PatientID": "P1"}, limit=3, offset=1)))
        in_study = list(client.search(Query("instances", {"StudyInstanceUID": head[0].study})))
        again = list(client.search(Query("series", {"SeriesInstanceUID": head[3].series})))
    assert len(found(series, "SeriesInstanceUID")) in (0, 2)
    assert found(every, "SOPInstanceUID") == [one.instance for one in head[1:4]]
    assert len(found(in_study, "SOPInstanceUID")) == 5
    assert found(again, "SeriesInstanceUID") == [head[3].series]


def test_a_series_search_by_walking_gives_the_studies_attributes_too(head, settings):
    with client_of(Awkward(head, lists=LESS), settings) as client:
        pages = list(client.search(Query("series", {"PatientName": "Doe*"}, ("SeriesDescription",))))
    assert found(pages, "PatientName") == ["Doe^Jane"] * 2
    assert found(pages, "SeriesDescription") == ["Axial"] * 2


def test_odd_uids_of_a_server_are_passed_on(settings):
    server = Awkward()
    with client_of(server, settings) as client:
        match = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "REM SAMPLES 1"}
        list(client.search(Query("instances", match)))
    assert "REM%20SAMPLES%201/instances" in server.asked[0].path


def test_a_hostile_uid_never_becomes_a_path(settings):
    server = Awkward()
    with client_of(server, settings) as client:
        list(client.search(Query("series", {"StudyInstanceUID": "../../admin"})))
    assert all("admin" not in urlsplit(request.path).path for request in server.asked)


def test_an_endless_server_is_left_when_enough_is_there(settings):
    counter = iter(range(10**9))

    def endless(_):
        return rows([{"0020000D": {"vr": "UI", "Value": [f"1.{next(counter)}"]}} for _ in range(10)])

    with client_of(endless, settings) as client:
        assert len(found(client.search(Query(limit=35)))) == 35


def test_real_orthanc_pages_filters_and_finds_names_with_a_caret(orthanc, settings):
    made = studies(7)
    orthanc.add(*[one.data for one in made])
    with orthanc_client(orthanc, settings, page_limit={"studies": 3}) as client:
        pages = list(client.search(Query()))
        assert sorted(found(pages)) == sorted(one.study for one in made)
        assert pages[-1].more is False
        assert found(client.search(Query(match={"PatientName": "Name004^Jane"}))) == [made[4].study]
        assert found(client.search(Query(match={"PatientName": "name004*"}))) == [made[4].study]
        days = found(client.search(Query(match={"StudyDate": "20240103-20240104"})))
        assert sorted(days) == sorted([made[2].study, made[3].study])
        both = found(client.search(Query(match={"StudyInstanceUID": f"{made[0].study},{made[1].study}"})))
        assert sorted(both) == sorted([made[0].study, made[1].study])
        assert len(found(client.search(Query("instances", limit=4)), "SOPInstanceUID")) == 4
        assert next(client.search(Query(match={"PatientID": "nobody"}))).matches == ()
        described = next(client.search(Query(fields=("StudyDescription",), limit=1)))
        assert text(described.matches[0].attributes, "StudyDescription") == "Head"


def test_an_empty_data_set_in_place_of_a_list_of_instances_means_that_there_is_no_such_list(head, settings):
    class Empty(Awkward):
        def search(self, path, query):
            return rows([{}]) if path[-1] == "instances" and len(path) == 3 else super().search(path, query)

    server = Empty(head)
    with client_of(server, settings) as client:
        pages = list(client.search(Query("instances", {"StudyInstanceUID": head[0].study})))
    assert sorted(found(pages, "SOPInstanceUID")) == sorted(one.instance for one in head)


@pytest.mark.parametrize("answer", [refused(500), refused(404), refused(501), rows([{}])])
def test_instances_that_are_not_listed_are_taken_from_the_metadata(answer, head, settings):
    class Unlisted(Awkward):
        def search(self, path, query):
            return answer if path[-1] == "instances" else super().search(path, query)

        def __call__(self, request):
            if not request.path.endswith("/metadata"):
                return super().__call__(request)
            series = request.path.split("/")[4]
            return rows([attributes_of(one) for one in self.instances if one.series == series])

    server = Unlisted(head)
    with client_of(server, settings) as client:
        below = {"StudyInstanceUID": head[0].study, "SeriesInstanceUID": head[0].series}
        assert len(found(client.search(Query("instances", below)), "SOPInstanceUID")) == 3
        one = {**below, "SOPInstanceUID": head[1].instance}
        assert found(client.search(Query("instances", one)), "SOPInstanceUID") == [head[1].instance]


@pytest.mark.slow
def test_a_failure_that_the_metadata_share_is_raised(head, settings):
    class Failing(Awkward):
        def __call__(self, request):
            fails = "instances" in request.path or "metadata" in request.path
            return refused(500) if fails else super().__call__(request)

    below = {"StudyInstanceUID": head[0].study, "SeriesInstanceUID": head[0].series}
    with client_of(Failing(head), settings) as client, pytest.raises(ServerFault):
        list(client.search(Query("instances", below)))


def test_one_letter_that_is_not_unicode_hides_no_study(many, settings):
    class Latin(Awkward):
        def search(self, path, query):
            answer = super().search(path, query)
            return dataclasses.replace(answer, body=answer.body.replace(b"Name003^Jane", b"M\xfcller^Jane"))

    with client_of(Latin(many), settings) as client:
        pages = list(client.search(Query()))
    assert len(found(pages)) == 25
    assert "M\ufffdller^Jane" in found(pages, "PatientName")
    assert "not UTF-8" in words(pages)


def test_an_order_is_sent_to_a_server_that_sorts_and_missed_where_it_does_not(many, settings):
    sent = {}
    for sorts in (True, False):
        server = Awkward(many)
        with client_of(server, settings, order=sorts, key_style="tag") as client:
            pages = list(client.search(Query(order=("-StudyDate", "PatientName"), limit=3)))
        sent[sorts] = parse_qs(urlsplit(server.searches[0]).query).get("orderby")
        assert words(pages).count("does not sort its answers") == (0 if sorts else 1)
    assert sent == {True: ["-StudyDate,PatientName"], False: None}
