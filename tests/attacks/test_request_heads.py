"""Heads of requests: endless, with a million headers, never ended, or piled up before one answer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
from starlette.responses import PlainTextResponse

from dicomdock.origin import connections
from dicomdock.origin.serving import Server
from tests.waiting import join, until

PATIENCE = 60.0  # seconds, on any machine
LARGEST = 64 << 20  # bytes that a client sends before it gives up
BLOCK = 1 << 16
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Serving:
    """A server in a thread; ``release`` lets answers begin."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.release = threading.Event()
        self.release.set()
        self.server = Server(self)

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        while not self.release.is_set():
            await asyncio.sleep(0.005)
        await PlainTextResponse("answered")(scope, receive, send)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=PATIENCE)

    def ask(self) -> bytes:
        with closing(self.connect()) as client:
            client.sendall(GET + b"Connection: close\r\n\r\n")
            return client.makefile("rb").read()


@pytest.fixture
def serving() -> Iterator[Serving]:
    with running() as made:
        yield made


@contextmanager
def running() -> Iterator[Serving]:
    made = Serving()
    begun = threading.Event()
    made.server.on_start = begun.set
    thread = threading.Thread(target=lambda: asyncio.run(made.server.serve([made.listener])))
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        yield made
    finally:
        made.release.set()
        made.server.end()
        join(thread)


def sent_until_closed(client: socket.socket, head: bytes, block: bytes) -> int:
    """Send a head and then blocks until the connection ends; return how many bytes of them went."""
    client.sendall(head)
    sent = 0
    with suppress(ConnectionError):
        while sent < LARGEST:
            client.sendall(block)
            sent += len(block)
        client.recv(1)
    return sent


@pytest.mark.parametrize(
    ("head", "block"),
    [
        pytest.param(GET + b"X: ", b"a" * BLOCK, id="value"),
        pytest.param(GET, b"a" * BLOCK, id="name"),
        pytest.param(b"GET /?", b"a" * BLOCK, id="address"),
        pytest.param(GET, b"a:b\r\n" * (BLOCK // 5), id="headers"),
        pytest.param(b"", b"\r\n" * (BLOCK // 2), id="empty lines"),
        pytest.param(CHUNKED + b"0\r\n", b"a:b\r\n" * (BLOCK // 5), id="trailers"),
        pytest.param(CHUNKED + b"5;", b"a" * BLOCK, id="chunk extension"),
    ],
)
def test_an_endless_head_ends_the_connection(serving: Serving, head: bytes, block: bytes):
    """A head of 100 MB held the event loop for 17 s; 20 MB of trailers took 500 MB."""
    serving.release.clear()  # trailers come while an answer is made
    with closing(serving.connect()) as client:
        assert sent_until_closed(client, head, block) < LARGEST
    serving.release.set()
    assert serving.ask().endswith(b"answered")


@pytest.mark.slow
def test_requests_that_pile_up_are_not_held(serving: Serving):
    """20 MB of them took 800 MB."""
    serving.release.clear()
    with closing(serving.connect()) as client:
        sender = threading.Thread(target=sent_until_closed, args=(client, b"", (GET + b"\r\n") * 1000))
        sender.start()
        until(lambda: any(one._last for one in _open(serving)), "requests pile up")
        held = max(len(one.pipeline) for one in _open(serving))
        assert held <= connections.MAX_PIPELINED + connections.SLICE // len(GET)
        serving.release.set()
        assert read_until_closed(client).count(b"answered") <= held + 1
        join(sender)


def _open(serving: Serving) -> list[connections.Connections]:
    return list(serving.server.server_state.connections)  # type: ignore[arg-type]


def read_until_closed(client: socket.socket) -> bytes:
    read = bytearray()
    with suppress(ConnectionError):
        while block := client.recv(BLOCK):
            read += block
    return bytes(read)


def test_requests_in_a_row_on_one_connection_are_all_answered(serving: Serving):
    count = connections.MAX_PIPELINED // 2
    with closing(serving.connect()) as client:
        client.sendall((GET + b"\r\n") * (count - 1) + GET + b"Connection: close\r\n\r\n")
        assert client.makefile("rb").read().count(b"answered") == count


def test_the_cookies_of_all_programs_on_this_host_are_a_head(serving: Serving):
    cookies = b"".join(b"Cookie: n%d=%s\r\n" % (at, b"x" * 4000) for at in range(180))
    with closing(serving.connect()) as client:
        client.sendall(GET + cookies + b"Connection: close\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"answered")


@pytest.mark.parametrize("begun", [b"", GET, GET + b"\r\n" + GET], ids=["nothing", "a head", "a second head"])
def test_a_head_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch, begun: bytes):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    with running() as serving, closing(serving.connect()) as client:
        client.sendall(begun)
        read_until_closed(client)  # which does not time out


def test_who_waits_longest_makes_room(serving: Serving, monkeypatch: pytest.MonkeyPatch):
    """1,100 connections that sent half a head stopped every answer for good."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(serving.connect())) for _ in range(20)]
        for client in clients[:10]:
            assert read_until_closed(client) == b""
        assert serving.ask().endswith(b"answered")
        clients[-1].sendall(GET + b"Connection: close\r\n\r\n")
        assert clients[-1].makefile("rb").read().endswith(b"answered")


def test_files_can_be_opened_beside_all_connections(serving: Serving):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard or soft == resource.RLIM_INFINITY or soft >= 2 * connections.MAX_CONNECTIONS
    assert connections.max_connections() <= max(soft // 2, 1)
