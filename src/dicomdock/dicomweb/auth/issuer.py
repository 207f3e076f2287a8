"""OpenID Connect provider: its discovery document, and requests to its endpoints.

References
----------
OpenID Connect Discovery 1.0 §4; RFC 8414; RFC 6749 §5 (token answers); RFC 7009 (revocation).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote_plus, urlencode

from dicomdock.config.servers import ServerProfile
from dicomdock.errors import AuthenticationError, DicomdockError, InvalidInput, ProfileError, WireError
from dicomdock.web.auth import Auth, BasicAuth, NoAuth
from dicomdock.web.endpoint import Endpoint
from dicomdock.web.transport import Http
from dicomdock.web.url import Origin, redact

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.sources import JsonValue

MAX_ANSWER: Final = 1 << 20  # bytes; keys, tokens and descriptions stay far below
USUAL_LIFETIME: Final = 300.0  # seconds; where an issuer does not say how long a token lives
_REFUSALS: Final = (400, 401, 403)
# Fields of a form that no error may repeat (RFC 6749, RFC 7009, RFC 7636, RFC 8628).
_SECRET_FIELDS: Final = (
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "password",
    "refresh_token",
    "token",
)


@dataclass(frozen=True)
class Tokens:
    """A token response.

    Parameters
    ----------
    access : the access token.
    lifetime : seconds from the answer until it expires.
    refresh : the refresh token; empty for none, or none that is new.
    identity : the ID token; empty for none.
    """

    access: str = field(repr=False)
    lifetime: float
    refresh: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)


class Refused(AuthenticationError):
    """The issuer answered with an error of RFC 6749.

    Parameters
    ----------
    code : ``invalid_grant``, ``authorization_pending``, ...
    """

    def __init__(self, message: str, *, code: str, server: str) -> None:
        super().__init__(message, server=server, login="OpenID Connect")
        self.code = code


@dataclass(frozen=True)
class ClientCredentials:
    """The client registered at an issuer; a public client has no secret.

    Parameters
    ----------
    client_id : its identifier there.
    client_secret : empty for none.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Issuer:
    """An issuer's endpoints, from its discovery document; empty where it has none.

    Parameters
    ----------
    basic : the client secret is sent in a Basic header, which every issuer must accept, else in the form.
    """

    issuer: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    device_authorization_endpoint: str = ""
    revocation_endpoint: str = ""
    jwks_uri: str = ""
    basic: bool = True


class TokenClient:
    """Requests to an issuer for one server, through that server's proxy and certificate authorities.

    Parameters
    ----------
    profile : the server that the sign-in is for; nothing is sent to it.
    """

    def __init__(self, profile: ServerProfile, settings: Settings) -> None:
        self._profile = profile
        self._settings = settings

    def discover(self, issuer: str) -> Issuer:
        """Read an issuer's discovery document.

        Raises
        ------
        ProfileError
            It is missing, describes another issuer, or names an endpoint that is not safe.
        """
        base = issuer.rstrip("/")
        _check_safe(base, "The issuer")
        table = self._get(f"{base}/.well-known/openid-configuration", f"the description of the issuer {base}")
        # A description of somebody else would let one issuer collect the codes of another (RFC 8414 §3.3).
        if str(table.get("issuer", "")).rstrip("/") != base:
            raise ProfileError(
                f"{base} describes an issuer of another name, {table.get('issuer')!r}; make that the issuer"
                " of the server's login if it is right."
            )
        found = {
            item.name: table[item.name] for item in fields(Issuer) if isinstance(table.get(item.name), str)
        }
        for name, url in found.items():
            _check_safe(str(url), f"The {name} of {base}")
        methods = table.get("token_endpoint_auth_methods_supported")
        basic = not isinstance(methods, list) or "client_secret_basic" in methods
        described = Issuer(**cast("dict[str, str]", found), basic=basic)
        if not described.token_endpoint:
            raise ProfileError(f"The issuer {base} names no token endpoint, so nobody can sign in there.")
        return described

    def keys(self, issuer: Issuer) -> Mapping[str, JsonValue]:
        """Return the issuer's public keys."""
        return self._get(issuer.jwks_uri, f"the keys of {issuer.issuer}")

    def token(
        self, issuer: Issuer, credentials: ClientCredentials, form: Mapping[str, str], what: str
    ) -> Tokens:
        """Request a token.

        Raises
        ------
        Refused
            The issuer refused; ``code`` holds the error code.
        """
        return _tokens(self.ask(issuer, issuer.token_endpoint, credentials, form, what), issuer)

    def ask(
        self, issuer: Issuer, url: str, credentials: ClientCredentials, form: Mapping[str, str], what: str
    ) -> dict[str, JsonValue]:
        """Post a form to one of the issuer's endpoints and read the JSON answer.

        Raises
        ------
        Refused
            The issuer refused; ``code`` holds the error code.
        """
        auth, form = _authenticated(issuer, credentials, form)
        secrets = (credentials.client_secret, *(form.get(name, "") for name in _SECRET_FIELDS))
        with (
            Http(self._at(url), auth, self._settings.connection) as http,
            http.request(
                "POST",
                url,
                body=_Form(form),
                accept="application/json",
                allow=_REFUSALS,
                what=what,
                secrets=secrets,
            ) as answer,
        ):
            content = answer.read(MAX_ANSWER)
            if answer.status == 200:
                return json_object(content, what, url) if content else {}
            raise self._refused(json_object(content, what, url), url, what)

    def revoke(self, issuer: Issuer, credentials: ClientCredentials, token: str) -> None:
        """Revoke a refresh token where the issuer supports it; otherwise it expires by itself."""
        if issuer.revocation_endpoint:
            with suppress(DicomdockError):
                form = {"token": token, "token_type_hint": "refresh_token"}
                self.ask(issuer, issuer.revocation_endpoint, credentials, form, "the sign-out")

    def _get(self, url: str, what: str) -> dict[str, JsonValue]:
        with (
            Http(self._at(url), NoAuth(), self._settings.connection) as http,
            http.request("GET", url, accept="application/json", what=what) as answer,
        ):
            return json_object(answer.read(MAX_ANSWER), what, url)

    def _at(self, url: str) -> Endpoint:
        """Return the endpoint of an address; no login and no certificate of the user goes there."""
        origin = Origin.parse(url)
        return self._profile.endpoint.beside(origin.short, origin.netloc)

    def _refused(self, table: Mapping[str, JsonValue], url: str, what: str) -> Refused:
        code = str(table.get("error", "refused"))[:60]
        description = str(table.get("error_description", ""))[:200].strip().rstrip(".")
        reason = f"{code}, {description}" if description else code
        host = Origin.parse(url).netloc
        return Refused(
            f"{what[:1].upper()}{what[1:]} was refused by {host} ({reason}).",
            code=code,
            server=self._profile.url,
        )


def _authenticated(
    issuer: Issuer, credentials: ClientCredentials, form: Mapping[str, str]
) -> tuple[Auth, Mapping[str, str]]:
    """Return login and form that identify the client (RFC 6749 §2.3.1)."""
    if credentials.client_secret and issuer.basic:
        return BasicAuth(quote_plus(credentials.client_id), quote_plus(credentials.client_secret)), form
    named = {**form, "client_id": credentials.client_id}
    return NoAuth(), named | (
        {"client_secret": credentials.client_secret} if credentials.client_secret else {}
    )


@dataclass(frozen=True)
class _Form:
    """A form as a request body."""

    fields: Mapping[str, str] = field(repr=False)

    content_type = "application/x-www-form-urlencoded"

    @property
    def length(self) -> int:
        return len(urlencode(self.fields))

    def chunks(self) -> Iterator[bytes]:
        yield urlencode(self.fields).encode()


def _tokens(table: Mapping[str, JsonValue], issuer: Issuer) -> Tokens:
    access, kind = table.get("access_token"), str(table.get("token_type", "Bearer"))
    if not isinstance(access, str) or kind.lower() != "bearer":
        raise WireError(f"{issuer.issuer} gave no Bearer token, although it accepted the sign-in.")
    lifetime = table.get("expires_in")
    try:
        seconds = float(lifetime) if isinstance(lifetime, int | float | str) else USUAL_LIFETIME
    except ValueError:
        seconds = USUAL_LIFETIME
    refresh, identity = table.get("refresh_token"), table.get("id_token")
    return Tokens(
        access,
        max(0.0, seconds),
        refresh if isinstance(refresh, str) else "",
        identity if isinstance(identity, str) else "",
    )


def json_object(content: bytes, what: str, url: str) -> dict[str, JsonValue]:
    """Parse an answer that must be a JSON object.

    Raises
    ------
    WireError
        It is none.
    """
    try:
        table = json.loads(content)
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise WireError(
            f"{Origin.parse(url).netloc} answered {what} with something that is not a JSON object;"
            " check the address."
        )
    return table


def _check_safe(url: str, subject: str) -> None:
    """Refuse an address over which a token would travel unprotected."""
    try:
        origin = Origin.parse(url, subject)
    except InvalidInput as error:
        raise ProfileError(f"{error} It is {redact(url)[:80]!r}.") from None
    if not (origin.is_encrypted or origin.is_loopback):
        raise ProfileError(f"{subject}, {url[:80]}, is not https, so tokens would travel unprotected.")
