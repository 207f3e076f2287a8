"""Guard: who may talk to the dock; loopback alone is no fence, as every web page reaches it.

Every request, WebSockets included, passes four questions: is it addressed to this dock (Host, against DNS
rebinding), does it come from a page of this dock (Origin, Sec-Fetch-Site, against other sites and other
ports), does it carry a session that began with a one-time token (or a bearer token, for the DICOMweb
services only), and may a script of another place embed the answer (security headers).

References
----------
docs/map.md, section "Safety", rule 3; Fetch Metadata Request Headers; RFC 6265bis §5.8.3; RFC 6750.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, TypeAlias

from dicomdock.dicom.resource import Resource
from dicomdock.origin.granted import GRANT

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_BYTES = 32
ONE_TIME_SECONDS = 3600.0  # a printed link may be clicked after a coffee, not tomorrow
GRANT_SECONDS = 900.0  # long enough to start 3D Slicer and begin a retrieval
MAX_SESSIONS = 64
MAX_SESSION_BODY = 1024  # bytes; a token in JSON is 60
READING = frozenset({"GET", "HEAD"})
SERVICES = ("/dicom-web", "/demo/dicom-web", "/wado")
"""Paths that other programs use; a bearer token opens these and nothing else."""

_STATIC = {"/session/entry.js": "text/javascript", "/session/entry.css": "text/css"}


def _digest(token: str) -> bytes:
    # Tokens are found by their digest: the time of a dictionary look-up then tells nothing about the token.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class Grant:
    """What a bearer token opens.

    Parameters
    ----------
    resource : what may be read; None for everything, writing too.
    root : the service that it opens; empty for all.
    expires : when it ends, on the clock of the keys.
    """

    resource: Resource | None
    root: str
    expires: float


@dataclass
class Keys:
    """The tokens and sessions of one dock; in memory only, as digests. Thread-safe."""

    clock: Callable[[], float] = time.monotonic
    _one_time: dict[bytes, float] = field(default_factory=dict, repr=False)
    _sessions: dict[bytes, float] = field(default_factory=dict, repr=False)
    _grants: dict[bytes, Grant] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def one_time_token(self) -> str:
        """Make a token that begins one session, once, within the hour."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._lock:
            now = self.clock()
            self._one_time = {key: end for key, end in self._one_time.items() if end > now}
            self._one_time[_digest(token)] = now + ONE_TIME_SECONDS
        return token

    def redeem(self, token: str) -> str | None:
        """Exchange a one-time token for a session; None when it is unknown, used or too old."""
        with self._lock:
            now = self.clock()
            if self._one_time.pop(_digest(token), 0.0) <= now:
                return None
            session = secrets.token_urlsafe(TOKEN_BYTES)
            self._sessions[_digest(session)] = now
            if len(self._sessions) > MAX_SESSIONS:
                del self._sessions[min(self._sessions, key=self._sessions.__getitem__)]
            return session

    def holds_session(self, session: str) -> bool:
        """Tell whether this is a session of ours, and note its use."""
        key = _digest(session)
        with self._lock:
            if key not in self._sessions:
                return False
            self._sessions[key] = self.clock()
            return True

    def grant(
        self, resource: Resource | None, *, root: str = "", seconds: float = GRANT_SECONDS, token: str = ""
    ) -> str:
        """Make a bearer token for the DICOMweb services.

        Parameters
        ----------
        resource : what may be read with it; None for everything, writing too (other programs of this user).
        root : the only service that it opens, one of ``SERVICES``; empty for all.
        seconds : how long it is good for.
        token : use this one instead of a new one.
        """
        token = token or secrets.token_urlsafe(TOKEN_BYTES)
        with self._lock:
            now = self.clock()
            self._grants = {key: old for key, old in self._grants.items() if old.expires > now}
            self._grants[_digest(token)] = Grant(resource, root, now + seconds)
        return token

    def revoke(self, token: str) -> None:
        """Forget a bearer token."""
        with self._lock:
            self._grants.pop(_digest(token), None)

    def granted(self, token: str) -> Grant | None:
        """Give what a bearer token opens; None when it opens nothing (any more)."""
        with self._lock:
            grant = self._grants.get(_digest(token))
            return grant if grant is not None and grant.expires > self.clock() else None


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
        self.cookie = f"dicomdock-{port}"
        self.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
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
        guarded = _Answer(request.path, host if host in self.hosts else "127.0.0.1", send)
        if status == 401 and request.is_visit:
            await _reply(guarded, 401, "text/html; charset=utf-8", _entry_file("entry.html"))
        elif status:
            extra = [(b"www-authenticate", b'Bearer realm="dicomdock"')] if status == 401 else []
            body = json.dumps({"error": reason}).encode()
            await _reply(guarded, status, "application/json", body, extra)
        elif request.path == "/session":
            await self._begin_session(scope, receive, guarded)
        elif request.path in _STATIC:
            await _reply(guarded, 200, _STATIC[request.path], _entry_file(request.path.rsplit("/", 1)[1]))
        else:
            await self.app(scope, receive, guarded)

    async def _begin_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _refuse(send, 405, "A session begins with POST.")
            return
        body = b""
        more = True
        while more and len(body) <= MAX_SESSION_BODY:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            token = json.loads(body)["token"] if len(body) <= MAX_SESSION_BODY else None
        except (ValueError, KeyError, TypeError):
            token = None
        session = self.keys.redeem(token) if isinstance(token, str) else None
        if session is None:
            await _refuse(
                send, 403, "This link was used already or is too old. Run dicomdock run for a new one."
            )
            return
        cookie = f"{self.cookie}={session}; Path=/; HttpOnly; SameSite=Strict"
        await _reply(send, 204, "application/json", b"", [(b"set-cookie", cookie.encode())])


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
        """Give the status to refuse with and why; (0, "") lets it through."""
        # One header of each kind: what we check must be what the application reads.
        host = self.headers.get("host", "")
        if host not in self.guard.hosts or "host" in self.repeated:
            return 421, "This is not an address of the dock."
        if not self._is_ours(host):
            return 403, "Pages of other sites may not talk to the dock."
        if self.path == "/session" or (self.path in _STATIC and self.method in READING and not self.socket):
            return 0, ""
        if self.guard.keys.holds_session(self._session()):
            # The cookie comes along with requests that other places start; acting needs proof that a page of
            # ours asked.
            if (self.socket or self.method not in READING) and not self._is_proven_ours(host):
                return 403, "Only pages of the dock may act with its session."
            return 0, ""
        if self.service and not self.socket:
            return self._judge_bearer()
        return 401, "This page needs a session. Run dicomdock run to open one."

    def _is_ours(self, host: str) -> bool:
        origin = self.headers.get("origin")
        if origin is not None and (origin != f"http://{host}" or "origin" in self.repeated):
            return False
        return self.headers.get("sec-fetch-site", "none") in ("none", "same-origin")

    def _is_proven_ours(self, host: str) -> bool:
        return (
            self.headers.get("origin") == f"http://{host}"
            or self.headers.get("sec-fetch-site") == "same-origin"
        )

    def _session(self) -> str:
        for pair in self.headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self.guard.cookie:
                return value
        return ""

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


class _Answer:
    """A ``send`` that adds the security headers, and the nonce that lets NiceGUI's own scripts run."""

    def __init__(self, path: str, host: str, send: Send) -> None:
        self.path = path
        self.host = host
        self.send = send
        self.start: Message | None = None
        self.page = bytearray()
        self.nonce = ""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            is_page = b"x-nicegui-content" in names
            self.nonce = secrets.token_urlsafe(16) if is_page else ""
            headers = [(name, value) for name, value in message["headers"] if name.lower() != b"server"]
            headers += [pair for pair in self._security_headers() if pair[0] not in names]
            message = {**message, "headers": headers}
            if is_page:
                self.start = message
                return
        elif message["type"] == "http.response.body" and self.start is not None:
            self.page += message.get("body", b"")
            if message.get("more_body", False):
                return
            # Page data cannot forge a script tag here: NiceGUI writes every "<" of it as an entity.
            body = bytes(self.page).replace(b"<script", b'<script nonce="' + self.nonce.encode() + b'"')
            start, self.start = self.start, None
            start["headers"] = [
                (name, str(len(body)).encode() if name.lower() == b"content-length" else value)
                for name, value in start["headers"]
            ]
            await self.send(start)
            message = {"type": "http.response.body", "body": body}
        await self.send(message)

    def _security_headers(self) -> list[tuple[bytes, bytes]]:
        # unsafe-eval: Vue compiles NiceGUI's templates in the browser, and NiceGUI's own messages are
        # scripts. Inline event handlers and scripts without the nonce, which is what injected markup would
        # bring, stay forbidden.
        scripts = f"'self' 'nonce-{self.nonce}' 'unsafe-eval'" if self.nonce else "'self'"
        policy = (
            f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
            f"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://{self.host}; "
            "object-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-frame-options", b"DENY"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), usb=()"),
        ]
        if not self.path.startswith("/_nicegui/"):
            headers.append((b"cache-control", b"no-store"))
        return headers


def _entry_file(name: str) -> bytes:
    return (resources.files("dicomdock.dock") / "static" / name).read_bytes()


async def _refuse(send: Send, status: int, reason: str) -> None:
    await _reply(send, status, "application/json", json.dumps({"error": reason}).encode())


async def _reply(
    send: Send, status: int, content_type: str, body: bytes, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [(b"content-type", content_type.encode()), *(extra or [])]
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
