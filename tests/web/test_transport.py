# ruff: noqa: SIM117 - server, client and expected error read best as levels
from __future__ import annotations

import gzip
import logging
import os
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate

import pytest

from dicomdock.config.servers import ServerProfile
from dicomdock.errors import (
    AuthenticationError,
    Cancelled,
    InvalidInput,
    NotAcceptable,
    ProfileError,
    RemoteNotFound,
    ServerFault,
    TransactionError,
    Unreachable,
    WireError,
)
from dicomdock.sources import Part
from dicomdock.web import call as call_module
from dicomdock.web import hold as hold_module
from dicomdock.web.auth import BasicAuth, BearerAuth, NoAuth
from dicomdock.web.hold import Hold
from dicomdock.web.multipart.reader import read_parts
from dicomdock.web.multipart.writer import MultipartBody
from dicomdock.web.transport import Http
from tests.dicomweb.sockets import Connection, listening
from tests.servers.canned import Answer, answering, own_certificate
from tests.waiting import join, until

SECRET = "hunter2-token"


@pytest.fixture
def quick(settings, monkeypatch):
    """Settings whose time-outs and waits a test can sit out."""
    monkeypatch.setattr(call_module, "FIRST_WAIT", 0.01)
    return replace(settings, connect_timeout=10.0, read_timeout=30.0, retries=3)


def line(url, settings, auth=None, hold=None, **profile):
    endpoint = ServerProfile("pacs", url, **profile).endpoint
    return Http(endpoint, auth or NoAuth(), settings.connection, hold=hold)


def instance(payload: bytes = b"x" * 100, opened: list[int] | None = None) -> MultipartBody:
    def opener():
        if opened is not None:
            opened.append(1)
        return iter([payload])

    return MultipartBody([Part("application/dicom", opener, length=len(payload))])


def answers(*replies: Answer):
    """Reply with one after the other, the last one for ever."""
    rest = list(replies)
    return lambda _: rest.pop(0) if len(rest) > 1 else rest[0]


def target(request: bytes) -> str:
    return request.split(b" ")[1].decode("ascii")


# --- what goes over the socket


def again_and_again(connection: Connection) -> None:
    while connection.request():
        connection.say(body=b"[]")


def test_query_values_are_escaped_as_little_as_can_be(quick):
    with listening(again_and_again) as server, line(server.url, quick) as http:
        query = [
            ("PatientName", "Smith^John*?,=:/@;[]|"),
            ("a", "x y+z&#%\n\x7f\u00e4^"),
            ("StudyDate", "20200101-20201231"),
        ]
        http.request("GET", "/studies", query=query).close()
        http.request("GET", "/studies/REM%20SAMPLES%201").close()
    assert target(server.asked[0]) == (
        "/dicom-web/studies?PatientName=Smith^John*?,=:/@%3B%5B%5D%7C"
        "&a=x%20y%2Bz%26%23%25%0A%7F%C3%A4^&StudyDate=20200101-20201231"
    )
    assert target(server.asked[1]) == "/dicom-web/studies/REM%20SAMPLES%201"


def test_a_server_that_refuses_a_raw_caret_gets_it_escaped_from_then_on(quick):
    def strict(request):
        return Answer(400, b"Invalid character") if "^" in request.path else Answer(200, b"[]")

    with answering(strict) as server, line(server.url, quick) as http:
        for _ in range(2):
            http.request("GET", "/studies", query=[("PatientName", "A^B")]).close()
        asked = [request.path for request in server.asked]
    raw, escaped = "/studies?PatientName=A^B", "/studies?PatientName=A%5EB"
    assert asked == [raw, escaped, escaped]


def test_a_400_that_escaping_does_not_cure_is_reported(quick):
    with answering(answers(Answer(400, b"bad key"))) as server, line(server.url, quick) as http:
        with pytest.raises(TransactionError, match="bad key") as caught:
            http.request("GET", "/studies", query=[("PatientName", "A^B")])
        assert len(server.asked) == 2
    assert caught.value.status == 400


def test_headers(quick):
    with listening(again_and_again) as server, line(server.url, quick, BasicAuth("alice", "pw")) as http:
        http.request("GET", "/a", accept="application/dicom+json", gzip=True, headers={"X-One": "1"}).close()
        http.request("GET", "/b").close()
        http.request("POST", "/c", body=instance()).close()
    json, pixels, store = (request.decode("latin-1").lower() for request in server.asked)
    port = server.url.split(":")[2].split("/")[0]
    assert f"\r\nhost: 127.0.0.1:{port}\r\n" in json
    assert "\r\naccept: application/dicom+json\r\n" in json
    assert "\r\naccept-encoding: gzip\r\n" in json
    assert "\r\nx-one: 1\r\n" in json
    assert "\r\naccept-encoding: identity\r\n" in pixels
    assert "\r\nauthorization: basic ywxpy2u6chc=\r\n" in pixels
    assert '\r\ncontent-type: multipart/related; type="application/dicom"; boundary=' in store
    assert store.count("content-length:") == 2, "the body's and the part's"


def test_a_body_of_unknown_length_is_chunked(quick):
    def once(connection: Connection) -> None:
        head = connection.head()
        assert b"transfer-encoding: chunked" in head.lower()
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += connection._stream.readline()
        connection.say()

    with listening(once) as server, line(server.url, quick) as http:
        body = MultipartBody([Part("application/dicom", lambda: iter([memoryview(b"abc")]))])
        with http.request("POST", "/studies", body=body) as response:
            assert response.status == 200


def test_connections_are_used_again(quick):
    with listening(again_and_again) as server, line(server.url, quick) as http:
        for _ in range(5):
            with http.request("GET", "/studies") as response:
                assert response.read() == b"[]"
        with pytest.raises(InvalidInput):
            http.request("GET", "http://127.0.0.1:1/elsewhere")
        assert server.connections == 1


def test_another_origin_is_never_asked(quick):
    with (
        listening(again_and_again) as other,
        line("http://127.0.0.1:9/dicom-web", quick, BearerAuth(SECRET)) as http,
    ):
        for url in (other.url, "https://127.0.0.1:9/x", "http://127.0.0.1:9@evil/x", "http://localhost:9/x"):
            with pytest.raises(InvalidInput, match="nothing was sent"):
                http.request("GET", url)
        assert other.connections == 0


def test_a_whole_address_of_the_same_origin_is_asked(quick):
    with listening(again_and_again) as server, line(server.url, quick) as http:
        http.request("GET", server.url.replace("/dicom-web", "/wado?x=1"), query=[("y", "2")]).close()
    assert target(server.asked[0]) == "/wado?x=1&y=2"


# --- answers


def test_an_answer(quick):
    reply = Answer(206, b"body", {"content-TYPE": "text/x; a=1", "Warning": "299 more"})
    with answering(answers(reply)) as server, line(server.url, quick) as http:
        with http.request("GET", "/studies", query=[("token", SECRET)]) as response:
            assert response.status == 206
            assert response.content_type == "text/x; a=1"
            assert response.headers["warning"] == "299 more"
            assert response.url == f"{server.url}/studies?token=***"
            assert response.read() == b"body"


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "x-gzip", "deflate", "raw deflate", "identity", "identity, gzip"]
)
@pytest.mark.parametrize("asked", [True, False])
def test_coded_answers_are_decoded_even_when_nobody_asked(quick, coding, asked):
    plain = os.urandom(1000) + bytes(300_000)
    coded = {
        "deflate": zlib.compress(plain),
        "raw deflate": zlib.compress(plain, wbits=-15),
        "identity": plain,
    }.get(coding) or gzip.compress(plain[:10]) + gzip.compress(plain[10:])
    reply = Answer(200, coded, {"Content-Encoding": coding.removeprefix("raw ")})
    with answering(answers(reply)) as server, line(server.url, quick) as http:
        assert http.request("GET", "/", gzip=asked).read() == plain


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Answer(200, gzip.compress(os.urandom(5000))[:-100], {"Content-Encoding": "gzip"}),
            "before it was complete",
        ),
        (Answer(200, b"\x1f\x8bnonsense", {"Content-Encoding": "gzip"}), "coded wrongly"),
        (Answer(200, b"x", {"Content-Encoding": "br"}), "not asked for"),
        (Answer(200, b"x", {"Content-Encoding": "gzip, gzip"}), "not asked for"),
        (Answer(200, gzip.compress(bytes(200 << 20), 1), {"Content-Encoding": "gzip"}), "far more"),
    ],
    ids=["cut", "broken", "unknown", "twice", "bomb"],
)
def test_badly_coded_answers(quick, reply, words):
    with answering(answers(reply)) as server, line(server.url, quick) as http:
        with pytest.raises(WireError, match=words):
            for _ in http.request("GET", "/").chunks():
                pass


def test_reading_is_bounded(quick):
    for headers in ({}, {"Content-Encoding": "gzip"}):
        body = gzip.compress(bytes(1 << 20)) if headers else bytes(1 << 20)
        with answering(answers(Answer(200, body, headers))) as server, line(server.url, quick) as http:
            with pytest.raises(WireError, match="longer than 100000 bytes"):
                http.request("GET", "/").read(100_000)
            assert len(http.request("GET", "/").read(1 << 20)) == 1 << 20


def test_an_answer_that_is_shorter_than_it_says(quick):
    with (
        listening(lambda c: (c.request(), c.say(body=b"half", length=100))) as server,
        line(server.url, quick) as http,
    ):
        response = http.request("GET", "/")
        received = response.chunks()
        assert next(received) == b"half"
        with pytest.raises(WireError, match="before it was complete"):
            next(received)


def test_a_chunked_answer_that_is_cut(quick):
    def script(connection: Connection) -> None:
        connection.request()
        connection.sock.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n10\r\nnot"
        )

    with listening(script) as server, line(server.url, quick) as http, pytest.raises(WireError):
        http.request("GET", "/").read()


def test_a_series_cut_by_a_reset_gives_the_whole_parts_first(quick):
    def script(connection: Connection) -> None:
        connection.request()
        part = b"--xx\r\nContent-Type: application/dicom\r\n\r\n%s\r\n"
        connection.say(
            "200 OK", part % b"one" + part % b"two" + part % (b"cut" * 1000), "Connection: close", length=-1
        )

    with listening(script) as server, line(server.url, quick) as http, http.request("GET", "/") as response:
        parts = []
        with pytest.raises(WireError):
            for part in read_parts(response.chunks(), "multipart/related; boundary=xx"):
                parts.append(b"".join(part.chunks()))
        assert parts == [b"one", b"two"]


@pytest.mark.slow
def test_a_server_that_hangs_in_the_middle(quick):
    def script(connection: Connection) -> None:
        connection.request()
        connection.say(body=b"half", length=100)
        server.ended.wait()

    with listening(script) as server, line(server.url, replace(quick, read_timeout=2.0)) as http:
        with pytest.raises(Unreachable, match="stopped sending"):
            http.request("GET", "/").read()


def test_closing_an_answer_early_drops_the_connection_and_drains_nothing(quick):
    hung_up = threading.Event()
    sent = 0

    def endless(connection: Connection) -> None:
        nonlocal sent
        connection.request()
        connection.say(length=2 << 30)
        try:
            while True:
                connection.sock.sendall(bytes(1 << 16))
                sent += 1 << 16
        except OSError:
            hung_up.set()

    with listening(endless, again_and_again) as server, line(server.url, quick) as http:
        response = http.request("GET", "/")
        received = response.chunks()
        next(received)
        response.close()
        assert hung_up.wait(60)
        assert sent < 64 << 20
        with pytest.raises(WireError, match="closed"):
            next(received)
        assert http.request("GET", "/").read() == b"[]", "the next request has a connection of its own"


def test_closing_the_generator_drops_the_connection(quick):
    hung_up = threading.Event()

    def long(connection: Connection) -> None:
        connection.request()
        connection.say(length=1 << 30)
        connection.sock.sendall(bytes(1000))
        connection.hung_up()
        hung_up.set()

    with listening(long) as server, line(server.url, quick) as http:
        received = http.request("GET", "/").chunks()
        next(received)
        received.close()
        assert hung_up.wait(60)


def test_close_ends_what_other_threads_wait_for(quick):
    waiting = threading.Barrier(3, timeout=60)

    def silent(connection: Connection) -> None:
        connection.request()
        waiting.wait()
        server.ended.wait()

    def half(connection: Connection) -> None:
        connection.request()
        connection.say(body=b"half", length=-1)
        server.ended.wait()

    with listening(half, silent) as server, ThreadPoolExecutor(2) as workers:
        http = line(server.url, replace(quick, read_timeout=60))
        received = http.request("GET", "/half").chunks()
        next(received)
        first = workers.submit(lambda: list(received))
        second = workers.submit(lambda: http.request("GET", "/silent"))
        third = threading.Thread(target=lambda: waiting.wait(), daemon=True)
        third.start()
        waiting.wait()
        join(third)
        http.close()
        for outcome in (first, second):
            with pytest.raises(Cancelled):
                outcome.result(60)
        with pytest.raises(Cancelled):
            http.request("GET", "/")


# --- statuses


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, TransactionError),
        (404, RemoteNotFound),
        (410, RemoteNotFound),
        (406, NotAcceptable),
        (415, NotAcceptable),
        (409, TransactionError),
        (418, TransactionError),
        (501, ServerFault),
        (599, ServerFault),
    ],
)
def test_a_status_becomes_an_error_that_says_everything(quick, status, error):
    page = (
        b"<html><style>p {}</style><p>No such\n <b>study</b> for " + SECRET.encode() + b"</p>" + b"x" * 1000
    )
    with answering(answers(Answer(status, page))) as server:
        with line(server.url, quick, BearerAuth(SECRET)) as http, pytest.raises(error) as caught:
            http.request("GET", "/studies/1", query=[("access_token", SECRET)], what="the search for series")
        assert len(server.asked) == 1
    failure = caught.value
    assert type(failure) is error
    assert failure.status == status
    assert failure.url == f"{server.url}/studies/1?access_token=***"
    assert failure.body_excerpt.startswith("No such study for *** x")
    assert len(failure.body_excerpt) <= 300
    assert str(failure).startswith("The search for series failed: server 'pacs' answered")
    assert SECRET not in str(failure)


def test_allowed_statuses_are_returned(quick):
    with answering(answers(Answer(409, b"{}"))) as server, line(server.url, quick) as http:
        with http.request("POST", "/studies", body=instance(), allow=(400, 409)) as response:
            assert (response.status, response.read()) == (409, b"{}")
    with answering(answers(Answer(503))) as server, line(server.url, quick) as http:
        assert http.request("GET", "/", allow={503}).status == 503


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_says_which_it_was(quick, status):
    with answering(answers(Answer(status, b"no"))) as server:
        with line(server.url, quick, BasicAuth("alice", SECRET)) as http:
            with pytest.raises(AuthenticationError, match="Basic as alice") as caught:
                http.request("GET", "/studies")
    assert caught.value.status == status
    assert caught.value.login == "Basic as alice"
    assert caught.value.server == server.url
    assert SECRET not in repr(caught.value)


class Renewing(NoAuth):
    """A login whose token can be renewed."""

    def __init__(self, renewable: bool = True) -> None:
        self.token = "old"
        self.renewable = renewable
        self.renewed = 0

    def authorize(self, request):
        return request.with_headers({"Authorization": f"Bearer {self.token}"}, secrets=(self.token,))

    def refresh(self):
        self.renewed += 1
        if self.renewable:
            self.token = "new"
        return self.renewable


def only_new(request):
    return Answer(200, b"[]") if request.headers["Authorization"] == "Bearer new" else Answer(401)


def test_a_401_renews_the_login_once_for_all_threads(quick):
    refused = threading.Barrier(8)

    def all_refused_first(request):
        answer = only_new(request)
        if answer.status == 401:
            refused.wait(60)
        return answer

    auth = Renewing()
    with (
        answering(all_refused_first) as server,
        line(server.url, quick, auth) as http,
        ThreadPoolExecutor(8) as workers,
    ):
        opened = []
        asked = [workers.submit(http.request, "POST", "/", body=instance(opened=opened)) for _ in range(8)]
        assert [one.result().status for one in asked] == [200] * 8
    assert auth.renewed == 1
    assert len(opened) == len(server.asked), "each try sends the body anew"


def test_a_login_that_cannot_be_renewed_is_refused_once(quick):
    auth = Renewing(renewable=False)
    with answering(only_new) as server, line(server.url, quick, auth) as http:
        with pytest.raises(AuthenticationError):
            http.request("GET", "/")
        assert (auth.renewed, len(server.asked)) == (1, 1)
    auth = Renewing()
    with answering(answers(Answer(401))) as server, line(server.url, quick, auth) as http:
        with pytest.raises(AuthenticationError):
            http.request("GET", "/")
        assert (auth.renewed, len(server.asked)) == (1, 2)


# --- retries


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(quick, status):
    with (
        answering(answers(Answer(status, b"busy"), Answer(200, b"ok"))) as server,
        line(server.url, quick) as http,
    ):
        assert http.request("GET", "/").read() == b"ok"
        assert len(server.asked) == 2


@pytest.mark.parametrize(("status", "asked"), [(503, 4), (500, 2)])
def test_a_server_that_stays_busy_is_given_up(quick, status, asked):
    with answering(answers(Answer(status))) as server, line(server.url, quick) as http:
        with pytest.raises(ServerFault):
            http.request("GET", "/")
        assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("status", "again"), [(429, True), (503, True), (408, False), (500, False), (502, False), (504, False)]
)
def test_a_store_is_repeated_only_when_nothing_was_done(quick, status, again):
    opened = []
    with answering(answers(Answer(status), Answer(200))) as server, line(server.url, quick) as http:
        if again:
            http.request("POST", "/studies", body=instance(opened=opened)).close()
        else:
            with pytest.raises(ServerFault):
                http.request("POST", "/studies", body=instance(opened=opened))
        assert len(server.asked) == len(opened) == (2 if again else 1)
        assert all(request.body.count(b"x" * 100) == 1 for request in server.asked)


@pytest.mark.parametrize("form", ["seconds", "date", "past", "nonsense"])
def test_retry_after_is_kept(quick, form, monkeypatch):
    waits = []
    monkeypatch.setattr(Http, "_pause", lambda _, seconds: waits.append(seconds))
    value = {
        "seconds": "1",
        "date": formatdate(time.time() + 100, usegmt=True),
        "past": formatdate(time.time() - 1000, usegmt=True),
        "nonsense": "soon",
    }[form]
    replies = answers(Answer(429, b"", {"Retry-After": value}), Answer(200))
    with answering(replies) as server, line(server.url, quick) as http:
        http.request("GET", "/").close()
    (waited,) = waits
    if form == "seconds":
        assert waited == 1
    elif form == "date":
        assert 0 < waited <= 100
    else:
        assert waited <= call_module.FIRST_WAIT


def test_retry_after_is_capped(quick, monkeypatch):
    monkeypatch.setattr(call_module, "MAX_WAIT", 0.05)
    replies = answers(Answer(503, b"", {"Retry-After": "86400"}), Answer(200))
    with answering(replies) as server, line(server.url, quick) as http:
        assert http.request("GET", "/").status == 200


def test_with_a_hold_requests_wait_for_what_another_was_answered(quick, monkeypatch):
    waits = []
    monkeypatch.setattr(Http, "_pause", lambda _, seconds: waits.append(seconds))
    hold = Hold()
    replies = answers(Answer(503, b"", {"Retry-After": "50"}), Answer(200), Answer(200))
    with answering(replies) as server, line(server.url, quick, hold=hold) as http:
        http.request("GET", "/first").close()
        assert waits[0] == 50
        assert 0 < hold.seconds <= 50
        waits.clear()
        http.request("GET", "/second").close()
    (waited,) = waits
    assert 0 < waited <= 50


def test_with_a_hold_a_busy_server_is_asked_until_patience_ends(quick, monkeypatch):
    """More often than all tries: the server has said each time when to come back."""
    waits = []
    monkeypatch.setattr(Http, "_pause", lambda _, seconds: waits.append(seconds))
    monkeypatch.setattr(Hold, "seconds", 0.0)
    busy = [Answer(503, b"", {"Retry-After": again}) for again in ("5", "0", "5")] * (quick.retries + 1)
    hold = Hold()
    with answering(answers(*busy, Answer(200), *busy)) as server, line(server.url, quick, hold=hold) as http:
        http.request("GET", "/").close()
        assert len(waits) == len(busy)
        assert min(waits) > 0  # Retry-After: 0 is no reason to ask without a pause
        monkeypatch.setattr(hold_module, "PATIENCE", -1.0)
        with pytest.raises(ServerFault):
            http.request("GET", "/")
    assert len(server.asked) == len(busy) + 1 + 1 + 1 + quick.retries


def test_waiting_for_a_retry_ends_with_close(quick):
    with (
        answering(answers(Answer(503, b"", {"Retry-After": "50"}))) as server,
        ThreadPoolExecutor(1) as worker,
    ):
        http = line(server.url, quick)
        asked = worker.submit(http.request, "GET", "/")
        until(lambda: server.asked)
        http.close()
        with pytest.raises(Cancelled):
            asked.result(40)


def hang_up(connection: Connection) -> None:
    connection.request()


def reset(connection: Connection) -> None:
    connection.request()
    connection.reset()


@pytest.mark.parametrize("rude", [hang_up, reset])
def test_a_dropped_get_is_asked_again(quick, rude):
    with listening(rude, rude, again_and_again) as server, line(server.url, quick) as http:
        assert http.request("GET", "/").read() == b"[]"
        assert server.connections == 3


@pytest.mark.parametrize("rude", [hang_up, reset])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_dropped_store_or_delete_is_not(quick, rude, method):
    with listening(rude, again_and_again) as server, line(server.url, quick) as http:
        with pytest.raises(Unreachable, match="without an answer"):
            http.request(method, "/studies", body=instance() if method == "POST" else None)
        assert server.connections == 1


def test_a_store_whose_connection_breaks_in_its_middle_is_not_repeated(quick):
    def half(connection: Connection) -> None:
        connection.head()
        connection.sock.recv(1000)
        connection.reset()

    opened = []
    with listening(half, again_and_again) as server, line(server.url, quick) as http:
        with pytest.raises(Unreachable, match="part of what was sent may be stored"):
            http.request("POST", "/studies", body=instance(bytes(20 << 20), opened))
        assert len(opened) == server.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_pooled_connection_that_died_is_replaced(quick, method):
    closed = threading.Event()

    def once(connection: Connection) -> None:
        connection.request()
        connection.say(body=b"[]")
        connection.sock.shutdown(socket.SHUT_RDWR)
        closed.set()

    opened = []
    with listening(once, again_and_again) as server, line(server.url, quick) as http:
        http.request("GET", "/").read()
        assert closed.wait(60)
        body = instance(opened=opened) if method == "POST" else None
        assert http.request(method, "/studies", body=body).read() == b"[]"
        assert server.connections == 2
        assert len(opened) == (method == "POST")


def test_a_body_does_not_go_down_a_connection_that_has_idled(quick, monkeypatch):
    monkeypatch.setattr("dicomdock.web.pool.FRESH", 0.0)
    with listening(again_and_again) as server, line(server.url, quick) as http:
        http.request("GET", "/").read()
        http.request("GET", "/").read()
        assert server.connections == 1
        http.request("POST", "/", body=instance()).read()
        assert server.connections == 2


@pytest.mark.parametrize(
    ("said", "connections"),
    [("timeout=0", 2), ("max=5, Timeout = 0", 2), ("timeout=60", 1), ("timeout=soon", 1), ("max=5", 1)],
)
def test_a_connection_is_used_no_longer_than_the_server_says(quick, said, connections):
    def saying(connection):
        while connection.request():
            connection.say("200 OK", b"[]", f"Keep-Alive: {said}")

    with listening(saying) as server, line(server.url, quick) as http:
        http.request("GET", "/").read()
        http.request("GET", "/").read()
        assert server.connections == connections


# --- redirects


def test_redirects_within_the_origin_are_followed(quick):
    def reply(request):
        if request.path.endswith("/studies"):
            return Answer(302, b"", {"Location": "/other/place?x=1"})
        return Answer(200, request.headers["Authorization"].encode())

    with answering(reply) as server, line(server.url + "/dicom-web", quick, BearerAuth(SECRET)) as http:
        assert http.request("GET", "/studies").read() == f"Bearer {SECRET}".encode()
        assert [request.path for request in server.asked] == ["/dicom-web/studies", "/other/place?x=1"]


def test_a_redirect_to_another_origin_gets_nothing(quick):
    with listening(again_and_again) as thief:
        reply = answers(Answer(307, b"", {"Location": thief.url + f"?token={SECRET}"}))
        with answering(reply) as server, line(server.url, quick, BearerAuth(SECRET)) as http:
            for call in ({}, {"method": "POST", "body": instance()}):
                with pytest.raises(TransactionError, match="was not followed") as caught:
                    http.request(**{"method": "GET", "path": "/studies", **call})
                assert SECRET not in str(caught.value)
        assert thief.connections == 0


def test_redirects_in_circles_end(quick):
    with (
        answering(answers(Answer(301, b"", {"Location": "/again"}))) as server,
        line(server.url, quick) as http,
    ):
        with pytest.raises(TransactionError, match="in circles"):
            http.request("GET", "/")
        assert len(server.asked) == 6


def test_a_store_is_sent_on_whole_or_not_at_all(quick):
    replies = answers(Answer(308, b"", {"Location": "/there"}), Answer(200))
    with answering(replies) as server, line(server.url, quick) as http:
        http.request("POST", "/studies", body=instance()).close()
        assert server.asked[0].body == server.asked[1].body
        assert server.asked[1].path == "/there"
    with (
        answering(answers(Answer(302, b"", {"Location": "/there"}))) as server,
        line(server.url, quick) as http,
    ):
        with pytest.raises(TransactionError, match="make that the server's address"):
            http.request("POST", "/studies", body=instance())
        assert len(server.asked) == 1


# --- no answer


def test_a_refused_connection(quick):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can answer there
        port = taken.getsockname()[1]
        with line(f"http://127.0.0.1:{port}/x", quick) as http:
            with pytest.raises(Unreachable, match=rf"127.0.0.1:{port} refused the connection") as caught:
                http.request("POST", "/studies", body=instance(), query=[("token", SECRET)])
    assert SECRET not in caught.value.url


def test_a_name_that_nobody_has(quick):
    with (
        line("http://no-such-host.invalid/x", quick) as http,
        pytest.raises(Unreachable, match="No machine is known"),
    ):
        http.request("GET", "/")


def test_a_server_that_says_nothing(quick):
    with answering(lambda _: None) as server, line(server.url, replace(quick, read_timeout=0.2)) as http:
        with pytest.raises(Unreachable, match=r"sent nothing for 0.2 s"):
            http.request("GET", "/")
        until(lambda: server.asked)  # its thread may be slower than our patience
        assert len(server.asked) == 1, "a server that hangs is not made to hang again"


def test_a_server_that_speaks_something_else(quick):
    def greet(connection: Connection) -> None:
        connection.sock.sendall(b"220 mail ready\r\n")
        connection.hung_up()

    with listening(greet) as server, line(server.url, replace(quick, retries=0)) as http:
        with pytest.raises(Unreachable, match="without an answer"):
            http.request("GET", "/")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 999999 what\r\n\r\n",
    ],
    ids=["many headers", "long header", "odd status"],
)
def test_an_answer_that_breaks_the_rules_is_an_error_of_ours(quick, answer):
    def script(connection: Connection) -> None:
        connection.request()
        connection.sock.sendall(answer)

    with listening(script) as server, line(server.url, replace(quick, retries=0)) as http:
        with pytest.raises((Unreachable, TransactionError, WireError)):
            http.request("GET", "/")


# --- TLS, proxy


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return own_certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.slow
def test_a_certificate_that_nobody_knows_is_refused(quick, certificate):
    with answering(answers(Answer(200, b"ok")), certificate=certificate) as server:
        with line(server.url, quick, BearerAuth(SECRET)) as http:
            with pytest.raises(Unreachable, match=r"certificate .* is not trusted.*ca_file"):
                http.request("GET", "/")
        assert not server.asked
        with line(server.url, quick, ca_file=str(certificate)) as http:
            assert http.request("GET", "/").read() == b"ok"
        with line(server.url, quick, ca_file=str(certificate), client_certificate=str(certificate)) as http:
            assert http.request("GET", "/").read() == b"ok"


def pinned(server, settings, name="pacs.test", addresses=("127.0.0.1",), **more):
    """Give a connection by a name that only ``addresses`` lead to."""
    return Http(
        ServerProfile("pacs", server.url.replace("127.0.0.1", name), **more).endpoint,
        BearerAuth(SECRET),
        settings.connection,
        addresses=addresses,
    )


@pytest.mark.slow
def test_a_name_that_was_judged_is_not_looked_up_again(quick, certificate):
    with answering(answers(Answer(200, b"ok"))) as server:
        # The first address refuses; no name server knows this name.
        with pinned(server, quick, addresses=("127.0.0.2", "127.0.0.1")) as http:
            assert http.request("GET", "/").read() == b"ok"
        assert server.asked[0].headers["Host"] == server.url.replace("http://127.0.0.1", "pacs.test")
        with pinned(server, quick, addresses=()) as http, pytest.raises(Unreachable, match="No machine"):
            http.request("GET", "/")
        assert len(server.asked) == 1
    with answering(answers(Answer(200, b"ok")), certificate=certificate) as server:
        with pinned(server, quick, ca_file=str(certificate)) as http:
            assert http.request("GET", "/").read() == b"ok"
        with pinned(server, quick, "other.test", ca_file=str(certificate)) as http:
            with pytest.raises(Unreachable, match="not trusted"):
                http.request("GET", "/")
        assert len(server.asked) == 1


def test_https_to_a_plain_port(quick):
    with listening(lambda c: c.sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as server:
        with line(server.url.replace("http:", "https:"), quick) as http:
            with pytest.raises(Unreachable, match="does not speak TLS"):
                http.request("GET", "/")


def test_certificate_files_that_cannot_be_used(quick, tmp_path):
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    for files in ({"ca_file": str(broken)}, {"client_certificate": str(tmp_path / "missing.pem")}):
        with pytest.raises(ProfileError, match="certificate file"):
            line("https://127.0.0.1", quick, **files)


def test_a_certificate_with_a_protected_key_does_not_ask_on_the_terminal(quick, tmp_path, certificate):
    import subprocess

    key = tmp_path / "key.pem"
    make = ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", certificate, "-out", key]
    subprocess.run(make, check=True, capture_output=True)
    with pytest.raises(ProfileError, match="protected by a password"):
        line("https://127.0.0.1", quick, client_certificate=str(certificate), client_key=str(key))


def test_the_profiles_proxy_is_used_and_its_login_stays_there(quick):
    def proxy(connection: Connection) -> None:
        while connection.request():
            connection.say(body=b"by proxy")

    with listening(proxy) as server:
        address = server.url.replace("/dicom-web", "").replace("http://", "http://bob:pw%40@")
        with line("http://pacs.invalid/dicom-web", quick, BearerAuth(SECRET), proxy=address) as http:
            assert http.request("GET", "/studies", query=[("PatientName", "A^B")]).read() == b"by proxy"
    request = server.asked[0].decode()
    assert target(server.asked[0]) == "http://pacs.invalid/dicom-web/studies?PatientName=A^B"
    assert "proxy-authorization: Basic Ym9iOnB3QA==" in request
    assert "Host: pacs.invalid\r\n" in request


@pytest.mark.slow
def test_https_goes_through_a_tunnel_that_sees_no_login(quick, certificate):
    def tunnel(connection: Connection) -> None:
        request = connection.request()
        port = int(target(request).split(":")[1])
        with socket.create_connection(("127.0.0.1", port)) as onward:
            connection.sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")

            def back() -> None:
                with suppress(OSError):
                    while data := onward.recv(1 << 16):
                        connection.sock.sendall(data)

            returning = threading.Thread(target=back, daemon=True)
            returning.start()
            while data := connection.sock.recv(1 << 16):
                onward.sendall(data)
            onward.shutdown(socket.SHUT_RDWR)
            join(returning)

    reply = answers(Answer(200, b"inside"))
    with answering(reply, certificate=certificate) as server, listening(tunnel) as proxy:
        options = {"ca_file": str(certificate), "proxy": proxy.url.replace("/dicom-web", "")}
        with line(server.url, quick, BearerAuth(SECRET), **options) as http:
            assert http.request("GET", "/studies", query=[("PatientName", "A^B")]).read() == b"inside"
        assert server.asked[0].path == "/studies?PatientName=A^B"
        assert SECRET.encode() not in b"".join(proxy.asked)


def test_a_proxy_that_refuses_the_tunnel_is_named(quick):
    with listening(lambda c: (c.request(), c.say("407 Login Required"))) as proxy:
        with line("https://pacs.invalid", quick, proxy=proxy.url.replace("/dicom-web", "")) as http:
            with pytest.raises(Unreachable, match=r"proxy on the way to pacs.invalid .*407"):
                http.request("GET", "/")


def test_the_environments_proxy_is_used_but_not_for_this_machine(quick, monkeypatch):
    with listening(again_and_again) as proxy, answering(answers(Answer(200, b"direct"))) as server:
        monkeypatch.setenv("http_proxy", proxy.url.replace("/dicom-web", ""))
        monkeypatch.delenv("no_proxy", raising=False)
        with line(server.url, quick) as http:
            assert http.request("GET", "/").read() == b"direct"
        with line("http://pacs.invalid", quick) as http:
            assert http.request("GET", "/").read() == b"[]"
        monkeypatch.setenv("no_proxy", "pacs.invalid")
        with line("http://pacs.invalid", quick) as http, pytest.raises(Unreachable):
            http.request("GET", "/")


def test_a_proxy_that_refuses_is_named_without_its_login(quick):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://bob:{SECRET}@127.0.0.1:{taken.getsockname()[1]}"
        with line("http://pacs.invalid", quick, proxy=proxy) as http:
            with pytest.raises(Unreachable, match="The proxy on the way") as caught:
                http.request("GET", "/")
    assert SECRET not in str(caught.value)


# --- log, threads


def test_nothing_secret_reaches_a_log(quick, caplog):
    caplog.set_level(logging.DEBUG)
    with answering(answers(Answer(503, b"", {"Set-Cookie": SECRET}), Answer(200))) as server:
        with line(server.url, quick, BearerAuth(SECRET)) as http:
            http.request("GET", "/studies", query=[("PatientID", "7"), ("access_TOKEN", SECRET)]).close()
    assert SECRET not in caplog.text
    assert "GET" in caplog.text
    assert "/studies?PatientID=7&access_TOKEN=*** -> 200 in" in caplog.text


def test_every_answer_is_masked_by_the_login_of_its_own_request(quick):
    auth = Renewing()

    def repeats(request):
        return Answer(400, request.headers["Authorization"].encode())

    with answering(repeats) as server, line(server.url, quick, auth) as http:
        for token in (SECRET, SECRET[::-1], SECRET):
            auth.token = token
            with pytest.raises(TransactionError) as caught:
                http.request("GET", "/")
            assert "***" in str(caught.value)
            assert token not in repr(vars(caught.value)) + str(caught.value)


@pytest.mark.slow
def test_many_threads_share_one_line(quick):
    payloads = [os.urandom(50_000) for _ in range(20)]

    def reply(request):
        return Answer(200, payloads[int(request.path.rpartition("/")[2])])

    with answering(reply) as server, line(server.url, quick) as http, ThreadPoolExecutor(16) as workers:
        received = list(workers.map(lambda n: http.request("GET", f"/{n % 20}").read(), range(300)))
    assert received == [payloads[n % 20] for n in range(300)]
