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

from dicomdock.web.request import Body, Request

# The strongest first (RFC 7616 §6.1 has no SHA-512 without a truncation of its own).
_QOPS: Final = ("auth", "auth-int")  # the first that is offered; the other one hashes the body too
_HASHES: Final[dict[str, str]] = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
MAX_HEADER: Final = 8192  # characters read of a challenge
_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
# A parameter, the name of a scheme, or what is neither (a token68, which no scheme needs that is answered).
_PIECE = re.compile(
    rf'(?P<name>{_NAME})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_NAME}))(?=\s|,|\Z)'
    rf"|(?P<scheme>{_NAME})(?=\s|,|\Z)|[^\s,]+"
)


def challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """Return the logins that a WWW-Authenticate header offers: each scheme with its parameters by name.

    References
    ----------
    RFC 9110 §11.6.1 (several challenges in one field).
    """
    found: list[tuple[str, dict[str, str]]] = []
    for piece in _PIECE.finditer(header[:MAX_HEADER]):
        if piece["scheme"]:
            found.append((piece["scheme"], {}))
        elif piece["name"] and found:
            value = piece["plain"] if piece["quoted"] is None else re.sub(r"\\(.)", r"\1", piece["quoted"])
            found[-1][1].setdefault(piece["name"].lower(), value)
    return found


def schemes(challenge: str) -> tuple[str, ...]:
    """Return the names of the logins that a WWW-Authenticate header offers, in its order."""
    return tuple(dict.fromkeys(scheme for scheme, _ in challenges(challenge)))


def error_description(challenge: str) -> str:
    """Return why a token was refused, in the server's words; empty where it does not say (RFC 6750 §3)."""
    texts = (values.get("error_description", "") for _, values in challenges(challenge))
    return " ".join(next(filter(None, texts), "").split())


@dataclass(frozen=True)
class Challenge:
    """What a server asks to be answered.

    Parameters
    ----------
    algorithm : as the server names it; empty for MD5, which it then means.
    qop : ``auth``, or ``auth-int`` where the answer covers the body too; empty for the older form (RFC 2069).
    """

    realm: str
    nonce: str
    algorithm: str = ""
    opaque: str = ""
    qop: str = "auth"

    @classmethod
    def parse(cls, header: str) -> Challenge | None:
        """Return the strongest Digest challenge of a header; None where none can be answered."""
        found: dict[str, Challenge] = {}
        for scheme, values in challenges(header):
            if scheme.lower() != "digest" or not values.get("nonce"):
                continue
            algorithm = values.get("algorithm", "")
            offered = [one for part in values.get("qop", "").split(",") if (one := part.strip().lower())]
            qop = next((one for one in _QOPS if one in offered), "")
            hashed = algorithm.upper().removesuffix("-SESS") or "MD5"
            if hashed in _HASHES and (qop or not offered):
                challenge = cls(
                    values.get("realm", ""), values["nonce"], algorithm, values.get("opaque", ""), qop
                )
                found.setdefault(hashed, challenge)
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
            challenge, count = self._challenge, self._count
        return answer(
            challenge,
            request.method,
            request.url.target,
            user,
            password,
            count=count,
            client_nonce=secrets.token_urlsafe(16),
            body=request.body,
        )


def answer(
    challenge: Challenge,
    method: str,
    target: str,
    user: str,
    password: str,
    *,
    count: int,
    client_nonce: str,
    body: Body | None = None,
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
    second = f"{method}:{target}"
    if challenge.qop == "auth-int":
        entity = hashlib.new(_HASHES[name.removesuffix("-SESS") or "MD5"], usedforsecurity=False)
        for chunk in body.chunks() if body is not None else ():
            entity.update(chunk)
        second += f":{entity.hexdigest()}"
    second = digest(second)
    counted = f"{count:08x}"
    middle = (
        f"{challenge.nonce}:{counted}:{client_nonce}:{challenge.qop}" if challenge.qop else challenge.nonce
    )
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
        fields |= {"qop": challenge.qop, "nc": counted, "cnonce": _quoted(client_nonce)}
    return "Digest " + ", ".join(f"{key}={value}" for key, value in fields.items())


def _hasher(name: str) -> Callable[[str], str]:
    def digest(text: str) -> str:
        return hashlib.new(_HASHES[name], text.encode(), usedforsecurity=False).hexdigest()

    return digest


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
