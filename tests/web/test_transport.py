# ruff: noqa: SIM117 - server, client and expected error read best as levels
"""One request and its answer: what goes over the socket, statuses, broken answers, the log."""

from __future__ import annotations

import gzip
import logging
import os
import socket
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dicomdock.errors import (
    AuthenticationError,
    Cancelled,
    InvalidInput,
    NotAcceptable,
    RemoteNotFound,
    ServerFault,
    TransactionError,
    Unreachable,
    WireError,
)
from dicomdock.sources import Part
from dicomdock.web.auth import BasicAuth, BearerAuth, NoAuth
from dicomdock.web.multipart.reader import read_parts
from dicomdock.web.multipart.writer import MultipartBody
from tests.dicomweb.sockets import Connection, listening
from tests.servers.canned import Answer, answering
from tests.waiting import join, until
from tests.web.connecting import SECRET, again_and_again, answers, instance, line, target

# --- what goes over the socket


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
