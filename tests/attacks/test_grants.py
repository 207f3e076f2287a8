"""A link's token opens one study: whatever the request is written like, nothing of another one comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.security.requests import Guard
from dicomdock.dock.security.sessions import Keys
from dicomdock.origin.app import routes
from dicomdock.sources import Part
from tests.builders import Made, changed, ct_series

HOST = "127.0.0.1:8104"


class Attacked:
    """A guarded service over two studies, and the token of one of them."""

    def __init__(self, archive: Archive, own: Made, other: Made) -> None:
        self.own, self.other = own, other
        self.keys = Keys()
        self.app = Guard(Starlette(routes=routes(archive)), self.keys, port=8104)
        self.token = self.keys.grant(Resource(own.study))
        self.names = {
            "own": own.study,
            "own_series": own.series,
            "own_instance": own.instance,
            "other": other.study,
            "other_series": other.series,
            "other_instance": other.instance,
        }

    def ask(
        self,
        path: str,
        query: str = "",
        method: str = "GET",
        token: str = "",
        fields: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        sent_body: bytes | None = None,
    ) -> tuple[int, bytes]:
        """Ask as a client does that writes its own request; ``fields`` replace ours of the same name."""
        sent: list[dict[str, Any]] = []
        written = [
            (name, value) for name, value in (fields.items() if isinstance(fields, Mapping) else fields)
        ]
        ours = {"host": HOST, "authorization": f"Bearer {token or self.token}", "accept": "*/*"}
        names = {name.lower() for name, _ in written}
        written += [(name, value) for name, value in ours.items() if name not in names]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "server": ("127.0.0.1", 8104),
            "client": ("127.0.0.1", 4),
            "headers": [(name.encode(), value.encode()) for name, value in written],
        }

        bodies = [] if sent_body is None else [sent_body]

        async def receive() -> dict[str, Any]:
            if bodies:
                return {"type": "http.request", "body": bodies.pop(), "more_body": False}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp("grants")
    own, other = ct_series(1)[0], changed(ct_series(1)[0], PatientName="Secret^Other")
    with Archive.open(Settings(folder, folder / "archive", folder / "state", free_space_floor=0)) as archive:
        with archive.writer() as writer:
            for one in (own, other):
                writer.add(Part("application/dicom", lambda one=one: iter((one.data,))))
        yield Attacked(archive, own, other)


def leaked(attacked: Attacked, body: bytes) -> bool:
    other = attacked.other
    return any(text.encode() in body for text in (other.study, other.series, other.instance, "Secret^Other"))


def test_the_reported_request(attacked: Attacked):
    """The guard read the key as it was written, the server by its tag: it gave the other study."""
    query = f"StudyInstanceUID={attacked.own.study}&0020000d={attacked.other.study}"
    for level in ("studies", "series", "instances"):
        status, body = attacked.ask(f"/dicom-web/{level}", query)
        assert status == 403
        assert not leaked(attacked, body)


def test_what_is_granted_is_answered(attacked: Attacked):
    own = attacked.own
    for path in (
        f"/dicom-web/studies/{own.study}",
        f"/dicom-web/studies/{own.study}/metadata",
        f"/dicom-web//studies/{own.study}//series",
        f"/dicom-web/studies/{own.study}/series/{own.series}/instances",
        f"/dicom-web{own.resource.path}/frames/1",
        f"/dicom-web{own.resource.path}/rendered",
        f"/dicom-web/studies/{own.study}/thumbnail",
    ):
        status, body = attacked.ask(path)
        assert (status, bool(body)) == (200, True), path
    for query in (f"StudyInstanceUID={own.study}", f"0020000D={own.study}", f"0020000d={own.study}&limit=1"):
        assert attacked.ask("/dicom-web/studies", query)[0] == 200
    query = f"requestType=WADO&studyUID={own.study}&seriesUID={own.series}&objectUID={own.instance}"
    assert attacked.ask("/wado", query)[0] == 200


def test_a_series_token_does_not_open_the_study(attacked: Attacked):
    own = attacked.own
    token = attacked.keys.grant(Resource(own.study, own.series))
    series = f"/dicom-web/studies/{own.study}/series/{own.series}"
    assert attacked.ask(f"{series}/metadata", token=token)[0] == 200
    assert attacked.ask(f"{series}/instances", token=token)[0] == 200
    assert attacked.ask(f"/dicom-web/studies/{own.study}", token=token)[0] == 403
    assert attacked.ask(f"/dicom-web/studies/{own.study}/series", token=token)[0] == 403
    assert attacked.ask("/dicom-web/studies", f"StudyInstanceUID={own.study}", token=token)[0] == 403


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_it_only_reads(attacked: Attacked, method: str):
    assert attacked.ask(f"/dicom-web/studies/{attacked.own.study}", method=method)[0] == 403


NAMES = ["StudyInstanceUID", "studyinstanceuid", "STUDYINSTANCEUID", "0020000D", "0020000d", "studyUID"]
SERIES = ["SeriesInstanceUID", "0020000E", "0020000e", "seriesUID"]
INSTANCES = ["SOPInstanceUID", "00080018", "objectUID"]
OTHERS = ["includefield", "fuzzymatching", "limit", "accept", "requestType", "PatientName", "contentType"]
VALUES = [
    "{own}",
    "{other}",
    "{own},{other}",
    "{own}\\{other}",
    "*",
    "",
    "{own}*",
    "{own}%2C{other}",
    " {own}",
]
PATHS = [
    "/dicom-web/studies",
    "/dicom-web/series",
    "/dicom-web/instances",
    "/dicom-web//studies",
    "/dicom-web/studies/",
    "/wado",
    "/dicom-web/studies/{other}",
    "/dicom-web/studies/{other}/series",
    "/dicom-web/studies/{own}/../{other}/metadata",
    "/dicom-web/studies/{own}/series/{other_series}/instances",
    "/dicom-web/studies/{own}/series/{other_series}/metadata",
    "/dicom-web/studies/{own}/series/{other_series}/instances/{other_instance}",
    "/dicom-web/studies/{own}/series/{other_series}/instances/{other_instance}/rendered",
    "/dicom-web/studies/{other}/series/{own}/metadata",
    "/dicom-web/studies/{own}.1",
]


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(PATHS),
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)),
            st.tuples(st.sampled_from(SERIES), st.sampled_from(["{other_series}", "*", ""])),
            st.tuples(st.sampled_from(INSTANCES), st.sampled_from(["{other_instance}", "*", ""])),
            st.tuples(st.sampled_from(OTHERS), st.sampled_from(["all", "WADO", "*", "application/dicom"])),
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_nothing_of_another_study_comes_out(
    attacked: Attacked, path: str, pairs: list[tuple[str, str]], encoded: bool
):
    written = [(key, value.format(**attacked.names)) for key, value in pairs]
    query = urlencode(written, quote_via=quote) if encoded else "&".join(map("=".join, written))
    _, body = attacked.ask(path.format(**attacked.names), query)
    # The sentence of a refusal may quote what was asked; data may not come.
    assert b"Secret^Other" not in body
    assert not (body.startswith((b"[{", b"--")) and leaked(attacked, body))


BULK = "/bulk/00100010"
ROUTES = [
    "/dicom-web/studies/{other}{rest}",
    "/dicom-web/studies/{own}/series/{other_series}{rest}",
    "/dicom-web/studies/{own}/series/{own_series}/instances/{other_instance}{rest}",
    "/dicom-web/studies/{other}/series/{other_series}/instances/{other_instance}{rest}",
    "/dicom-web/studies/{own}/series/{own_series}/instances/{own_instance}/../{other_instance}{rest}",
    "/dicom-web/./studies/{other}{rest}",
    "//dicom-web//studies//{other}{rest}",
    "/dicom-web/studies/{own}%2f..%2f{other}{rest}",
    "/dicom-web/studies/{own}\\..\\{other}{rest}",
    "/dicom-web/studies/{own}\x00{other}{rest}",
    "/dicom-web/studies/{own};{other}{rest}",
    "/dicom-web/studies/{own},{other}{rest}",
    "/dicom-web/studies/*{rest}",
    "/dicom-web/studies/ {other}{rest}",
    "/DICOM-WEB/studies/{other}{rest}",
    "/dicom-web/Studies/{other}{rest}",
]
RESTS = ["", "/", "/metadata", "/rendered", "/thumbnail", "/frames/1", "/frames/1/rendered", BULK, "/series"]


METHODS = ["HEAD", "OPTIONS", "TRACE", "get", "PROPFIND", "POST", "DELETE"]


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_of_another_study_answers(attacked: Attacked, path: str):
    for method, rest in [("GET", rest) for rest in RESTS] + [(method, "/metadata") for method in METHODS]:
        status, body = attacked.ask(path.format(**attacked.names, rest=rest), method=method)
        assert status >= 300, rest  # a redirect adds or drops a slash
        assert b"Secret^Other" not in body
        assert not body.startswith((b"[{", b"--", b"\x89PNG", b"\xff\xd8"))


# What a query may be written like, and how a server might read it otherwise than whoever judged it.
QUERIES = [
    "StudyInstanceUID={own}&StudyInstanceUID={other}",
    "StudyInstanceUID={other}&StudyInstanceUID={own}",
    "StudyInstanceUID={own}&0020000d={other}",
    "StudyInstanceUID={own}&0020000D={other}",
    "StudyInstanceUID={own};StudyInstanceUID={other}",
    "StudyInstanceUID={own};0020000D={other}",
    "%53tudyInstanceUID={other}&StudyInstanceUID={own}",
    "StudyInstanceUID={own}&%30020000D={other}",
    "StudyInstanceUID%00={other}&StudyInstanceUID={own}",
    "StudyInstanceUID[]={own}&StudyInstanceUID[]={other}",
    "StudyInstanceUID=&StudyInstanceUID={other}",
    "StudyInstanceUID=%22%22",
    "StudyInstanceUID={own}%5C{other}",
    "StudyInstanceUID={own}%2C{other}",
    "StudyInstanceUID={own},{other}",
    "StudyInstanceUID={own}*",
    "StudyInstanceUID=%2A",
    "StudyInstanceUID={own}%00{other}",
    "0020,000D={other}",
    "(0020,000D)={other}&StudyInstanceUID={own}",
    "studyinstanceuid={other}&StudyInstanceUID={own}",
    "StudyInstanceUID={own}&ReferencedStudySequence.ReferencedSOPInstanceUID={other}&fuzzymatching=true",
    "StudyInstanceUID={own}#&StudyInstanceUID={other}",
    "?StudyInstanceUID={other}&StudyInstanceUID={own}",
    "StudyInstanceUID+={other}&StudyInstanceUID={own}",
    "StudyInstanceUID={own}&StudyInstanceUID.StudyInstanceUID={other}",
    "StudyInstanceUID={own}&offset=0&limit=0&includefield=all&includefield=00100010",
    "",
    "includefield=StudyInstanceUID&limit=1000",
    "PatientName=Secret*",
]
WADO = [
    "requestType=WADO&studyUID={own}&studyUID={other}&seriesUID={other_series}&objectUID={other_instance}",
    "requestType=WADO&studyUID={other}&studyUID={own}&seriesUID={other_series}&objectUID={other_instance}",
    "requestType=WADO&studyUID={own}&seriesUID={own_series}&objectUID={own_instance}&objectUID={other_instance}",
    "requestType=WADO&studyUID={own}&objectUID={other_instance}",
    "requestType=WADO&objectUID={other_instance}",
    "requestType=WADO&studyUID={own};studyUID={other}&objectUID={other_instance}",
    "requestType=WADO&studyUID=&seriesUID={other_series}&objectUID={other_instance}",
    "requestType=wado&%73tudyUID={other}&seriesUID={other_series}&objectUID={other_instance}",
    "requestType=WADO&studyUID={own}&seriesUID={other_series}&objectUID={other_instance}&frameNumber=1",
]


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_finds_another_study(attacked: Attacked, query: str):
    own, other = attacked.own, attacked.other
    asked = query.format(own=own.study, other=other.study)
    for level in ("studies", "series", "instances"):
        _, body = attacked.ask(f"/dicom-web/{level}", asked)
        assert b"Secret^Other" not in body
        assert not (body.startswith((b"[{", b"--")) and leaked(attacked, body))


@pytest.mark.parametrize("query", WADO)
def test_no_uri_retrieves_another_study(attacked: Attacked, query: str):
    for path, kind in (
        ("/wado", ""),
        ("/wado", "application/dicom"),
        ("//wado", "image/png"),
        ("/wado/", ""),
    ):
        status, body = attacked.ask(
            path, query.format(**attacked.names) + (f"&contentType={kind}" if kind else "")
        )
        assert status >= 300
        assert b"Secret^Other" not in body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dicom-web/workitems"),
        ("HEAD", "/dicom-web/workitems"),
        ("GET", "/dicom-web//workitems"),
        ("GET", "/dicom-web/workitems/1.2.3"),
        ("POST", "/dicom-web/workitems"),
        ("POST", "/dicom-web/workitems/1.2.3"),
        ("PUT", "/dicom-web/workitems/1.2.3/state"),
        ("POST", "/dicom-web/workitems/1.2.3/cancelrequest"),
        ("POST", "/dicom-web/studies"),
        ("POST", "/dicom-web/studies/{own}"),
        ("DELETE", "/dicom-web/studies/{own}"),
        ("PUT", "/dicom-web/studies/{own}"),
    ],
)
@pytest.mark.parametrize("reading", [True, False], ids=["as a reading method", "as it is"])
def test_the_work_list_and_what_writes_stay_closed(attacked: Attacked, method: str, path: str, reading: bool):
    """Also where the method is hidden in a header that some frameworks obey."""
    fields = {
        "x-http-method-override": method,
        "x-http-method": method,
        "x-method-override": method,
        "content-type": "application/dicom+json",
    }
    asked = path.format(own=attacked.own.study)
    query = "_method=DELETE&StudyInstanceUID=" + attacked.own.study
    status, body = attacked.ask(asked, query, "GET" if reading else method, fields=fields, sent_body=b"[{}]")
    if "workitems" in path or not reading:
        assert status in (403, 404, 405)
        assert b"00080018" not in body
    assert attacked.ask(f"/dicom-web/studies/{attacked.own.study}/metadata")[0] == 200


def test_two_logins_in_one_request_open_nothing(attacked: Attacked):
    whole = attacked.keys.grant(None)
    for first, second in ((attacked.token, whole), (whole, attacked.token), (whole, whole)):
        status, _ = attacked.ask(
            "/dicom-web/studies",
            fields=[("authorization", f"Bearer {first}"), ("Authorization", f"Bearer {second}")],
        )
        assert status == 401
    for written in (f"bearer  {attacked.token}", f"BEARER {attacked.token}"):
        assert attacked.ask("/dicom-web/studies", fields={"authorization": written})[0] == 403
    for written in (
        f"Basic {attacked.token}",
        f"Bearer {attacked.token},{whole}",
        f"Bearer {whole[:-1]}",
        "",
    ):
        assert attacked.ask("/dicom-web/studies", fields={"authorization": written})[0] == 401
