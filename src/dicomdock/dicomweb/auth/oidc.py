"""OpenID Connect: access tokens, renewed while a transfer runs.

The refresh token is stored in the keyring; the access token lives in memory only.

References
----------
RFC 6749 §4.4 (client credentials), §6 (refresh); OpenID Connect Core 1.0 §3.1.3.7 (ID token); RFC 9700 §4.14
(rotated refresh tokens).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.dicomweb.auth.issuer import ClientCredentials, Issuer, Refused, TokenClient
from dicomdock.errors import AuthenticationError, ProfileError, ServerFault, Unreachable
from dicomdock.web.auth import NoAuth
from dicomdock.web.request import Request

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb.auth.issuer import Tokens
    from dicomdock.dicomweb.auth.secret_store import SecretStore

EARLY: Final = 60.0  # seconds before its end that an access token is renewed
EARLY_SHARE: Final = 0.25  # ... but at most this share of its life, for tokens that live for seconds
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
CLOCK_SKEW: Final = 120  # seconds that the clocks of issuer and user may differ
_ENDED: Final = ("invalid_grant", "interaction_required", "login_required", "consent_required")
AZURE_SCOPE: Final = "https://dicom.healthcareapis.azure.com/.default"
GOOGLE_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True)
class OidcConfig:
    """The options of an OpenID Connect login.

    Parameters
    ----------
    issuer : address of the issuer.
    client_id : the identifier under which dicomdock is registered there.
    scope : requested scopes, separated by spaces.
    audience, resource : sent along where an issuer wants them (Auth0; RFC 8707).
    redirect : where the browser comes back to: loopback; without a port, a free one is taken.
    prompt : what the issuer shall ask; without ``consent`` it may give no refresh token (Core §11).
    grant : ``code`` (a person signs in) or ``client_credentials`` (the program itself, by its client secret).
    extra : further parameters of the authorization request.
    """

    issuer: str
    client_id: str
    scope: str = "openid profile offline_access"
    audience: str = ""
    resource: str = ""
    redirect: str = "http://127.0.0.1/"
    prompt: str = "consent"
    grant: str = "code"
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, profile: ServerProfile) -> Self:
        """Read the options of a profile's login.

        Raises
        ------
        ProfileError
            Issuer or client id are missing, or an option is not known.
        """
        options = dict(profile.login.options)
        extra: Mapping[str, str] = {}
        if profile.login.kind == "google":
            options.pop("credentials", None)
            options = {
                "issuer": "https://accounts.google.com",
                "scope": f"openid email {GOOGLE_SCOPE}",
            } | options
            extra = {"access_type": "offline"}  # else Google gives no refresh token
        unknown = options.keys() - (cls.__dataclass_fields__.keys() - {"extra"})
        if unknown:
            raise ProfileError(
                f"The login of server {profile.name!r} has unknown options: {', '.join(sorted(unknown))}."
            )
        if not options.get("issuer") or not options.get("client_id"):
            raise ProfileError(
                f"The login of server {profile.name!r} needs the issuer's address and a client id:"
                " ask whoever runs the server, and add it again with --issuer and --client-id."
            )
        if options.get("grant", "code") not in ("code", "client_credentials"):
            raise ProfileError(f"The grant {options['grant']!r} of server {profile.name!r} is not known.")
        return cls(**options, extra=extra)

    @property
    def wanted(self) -> dict[str, str]:
        """The parameters of the request: scope, audience, resource."""
        named = {"scope": self.scope, "audience": self.audience, "resource": self.resource}
        return {name: value for name, value in named.items() if value}


def azure_login(tenant: str, client_id: str) -> Login:
    """Return the login of Azure's DICOM service: OpenID Connect with the tenant as issuer, and its scope.

    The application must be registered as a public client with the redirect ``http://localhost``.
    """
    return Login(
        "oidc",
        options={
            "issuer": f"https://login.microsoftonline.com/{tenant}/v2.0",
            "client_id": client_id,
            "scope": f"openid profile offline_access {AZURE_SCOPE}",
            "redirect": "http://localhost",
            "prompt": "select_account",  # asking for consent anew may need an administrator
        },
    )


@dataclass(frozen=True)
class StoredLogin:
    """The secret of an OpenID Connect login, as stored in the keyring.

    Parameters
    ----------
    refresh_token : empty until somebody has signed in.
    client_secret : where the issuer requires one.
    account : who signed in, for display.
    issuer : who issued the tokens; they are sent to nobody else.
    """

    refresh_token: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    account: str = ""
    issuer: str = ""

    @classmethod
    def parse(cls, secret: str | None, issuer: str) -> Self:
        """Read the stored secret of this issuer; one that is not JSON is a client secret as typed."""
        if not secret:
            return cls()
        try:
            table = json.loads(secret)
        except ValueError:
            table = None
        if not isinstance(table, dict):
            return cls(client_secret=secret)
        stored = cls(**{name: str(table.get(name, "")) for name in cls.__dataclass_fields__})
        return stored if stored.issuer == issuer else cls()

    def __str__(self) -> str:
        return "stored login" + (f" of {self.account}" if self.account else "")

    def to_json(self) -> str:
        """Return the form in which it is stored."""
        table = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps({name: value for name, value in table.items() if value})


class OidcAuth(NoAuth):
    """A login whose access token is fetched and renewed automatically.

    Parameters
    ----------
    profile : the server; its login names the issuer.
    secrets : where the refresh token is stored, also after the issuer has rotated it.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        profile: ServerProfile,
        secrets: SecretStore,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile = profile
        self._clock = clock
        self._secrets = secrets
        self._config = OidcConfig.of(profile)
        self._token_client = TokenClient(profile, settings)
        self._issuer: Issuer | None = None
        self._lock = threading.Lock()
        self._access = ""
        self._renew_at = self._ends_at = 0.0
        self._stored_login()  # fails now, not in the middle of a transfer

    def authorize(self, request: Request) -> Request:
        """See ``Auth``; waits while the token is renewed."""
        with self._lock:
            now = self._clock()
            if now >= self._renew_at:
                try:
                    self._renew()
                except (Unreachable, ServerFault):
                    if self._clock() >= self._ends_at:  # else there is time for the next request to try
                        raise
            fields = {"Authorization": f"Bearer {self._access}"}
            return request.with_headers(fields, secrets=(self._access,))

    def refresh(self) -> bool:
        """See ``Auth``."""
        with self._lock:
            self._renew()
        return True

    def describe(self) -> str:
        """See ``Auth``."""
        account = self._profile.login.user
        return f"OpenID Connect at {self._config.issuer}" + (f" as {account}" if account else "")

    def _renew(self) -> None:
        started = self._clock()
        if self._issuer is None:
            self._issuer = self._token_client.discover(self._config.issuer)
        if self._config.grant == "client_credentials":
            tokens = self._ask(
                {"grant_type": "client_credentials", **self._config.wanted}, self._stored_login()
            )
        else:
            # Two processes with one refresh token would look like a thief to an issuer that rotates them.
            with self._secrets.alone(self._profile.name, self._profile.origin):
                stored = self._stored_login()
                form = {"grant_type": "refresh_token", "refresh_token": stored.refresh_token}
                tokens = self._ask(form, stored)
                if tokens.refresh not in ("", stored.refresh_token):
                    changed = replace(stored, refresh_token=tokens.refresh)
                    self._secrets.set(self._profile.name, self._profile.origin, changed.to_json())
        self._access = tokens.access
        self._ends_at = started + tokens.lifetime
        self._renew_at = self._ends_at - min(EARLY, EARLY_SHARE * tokens.lifetime)

    def _ask(self, form: Mapping[str, str], stored: StoredLogin) -> Tokens:
        assert self._issuer is not None
        credentials = ClientCredentials(self._config.client_id, stored.client_secret)
        try:
            return self._token_client.token(self._issuer, credentials, form, "the renewal of the login")
        except Refused as refusal:
            if refusal.code not in _ENDED:
                raise
            self._renew_at = self._ends_at = 0.0
            raise AuthenticationError(
                f"The sign-in for server {self._profile.name!r} at {self._config.issuer} has ended;"
                f" sign in again with 'dicomdock server login {self._profile.name}'.",
                server=self._profile.url,
                login=self.describe(),
            ) from refusal

    def _stored_login(self) -> StoredLogin:
        secret = self._secrets.get(self._profile.name, self._profile.origin)
        stored = StoredLogin.parse(secret, self._config.issuer)
        machine = self._config.grant == "client_credentials"
        if not (stored.client_secret if machine else stored.refresh_token):
            remedy = (
                "add the server again with its client secret"
                if machine
                else f"sign in with 'dicomdock server login {self._profile.name}'"
            )
            raise AuthenticationError(
                f"Nobody is signed in to server {self._profile.name!r} at {self._profile.origin}; {remedy}.",
                server=self._profile.url,
                login=self.describe(),
            )
        return stored


def identity(
    tokens: Tokens, issuer: Issuer, config: OidcConfig, token_client: TokenClient, *, nonce: str = ""
) -> str:
    """Check the ID token and return the account; "" where none was requested and none was issued.

    Raises
    ------
    AuthenticationError
        It is missing, of another issuer, for another program, expired, or answers another sign-in.
    """
    if not tokens.identity:
        if nonce and "openid" in config.scope.split():
            raise _not_identity(config, "is missing")
        return ""
    claims = _claims(tokens.identity, token_client.keys(issuer), config)
    audience = claims.get("aud")
    audience = audience if isinstance(audience, list) else [audience]
    expires = claims.get("exp")
    if str(claims.get("iss", "")).rstrip("/") != issuer.issuer.rstrip("/"):
        raise _not_identity(config, "is of another issuer")
    if config.client_id not in audience or claims.get("azp", config.client_id) != config.client_id:
        raise _not_identity(config, "is for another program")
    if not isinstance(expires, int | float) or expires < time.time() - CLOCK_SKEW:
        raise _not_identity(config, "has expired; check this computer's clock")
    if nonce and claims.get("nonce") != nonce:
        raise _not_identity(config, "answers another sign-in")
    names = (claims.get(name) for name in ("preferred_username", "email", "name", "sub"))
    return next((name[:80] for name in names if isinstance(name, str) and name.isprintable()), "")


def _claims(token: str, keys: Mapping[str, Any], config: OidcConfig) -> Mapping[str, Any]:
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        found = jwt.decode(token, KeySet.import_key_set(keys), algorithms=list(ALGORITHMS))  # type: ignore[arg-type]
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise _not_identity(config, "has a signature that does not fit its keys") from error
    return found.claims


def _not_identity(config: OidcConfig, why: str) -> AuthenticationError:
    return AuthenticationError(
        f"The sign-in at {config.issuer} was not accepted: its ID token {why}.", login="OpenID Connect"
    )
