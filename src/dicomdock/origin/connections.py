"""HTTP connections of uvicorn: bounded, and taken from this user's programs alone.

uvicorn bounds neither heads of requests nor how many of them wait on a connection, and waits for a head for
ever. A client that never ends one costs no memory here beyond the bounds, and keeps nobody else out.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dicomdock.web.peers import is_foreign

if TYPE_CHECKING:
    from asyncio import TimerHandle

MAX_HEAD = 1 << 20  # bytes; browsers send the cookies of all programs on this host, up to 180 of 4 kB
MAX_HEADERS = 256
MAX_PIPELINED = 100  # requests that wait for the answers before them
HEAD_SECONDS = 30.0  # for the head of a request, from the connection or the answer before it
MAX_CONNECTIONS = 1000  # beyond, the one that has waited longest for a request is closed
SLICE = 1 << 16  # bytes that are parsed before the bounds are looked at again


def allow_files() -> None:
    """Let this process have as many files and connections open as it serves, where the system allows it."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < 2 * MAX_CONNECTIONS:
            wanted = 2 * MAX_CONNECTIONS
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def max_connections() -> int:
    """Return how many connections are held: so many that files can still be opened beside them."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


class Connections(HttpToolsProtocol):
    """A connection whose heads, trailers and waiting requests are bounded, in size and in time."""

    _unparsed = 0  # bytes since the last head, piece of a body or end of a message
    _since: float | None = None  # it has waited for a request since then; None while one is answered
    _timer: TimerHandle | None = None
    _last = False  # nothing more is read, and it is closed after the answers that are due

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection; of too many, the one that has waited longest for a request is closed."""
        super().connection_made(cast(asyncio.Transport, transport))
        if self.refuses():
            self.transport.abort()
            return
        self._since = self.loop.time()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._check)
        if len(self.connections) > max_connections():
            waiting = [one for one in self.connections if isinstance(one, Connections) and one.waiting]
            min(waiting, key=lambda one: one._since or 0.0).transport.abort()

    def refuses(self) -> bool:
        """Return whether nothing is to be read from whoever connected."""
        return False

    @property
    def waiting(self) -> bool:
        """It waits for the head of a request, and is open."""
        return self._since is not None and not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Pass the connection to the WebSocket protocol."""
        self._stop_timer()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Read a piece of a request, within the bounds."""
        for start in range(0, len(data), SLICE):
            if self._last or self.transport.is_closing() or self not in self.connections:
                return  # the last is a WebSocket's now
            piece = data[start : start + SLICE]
            self._unparsed += len(piece)
            super().data_received(piece)
            if self._unparsed > MAX_HEAD or len(self.headers or ()) > MAX_HEADERS:
                self._refuse("The head of the request is too large.")
            self._last |= len(self.pipeline) > MAX_PIPELINED

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        if len(self.headers) > MAX_HEADERS:
            raise ValueError("The request has too many headers.")  # which the parser makes a 400 of
        self._unparsed = 0
        self._since = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of a body on."""
        self._unparsed = 0
        if self._since is not None:  # the answer came before the end of the body, which is still read
            self._since = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a body."""
        self._unparsed = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there."""
        if not self.pipeline:
            self._since = self.loop.time()
        super().on_response_complete()
        if self._last and self._since is not None:
            self.transport.close()

    def _refuse(self, reason: str) -> None:
        if self.waiting:
            self.send_400_response(reason)
        elif self.pipeline:
            self._last = True
        else:
            self.transport.abort()

    def _check(self) -> None:
        """Close a connection that has waited for too long, or look again later."""
        left = HEAD_SECONDS
        if self._since is not None:
            left -= self.loop.time() - self._since
        if left <= 0:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(left, self._check)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OwnConnections(Connections):
    """Closes a connection from another user of this machine before anything is read from it."""

    def refuses(self) -> bool:
        """Return whether it is another user's."""
        return is_foreign(self.transport)
