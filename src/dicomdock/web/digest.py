"""Digest: a login that proves a password without sending it.

References
----------
RFC 7616 (HTTP Digest Access Authentication); RFC 9110 §11 (challenges).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dicomdock.web.request import Request

# The strongest first (RFC 7616 §6.1 has no SHA-512 without a truncation of its own).
_HASHES: Final[dict[str, str]] = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9._~+-]*)(?=\s+[^\s=,]|\s*(?:,|\Z))")
_PARAMETER = re.compile(r'([A-Za-z*]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


def schemes(challenge: str) -> tuple[str, ...]:
    """Return the names of the logins that a WWW-Authenticate header offers, in its order."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', challenge)
    return tuple(dict.fromkeys(found[1] for found in _SCHEME.finditer(bare)))


@dataclass(frozen=True)
class Challenge:
    """What a server asks to be answered.

    Parameters
    ----------
    algorithm : as the server names it; empty for MD5, which it then means.
    qop : True where the answer counts requests (RFC 7616); False for the older form (RFC 2069).
    """

    realm: str
    nonce: str
    algorithm: str = ""
    opaque: str = ""
    qop: bool = True

    @classmethod
    def parse(cls, header: str) -> Challenge | None:
        """Return the strongest Digest challenge of a header; None where none can be answered."""
        found: dict[str, Challenge] = {}
        for piece in re.split(r"(?i)(?:^|,)\s*digest\s+", header)[1:]:
            values = {
                name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
                for name, quoted, plain in _PARAMETER.findall(piece)
            }
            algorithm = values.get("algorithm", "")
            qop = [one.strip().lower() for one in values.get("qop", "").split(",") if one.strip()]
            hashed = algorithm.upper().removesuffix("-SESS") or "MD5"
            if hashed in _HASHES and values.get("nonce") and (not qop or "auth" in qop):
                found.setdefault(
                    hashed,
                    cls(
                        values.get("realm", ""),
                        values["nonce"],
                        algorithm,
                        values.get("opaque", ""),
                        bool(qop),
                    ),
                )
        return next((found[name] for name in _HASHES if name in found), None)


@dataclass
class Digest:
    """The answers to a server's challenges. Safe to use from several threads at once."""

    _challenge: Challenge | None = None
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_asked(self) -> bool:
        """The server has asked for a Digest login."""
        return self._challenge is not None

    def challenged(self, header: str) -> bool:
        """Take a challenge; False where the header holds none that can be answered."""
        challenge = Challenge.parse(header)
        if challenge is None:
            return False
        with self._lock:
            self._challenge, self._count = challenge, 0
        return True

    def header(self, request: Request, user: str, password: str) -> str:
        """Return the Authorization header of a request."""
        with self._lock:
            assert self._challenge is not None
            self._count += 1
            return answer(
                self._challenge,
                request.method,
                request.url.target,
                user,
                password,
                count=self._count,
                client_nonce=secrets.token_urlsafe(16),
            )


def answer(
    challenge: Challenge, method: str, target: str, user: str, password: str, *, count: int, client_nonce: str
) -> str:
    """Return the Authorization header that answers a challenge.

    References
    ----------
    RFC 7616 §3.4.
    """
    name = challenge.algorithm.upper()
    digest = _hasher(name.removesuffix("-SESS") or "MD5")
    first = digest(f"{user}:{challenge.realm}:{password}")
    if name.endswith("-SESS"):
        first = digest(f"{first}:{challenge.nonce}:{client_nonce}")
    second = digest(f"{method}:{target}")
    counted = f"{count:08x}"
    middle = f"{challenge.nonce}:{counted}:{client_nonce}:auth" if challenge.qop else challenge.nonce
    fields = {
        "username": _quoted(user),
        "realm": _quoted(challenge.realm),
        "nonce": _quoted(challenge.nonce),
        "uri": _quoted(target),
        "response": _quoted(digest(f"{first}:{middle}:{second}")),
    }
    if challenge.algorithm:
        fields["algorithm"] = challenge.algorithm
    if challenge.opaque:
        fields["opaque"] = _quoted(challenge.opaque)
    if challenge.qop:
        fields |= {"qop": "auth", "nc": counted, "cnonce": _quoted(client_nonce)}
    return "Digest " + ", ".join(f"{key}={value}" for key, value in fields.items())


def _hasher(name: str) -> Callable[[str], str]:
    def digest(text: str) -> str:
        return hashlib.new(_HASHES[name], text.encode(), usedforsecurity=False).hexdigest()

    return digest


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
