"""The way back to a viewer that has ended: its address leads to the study's next viewer.

Pages stay open in hidden tabs, in the browser's history and in closed tabs that one opens again, and all of
them name the port of a viewer that gave its memory up. The dock listens there in its place. It admits
whom the viewer would have admitted: this user, this address, this secret.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dicomdock.errors import DicomdockError
from dicomdock.web.cookies import cookie_values
from dicomdock.web.peers import peer_of

MOST = 32  # addresses; the oldest ones go
REQUEST_SECONDS = 10.0  # for a request to arrive
LOOPBACK = "127.0.0.1"
PAGES = ("/", "/index.html")
FROM_HERE = ("same-origin", "same-site", "none")

log = logging.getLogger(__name__)
Reopen = Callable[[], str]


class ViewerReturn:
    """Listens on the ports of viewers that have ended, in a thread that begins with the first of them."""

    def __init__(self) -> None:
        self._servers: dict[int, _Server] = {}
        self._lock = threading.Lock()
        self._loop: _Loop | None = None
        self._closed = False

    def add(self, port: int, secret: str, reopen: Reopen) -> bool:
        """Lead who comes to a port to where ``reopen`` opens the study; return whether the port was free.

        Parameters
        ----------
        port : of the viewer that has ended.
        secret : of its page.
        reopen : opens the study and returns its address; may block, and raise a ``DicomdockError``.
        """
        try:
            server = _Server(port, secret, reopen)
        except OSError as error:
            log.info("The address of a viewer that has ended is not available: %s", error)
            return False
        with self._lock:
            if self._closed:
                server.server_close()
                return False
            if self._loop is None:
                self._loop = _Loop(self._answer)
            self._servers[port] = server
            self._loop.selector.register(server, selectors.EVENT_READ)
            while len(self._servers) > MOST:
                self._drop(self._loop, next(iter(self._servers)))
            self._loop.wake.send(b"-")
        return True

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
            if loop is None:
                return
            for port in list(self._servers):
                self._drop(loop, port)
        loop.close()

    def _drop(self, loop: _Loop, port: int) -> None:
        server = self._servers.pop(port)
        loop.selector.unregister(server)
        server.server_close()

    def _answer(self, ready: list[_Server]) -> bool:
        """Answer those who came, each in a thread of its own; return whether to go on listening."""
        with self._lock:
            for server in ready:
                if server in self._servers.values():
                    server.handle_request()
            return not self._closed


class _Loop:
    """Waits for connections in a thread of its own, until it is closed."""

    def __init__(self, answer: Callable[[list[_Server]], bool]) -> None:
        self._answer = answer
        self.selector = selectors.DefaultSelector()
        self.wake, self._woken = socket.socketpair()
        self.selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="viewer return", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.wake.send(b"-")
        self._thread.join()
        self.selector.close()
        self.wake.close()
        self._woken.close()

    def _run(self) -> None:
        going_on = True
        while going_on:
            ready = [key.fileobj for key, _ in self.selector.select()]
            if self._woken in ready:
                self._woken.recv(64)
            going_on = self._answer([one for one in ready if isinstance(one, _Server)])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    timeout = 0

    def __init__(self, port: int, secret: str, reopen: Reopen) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.port, self.secret, self.reopen = port, secret, reopen

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        return peer_of(client_address[:2], (LOOPBACK, self.port)) != "other"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        log.debug("A request for a viewer that has ended was broken off.", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS
    server: _Server
    server_version, sys_version = "dicomdock", ""

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        if not self._is_admitted(target.query):
            self._answer(403)
        elif target.path not in PAGES:
            self._answer(410)
        else:
            try:
                self._answer(302, location=self.server.reopen())
            except DicomdockError as error:
                self._answer(503, text=str(error))

    def do_HEAD(self) -> None:
        self._answer(410 if self._is_admitted(urlsplit(self.path).query) else 403)

    def _is_admitted(self, query: str) -> bool:
        port = self.server.port
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            return False
        if self.headers.get("Sec-Fetch-Site", "none") not in FROM_HERE or self.headers.get("Origin"):
            return False
        cookies = ";".join(self.headers.get_all("Cookie", []))
        given = [*cookie_values(cookies, f"dicomdock-viewer-{port}"), *parse_qs(query).get("secret", [])]
        return any(self._is_secret(one) for one in given)

    def _is_secret(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), self.server.secret.encode())

    def _answer(self, status: int, *, location: str = "", text: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Log nothing: the address holds the secret."""
