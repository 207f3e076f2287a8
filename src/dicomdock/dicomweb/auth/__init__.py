"""Logins: what a request carries so that the server knows who asks.

A login is a value with a few methods; one whose tokens expire (OpenID Connect, say) keeps its state inside
and renews it, so that no credentials changes. Those that ask others for tokens are in ``dicomweb.logins``.

References
----------
RFC 7617 (Basic); RFC 6750 (Bearer).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.errors import AuthenticationError, InvalidInput

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.web.multipart.writer import Body

_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_FIELD_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]+\Z")
_RESERVED = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "accept"})


class Auth(Protocol):
    """A login. Methods may be called from several threads at once."""

    def headers(self, url: str) -> Mapping[str, str]:
        """Give the header fields that a request to this address needs."""

    def signed(self, method: str, url: str, body: Body | None) -> Mapping[str, str]:
        """Give the header fields of this very request, where they depend on all of it; else ``headers``."""

    def parameters(self, method: str, path: str) -> Sequence[tuple[str, str]]:
        """Give the query parameters that the login adds to a request: which part of the server it is for."""

    def refresh(self) -> bool:
        """Renew the login after a 401; True when it is worth asking again. One thread calls it at a time."""

    def describe(self) -> str:
        """Say which login this is, without its secret: ``Basic as alice``."""


class SecretStore(Protocol):
    """Where secrets are found: ``Secrets``, or what a credentials holds in memory only."""

    def get(self, server_name: str, origin: str) -> str | None:
        """Give the secret kept for this server at this origin."""

    def set(self, server_name: str, origin: str, secret: str) -> None:
        """Keep a secret that the server's issuer has changed."""

    def alone(self, server_name: str, origin: str) -> AbstractContextManager[None]:
        """Keep everybody else from renewing this login meanwhile."""


@dataclass(frozen=True)
class NoAuth:
    """No login."""

    def headers(self, url: str) -> Mapping[str, str]:  # noqa: ARG002
        """See ``Auth``."""
        return {}

    def signed(self, method: str, url: str, body: Body | None) -> Mapping[str, str]:  # noqa: ARG002
        """See ``Auth``."""
        return self.headers(url)

    def parameters(self, method: str, path: str) -> Sequence[tuple[str, str]]:  # noqa: ARG002
        """See ``Auth``; there is nothing to add."""
        return ()

    def refresh(self) -> bool:
        """See ``Auth``; there is nothing to renew."""
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

    def headers(self, url: str) -> Mapping[str, str]:  # noqa: ARG002
        """See ``Auth``."""
        return self.fields

    def describe(self) -> str:
        """See ``Auth``."""
        return f"header {', '.join(self.fields)}"


@dataclass(frozen=True)
class BasicAuth(NoAuth):
    """User name and password.

    Raises
    ------
    InvalidInput
        The user name holds a colon, which Basic cannot carry.
    """

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if ":" in self.user:
            raise InvalidInput(
                f"The user name {self.user!r} holds a colon, which a Basic login cannot carry."
            )

    def headers(self, url: str) -> Mapping[str, str]:  # noqa: ARG002
        """See ``Auth``."""
        return {"Authorization": "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()}

    def describe(self) -> str:
        """See ``Auth``."""
        return f"Basic as {self.user}"


@dataclass(frozen=True)
class BearerAuth(NoAuth):
    """A token that was handed to us.

    Raises
    ------
    InvalidInput
        The token is empty or holds blanks or line breaks.
    """

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not re.match(r"[\x21-\x7e]+\Z", self.token):
            raise InvalidInput("The token is empty, or holds blanks or other characters that no token has.")

    def headers(self, url: str) -> Mapping[str, str]:  # noqa: ARG002
        """See ``Auth``."""
        return {"Authorization": f"Bearer {self.token}"}

    def describe(self) -> str:
        """See ``Auth``."""
        return "Bearer token"


def secret_word(login: Login) -> str:
    """Say what a person types as the secret of this login; "" where there is nothing to type."""
    if login.kind == "oidc" and login.options.get("grant") == "client_credentials":
        return "Client secret"
    words = {"basic": "Password", "bearer": "Token", "headers": "Header value", "kheops": "Token"}
    return words.get(login.kind, "")


def same_secret(old: Login, new: Login) -> bool:
    """Tell whether what is kept for one login serves the other: a token is for its issuer alone."""
    return old.kind == new.kind and old.options.get("issuer") == new.options.get("issuer")


def auth_for(profile: ServerProfile, secrets: SecretStore, settings: Settings) -> Auth:
    """Make the login that a profile names, with the secret kept for its origin.

    Nothing is sent; tokens are fetched when the first request needs them.

    Parameters
    ----------
    settings : time-outs and retries of requests to an issuer of tokens.

    Raises
    ------
    AuthenticationError
        No secret is kept for this server at this address, or nobody is signed in.
    ProfileError
        The login lacks something that its kind needs.
    MissingDependency
        The library for this kind of login is not installed.
    """
    login = profile.login
    if login.kind == "none":
        return NoAuth()
    if login.kind == "oidc":
        from dicomdock.dicomweb.auth.oidc import OidcAuth

        return OidcAuth(profile, secrets, settings)
    if login.kind == "google":
        from dicomdock.dicomweb.auth.google import google_auth

        return google_auth(profile, secrets, settings)
    secret = secrets.get(profile.name, profile.origin)
    if login.kind == "aws":
        from dicomdock.dicomweb.auth.aws import AwsAuth

        return AwsAuth(profile, secret)
    if secret is None:
        raise AuthenticationError(
            f"No secret is kept for server {profile.name!r} at {profile.origin} ({login}):"
            " add the server again with its password or token.",
            server=profile.url,
            login=str(login),
        )
    if login.kind == "kheops":
        from dicomdock.dicomweb.auth.kheops import KheopsAuth

        return KheopsAuth.of(profile, secret)
    if login.kind == "basic":
        return BasicAuth(login.user, secret)
    if login.kind == "bearer":
        return BearerAuth(secret)
    return HeaderAuth(_header_fields(login.options.get("header", ""), secret))


def _header_fields(name: str, secret: str) -> dict[str, str]:
    """Read a secret of header fields: the value of the one named, else a line ``Name: value`` for each."""
    if name:
        return {name: secret}
    fields: dict[str, str] = {}
    for line in secret.splitlines():
        if line.strip():
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
    return fields
