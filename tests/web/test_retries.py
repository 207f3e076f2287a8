"""What is requested again, and where a redirect leads."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from dicomdock.errors import Cancelled, ServerFault, TransactionError, Unreachable
from dicomdock.web import call as call_module
from dicomdock.web import hold as hold_module
from dicomdock.web.auth import BearerAuth
from dicomdock.web.hold import Hold
from dicomdock.web.transport import Http
from tests.dicomweb.sockets import Connection, listening
from tests.servers.canned import Answer, answering
from tests.waiting import until
from tests.web.connecting import SECRET, again_and_again, answers, instance, line


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
