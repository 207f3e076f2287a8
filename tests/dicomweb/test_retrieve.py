"""The Retrieve transactions: forms, fall-backs, what is cut or missing, and where bulk data lies."""

import gzip
import hashlib
from dataclasses import replace
from functools import partial

import pytest

from dicomdock.config.servers import ServerProfile
from dicomdock.dicom import part10
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.dicomweb.uri import retrieve_by_uri
from dicomdock.errors import (
    InvalidInput,
    NotAcceptable,
    RemoteNotFound,
    ServerFault,
    TransactionError,
    UnsupportedByServer,
    WireError,
)
from dicomdock.sources import Part
from tests import builders
from tests.conftest import shared_data
from tests.dicomweb.awkward import Answer, Awkward, encoded, multipart, refused, rows
from tests.dicomweb.clients import client_of, orthanc_client

BEST = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture(scope="module")
def head():
    return builders.ct_series(5)


@pytest.fixture
def series(head):
    return Resource(head[0].study, head[0].series)


def received(parts):
    return [b"".join(part.chunks()) for part in parts]


def data(instances):
    return [one.data for one in instances]


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_instances_come_as_stored_in_one_request(level, head, settings):
    server = Awkward(head)
    place = {
        "study": Resource(head[0].study),
        "series": head[0].resource.parent,
        "instance": head[0].resource,
    }[level]
    with client_of(server, settings) as client:
        assert received(client.retrieve(place)) == data(head if level != "instance" else head[:1])
    assert [request.headers["Accept"] for request in server.asked] == [BEST]
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


FORMS = {
    "only unquoted types": lambda accept: 'type="' not in accept and accept.startswith("multipart"),
    "no transfer-syntax": lambda accept: "transfer-syntax" not in accept,
    "single part only": lambda accept: accept.startswith("application/dicom"),
    "anything but in one word": lambda accept: accept == "*/*",
}

REFUSALS = {
    **dict.fromkeys((400, 405, 406, 410, 415, 500, 501, 502, 503, 504), ()),
    429: (("Retry-After", "0"),),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("form", FORMS)
def test_a_refused_form_is_followed_by_the_next_and_what_worked_is_remembered(
    form, refusal, head, settings, quick_retries
):
    single = form == "single part only"
    real = Awkward(head, takes=FORMS[form], refusal=refusal, single=single)

    def server(request):
        answer = real(request)
        return replace(answer, headers={**answer.headers, **dict(REFUSALS[refusal])})

    with client_of(server, settings) as client:
        assert received(client.retrieve(head[0].resource)) == [head[0].data]
        first = len(real.asked)
        assert received(client.retrieve(head[1].resource)) == [head[1].data]
    assert first > 1
    assert len(real.asked) == first + 1


@pytest.mark.parametrize("status", [429, 503])
def test_the_next_form_is_not_requested_before_the_server_wants_to_be_asked(
    status, head, settings, monkeypatch
):
    waits = []
    monkeypatch.setattr("dicomdock.web.transport.Http._pause", lambda _, seconds: waits.append(seconds))
    real = Awkward(head)

    def server(request):
        answer = real(request)
        if "transfer-syntax" in request.headers["Accept"]:
            return Answer(status, b"", {"Retry-After": "7"})
        return answer

    with client_of(server, settings) as client:
        assert received(client.retrieve(head[0].resource)) == [head[0].data]
    refused_first = [request.headers["Accept"] for request in real.asked]
    assert refused_first[:2] == [BEST, BEST]
    assert "transfer-syntax" not in refused_first[-1]
    assert waits == [7.0] * (sum("transfer-syntax" in accept for accept in refused_first) - 1)


@pytest.mark.parametrize("busy", [429, 500, 502, 503, 504])
def test_a_server_that_was_only_busy_still_sends_what_it_stored(busy, head, settings, quick_retries):
    """It is done being busy when the last form is requested, in which it may rewrite what it has."""
    real = Awkward(head)

    def server(request):
        answer = real(request)
        return refused(busy) if len(real.asked) < 6 else answer

    with client_of(server, settings) as client:
        assert received(client.retrieve(head[0].resource)) == [head[0].data]
        assert received(client.retrieve(head[1].resource)) == [head[1].data]
    assert [request.headers["Accept"] for request in real.asked[-2:]] == [BEST, BEST]
    assert real.asked[5].headers["Accept"] != BEST


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_of_a_form_that_works_a_failure_is_a_failure(status, head, settings, quick_retries):
    real = Awkward(head)

    def server(request):
        answer = real(request)
        return refused(status) if len(real.asked) > 1 else answer

    with client_of(server, settings) as client:
        assert received(client.retrieve(head[0].resource)) == [head[0].data]
        with pytest.raises(ServerFault):
            received(client.retrieve(head[1].resource))
    assert {request.headers["Accept"] for request in real.asked} == {BEST}


def test_when_no_form_is_taken_the_refusal_is_the_error(head, settings):
    server = Awkward(head, takes=lambda _: False)
    with client_of(server, settings) as client, pytest.raises(NotAcceptable):
        list(client.retrieve(head[0].resource))


@pytest.mark.parametrize("levels", [("series", "instance"), ("instance",)])
def test_what_does_not_come_in_one_stream_is_fetched_piece_by_piece(levels, head, settings):
    server = Awkward(head, levels=levels)
    with client_of(server, settings) as client:
        assert received(client.retrieve(Resource(head[0].study))) == data(head)
        assert client.dialect.retrieve_level == levels[0]
        server.asked.clear()
        assert received(client.retrieve(Resource(head[0].study))) == data(head)
    assert all(request.path != f"/studies/{head[0].study}" for request in server.asked)


def test_a_dialect_without_series_retrieval_never_asks_for_one(head, series, settings):
    server = Awkward(head, single=True)
    with client_of(server, settings, retrieve_level="instance", single_part=True) as client:
        parts = client.retrieve(series)
        assert [part.resource for part in parts] == [one.resource for one in head]
    retrievals = [request for request in server.asked if "instances/" in request.path]
    assert len(retrievals) == len(head)
    assert {request.headers["Accept"] for request in retrievals} == {"application/dicom; transfer-syntax=*"}


@pytest.mark.parametrize("place", [Resource("1.2"), Resource("1.2", "1.3"), Resource("1.2", "1.3", "1.4")])
def test_what_is_not_there_is_not_found(place, head, settings):
    with client_of(Awkward(head), settings) as client, pytest.raises(RemoteNotFound):
        list(client.retrieve(place))


def test_a_stream_cut_in_mid_instance_gives_the_whole_ones_and_then_an_error(head, series, settings):
    whole = encoded(data(head), end=False)

    def reply(_):
        return Answer(200, whole[:-700], {**multipart([]).headers, "Content-Length": str(len(whole))})

    with client_of(reply, settings) as client:
        got = []
        with pytest.raises(WireError):
            for part in client.retrieve(series):
                got.append(b"".join(part.chunks()))
    assert got == data(head[:-1])


def test_a_stream_without_its_end_is_an_error_even_after_whole_instances(head, series, settings):
    answer = Answer(200, encoded(data(head), end=False), multipart([]).headers)
    with client_of(lambda _: answer, settings) as client, pytest.raises(WireError):
        received(client.retrieve(series))


def test_an_instance_dropped_by_a_200_is_simply_not_there(head, series, settings):
    """Only who knows what should come can tell: the transfer compares with the list."""
    with client_of(Awkward(head, leaves_out=frozenset({head[2].instance})), settings) as client:
        assert len(received(client.retrieve(series))) == 4


def test_a_partial_answer_gives_its_instances_and_then_says_so(head, series, settings):
    got = []
    with client_of(Awkward(head, status=206), settings) as client, pytest.raises(WireError, match="206"):
        for part in client.retrieve(series):
            got.append(b"".join(part.chunks()))
    assert got == data(head)


LABELS = {
    "unquoted": "multipart/related; type=application/dicom; boundary=xx",
    "no type": "multipart/related; boundary=xx",
    "no boundary": "multipart/related",
    "octet-stream inside": 'multipart/related; type="application/octet-stream"; boundary=xx',
    "no multipart at all": "application/octet-stream",
    "capitals": 'Multipart/Related; Type="application/dicom"; Boundary="xx"',
}


@pytest.mark.parametrize("label", LABELS)
def test_wrong_labels_do_not_hide_instances(label, head, series, settings):
    answer = Answer(200, encoded(data(head)), {"Content-Type": LABELS[label]})
    with client_of(lambda _: answer, settings) as client:
        assert received(client.retrieve(series)) == data(head)


@pytest.mark.parametrize("label", ["application/dicom", "application/octet-stream", "text/plain", ""])
def test_a_single_body_where_multipart_was_asked(label, head, settings):
    answer = Answer(200, head[0].data, {"Content-Type": label})
    with client_of(lambda _: answer, settings) as client:
        assert received(client.retrieve(head[0].resource)) == [head[0].data]


def test_gzip_that_nobody_asked_for_is_undone(head, series, settings):
    body = gzip.compress(encoded(data(head)))
    answer = Answer(200, body, {**multipart([]).headers, "Content-Encoding": "gzip"})
    with client_of(lambda _: answer, settings) as client:
        assert received(client.retrieve(series)) == data(head)
    single = Answer(
        200, gzip.compress(head[0].data), {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}
    )
    with client_of(lambda _: single, settings) as client:
        (part,) = client.retrieve(head[0].resource)
        assert part.length is None


OCTETS = 'multipart/related; type="application/octet-stream"; boundary=xx'


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
        Answer(200, b"PK\x03\x04", {"Content-Type": "application/zip"}),
        Answer(
            200,
            encoded([b"pixels"]),
            {"Content-Type": 'multipart/related; type="application/octet-stream"; boundary=xx'},
        ),
        Answer(200, encoded([b"{}"]), {"Content-Type": 'multipart/related; type="image/jpeg"; boundary=xx'}),
    ],
    ids=["login page", "zip", "bulk data", "pictures"],
)
def test_what_is_not_dicom_is_never_given(answer, head, settings):
    with client_of(lambda _: answer, settings) as client, pytest.raises(NotAcceptable):
        received(client.retrieve(head[0].resource))


def test_an_empty_answer_is_nothing_found(head, settings):
    with client_of(lambda _: refused(204), settings) as client, pytest.raises(RemoteNotFound):
        received(client.retrieve(head[0].resource))


def test_another_instance_than_asked_for_is_refused(head, settings):
    wrong = multipart([head[1].data])
    with client_of(lambda _: wrong, settings) as client, pytest.raises(WireError, match=head[1].instance):
        received(client.retrieve(head[0].resource))


def test_only_the_data_set_decides_which_instance_it_is(head, settings):
    """Files whose meta information names another UID exist, and come back as they are."""
    odd = builders.ct_series(1)[0]
    odd.dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = odd.data.replace(odd.instance.encode(), b"9" * len(odd.instance), 1)
    assert part10.media_instance(file) != odd.instance
    with client_of(lambda _: multipart([file]), settings) as client:
        assert received(client.retrieve(odd.resource)) == [file]


@pytest.mark.parametrize("status", [404, 500])
def test_wado_uri_is_the_last_way(head, settings, quick_retries, status):
    def reply(request):
        if request.path.startswith("/wado?"):
            asked = dict(pair.split("=") for pair in request.path.partition("?")[2].split("&"))
            (one,) = [one for one in head if one.instance == asked["objectUID"]]
            return Answer(200, one.data, {"Content-Type": "application/dicom"})
        return refused(status)

    with client_of(reply, settings, wado_uri="wado") as client:
        assert received(client.retrieve(head[1].resource)) == [head[1].data]


def test_a_wado_uri_of_another_host_is_never_asked(head, settings):
    server = client_of(lambda _: refused(404), settings, wado_uri="http://127.0.0.1:9/wado")
    with server as client, pytest.raises(InvalidInput, match=r"127\.0\.0\.1:9"):
        received(client.retrieve(head[1].resource))


def test_closing_early_frees_the_connection(head, series, settings):
    server = Awkward(head)
    with client_of(server, settings) as client:
        parts = client.retrieve(series)
        next(parts)
        parts.close()
        assert received(client.retrieve(head[0].resource)) == [head[0].data]


@pytest.mark.slow
def test_a_faulty_server_is_reported(head, settings):
    with client_of(lambda _: refused(500), settings) as client, pytest.raises(ServerFault):
        received(client.retrieve(head[0].resource))


def test_too_busy_is_waited_for(head, settings):
    answers = [Answer(429, b"", {"Retry-After": "0"}), multipart([head[0].data])]
    with client_of(lambda _: answers.pop(0), settings) as client:
        assert received(client.retrieve(head[0].resource)) == [head[0].data]


def test_a_redirect_to_another_host_is_not_followed(head, settings):
    elsewhere = []

    def other(request):
        elsewhere.append(request)
        return multipart([head[0].data])

    with client_of(other, settings) as away:
        answer = Answer(302, b"", {"Location": f"{away.profile.url}/steal"})
        with client_of(lambda _: answer, settings) as client, pytest.raises(TransactionError):
            received(client.retrieve(head[0].resource))
    assert elsewhere == []


# Metadata, frames, bulk data


def test_metadata_of_a_study_is_read_series_by_series(settings):
    first = builders.ct_series(2)
    instances = [*first, *builders.mr_series(1, StudyInstanceUID=first[0].study)]

    class Described(Awkward):
        def __call__(self, request):
            if request.path.endswith("/metadata"):
                place = Resource.parse(request.path.removesuffix("/metadata"))
                found = [one for one in self.instances if place.contains(one.resource)]
                return rows([{"00080018": {"vr": "UI", "Value": [one.instance]}} for one in found])
            return super().__call__(request)

    with client_of(Described(instances), settings) as client:
        found = list(client.metadata(Resource(first[0].study)))
        assert [item["00080018"]["Value"][0] for item in found] == [one.instance for one in instances]
        assert len(list(client.metadata(first[0].resource))) == 1


def test_no_metadata_is_distinguished_from_no_object(head, series, settings):
    with client_of(Awkward(head), settings) as client:
        with pytest.raises(RemoteNotFound):
            list(client.metadata(Resource("1.2", "1.3")))
        with pytest.raises(UnsupportedByServer):
            list(client.metadata(series))
        assert client.dialect.metadata is False


def pixel_server(uri, *, label=OCTETS):
    """A server that gives pixels at one path only."""
    asked = []

    def reply(request):
        asked.append(request)
        return (
            Answer(200, encoded([b"pixels"]), {"Content-Type": label})
            if request.path == uri
            else refused(404)
        )

    reply.asked = asked
    return reply


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (
            "http://localhost:99/x/studies/1.2/series/1.3/instances/1.4/bulk/7",
            "/studies/1.2/series/1.3/instances/1.4/bulk/7",
        ),
        ("/studies/1.2/bulk/7", "/studies/1.2/bulk/7"),
        ("../../bulk/7", "/studies/1.2/bulk/7"),
        ("instances/1.4/bulk/7?part=1", "/studies/1.2/series/1.3/instances/1.4/bulk/7?part=1"),
        ("series/1.3/bulk/7", "/studies/1.2/series/1.3/bulk/7"),
    ],
)
@pytest.mark.parametrize(
    "label", ['multipart/related; type="application/octet-stream"; boundary=xx', "multipart/related"]
)
def test_bulk_data_is_asked_for_below_the_base_only(given, asked, label, settings):
    with client_of(pixel_server(asked, label=label), settings) as client:
        assert received(client.bulk(given, Resource("1.2", "1.3", "1.4"))) == [b"pixels"]


def test_bulk_data_elsewhere_is_refused_without_asking(settings):
    server = pixel_server("/")
    with client_of(server, settings) as client, pytest.raises(WireError, match="evil"):
        received(client.bulk("http://evil.example/7", Resource("1.2", "1.3", "1.4")))
    assert server.asked == []


def test_bulk_data_as_one_body(settings):
    def reply(request):
        if not request.headers["Accept"].startswith("application/octet-stream"):
            return refused(406)
        return Answer(200, b"pixels", {"Content-Type": "video/mp4"})

    with client_of(reply, settings) as client:
        found = [(part.content_type, b"".join(part.chunks())) for part in client.bulk("/studies/1.2/bulk/7")]
    assert found == [("video/mp4", b"pixels")]


def test_frames_are_asked_for_one_by_one_where_a_server_takes_one_number_only(settings):
    def reply(request):
        number = request.path.rpartition("/")[2]
        return (
            refused(400)
            if "," in number
            else Answer(
                200, encoded([f"frame {number}".encode()]), {"Content-Type": "multipart/related; boundary=xx"}
            )
        )

    with client_of(reply, settings) as client:
        place = Resource("1.2", "1.3", "1.4", (2, 1))
        assert received(client.frames(place)) == [b"frame 2", b"frame 1"]
        assert received(client.retrieve(place)) == [b"frame 2", b"frame 1"]


# Real servers


@pytest.fixture(scope="module")
def zoo():
    return sorted(shared_data("zoo", "transfer-syntaxes").rglob("*.dcm"))


def test_real_orthanc_gives_series_study_and_instance_byte_identical(orthanc, head, settings):
    orthanc.add(*data(head))
    with orthanc_client(orthanc, settings) as client:
        for place in (Resource(head[0].study), head[0].resource.parent):
            assert sorted(received(client.retrieve(place))) == sorted(data(head))
        for one in head:
            assert received(client.retrieve(one.resource)) == [one.data]
            assert [part.resource for part in client.retrieve(one.resource)] == [one.resource]
        assert len(list(client.metadata(Resource(head[0].study)))) == 5
        with pytest.raises(RemoteNotFound):
            list(client.retrieve(Resource("1.2.3")))


def test_real_orthanc_gives_frames_bulk_data_and_wado_uri(orthanc, head, settings):
    orthanc.add(*data(head))
    pixels = head[0].dataset.PixelData
    with orthanc_client(orthanc, settings, wado_uri="../wado") as client:
        assert received(client.frames(replace(head[0].resource, frames=(1,)))) == [pixels]
        (described,) = client.metadata(head[0].resource)
        uri = described["7FE00010"]["BulkDataURI"]
        assert received(client.bulk(uri, head[0].resource)) == [pixels]
        by_uri = retrieve_by_uri(client.session, head[0].resource, RemoteNotFound("no"))
        assert received(by_uri) == [head[0].data]


@pytest.mark.slow
def test_real_orthanc_gives_every_transfer_syntax_as_stored(orthanc, zoo, settings):
    for file in zoo:
        orthanc.clean()
        try:
            orthanc.add(file)
        except OSError:
            continue  # Orthanc takes no such file
        place = part10.identify(file.read_bytes())
        with orthanc_client(orthanc, settings) as client:
            digests = [hashlib.sha256(back).digest() for back in received(client.retrieve(place))]
        assert digests == [hashlib.sha256(file.read_bytes()).digest()]


def data_set(file):
    """Return a file from the SOP Class UID on; before it tiny-pacs writes a meta information of its own."""
    return file[file.index(b"\x08\x00\x16\x00UI") :]


def test_real_tiny_pacs_is_understood_without_a_dialect(tiny_pacs, head, settings):
    with Client(ServerProfile("tiny", tiny_pacs.url), settings=settings) as client:
        sent = [Part("application/dicom", partial(iter, [one.data])) for one in head]
        assert {result.status for result in client.store(sent)} == {"stored"}
        for place in (Resource(head[0].study), head[0].resource.parent):
            back = received(client.retrieve(place))
            assert sorted(map(data_set, back)) == sorted(map(data_set, data(head)))
        (back,) = received(client.retrieve(head[2].resource))
        assert data_set(back) == data_set(head[2].data)
        with pytest.raises(UnsupportedByServer):
            list(client.metadata(head[0].resource))
        with pytest.raises(RemoteNotFound):
            list(client.retrieve(Resource("1.2.3")))
