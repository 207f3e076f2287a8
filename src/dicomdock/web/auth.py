"""Logins: what a request carries so that the server knows who asks.

A login is a value with a few methods; one whose tokens expire (OpenID Connect, say) holds its state inside
and renews it, so that no caller changes. Those that ask others for tokens are in ``dicomweb.auth``.

References
----------
RFC 7617 (Basic); RFC 7616 (Digest); RFC 6750 (Bearer).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from dicomdock.errors import InvalidInput
from dicomdock.web.basic import basic_login
from dicomdock.web.digest import Digest, schemes
from dicomdock.web.request import Request

_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_FIELD_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]+\Z")
MIN_WORD = 8  # letters of a word in a header field that is masked by itself; shorter ones are names
_RESERVED = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "accept"})


class Auth(Protocol):
    """A login. Methods may be called from several threads at once."""

    def authorize(self, request: Request) -> Request:
        """Return the request with what the login adds to it, and with what of that is secret."""

    def refresh(self) -> bool:
        """Renew the login after a 401; True when it is worth asking again. One thread calls it at a time."""

    def challenged(self, challenge: str) -> bool:
        """Take the WWW-Authenticate of a 401; True when the request is to be sent again, with its answer."""

    def describe(self) -> str:
        """Return which login this is, without its secret: ``Basic as alice``."""


@dataclass(frozen=True)
class NoAuth:
    """No login."""

    def authorize(self, request: Request) -> Request:
        """See ``Auth``; nothing is added."""
        return request

    def refresh(self) -> bool:
        """See ``Auth``; there is nothing to renew."""
        return False

    def challenged(self, challenge: str) -> bool:  # noqa: ARG002
        """See ``Auth``; there is nothing to answer."""
        return False

    def describe(self) -> str:
        """See ``Auth``."""
        return "no login"


@dataclass(frozen=True)
class HeaderAuth(NoAuth):
    """Header fields of the user's own, for gateways that want a key.

    Parameters
    ----------
    fields : names and values.

    Raises
    ------
    InvalidInput
        A name or value cannot stand in a header, or the name belongs to the transfer itself.
    """

    fields: Mapping[str, str] = field(repr=False)

    def __post_init__(self) -> None:
        for name, value in self.fields.items():
            if not _FIELD_NAME.match(name) or name.lower() in _RESERVED:
                raise InvalidInput(f"{name[:40]!r} cannot be the header of a login.")
            if not _FIELD_VALUE.match(value):
                raise InvalidInput(f"The value for the header {name} is empty or holds line breaks.")

    def authorize(self, request: Request) -> Request:
        """See ``Auth``."""
        secrets = tuple(secret for value in self.fields.values() for secret in _secrets_of(value))
        return request.with_headers(self.fields, secrets=secrets)

    def describe(self) -> str:
        """See ``Auth``."""
        return f"header {', '.join(self.fields)}"


@dataclass(frozen=True)
class BasicAuth(NoAuth):
    """User name and password, sent as Basic until the server asks for Digest.

    Parameters
    ----------
    digest_only : send nothing before the server has asked, and never the password itself.

    Raises
    ------
    InvalidInput
        The user name holds a colon, which Basic cannot carry.
    """

    user: str
    password: str = field(repr=False)
    digest_only: bool = False
    _digest: Digest = field(default_factory=Digest, repr=False, compare=False)

    def __post_init__(self) -> None:
        if ":" in self.user:
            raise InvalidInput(
                f"The user name {self.user!r} holds a colon, which a Basic login cannot carry."
            )

    def authorize(self, request: Request) -> Request:
        """See ``Auth``."""
        login, encoded = basic_login(self.user, self.password)
        if self._digest.is_asked:
            header = self._digest.header(request, self.user, self.password)
            return request.with_headers({"Authorization": header}, secrets=(login, self.password))
        if self.digest_only:
            return request
        fields = {"Authorization": f"Basic {encoded}"}
        return request.with_headers(fields, secrets=(login, self.password, encoded))

    def challenged(self, challenge: str) -> bool:
        """See ``Auth``; a server that offers Basic, which was sent, has refused the password itself."""
        if not self.digest_only and "basic" in map(str.lower, schemes(challenge)):
            return False
        return self._digest.challenged(challenge)

    def describe(self) -> str:
        """See ``Auth``."""
        return f"{'Digest' if self.digest_only or self._digest.is_asked else 'Basic'} as {self.user}"


@dataclass(frozen=True)
class BearerAuth(NoAuth):
    """A token that was given to us.

    Raises
    ------
    InvalidInput
        The token is empty or holds blanks or line breaks.
    """

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not re.match(r"[\x21-\x7e]+\Z", self.token):
            raise InvalidInput("The token is empty, or holds blanks or other characters that no token has.")

    def authorize(self, request: Request) -> Request:
        """See ``Auth``."""
        return request.with_headers({"Authorization": f"Bearer {self.token}"}, secrets=(self.token,))

    def describe(self) -> str:
        """See ``Auth``."""
        return "Bearer token"


def _secrets_of(value: str) -> Iterator[str]:
    """Yield what of a header field is secret: the whole, its words, and the login that Basic encodes.

    A server may repeat ``abc`` of ``Token abc`` or ``session=abc; path=/``.
    """
    yield value
    for word in re.split(r"[\s;,]+", value):
        for part in (word, word.partition("=")[2]):
            if len(part) >= MIN_WORD:
                yield part
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            login = b64decode(encoded.strip(), validate=True).decode("utf-8", "replace")
            yield login
            yield login.partition(":")[2]
