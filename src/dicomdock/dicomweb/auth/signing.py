"""Sign-in and sign-out of a user, whose login ``auth_for`` finds afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.dicomweb.auth import browser, device
from dicomdock.dicomweb.auth.issuer import ClientCredentials, TokenClient
from dicomdock.dicomweb.auth.oidc import OidcConfig, StoredLogin
from dicomdock.errors import AuthenticationError, DicomdockError, InvalidInput

if TYPE_CHECKING:
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.settings import Settings

Way = Literal["browser", "device"]


@dataclass(frozen=True)
class Prompt:
    """What the user is asked to do.

    Parameters
    ----------
    url : the page to open.
    code : what to type there; empty where the browser brings the answer by itself.
    whole_url : the page with the code already in it, where there is one.
    """

    url: str
    code: str = ""
    whole_url: str = ""


def signs_in(login: Login) -> bool:
    """Return whether a user has to sign in for this login, instead of a secret that is typed or found."""
    if login.kind == "google":
        return login.options.get("credentials") == "user"
    return login.kind == "oidc" and login.options.get("grant", "code") == "code"


def sign_in(
    profile: ServerProfile,
    secrets: Secrets,
    settings: Settings,
    *,
    show: Callable[[Prompt], None],
    way: Way = "browser",
    cancelled: threading.Event | None = None,
    seconds: float = browser.SECONDS,
) -> ServerProfile:
    """Run a sign-in, store its refresh token and return the profile with the account's name.

    Parameters
    ----------
    show : receives what the user has to open, and type.
    cancelled : set from another thread to cancel.
    seconds : how long to wait for the browser; a code says itself how long it is good.

    Raises
    ------
    InvalidInput
        This login has no sign-in.
    AuthenticationError
        It was refused, nobody signed in in time, or the issuer issues no refresh token.
    Cancelled
        ``cancelled`` was set.
    """
    if not signs_in(profile.login):
        raise InvalidInput(
            f"Server {profile.name!r} has no sign-in ({profile.login}); add it again to change its secret."
        )
    config, token_client = OidcConfig.of(profile), TokenClient(profile, settings)
    stored = StoredLogin.parse(secrets.get(profile.name, profile.origin), config.issuer)
    issuer = token_client.discover(config.issuer)
    credentials = ClientCredentials(config.client_id, stored.client_secret)
    cancelled = cancelled or threading.Event()
    if way == "device":
        tokens, account = device.sign_in(
            token_client,
            issuer,
            config,
            credentials=credentials,
            show=lambda code: show(Prompt(code.url, code.code, code.whole_url)),
            cancelled=cancelled,
        )
    else:
        tokens, account = browser.sign_in(
            token_client,
            issuer,
            config,
            credentials=credentials,
            show=lambda url: show(Prompt(url)),
            cancelled=cancelled,
            seconds=seconds,
        )
    if not tokens.refresh:
        raise AuthenticationError(
            f"{config.issuer} gave no refresh token, so the sign-in would end in the middle of a"
            " transfer; its client must be allowed the scope offline_access.",
            server=profile.url,
            login="OpenID Connect",
        )
    stored = StoredLogin(tokens.refresh, stored.client_secret, account, config.issuer)
    secrets.set(profile.name, profile.origin, stored.to_json())
    return replace(profile, login=replace(profile.login, user=account))


def sign_out(profile: ServerProfile, secrets: Secrets, settings: Settings) -> None:
    """Delete a server's login: locally, and at its issuer where that supports revocation."""
    if not signs_in(profile.login):
        secrets.delete(profile.name, profile.origin)
        return
    config, token_client = OidcConfig.of(profile), TokenClient(profile, settings)
    stored = StoredLogin.parse(secrets.get(profile.name, profile.origin), config.issuer)
    if stored.client_secret:  # identifies the program; it logs nobody in
        secrets.set(profile.name, profile.origin, stored.client_secret)
    else:
        secrets.delete(profile.name, profile.origin)
    if stored.refresh_token:
        credentials = ClientCredentials(config.client_id, stored.client_secret)
        with suppress(DicomdockError):  # the issuer does not answer; the local copy is deleted all the same
            token_client.revoke(token_client.discover(config.issuer), credentials, stored.refresh_token)
