"""A server that answers with bytes as a test writes them, head and all: what no HTTP library would send."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.waiting import join


@dataclass(frozen=True)
class RawRequest:
    """What a client sent."""

    method: str
    target: str
    head: str

    def header(self, name: str) -> str:
        """Return the value of a header field; empty where there is none."""
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return ""


@dataclass
class RawServer:
    """A running server and what it was asked."""

    url: str
    asked: list[RawRequest] = field(default_factory=list)


@contextmanager
def answering_raw(reply: Callable[[RawRequest], Iterable[bytes]]) -> Iterator[RawServer]:
    """Run a server on loopback that sends the pieces of each answer one by one, and closes."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = 30

        def handle(self) -> None:
            with suppress(OSError, ValueError):
                lines = []
                while (line := self.rfile.readline(1 << 16)).strip():
                    lines.append(line.decode("latin-1").rstrip("\r\n"))
                if not lines:
                    return
                method, target, *_ = lines[0].split(" ")
                request = RawRequest(method, target, "\r\n".join(lines))
                self._skip_body(request)
                server.asked.append(request)
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in reply(request):
                    self.connection.sendall(piece)

        def _skip_body(self, request: RawRequest) -> None:
            if request.header("Transfer-Encoding").lower() == "chunked":
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    self.rfile.read(size + 2)
                self.rfile.readline()
            else:
                self.rfile.read(int(request.header("Content-Length") or 0))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        allow_reuse_address = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            pass  # clients that hang up are part of the tests

    listener = Server(("127.0.0.1", 0), Handler)
    server = RawServer(f"http://127.0.0.1:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        join(thread)
