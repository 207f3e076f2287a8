"""``server``: the DICOMweb servers that this user knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli.exits import exit_code
from dicomdock.cli.terminal import Terminal, examples
from dicomdock.errors import DicomdockError, InvalidInput, Unreachable
from dicomdock.profile import Login, ServerProfile, check_profile, load_profiles
from dicomdock.query import Query

if TYPE_CHECKING:
    from dicomdock.dicomweb.probe import Report
    from dicomdock.dicomweb.secrets import Secrets
    from dicomdock.dicomweb.urls import Repaired
    from dicomdock.settings import Settings
    from dicomdock.source import JsonValue

commands = typer.Typer(name="server", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="What you call the server.", show_default=False)]


class Kind(StrEnum):
    """The logins that need no more than one secret."""

    none = "none"
    basic = "basic"
    bearer = "bearer"
    headers = "headers"


@commands.callback()
def server() -> None:
    """Add, show, test, choose and remove DICOMweb servers."""


@commands.command(
    epilog=examples(
        "dicomdock server add hospital https://pacs.example.org/dicom-web --user alice",
        "dicomdock server add lab http://localhost:8042 --user alice --password-stdin < password.txt",
        "dicomdock server add cloud https://dicom.example.org/v2 --token-stdin",
    )
)
def add(
    context: typer.Context,
    name: Name,
    url: Annotated[
        str, typer.Argument(help="Its DICOMweb address; what is near it is found.", show_default=False)
    ],
    user: Annotated[str, typer.Option(help="User name of a Basic login.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read a Bearer token (or header value) from standard input.")
    ] = False,
    login: Annotated[
        Kind | None, typer.Option(help="How to log in; seen from the other options if not said.")
    ] = None,
    header: Annotated[str, typer.Option(metavar="NAME", help="The header field of a login by header.")] = "",
    ca_file: Annotated[str, typer.Option(metavar="PEM", help="Trust the authorities in this file too.")] = "",
    client_certificate: Annotated[str, typer.Option(metavar="PEM", help="Show this certificate.")] = "",
    client_key: Annotated[str, typer.Option(metavar="PEM", help="The key of the certificate.")] = "",
    proxy: Annotated[str, typer.Option(metavar="URL", help="Go through this HTTP proxy.")] = "",
) -> None:
    """Add a server: find its base address, store the login safely, and try it."""
    from dicomdock.dicomweb import urls
    from dicomdock.dicomweb.secrets import Secrets

    terminal: Terminal = context.obj
    repaired = urls.repair(url)
    asked = Asked(user, password_stdin=password_stdin, token_stdin=token_stdin, kind=login, header=header)
    profile = ServerProfile(
        name,
        repaired.url,
        asked.login(has_token=bool(repaired.token)),
        ca_file=ca_file,
        client_certificate=client_certificate,
        client_key=client_key,
        proxy=proxy,
    )
    check_profile(profile)
    secret = asked.secret(terminal, profile.login, repaired.token)
    secrets = Secrets(terminal.settings)
    if secret:
        secrets.set(name, profile.origin, secret)
        terminal.say(f"The secret is kept in {secrets.where}.")
    profile, repaired, report, problem = _try_out(profile, repaired, terminal.settings)
    load_profiles(terminal.settings).with_profile(profile).save(terminal.settings)
    terminal.say(*repaired.changes, f"{name} is {profile.url}.")
    terminal.result(
        {
            "server": _shown(profile, default=load_profiles(terminal.settings).default),
            "changes": [*repaired.changes],
            "test": report.to_json() if report else None,
            "warnings": [str(problem)] if problem else [],
        }
    )
    if problem is not None:
        terminal.note(f"{name} is kept, but it could not be tried: {problem}")
        if not isinstance(problem, Unreachable):
            raise typer.Exit(exit_code(problem))
    elif report is not None:
        terminal.say("It answers; 'dicomdock server test " + name + "' tells what works.")


@dataclass(frozen=True)
class Asked:
    """What the command line says of the login."""

    user: str
    kind: Kind | None
    header: str
    password_stdin: bool
    token_stdin: bool

    def login(self, *, has_token: bool) -> Login:
        """Give the login that is meant.

        Raises
        ------
        InvalidInput
            The options contradict one another.
        """
        kind = self.kind or self._guessed(has_token=has_token)
        if self.password_stdin and self.token_stdin:
            raise InvalidInput("Either a password or a token is read from standard input, not both.")
        if kind == Kind.basic and not self.user:
            raise InvalidInput("A Basic login needs its user name: --user NAME.")
        if kind == Kind.headers and not self.header:
            raise InvalidInput("A login by header needs the header's name: --header NAME.")
        if kind != Kind.basic and (self.user or self.password_stdin):
            raise InvalidInput(f"A user name and password belong to a Basic login, not to {kind.value!r}.")
        options: Mapping[str, str] = {"header": self.header} if kind == Kind.headers else {}
        return Login(kind.value, self.user, options)

    def _guessed(self, *, has_token: bool) -> Kind:
        if self.user or self.password_stdin:
            return Kind.basic
        if self.header:
            return Kind.headers
        return Kind.bearer if self.token_stdin or has_token else Kind.none

    def secret(self, terminal: Terminal, login: Login, token: str) -> str:
        """Give the secret of the login: from the address, from standard input, or typed."""
        if login.kind == "none":
            return ""
        if login.kind == "basic":
            return terminal.secret("Password", from_stdin=self.password_stdin)
        return token or terminal.secret("Token", from_stdin=self.token_stdin)


def _try_out(
    profile: ServerProfile, repaired: Repaired, settings: Settings
) -> tuple[ServerProfile, Repaired, Report | None, DicomdockError | None]:
    """Look for the base address and ask what works; a server that cannot be tried is no error here."""
    from dicomdock.dicomweb import connect, probe

    try:
        repaired = probe.find_base(repaired, lambda url: connect(replace(profile, url=url), settings))
        profile = replace(profile, url=repaired.url)
        with connect(profile, settings) as client:
            report = probe.test(client)
    except DicomdockError as error:
        return profile, repaired, None, error
    return replace(profile, dialect=report.dialect), repaired, report, None


@commands.command("list")
def listed(context: typer.Context) -> None:
    """Show the servers; a star marks the default one."""
    terminal: Terminal = context.obj
    profiles = load_profiles(terminal.settings)
    terminal.result({"servers": [_shown(profile, default=profiles.default) for profile in profiles]})
    for profile in profiles:
        star = "*" if profile.name == profiles.default else " "
        terminal.say(f"{star} {profile.name}  {profile.url}  {profile.login}")
    if not len(profiles):
        terminal.say("No server is known yet; 'dicomdock server add NAME URL' adds one.")


@commands.command()
def show(context: typer.Context, name: Name) -> None:
    """Show everything that is known of a server, but never its secret."""
    terminal: Terminal = context.obj
    profiles = load_profiles(terminal.settings)
    profile = profiles.get(name)
    shown = _shown(profile, default=profiles.default)
    terminal.result(shown)
    lines = [f"{key}: {value}" for key, value in shown.items() if key != "habits" and value not in ("", None)]
    terminal.say(*lines, *(f"habit {key}: {value}" for key, value in _habits(profile).items()))


@commands.command()
def test(context: typer.Context, name: Name) -> None:
    """Try what a server can do, by reading only, and say it in words."""
    from dicomdock.dicomweb import connect, probe

    terminal: Terminal = context.obj
    profile = load_profiles(terminal.settings).get(name)
    with connect(profile, terminal.settings) as client:
        next(
            iter(client.search(Query(limit=1)))
        )  # raises what the exit code needs; the report has words only
        report = probe.test(client)
    terminal.result(report.to_json())
    terminal.say(*report.sentences)


@commands.command()
def use(context: typer.Context, name: Name) -> None:
    """Make a server the default, for commands that name none."""
    terminal: Terminal = context.obj
    load_profiles(terminal.settings).with_default(name).save(terminal.settings)
    terminal.result({"default": name})
    terminal.say(f"{name} is the default server now.")


@commands.command()
def remove(context: typer.Context, name: Name) -> None:
    """Forget a server and its secret; what came from it stays in the archive."""
    from dicomdock.dicomweb.secrets import Secrets

    terminal: Terminal = context.obj
    profiles = load_profiles(terminal.settings)
    profile = profiles.get(name)
    secrets: Secrets = Secrets(terminal.settings)
    secrets.delete(name, profile.origin)
    profiles.without(name).save(terminal.settings)
    terminal.result({"removed": name})
    terminal.say(f"{name} and its login are forgotten.")


def _shown(profile: ServerProfile, *, default: str) -> dict[str, JsonValue]:
    return {
        "name": profile.name,
        "url": profile.url,
        "login": str(profile.login),
        "dialect": profile.dialect.name,
        "default": profile.name == default,
        "ca_file": profile.ca_file,
        "client_certificate": profile.client_certificate,
        "client_key": profile.client_key,
        "proxy": profile.proxy,
        "habits": _habits(profile),
    }


def _habits(profile: ServerProfile) -> dict[str, JsonValue]:
    """Give where the server differs from the standard."""
    usual = type(profile.dialect)()
    return {
        item.name: _plain(getattr(profile.dialect, item.name))
        for item in fields(profile.dialect)
        if item.name != "name" and getattr(profile.dialect, item.name) != getattr(usual, item.name)
    }


def _plain(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
