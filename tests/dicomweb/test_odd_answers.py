"""Searches of servers whose lists are empty without reason, whose pages do not add up, and whose JSON is odd.

Whatever a server does of this, every match is found, or the result says that some may be missing.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import random
import re
from collections.abc import Callable

import pytest

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.dicom.xml_model import to_xml
from dicomdock.dicomweb import probe
from dicomdock.errors import WireError
from tests.builders import changed, ct_series, mr_series
from tests.dicomweb.awkward import JSON, Awkward, attributes_of, refused, rows, studies
from tests.dicomweb.clients import client_of
from tests.servers.canned import Answer, Request

MR = "1.2.840.10008.5.1.4.1.1.4"


class Changed(Awkward):
    """A server some of whose answers are put through a function."""

    where = "$^"
    change: Callable[[Answer], Answer]

    def __call__(self, request: Request) -> Answer:
        answer = super().__call__(request)
        path = request.path.partition("?")[0]
        return self.change(answer) if re.search(self.where, path) else answer


def changing(instances, where, change) -> Changed:
    server = Changed(instances)
    server.where, server.change = where, change
    return server


def searched(client, query):
    """Return the UIDs of the matches, and the warnings."""
    pages = list(client.search(query))
    uids = [text(one.attributes, UID_KEYWORDS[query.level][-1]) for page in pages for one in page.matches]
    return uids, " ".join(warning for page in pages for warning in page.warnings)


# ---- lists that are empty although there is something


@pytest.fixture(scope="module")
def two():
    """One study of two series, of three and two instances."""
    first = ct_series(3)
    return [*first, *(changed(one, StudyInstanceUID=first[0].study) for one in mr_series(2))]


NOTHING = {
    "an empty list": rows([]),
    "an empty data set": rows([{}]),
    "null": Answer(200, b"null", {"Content-Type": JSON}),
    "204": refused(204),
    "a bad request": refused(400),
    "an error as JSON": Answer(200, b'{"error": "not supported"}', {"Content-Type": JSON}),
    "the page of a viewer": Answer(200, b"<html>viewer</html>", {"Content-Type": "text/html"}),
}
LISTS = {
    "of a study's instances": r"^/studies/[^/]+/instances$",
    "of all instances": r"^/instances$",
    "of a study's series": r"^/studies/[^/]+/series$",
    "of all series": r"^/series$",
}


@pytest.mark.slow
@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("which", LISTS)
def test_an_empty_list_hides_nothing(which, nothing, two, settings):
    study, series = two[0].study, {one.series for one in two}
    ct = {one.instance for one in two[:3]}
    mr = {one.instance for one in two[3:]}
    wanted = (
        (Query("series", {"StudyInstanceUID": study}), series),
        (Query("series", {"Modality": "MR"}), {two[3].series}),
        (Query("instances", {"StudyInstanceUID": study}), ct | mr),
        (Query("instances", {"StudyInstanceUID": study, "SOPClassUID": MR}), mr),
        (Query("instances", {"SOPClassUID": MR}), mr),
        (Query("instances"), ct | mr),
    )
    server = changing(two, LISTS[which], lambda _: NOTHING[nothing])
    with client_of(server, settings) as client:
        for query, expected in wanted:
            assert set(searched(client, query)[0]) == expected, query


@pytest.mark.parametrize("nothing", ["an empty list", "null", "204"])
def test_series_and_instances_that_no_list_has_are_taken_from_the_metadata(nothing, two, settings):
    described = rows([attributes_of(one) for one in two])

    def change(answer: Answer) -> Answer:
        return described if answer.status == 404 else NOTHING[nothing]

    server = changing(two, r"(series|instances|metadata)$", change)
    with client_of(server, settings) as client:
        study = {"StudyInstanceUID": two[0].study}
        pages = list(client.search(Query("series", study)))
        counts = {
            text(one.attributes, "SeriesInstanceUID"): text(one.attributes, "NumberOfSeriesRelatedInstances")
            for page in pages
            for one in page.matches
        }
        assert counts == {two[0].series: "3", two[3].series: "2"}


def test_what_is_not_there_is_not_found_and_nothing_is_learned_of_it(two, settings):
    with client_of(Awkward(two), settings) as client:
        assert searched(client, Query("instances", {"StudyInstanceUID": "1.2.3"}))[0] == []
        assert searched(client, Query("series", {"StudyInstanceUID": "1.2.3"}))[0] == []
        assert searched(client, Query("series", {"Modality": "US"}))[0] == []
        assert len(searched(client, Query("instances", {"StudyInstanceUID": two[0].study}))[0]) == 5


# ---- pages


@pytest.fixture(scope="module")
def many():
    return studies(330)


Pages = Callable[[list, int, int], list]


class Paged(Awkward):
    """A server whose pages a function makes of all rows, a limit and an offset."""

    page: Pages
    states = False

    def search(self, path, query):
        names = dict(query)
        whole = [
            {tag: row[tag] for tag in ("0020000D", "00100020")} for row in map(attributes_of, self.instances)
        ]
        page = self.page(whole, int(names.get("limit", len(whole))), int(names.get("offset", 0)))
        if page is None:
            return refused(400)
        return rows(page, **({"X-Total-Count": str(len(page))} if self.states else {}))


def shuffled(whole, limit, offset):
    """Sort each answer anew."""
    random.Random(offset).shuffle(whole)
    return whole[offset : offset + limit]


PAGES: dict[str, Pages] = {
    "in another order each": shuffled,
    "counted as pages": lambda whole, limit, offset: whole[offset * limit : (offset + 1) * limit],
    "one more than asked for": lambda whole, limit, offset: whole[offset : offset + limit + 1],
    "one less than asked for": lambda whole, limit, offset: whole[offset : offset + limit - 1],
    "the last one for ever": lambda whole, limit, offset: whole[offset : offset + limit] or whole[-limit:],
    "counted from one": lambda whole, limit, offset: whole[max(offset - 1, 0) :][:limit],
    "refused beyond the end": lambda whole, limit, offset: whole[offset:][:limit] or None,
    "empty once in the middle": lambda whole, limit, offset: whole[offset:][:limit] if offset != 200 else [],
}


@pytest.mark.slow
@pytest.mark.parametrize("pages", PAGES)
def test_every_row_comes_once_whatever_the_pages_are(pages, many, settings):
    server = Paged(many)
    server.page = PAGES[pages]
    with client_of(server, settings) as client:
        uids, _ = searched(client, Query())
    assert len(uids) == len(set(uids)) == 330


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 404, 410, 416, 500, 501])
def test_an_error_beyond_the_last_match_ends_the_list(status, two, settings):
    """A server that answers a page without matches by an error still gave the pages before."""
    study, every = two[0].study, {one.instance for one in two}
    server = Awkward(two, nothing=refused(status))
    with client_of(server, settings) as client:
        assert probe.test(client).error == ""
        assert searched(client, Query())[0] == [study]
        assert set(searched(client, Query("instances", {"StudyInstanceUID": study}))[0]) == every
        parts = [part for part in client.retrieve(Resource(study)) if list(part.chunks())]
        assert len(parts) == len(two)
        found, warned = searched(client, Query("series", {"StudyInstanceUID": study}))
    assert len(found) == 2
    assert ("refused to list more than 2 matches" in warned) == (status == 500)


def test_a_total_that_counts_a_page_alone_ends_nothing(many, settings):
    server = Paged(many)
    server.page = lambda whole, limit, offset: whole[offset : offset + limit]
    server.states = True
    with client_of(server, settings) as client:
        assert len(set(searched(client, Query())[0])) == 330


CUT: dict[str, Pages] = {
    "cut without an offset": lambda whole, limit, _: whole[: min(limit, 100)],
    "cut whatever is asked for": lambda whole, _limit, _offset: whole[:200],
    "refused after the first": lambda whole, limit, offset: whole[offset:][:limit] if offset < 200 else None,
}


@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize("query", [Query(), Query(limit=325)], ids=["all", "limit"])
def test_a_list_that_is_cut_says_so_each_time(cut, query, many, settings):
    server = Paged(many)
    server.page = CUT[cut]
    with client_of(server, settings) as client:
        for _ in range(2):
            uids, warnings = searched(client, query)
            assert len(uids) < 325
            assert "there may be more" in warnings


def test_rows_without_a_uid_are_reported(many, settings):
    server = Paged(many[:9])
    server.page = lambda whole, *_: [*whole[:5], *({"00100020": row["00100020"]} for row in whole[5:])]
    with client_of(server, settings) as client:
        uids, warnings = searched(client, Query())
    assert len(uids) == 5
    assert "listed matches without StudyInstanceUID" in warnings


@pytest.mark.parametrize("at", [0, 5, 60])
def test_an_offset_counts_matches_where_the_server_ignores_the_key(at, many, settings):
    # The first page after an offset by the server matches as a whole; rows before it do not.
    server = Awkward([*many[:5], *many[200:], *many[5:200]], honours=frozenset())
    late = [one for one in many[200:] if text(attributes_of(one), "StudyDate") >= "20240805"]
    with client_of(server, settings) as client:
        uids, _ = searched(client, Query(match={"StudyDate": "20240805-"}, offset=at))
    assert uids == [one.study for one in late][at:]


def test_a_study_is_found_by_its_uid_where_the_server_ignores_that_key(many, settings):
    class Deaf(Awkward):
        def satisfies(self, attributes, name, values):
            return True

    with client_of(Deaf(many, honours=frozenset()), settings) as client:
        assert searched(client, Query(match={"StudyInstanceUID": many[-1].study}))[0] == [many[-1].study]


# ---- bytes


ENCODED = {
    "a declared label": ("Müller", "latin-1", "application/json; charset=ISO-8859-1", True),
    "Windows": ("Müller–X", "cp1252", 'application/dicom+json; charset="windows-1252"', True),
    "Shift JIS": ("表示^能", "cp932", JSON, True),
    "Big5": ("功許蓋", "big5", JSON, True),
    "Korean by its label": ("김희중", "euc-kr", "application/json;charset=EUC-KR", True),
    "UTF-16": ("Müller", "utf-16", JSON, True),
    "UTF-32 without a mark": ("Müller", "utf-32-be", JSON, True),
    "a byte order mark": ("Müller", "utf-8-sig", JSON, True),
    "nothing declared": ("Müller", "latin-1", JSON, False),
    "a false label": ("Müller", "latin-1", "application/json; charset=utf-8", False),
    "an unknown label": ("Müller", "latin-1", "application/json; charset=base64", False),
}


@pytest.mark.parametrize("how", ENCODED)
def test_names_are_read_in_the_encoding_that_is_declared_or_fits(how, settings):
    name, encoding, label, is_read = ENCODED[how]

    def change(answer: Answer) -> Answer:
        body = answer.body.decode().replace("Name000^Jane", name).encode(encoding)
        return Answer(200, body, {"Content-Type": label})

    with client_of(changing(studies(3), "studies$", change), settings) as client:
        pages = list(client.search(Query()))
    names = {text(one.attributes, "PatientName") for page in pages for one in page.matches}
    assert names == {name if is_read else "M\ufffdller", "Name001^Jane", "Name002^Jane"}
    warned = any("not UTF-8" in one for page in pages for one in page.warnings)
    assert warned == (not encoding.startswith("utf"))


def test_the_one_character_set_that_the_data_sets_declare_is_used(settings):
    def change(answer: Answer) -> Answer:
        found = [
            {**row, "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}} for row in json.loads(answer.body)
        ]
        body = json.dumps(found).replace("Name000", "Müller").encode("latin-1")
        return dataclasses.replace(answer, body=body, headers={"Content-Type": JSON})

    with client_of(changing(studies(2), "studies$", change), settings) as client:
        (match, *_) = next(iter(client.search(Query()))).matches
    assert text(match.attributes, "PatientName") == "Müller^Jane"


def parts(kind: str, bodies: list[bytes]) -> Answer:
    body = b"".join(b"--x\r\nContent-Type: %s\r\n\r\n%s\r\n" % (kind.encode(), one) for one in bodies)
    return Answer(200, body + b"--x--\r\n", {"Content-Type": f'multipart/related; type="{kind}"; boundary=x'})


WRITTEN: dict[str, Callable[[Answer], Answer]] = {
    "gzip without a header": lambda one: Answer(200, gzip.compress(one.body), {"Content-Type": JSON}),
    "a header without gzip": lambda one: Answer(200, one.body, {"Content-Encoding": "gzip"}),
    "called a page": lambda one: Answer(200, one.body, {"Content-Type": "text/html"}),
    "parts of XML": lambda one: parts("application/dicom+xml", [*map(to_xml, json.loads(one.body))]),
    "parts of JSON": lambda one: parts("application/dicom+json", [one.body]),
    "line breaks in strings": lambda one: Answer(200, one.body.replace(b"Jane", b"Ja\r\n\tne"), {}),
    "stray backslashes": lambda one: Answer(200, one.body.replace(b"Jane", b"C:\\dir\\user"), {}),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_studies_are_found_however_they_are_written(how, settings):
    made = studies(3)
    with client_of(changing(made, "studies$", WRITTEN[how]), settings) as client:
        assert sorted(searched(client, Query())[0]) == sorted(one.study for one in made)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "x"}',
        b'{"studies": []}',
        b'[{"StudyInstanceUID": "1.2"}]',
        b'[{"0020000D": "1.2"}]',
        b"[1]",
    ],
)
def test_json_that_is_not_dicom_json_is_no_empty_list(body, settings):
    server = changing(studies(1), "studies$", lambda _: Answer(200, body, {"Content-Type": JSON}))
    with client_of(server, settings) as client, pytest.raises(WireError, match="not DICOM JSON"):
        list(client.search(Query()))


def test_a_list_that_is_empty_a_moment_after_it_was_not_is_no_crash(settings):
    (made,) = ct_series(1)
    asked = []

    def reply(request: Request) -> Answer:
        path = request.path.partition("?")[0]
        asked.append(path)
        if path.endswith("/studies"):
            return rows([attributes_of(made)])
        first = path.endswith("/series") and "/studies/" not in path and asked.count(path) == 1
        return rows([attributes_of(made)]) if first else rows([])

    with client_of(reply, settings) as client:
        pages = list(client.search(Query("series", {"StudyInstanceUID": made.study})))
    assert asked.count("/series") > 1
    assert not [match for page in pages for match in page.matches]


def test_half_a_surrogate_pair_in_an_answer_is_replaced(settings):
    """It is not a character: nothing could be asked for, stored or printed with it."""
    body = json.dumps(
        [{"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00100020": {"vr": "LO", "Value": ["x\ud800"]}}]
    )
    body = body[:-2] + r', "00081030": {"vr": "LO", "Value": ["\ud83d\ude00"]}}]'
    with client_of(lambda _: Answer(200, body.encode(), {"Content-Type": JSON}), settings) as client:
        (page, *_) = client.search(Query("studies", {"PatientID": ""}))
    (match,) = page.matches
    assert text(match.attributes, "PatientID") == "x\ufffd"
    assert text(match.attributes, "StudyDescription") == "\U0001f600"
