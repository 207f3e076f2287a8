"""Logins as forms: the fields of each kind; signing in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from dicomdock.config.servers import Login, LoginKind, ServerProfile
from dicomdock.dock.services.servers import Servers
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    import threading

    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb.auth.signing import Prompt


@dataclass(frozen=True)
class Field:
    """One thing to fill in.

    Parameters
    ----------
    name : of the option of the login; ``user`` is its user name.
    label, hint : what the page says of it.
    needed : the login cannot be without it.
    """

    name: str
    label: str
    hint: str = ""
    needed: bool = True


@dataclass(frozen=True)
class LoginForm:
    """How one kind of login is asked for.

    Parameters
    ----------
    title : what people call it.
    fields : what it needs beside a secret.
    secret : what its secret is called; empty for none that is typed.
    secret_needed : it cannot be without the secret.
    """

    title: str
    fields: tuple[Field, ...] = ()
    secret: str = ""
    secret_needed: bool = True


_CLIENT = Field("client_id", "Client id", "The name of dicomdock at the issuer: ask whoever runs the server.")

# ``azure`` becomes ``oidc`` when it is saved, and is shown as that afterwards.
FORMS: Mapping[str, LoginForm] = MappingProxyType(
    {
        "none": LoginForm("No login"),
        "basic": LoginForm("User name and password", (Field("user", "User name"),), "Password"),
        "bearer": LoginForm("Token", (), "Token"),
        "headers": LoginForm("Key in a header field", (Field("header", "Header field"),), "Key"),
        "kheops": LoginForm(
            "Kheops token",
            (Field("album", "Album", "Its ID, or 'inbox'; empty for all.", needed=False),),
            "Token",
        ),
        "oidc": LoginForm(
            "Sign in in the browser (OpenID Connect)",
            (
                Field("issuer", "Issuer", "The address of the sign-in, https://…"),
                _CLIENT,
                Field("scope", "Scope", "Empty for the usual one.", needed=False),
            ),
            "Client secret, where the issuer wants one",
            secret_needed=False,
        ),
        "azure": LoginForm("Sign in with Microsoft (Azure)", (Field("tenant", "Tenant"), _CLIENT)),
        "google": LoginForm(
            "Google",
            (
                Field(
                    "credentials",
                    "Credentials",
                    "'default', 'user' to sign in here, or the file of a service account.",
                    needed=False,
                ),
                replace(_CLIENT, hint="Only to sign in here.", needed=False),
            ),
            "Client secret, to sign in here",
            secret_needed=False,
        ),
        "aws": LoginForm(
            "AWS signature",
            (
                Field("profile", "Profile in ~/.aws", "Empty for what AWS' own tools use.", needed=False),
                Field("region", "Region", "Empty where the address tells it.", needed=False),
            ),
            "Keys, ACCESS:SECRET; empty to use the profile",
            secret_needed=False,
        ),
    }
)


def fields() -> tuple[Field, ...]:
    """Return the fields of all kinds, each once."""
    by_name = {item.name: item for form in FORMS.values() for item in form.fields}
    return tuple(by_name.values())


def login_of(kind: str, values: Mapping[str, str]) -> Login:
    """Return the login of a form.

    Raises
    ------
    InvalidInput
        Something that the login needs is empty.
    """
    form = FORMS[kind]
    given = {field.name: values.get(field.name, "").strip() for field in form.fields}
    for field in form.fields:
        if field.needed and not given[field.name]:
            raise InvalidInput(f"A login of the kind '{form.title}' needs: {field.label}.")
    if kind == "azure":
        from dicomdock.dicomweb.auth.oidc import azure_login

        return azure_login(given["tenant"], given["client_id"])
    user = given.pop("user", "")
    if kind == "kheops" and given["album"] == "inbox":
        given = {"inbox": "true"}
    return Login(cast(LoginKind, kind), user, {name: value for name, value in given.items() if value})


def edited(old: Login, new: Login) -> Login:
    """Return the login of a form that edits another, with what the form does not show."""
    if old.kind != new.kind or old.options.get("issuer") != new.options.get("issuer"):
        return new
    shown = {field.name for field in FORMS[old.kind].fields} | {"inbox"}
    unseen = {name: value for name, value in old.options.items() if name not in shown}
    return replace(new, user=new.user or old.user, options={**unseen, **new.options})


def values_of(login: Login) -> dict[str, str]:
    """Return what the fields of a form show for a login."""
    values = {"user": login.user, **login.options}
    if login.options.get("inbox") == "true":
        values["album"] = "inbox"
    return values


def signs_in(profile: ServerProfile) -> bool:
    """Return whether a person has to sign in to this server."""
    from dicomdock.dicomweb.auth import signing

    return signing.signs_in(profile.login)


class SignIns:
    """Signs the user in and out at servers where a person has to. Methods block.

    Parameters
    ----------
    settings : of the connections.
    servers : the user's list.
    """

    def __init__(self, settings: Settings, servers: Servers) -> None:
        self._settings = settings
        self._servers = servers

    def sign_in(self, name: str, show: Callable[[Prompt], None], cancelled: threading.Event) -> ServerProfile:
        """Let the user sign in to a server; return its profile with the name of the account.

        Parameters
        ----------
        name : the server's.
        show : called in this thread with the address to open.
        cancelled : set to give up.

        Raises
        ------
        AuthenticationError
            It was refused, or nobody came in time.
        Cancelled
            ``cancelled`` was set.
        """
        from dicomdock.config.secrets import Secrets
        from dicomdock.dicomweb.auth import signing

        profile = self._servers.profiles().get(name)
        secrets = Secrets(self._settings)
        profile = signing.sign_in(profile, secrets, self._settings, show=show, cancelled=cancelled)
        self._servers.save(profile, replaces=name)
        return profile

    def sign_out(self, name: str) -> None:
        """End the session with a server, at its issuer and on this computer."""
        from dicomdock.config.secrets import Secrets
        from dicomdock.dicomweb.auth import signing

        profile = self._servers.profiles().get(name)
        signing.sign_out(profile, Secrets(self._settings), self._settings)
        if signing.signs_in(profile.login):
            profile = replace(profile, login=replace(profile.login, user=""))
        self._servers.save(profile, replaces=name)
