"""The logins of servers: what the command line says of them, signing in and signing out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomdock.cli.output import Console, examples
from dicomdock.config.servers import Login, LoginKind, ServerProfile, change_profiles, load_profiles
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.config.secrets import Secrets
    from dicomdock.dicomweb.auth.signing import Prompt

PANEL: Final = "Logins"


class Kind(StrEnum):
    """The logins by the names that people know."""

    none = "none"
    basic = "basic"
    bearer = "bearer"
    headers = "headers"
    kheops = "kheops"
    oidc = "oidc"
    azure = "azure"
    google = "google"
    aws = "aws"


# Which options belong to which kinds; an option of one kind alone also chooses the kind.
_BELONGS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "header": (Kind.headers,),
    "album": (Kind.kheops,),
    "issuer": (Kind.oidc,),
    "client-id": (Kind.oidc, Kind.azure, Kind.google),
    "scope": (Kind.oidc,),
    "audience": (Kind.oidc,),
    "redirect": (Kind.oidc,),
    "as-program": (Kind.oidc,),
    "tenant": (Kind.azure,),
    "credentials": (Kind.google,),
    "aws-profile": (Kind.aws,),
    "region": (Kind.aws,),
}
_NEEDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.headers: ("header",),
    Kind.oidc: ("issuer", "client-id"),
    Kind.azure: ("tenant", "client-id"),
}


def _option(words: str, metavar: str) -> Any:  # what typer makes has no public type
    return typer.Option(help=words, metavar=metavar, rich_help_panel=PANEL)


def _pem(words: str) -> Any:
    return typer.Option(help=words, metavar="PEM")


@dataclass(frozen=True)
class LoginOptions:
    """What the command line says of how to connect and log in; each field is an option."""

    user: Annotated[str, typer.Option(help="User name of a Basic login.")] = ""
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False
    token_stdin: Annotated[
        bool,
        typer.Option(
            "--token-stdin", help="Read a token, header value, client secret or AWS keys from standard input."
        ),
    ] = False
    login: Annotated[
        Kind | None, typer.Option(help="How to log in; inferred from the other options if not given.")
    ] = None
    header: Annotated[str, _option("The header field of a login by header.", "NAME")] = ""
    album: Annotated[str, _option("The Kheops album, or 'inbox'.", "ID")] = ""
    issuer: Annotated[str, _option("The OpenID Connect issuer.", "URL")] = ""
    client_id: Annotated[str, _option("The client ID of dicomdock at the issuer.", "ID")] = ""
    scope: Annotated[str, _option("What to ask the issuer for, separated by blanks.", "WORDS")] = ""
    audience: Annotated[str, _option("Who the tokens are for, where the issuer asks.", "WORD")] = ""
    redirect: Annotated[str, _option("Where the browser comes back to, if not http://127.0.0.1/.", "URL")] = (
        ""
    )
    as_program: Annotated[
        bool,
        typer.Option("--as-program", help="A client secret instead of a person.", rich_help_panel=PANEL),
    ] = False
    tenant: Annotated[str, _option("The Azure tenant.", "ID")] = ""
    credentials: Annotated[
        str, _option("Google's: 'default', 'user' or a service account's file.", "WHICH")
    ] = ""
    aws_profile: Annotated[str, _option("The profile in ~/.aws.", "NAME")] = ""
    region: Annotated[str, _option("The AWS region, where the address does not tell.", "NAME")] = ""
    ca_file: Annotated[str, _pem("Trust the authorities in this file too.")] = ""
    client_certificate: Annotated[str, _pem("Show this certificate.")] = ""
    client_key: Annotated[str, _pem("The key of the certificate.")] = ""
    proxy: Annotated[
        str, typer.Option(metavar="URL", help="Go through this HTTP proxy; a password is asked for.")
    ] = ""
    proxy_password_stdin: Annotated[
        bool,
        typer.Option(
            "--proxy-password-stdin",
            help="Read the proxy's password from standard input, on a line before the login's.",
        ),
    ] = False
    search_url: Annotated[
        str, typer.Option(metavar="URL", help="Base address of searches, if different.")
    ] = ""
    retrieve_url: Annotated[
        str, typer.Option(metavar="URL", help="Base address of retrieval, if different.")
    ] = ""
    store_url: Annotated[str, typer.Option(metavar="URL", help="Base address of storage, if different.")] = ""

    @property
    def given(self) -> dict[str, str]:
        """The options of single kinds of login that were given, by the names on the command line."""
        values = {name: getattr(self, name.replace("-", "_")) for name in _BELONGS}
        return {name: "yes" if value is True else value for name, value in values.items() if value}

    def profile(self, name: str, url: str, *, has_token: bool) -> ServerProfile:
        """Return the profile that is meant.

        Raises
        ------
        InvalidInput
            The options contradict one another, or something is missing.
        """
        return ServerProfile(
            name,
            url,
            self.profile_login(has_token=has_token),
            ca_file=self.ca_file,
            client_certificate=self.client_certificate,
            client_key=self.client_key,
            proxy=self.proxy,
            search_url=self.search_url.rstrip("/"),
            retrieve_url=self.retrieve_url.rstrip("/"),
            store_url=self.store_url.rstrip("/"),
        )

    def profile_login(self, *, has_token: bool) -> Login:
        """Return the login that is meant.

        Raises
        ------
        InvalidInput
            The options contradict one another, or something is missing.
        """
        given = self.given
        kind = self.login or self._guessed(given, has_token=has_token)
        self._check(kind, given)
        if kind == Kind.azure:
            from dicomdock.dicomweb.auth.oidc import azure_login

            return azure_login(given["tenant"], given["client-id"])
        if kind == Kind.kheops:
            album = given.get("album", "")
            scope = {"inbox": "true"} if album == "inbox" else {"album": album} if album else {}
            return Login("kheops", self.user, scope)
        if kind == Kind.google and "client-id" in given:
            given.setdefault("credentials", "user")
        if given.pop("as-program", ""):
            given |= {"grant": "client_credentials", "scope": given.get("scope", "")}
        if "aws-profile" in given:
            given["profile"] = given.pop("aws-profile")
        stored_kind: LoginKind = kind.value  # type: ignore[assignment]  # azure is gone by now
        return Login(stored_kind, self.user, {name.replace("-", "_"): value for name, value in given.items()})

    def secret(self, console: Console, login: Login, token: str) -> str | None:
        """Return the secret of the login: from the address, from standard input, or typed; None for none."""
        from dicomdock.dicomweb.auth import secret_word

        word = secret_word(login)
        if login.kind in ("oidc", "google", "aws") and not word:  # one may be given, and need not be
            return console.secret("Token", from_stdin=True) if self.token_stdin else None
        if not word:
            return None
        return token or console.secret(word, from_stdin=self.password_stdin or self.token_stdin)

    def _guessed(self, given: Mapping[str, str], *, has_token: bool) -> Kind:
        telling = {kinds[0] for name, kinds in _BELONGS.items() if name in given and len(kinds) == 1}
        if len(telling) == 1:
            return telling.pop()
        if self.user or self.password_stdin:
            return Kind.basic
        return Kind.bearer if self.token_stdin or has_token else Kind.none

    def _check(self, kind: Kind, given: Mapping[str, str]) -> None:
        if self.password_stdin and self.token_stdin:
            raise InvalidInput("Either a password or a token is read from standard input, not both.")
        if kind == Kind.basic and not self.user:
            raise InvalidInput("A Basic login needs its user name: --user NAME.")
        if kind not in (Kind.basic, Kind.kheops) and (self.user or self.password_stdin):
            raise InvalidInput(f"A user name and password belong to a Basic login, not to {kind.value!r}.")
        for name in _NEEDS.get(kind, ()):
            if name not in given:
                raise InvalidInput(f"A login of the kind {kind.value!r} needs --{name}.")
        for name in given:
            if kind not in _BELONGS[name]:
                raise InvalidInput(f"--{name} does not belong to a login of the kind {kind.value!r}.")


def sign_in(
    console: Console,
    profile: ServerProfile,
    secrets: Secrets,
    *,
    device: bool = False,
    browser: bool = True,
) -> ServerProfile:
    """Let the person at the terminal sign in; return the profile with the account's name."""
    from dicomdock.dicomweb.auth import signing

    def show(prompt: Prompt) -> None:
        if prompt.code:
            console.note(f"Open {prompt.url} on any machine and type the code {prompt.code} there.")
            return
        console.note(f"Sign in on this page: {prompt.url}")
        if browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            import webbrowser

            webbrowser.open(prompt.url)

    way: signing.Way = "device" if device else "browser"
    return signing.sign_in(profile, secrets, console.settings, show=show, way=way)


def login(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The server.", show_default=False)],
    device: Annotated[
        bool, typer.Option("--device", help="Show a code to enter in a browser on another machine.")
    ] = False,
    no_browser: Annotated[
        bool,
        typer.Option("--no-browser", help="Show the address to open on this machine, and open no browser."),
    ] = False,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read a new password or token from standard input.")
    ] = False,
) -> None:
    """Sign in to a server in the browser, or give a new password or token."""
    from dicomdock.config.secrets import Secrets
    from dicomdock.dicomweb.auth import secret_word, signing

    console: Console = context.obj
    profile = load_profiles(console.settings).get(name)
    secrets = Secrets(console.settings)
    if signing.signs_in(profile.login):
        profile = sign_in(console, profile, secrets, device=device, browser=not no_browser)
        change_profiles(console.settings, lambda known: known.with_profile(profile))
    elif word := secret_word(profile.login):
        secrets.set(name, profile.origin, console.secret(word, from_stdin=secret_stdin))
    else:
        raise InvalidInput(f"Server {name!r} has nothing to sign in with: its login is {profile.login}.")
    console.result({"server": name, "login": str(profile.login)})
    console.print(f"{name}: signed in ({profile.login}); the login is stored in {secrets.where}.")


def logout(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The server.", show_default=False)],
) -> None:
    """Sign out of a server: end the sign-in at its issuer, and forget the secret here."""
    from dicomdock.config.secrets import Secrets
    from dicomdock.dicomweb.auth import signing

    console: Console = context.obj
    profiles = load_profiles(console.settings)
    profile = profiles.get(name)
    signing.sign_out(profile, Secrets(console.settings), console.settings)
    if signing.signs_in(profile.login) and profile.login.user:
        profile = replace(profile, login=replace(profile.login, user=""))
        change_profiles(console.settings, lambda known: known.with_profile(profile))
    console.result({"server": name, "login": str(profile.login)})
    console.print(f"{name}: signed out.")


def put_on(commands: typer.Typer) -> None:
    """Add ``login`` and ``logout`` to the commands about servers."""
    shown = examples("dicomdock server login hospital", "dicomdock server login hospital --device")
    commands.command(epilog=shown)(login)
    commands.command()(logout)
