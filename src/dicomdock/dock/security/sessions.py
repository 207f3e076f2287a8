"""Sessions and tokens: who may use the dock, and which part of it.

A session begins with a one-time token, or with the key that the browser was given then (``browser_keys``),
and lives in a cookie; a grant is a bearer token for the DICOMweb services. Both live in memory only, as
digests.

References
----------
RFC 6265bis §5.8.3 (SameSite); RFC 6750 (bearer tokens).
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dicomdock.dicom.resource import Resource
from dicomdock.dock.security.browser_keys import BrowserAnswer, BrowserKeys

TOKEN_BYTES = 32
ONE_TIME_SECONDS = 3600.0  # a printed link may be clicked after a coffee, not tomorrow
GRANT_SECONDS = 900.0  # long enough to start 3D Slicer and begin a retrieval
MAX_SESSIONS = 64
MAX_SESSION_BODY = 1024  # bytes; a token in JSON is 60, the answer of a browser 200
SERVICES = ("/dicom-web", "/demo/dicom-web", "/wado")
"""Paths that other programs use; a bearer token opens these and nothing else."""


def _digest(token: str) -> bytes:
    # Tokens are found by their digest: the time of a dictionary look-up then reveals nothing of the token.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _add(uses: dict[bytes, float], now: float) -> str:
    """Return a new token whose digest is added; of too many, the one unused for longest is removed."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    uses[_digest(token)] = now
    if len(uses) > MAX_SESSIONS:
        del uses[min(uses, key=uses.__getitem__)]
    return token


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
    """The tokens and sessions of one dock; in memory only, as digests. Thread-safe.

    Parameters
    ----------
    clock : seconds, from any beginning.
    browsers : the keys by which browsers begin sessions again.
    """

    clock: Callable[[], float] = time.monotonic
    browsers: BrowserKeys = field(default_factory=BrowserKeys, repr=False)
    _one_time: dict[bytes, float] = field(default_factory=dict, repr=False)
    _sessions: dict[bytes, float] = field(default_factory=dict, repr=False)
    _grants: dict[bytes, Grant] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def one_time_token(self) -> str:
        """Return a token that begins one session, once, within the hour."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._lock:
            now = self.clock()
            self._one_time = {key: end for key, end in self._one_time.items() if end > now}
            self._one_time[_digest(token)] = now + ONE_TIME_SECONDS
        return token

    def redeem(self, token: str) -> str | None:
        """Return a session for a one-time token; None when it is unknown, used or too old."""
        with self._lock:
            now = self.clock()
            if self._one_time.pop(_digest(token), 0.0) <= now:
                return None
            return _add(self._sessions, now)

    def resume(self, origin: str, answer: BrowserAnswer) -> str | None:
        """Return a new session for a browser that proves to hold a key of ours; None when it does not.

        A program on another port of this host can replace our cookie; it cannot use what the browser stores
        for the dock's own origin, which includes the port.
        """
        if not self.browsers.accepts(origin, answer):
            return None
        with self._lock:
            return _add(self._sessions, self.clock())

    def holds_session(self, session: str) -> bool:
        """Return whether this is a session of ours, and record its use."""
        key = _digest(session)
        with self._lock:
            if key not in self._sessions:
                return False
            self._sessions[key] = self.clock()
            return True

    def grant(
        self, resource: Resource | None, *, root: str = "", seconds: float = GRANT_SECONDS, token: str = ""
    ) -> str:
        """Return a bearer token for the DICOMweb services.

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
        """Return what a bearer token opens; None when it opens nothing (any more)."""
        with self._lock:
            grant = self._grants.get(_digest(token))
            return grant if grant is not None and grant.expires > self.clock() else None


@dataclass(frozen=True)
class SessionCookie:
    """The cookie that carries a session.

    Parameters
    ----------
    port : the dock's; part of the name, as cookies ignore ports.
    """

    port: int

    @property
    def name(self) -> str:
        """Its name."""
        return f"dicomdock-{self.port}"

    def header(self, session: str) -> str:
        """Return the value of ``Set-Cookie``."""
        return f"{self.name}={session}; Path=/; HttpOnly; SameSite=Strict"


@dataclass(frozen=True)
class Proof:
    """What begins a session, from the body of ``POST /session``.

    Parameters
    ----------
    token : a one-time token; empty for none.
    answer : of a browser that holds a key.
    """

    token: str = ""
    answer: BrowserAnswer | None = None


def proof_of(body: bytes) -> Proof:
    """Return what the body of ``POST /session`` holds; an empty proof where it holds nothing usable."""
    if len(body) > MAX_SESSION_BODY:
        return Proof()
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return Proof()
    if not isinstance(found, dict):
        return Proof()
    texts = [found.get(name) for name in ("browser", "challenge", "signature")]
    browser, challenge, signature = (one if isinstance(one, str) else "" for one in texts)
    token = found.get("token")
    answer = BrowserAnswer(browser, challenge, signature) if browser else None
    return Proof(token if isinstance(token, str) else "", answer)
