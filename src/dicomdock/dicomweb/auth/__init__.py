"""The login that a profile names, with its secret; and the logins that ask others for tokens.

Those that only carry what the user gave (Basic, Bearer, header fields) are in ``web.auth``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.errors import AuthenticationError
from dicomdock.web.auth import Auth, BasicAuth, BearerAuth, HeaderAuth, NoAuth

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb.auth.secret_store import SecretStore


def secret_word(login: Login) -> str:
    """Return what the user types as the secret of this login; "" where there is nothing to type."""
    if login.kind == "oidc" and login.options.get("grant") == "client_credentials":
        return "Client secret"
    words = {
        "basic": "Password",
        "digest": "Password",
        "bearer": "Token",
        "headers": "Header value",
        "kheops": "Token",
    }
    return words.get(login.kind, "")


def same_secret(old: Login, new: Login) -> bool:
    """Return whether the secret of one login serves the other: a token is for its issuer alone."""
    return old.kind == new.kind and old.options.get("issuer") == new.options.get("issuer")


def auth_for(profile: ServerProfile, secrets: SecretStore, settings: Settings) -> Auth:
    """Return the login that a profile names, with the secret stored for its origin.

    Nothing is sent; tokens are fetched when the first request needs them.

    Parameters
    ----------
    settings : time-outs and retries of requests to an issuer of tokens.

    Raises
    ------
    AuthenticationError
        No secret is stored for this server at this address, or nobody is signed in.
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
            f"No secret is stored for server {profile.name!r} at {profile.origin} ({login}):"
            " type its password or token again where the server is edited, or with"
            f" 'dicomdock server login {profile.name}'.",
            server=profile.url,
            login=str(login),
        )
    if login.kind == "kheops":
        from dicomdock.dicomweb.auth.kheops import KheopsAuth

        return KheopsAuth.of(profile, secret)
    if login.kind in ("basic", "digest"):
        return BasicAuth(login.user, secret, digest_only=login.kind == "digest")
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
