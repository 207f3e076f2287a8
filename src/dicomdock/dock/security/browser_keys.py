"""Keys that browsers hold: with one, a browser begins a new session without a new link, after a restart too.

A browser keeps its key as one that its scripts can use and cannot read (Web Cryptography API,
``extractable`` false), for the dock's own origin, port included. It answers a challenge with it, and the key
itself is sent only once, to the browser. A program of another account that listens on the dock's port while
no dock runs gets no key: what it lets the browser sign is not an answer to a challenge that a dock has yet to
draw.

The keys are derived from one secret in a private file; a restarted dock needs no list of them.

References
----------
RFC 2104 (HMAC); W3C Web Cryptography API; SECURITY.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicomdock.config.secrets import SecretFile
from dicomdock.errors import ProfileError

ACCOUNT = "browsers"
KEY_SECONDS = 30 * 86400.0  # a new one comes with each use
CHALLENGE_SECONDS = 60.0
MAX_CHALLENGES = 256
CLOCK_STEP = 3600.0  # a clock that was set back by no more than this ends no key

log = logging.getLogger("dicomdock.dock")


@dataclass(frozen=True)
class BrowserAnswer:
    """What a browser sends to begin a session by its key.

    Parameters
    ----------
    browser : the name of its key.
    challenge : what it was asked to sign.
    signature : HMAC-SHA-256 of origin and challenge, in hexadecimal digits.
    """

    browser: str
    challenge: str
    signature: str


class BrowserKeys:
    """The keys of browsers. Thread-safe.

    Parameters
    ----------
    file : holds the secret behind them; None keeps it in memory, and the keys end with the dock.
    clock : seconds since the epoch.
    """

    def __init__(self, file: SecretFile | None = None, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._secret = b""
        self._challenges: dict[str, float] = {}
        self._lock = threading.Lock()

    def issue(self, origin: str) -> Mapping[str, str]:
        """Return the name of a new key for a browser at an origin of ours, and the key in base64."""
        browser = f"{int(self._clock())}.{secrets.token_urlsafe(16)}"
        return {"browser": browser, "key": base64.b64encode(self._key(origin, browser)).decode()}

    def challenge(self) -> str:
        """Return what a browser has to sign: good once, for a minute."""
        challenge = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            self._challenges = {one: end for one, end in self._challenges.items() if end > now}
            if len(self._challenges) >= MAX_CHALLENGES:
                del self._challenges[min(self._challenges, key=self._challenges.__getitem__)]
            self._challenges[challenge] = now + CHALLENGE_SECONDS
        return challenge

    def accepts(self, origin: str, answer: BrowserAnswer) -> bool:
        """Return whether a browser at an origin has signed an open challenge with a key of ours."""
        with self._lock:
            open_until = self._challenges.pop(answer.challenge, 0.0)
        now = self._clock()
        issued, _, _ = answer.browser.partition(".")
        if open_until <= now or not (issued.isascii() and issued.isdecimal() and len(issued) < 16):
            return False
        if not -CLOCK_STEP <= now - int(issued) < KEY_SECONDS:
            return False
        key = self._key(origin, answer.browser)
        expected = hmac.new(key, f"{origin}\n{answer.challenge}".encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), answer.signature.encode("utf-8", "surrogatepass"))

    def _key(self, origin: str, browser: str) -> bytes:
        named = f"{origin}\n{browser}".encode("utf-8", "surrogatepass")
        return hmac.new(self._read_secret(), named, hashlib.sha256).digest()

    def _read_secret(self) -> bytes:
        with self._lock:
            if not self._secret:
                self._secret = self._stored_secret() or secrets.token_bytes(32)
            return self._secret

    def _stored_secret(self) -> bytes:
        if self._file is None:
            return b""
        try:
            stored = self._file.read().get(ACCOUNT, "")
            if not stored:
                stored = secrets.token_hex(32)
                self._file.change(ACCOUNT, stored)
        except ProfileError as error:
            log.warning("Sessions of browsers end with this dock: %s", error)
            return b""
        return stored.encode()
