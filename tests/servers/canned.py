"""A server that says what a test tells it to: for answers that no well-behaved server gives."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.waiting import join


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What it is told; a body whose ``Content-Length`` is given otherwise is sent all the same."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Reply = Callable[[Request], Answer | None]
"""Gives the answer to a request; None says nothing at all and keeps the connection open until the end."""


@dataclass
class Canned:
    """A running server and what it was asked."""

    url: str
    asked: list[Request] = field(default_factory=list)


@contextmanager
def answering(reply: Reply, *, certificate: Path | None = None) -> Iterator[Canned]:
    """Run a server on loopback that answers every request by the function.

    Parameters
    ----------
    certificate : PEM file with key and certificate; the server then speaks TLS.
    """
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet: the kernel holds back a second small one for 40 ms

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, dict(self.headers), body)
            canned.asked.append(request)
            answer = reply(request)
            if answer is None:
                ended.wait()
                self.close_connection = True
                return
            self.send_response(answer.status)
            headers = {"Content-Length": str(len(answer.body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()
            self.close_connection = headers["Content-Length"] != str(len(answer.body))

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            pass  # clients that hang up are part of the tests

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    canned = Canned(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield canned
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        join(thread)


def own_certificate(folder: Path) -> Path:
    """Make a key and a certificate of 127.0.0.1 and pacs.test that nobody signed; give the PEM file."""
    file = folder / "certificate.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    make += " -addext subjectAltName=IP:127.0.0.1,DNS:pacs.test"
    key = folder / "key.pem"
    subprocess.run([*make.split(), "-keyout", key, "-out", file], check=True, capture_output=True)
    file.write_text(file.read_text() + key.read_text())
    return file
