"""Checks of every request: loopback alone is not a fence, as every web page reaches it.

Every request, WebSockets included, passes three questions: is it addressed to this dock (Host, against DNS
rebinding), does it come from a page of this dock (Origin, Sec-Fetch-Site, against other sites and other
ports), does it carry a session that began with a one-time token (or a bearer token, for the DICOMweb services
only). The answer then gets its security headers (``csp``).

References
----------
docs/map.md, section "Safety", rule 3; Fetch Metadata Request Headers; RFC 6750.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from importlib import resources

from dicomdock.dock.asgi import AsgiApp, Receive, Scope, Send, refuse, reply
from dicomdock.dock.security.csp import SecureSend
from dicomdock.dock.security.sessions import (
    MAX_SESSION_BODY,
    SERVICES,
    Keys,
    Proof,
    SessionCookie,
    proof_of,
)
from dicomdock.origin.granted import GRANT
from dicomdock.web.cookies import cookie_values

READING = frozenset({"GET", "HEAD"})
MAY_RESUME = b"<body data-resume>"
_STATIC: Mapping[str, str] = {
    "/session/entry.js": "text/javascript",
    "/session/begin.js": "text/javascript",
    "/session/entry.css": "text/css",
}


class Guard:
    """ASGI middleware around the whole dock.

    Parameters
    ----------
    app : the dock's application.
    keys : its tokens and sessions.
    port : the TCP port that the dock answers on; part of the cookie's name, as cookies ignore ports.
    """

    def __init__(self, app: AsgiApp, keys: Keys, port: int) -> None:
        self.app = app
        self.keys = keys
        self.cookie = SessionCookie(port)
        self.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        request = _Request(scope, self)
        status, reason = request.judge()
        if scope["type"] == "websocket":
            if status:
                # Closing before accepting makes the server answer the handshake with 403.
                await send({"type": "websocket.close", "code": 1008, "reason": reason})
            else:
                await self.app(scope, receive, send)
            return
        host = request.headers.get("host", "")
        guarded = SecureSend(request.path, host if host in self.hosts else "127.0.0.1", send)
        if status == 401 and request.is_visit:
            page = _entry_file("entry.html")
            if not request.is_ours:
                # No other site may lead a session that was lost into the dock.
                page = page.replace(MAY_RESUME, b"<body>")
            await reply(guarded, 401, "text/html; charset=utf-8", page)
        elif status:
            extra = [(b"www-authenticate", b'Bearer realm="dicomdock"')] if status == 401 else []
            await refuse(guarded, status, reason, extra)
        elif request.path == "/session":
            await self._begin_session(scope, receive, guarded, host)
        elif request.path in _STATIC:
            await reply(guarded, 200, _STATIC[request.path], _entry_file(request.path.rsplit("/", 1)[1]))
        else:
            await self.app(scope, receive, guarded)

    async def _begin_session(self, scope: Scope, receive: Receive, send: Send, host: str) -> None:
        if scope["method"] == "GET":
            challenge = json.dumps({"challenge": self.keys.browsers.challenge()}).encode()
            await reply(send, 200, "application/json", challenge)
            return
        if scope["method"] != "POST":
            await refuse(send, 405, "A session begins with POST.")
            return
        body = b""
        more = True
        while more and len(body) <= MAX_SESSION_BODY:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        begun = await asyncio.to_thread(self._begin, f"http://{host}", proof_of(body))
        if begun is None:
            await refuse(
                send, 403, "This link was used already or is too old. Run dicomdock run for a new one."
            )
            return
        session, browser = begun
        headers = [(b"set-cookie", self.cookie.header(session).encode())]
        await reply(send, 200, "application/json", json.dumps(browser).encode(), headers)

    def _begin(self, origin: str, proof: Proof) -> tuple[str, Mapping[str, str]] | None:
        """Return a new session and a new key for the browser; None without proof."""
        if proof.token:
            session = self.keys.redeem(proof.token)
        else:
            session = None if proof.answer is None else self.keys.resume(origin, proof.answer)
        return None if session is None else (session, self.keys.browsers.issue(origin))


class _Request:
    """What the guard looks at in one request or WebSocket handshake."""

    def __init__(self, scope: Scope, guard: Guard) -> None:
        self.scope = scope
        self.guard = guard
        self.path: str = scope["path"]
        self.headers: dict[str, str] = {}
        self.repeated: set[str] = set()
        for raw_name, raw_value in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            if name in self.headers:
                self.repeated.add(name)
            self.headers[name] = raw_value.decode("latin-1")
        self.method: str = scope.get("method", "GET")
        self.socket = scope["type"] == "websocket"

    @property
    def is_visit(self) -> bool:
        """A browser going to a page, as opposed to a script or an image asking for something."""
        mode = self.headers.get("sec-fetch-mode", "navigate")
        return self.method == "GET" and mode == "navigate" and "text/html" in self.headers.get("accept", "")

    @property
    def service(self) -> str:
        """The root of the DICOMweb service that is asked; empty for pages."""
        return next((root for root in SERVICES if self.path == root or self.path.startswith(root + "/")), "")

    def judge(self) -> tuple[int, str]:
        """Return the status to refuse with and why; (0, "") lets it through."""
        # One header of each kind: what we check must be what the application reads.
        host = self.headers.get("host", "")
        if host not in self.guard.hosts or "host" in self.repeated:
            return 421, "This is not an address of the dock."
        if not self.is_ours:
            if self.is_visit and "origin" not in self.headers:
                # Such as from the file that a browser is started with. The visit gets the entry page,
                # whatever session comes along: what that page does then is the dock's own.
                return 401, "This page needs a session."
            return 403, "Pages of other sites may not talk to the dock."
        if self.path == "/session" or (self.path in _STATIC and self.method in READING and not self.socket):
            return 0, ""
        if self._has_session():
            # The cookie comes along with requests that other places start; acting needs proof that a page of
            # ours asked.
            if (self.socket or self.method not in READING) and not self._is_proven_ours(host):
                return 403, "Only pages of the dock may act with its session."
            return 0, ""
        if self.service and not self.socket:
            return self._judge_bearer()
        return 401, "This page needs a session. Run dicomdock run to open one."

    @property
    def is_ours(self) -> bool:
        """Whether no page of another site or port started the request."""
        host, origin = self.headers.get("host", ""), self.headers.get("origin")
        if origin is not None and (origin != f"http://{host}" or "origin" in self.repeated):
            return False
        return self.headers.get("sec-fetch-site", "none") in ("none", "same-origin")

    def _is_proven_ours(self, host: str) -> bool:
        return (
            self.headers.get("origin") == f"http://{host}"
            or self.headers.get("sec-fetch-site") == "same-origin"
        )

    def _has_session(self) -> bool:
        sessions = cookie_values(self.headers.get("cookie", ""), self.guard.cookie.name)
        return any(self.guard.keys.holds_session(session) for session in sessions)

    def _judge_bearer(self) -> tuple[int, str]:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        grant = self.guard.keys.granted(token.strip()) if scheme.lower() == "bearer" else None
        if grant is None or "authorization" in self.repeated:
            return 401, "This service needs a token. Copy a link of the study from the dock's page."
        if grant.root not in ("", self.service):
            return 403, "This token is for another service."
        if grant.resource is None:
            return 0, ""
        if self.method not in READING:
            return 403, "This token is for reading only."
        self.scope[GRANT] = grant.resource  # the origin server lets nothing else be read
        return 0, ""


def _entry_file(name: str) -> bytes:
    return (resources.files("dicomdock.dock") / "static" / name).read_bytes()
