"""Signing in and out: what a person does once, so that ``auth_for`` finds a login afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.dicomweb.auth import browser, device
from dicomdock.dicomweb.auth.issuer import Caller, Counter
from dicomdock.dicomweb.auth.oidc import Application, Kept
from dicomdock.errors import AuthenticationError, DicomdockError, InvalidInput

if TYPE_CHECKING:
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.settings import Settings

Way = Literal["browser", "device"]


@dataclass(frozen=True)
class Prompt:
    """What a person is asked to do.

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
    """Tell whether a person has to sign in for this login, as against a secret that is typed or found."""
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
    """Let a person sign in and keep what came of it; give the profile with the account's name.

    Parameters
    ----------
    show : takes what the person has to open, and type.
    cancelled : set from another thread to give up.
    seconds : how long to wait for the browser; a code says itself how long it is good.

    Raises
    ------
    InvalidInput
        This login has no sign-in.
    AuthenticationError
        It was refused, nobody came in time, or the issuer keeps nobody signed in.
    Cancelled
        ``cancelled`` was set.
    """
    if not signs_in(profile.login):
        raise InvalidInput(
            f"Server {profile.name!r} has no sign-in ({profile.login}); add it again to change its secret."
        )
    application, counter = Application.of(profile), Counter(profile, settings)
    kept = Kept.parse(secrets.get(profile.name, profile.origin), application.issuer)
    issuer = counter.discover(application.issuer)
    caller = Caller(application.client_id, kept.client_secret)
    cancelled = cancelled or threading.Event()
    if way == "device":
        tokens, account = device.sign_in(
            counter,
            issuer,
            application,
            caller=caller,
            show=lambda code: show(Prompt(code.url, code.code, code.whole_url)),
            cancelled=cancelled,
        )
    else:
        tokens, account = browser.sign_in(
            counter,
            issuer,
            application,
            caller=caller,
            show=lambda url: show(Prompt(url)),
            cancelled=cancelled,
            seconds=seconds,
        )
    if not tokens.refresh:
        raise AuthenticationError(
            f"{application.issuer} gave no refresh token, so the sign-in would end in the middle of a"
            " transfer; its client must be allowed the scope offline_access.",
            server=profile.url,
            login="OpenID Connect",
        )
    kept = Kept(tokens.refresh, kept.client_secret, account, application.issuer)
    secrets.set(profile.name, profile.origin, kept.dumped())
    return replace(profile, login=replace(profile.login, user=account))


def sign_out(profile: ServerProfile, secrets: Secrets, settings: Settings) -> None:
    """Forget a server's login: at its issuer where that can be told, and here in any case."""
    if not signs_in(profile.login):
        secrets.delete(profile.name, profile.origin)
        return
    application, counter = Application.of(profile), Counter(profile, settings)
    kept = Kept.parse(secrets.get(profile.name, profile.origin), application.issuer)
    if kept.client_secret:  # belongs to the program; it lets nobody in
        secrets.set(profile.name, profile.origin, kept.client_secret)
    else:
        secrets.delete(profile.name, profile.origin)
    if kept.refresh_token:
        caller = Caller(application.client_id, kept.client_secret)
        with suppress(DicomdockError):  # the issuer is away; what it gave is forgotten here all the same
            counter.revoke(counter.discover(application.issuer), caller, kept.refresh_token)
