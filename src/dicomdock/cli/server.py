"""``server``: the DICOMweb servers that this user knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import google
from dicomdock.cli import login as logins
from dicomdock.cli.options import with_options
from dicomdock.cli.output import Console, examples
from dicomdock.config.servers import Profiles, ServerProfile, change_profiles, check_profile, load_profiles
from dicomdock.dicom.query import Query
from dicomdock.errors import DicomdockError, InvalidInput, Unreachable
from dicomdock.web.endpoint import Proxy
from dicomdock.web.url import Origin

if TYPE_CHECKING:
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb.probe import Report
    from dicomdock.dicomweb.urls import Repaired
    from dicomdock.sources import JsonValue

commands = typer.Typer(name="server", no_args_is_help=True)
logins.put_on(commands)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the server.", show_default=False)]


@commands.callback()
def server() -> None:
    """Add, show, test, choose and remove DICOMweb servers."""


@commands.command(
    epilog=examples(
        "dicomdock server add hospital https://pacs.example.org/dicom-web --user alice",
        "dicomdock server add lab http://localhost:8042 --user alice --password-stdin < password.txt",
        "dicomdock server add cloud https://dicom.example.org/v2 --token-stdin",
        "dicomdock server add clinic https://pacs.example.org --issuer https://id.example.org --client-id d",
        "dicomdock server add research google",
    )
)
@with_options
def add(
    context: typer.Context,
    name: Name,
    url: Annotated[
        str,
        typer.Argument(
            help="Its DICOMweb address, or one near it. Or 'google', to choose from lists.",
            show_default=False,
        ),
    ],
    replacing: Annotated[bool, typer.Option("--replace", help="Replace the server of this name.")] = False,
    untested: Annotated[
        bool, typer.Option("--untested", help="Save the server even if nothing answers at its address.")
    ] = False,
    *,
    options: logins.LoginOptions,
) -> None:
    """Add a server: find its base address, store the login safely, and test it."""
    from dicomdock.config.secrets import Secrets
    from dicomdock.dicomweb import urls
    from dicomdock.dicomweb.auth import same_secret
    from dicomdock.dicomweb.auth.signing import signs_in
    from dicomdock.dicomweb.google_stores import HEALTHCARE

    console: Console = context.obj
    at_google = google.is_google(url)
    if at_google and options.login is None:
        options = replace(options, login=logins.Kind.google)
    profiles = load_profiles(console.settings)
    _may_replace(console, profiles, name, sure=replacing)
    repaired = urls.repair(HEALTHCARE if at_google else url)
    profile = options.profile(name, repaired.url, has_token=bool(repaired.token))
    check_profile(profile)
    profile = _with_proxy_password(console, profile, from_stdin=options.proxy_password_stdin)
    secrets = Secrets(console.settings)
    before = secrets.get(name, profile.origin)
    if name in profiles and not same_secret(profiles.get(name).login, profile.login):
        secrets.delete(name, profile.origin)  # what one login stored is nothing for another
    if (secret := options.secret(console, profile.login, repaired.token)) is not None:
        secrets.set(name, profile.origin, secret)
        console.print(f"The secret is stored in {secrets.where}.")
    if signs_in(profile.login) and console.attended:
        _save(console, profile)  # also where the sign-in fails
        profile = logins.sign_in(console, profile, secrets)
    if at_google:
        repaired = urls.repair(google.address(console, url, profile))
        profile = replace(profile, url=repaired.url)
    profile, repaired, report, problem = _try_out(profile, repaired, console.settings)
    if isinstance(problem, Unreachable) and not untested and _is_at(problem.url, profile):
        _restore(console.settings, secrets, profiles, profile, before)
        raise Unreachable(
            f"{problem} {name} is not saved; --untested saves it all the same.", url=problem.url
        )
    profiles = _save(console, profile)
    console.print(*repaired.changes, f"{name} is {profile.url}.")
    console.result(
        {
            "server": _shown(profile, default=profiles.default),
            "changes": [*repaired.changes],
            "test": report.to_json() if report else None,
            "warnings": [str(problem)] if problem else [],
        }
    )
    if problem is not None:
        console.note(f"{name} is saved, but it could not be tried: {problem}")
        if not isinstance(problem, Unreachable):
            raise typer.Exit(problem.exit_code)
    elif report is not None:
        console.print("It answers; 'dicomdock server test " + name + "' tells what works.")


def _with_proxy_password(console: Console, profile: ServerProfile, *, from_stdin: bool) -> ServerProfile:
    """Add the password of the proxy, read from standard input or typed, where it has a user."""
    user = Proxy.parse(profile.proxy).user
    if from_stdin and (not user or profile.proxy_password):
        raise InvalidInput(
            "--proxy-password-stdin needs a proxy with a user and no password: --proxy http://USER@HOST:PORT."
        )
    if not user or profile.proxy_password or not (from_stdin or console.attended):
        return profile
    return replace(profile, proxy_password=console.secret("Password of the proxy", from_stdin=from_stdin))


def _may_replace(console: Console, profiles: Profiles, name: str, *, sure: bool) -> None:
    """Ask whether a server that has this name already is to be replaced."""
    if sure or (name not in profiles and name not in profiles.unusable):
        return
    known = f" ({profiles.get(name).url})" if name in profiles else ""
    if not console.confirm(f"{name} is known already{known}. Replace it?"):
        raise InvalidInput(f"{name} is known already{known}; --replace replaces it.")


def _is_at(url: str, profile: ServerProfile) -> bool:
    """Return whether an address is the server's own, not one where its logins come from."""
    return bool(url) and str(Origin.parse(url)) == profile.origin


def _restore(
    settings: Settings, secrets: Secrets, profiles: Profiles, profile: ServerProfile, secret: str | None
) -> None:
    """Undo what adding a server has saved so far."""
    if secret is None:
        secrets.delete(profile.name, profile.origin)
    else:
        secrets.set(profile.name, profile.origin, secret)
    if profile.name in profiles:
        former = profiles.get(profile.name)
        change_profiles(settings, lambda known: known.with_profile(former))
    elif profile.name in load_profiles(settings):
        change_profiles(settings, lambda known: known.without(profile.name))


def _save(console: Console, profile: ServerProfile) -> Profiles:
    return change_profiles(console.settings, lambda known: known.with_profile(profile))


def _try_out(
    profile: ServerProfile, repaired: Repaired, settings: Settings
) -> tuple[ServerProfile, Repaired, Report | None, DicomdockError | None]:
    """Look for the base address and ask what works; a server that cannot be tried is not an error here."""
    from dicomdock.dicomweb import connect, probe

    try:
        repaired = probe.find_base(repaired, lambda url: connect(replace(profile, url=url), settings))
        profile = replace(profile, url=repaired.url)
        with connect(profile, settings) as client:
            report = probe.test(client)
    except DicomdockError as error:
        return profile, repaired, None, error
    return report.apply(profile), repaired, report, None


@commands.command("list")
def listed(context: typer.Context) -> None:
    """List the servers; a star marks the default one."""
    console: Console = context.obj
    profiles = load_profiles(console.settings)
    console.result({"servers": [_shown(profile, default=profiles.default) for profile in profiles]})
    for profile in profiles:
        star = "*" if profile.name == profiles.default else " "
        console.print(f"{star} {profile.name}  {profile.url}  {profile.login}")
    console.note(*(entry.reason for entry in profiles.unusable.values()))
    if not len(profiles) and not profiles.unusable:
        console.print("No server is known yet; 'dicomdock server add NAME URL' adds one.")


@commands.command()
def show(context: typer.Context, name: Name) -> None:
    """Show everything known about a server, except its secret."""
    console: Console = context.obj
    profiles = load_profiles(console.settings)
    profile = profiles.get(name)
    shown = _shown(profile, default=profiles.default)
    console.result(shown)
    lines = [f"{key}: {value}" for key, value in shown.items() if key != "habits" and value not in ("", None)]
    console.print(*lines, *(f"habit {key}: {value}" for key, value in _habits(profile).items()))


@commands.command()
def test(
    context: typer.Context,
    name: Name,
    write: Annotated[
        bool,
        typer.Option("--write", help="Also store a small test object, and delete it again where possible."),
    ] = False,
    save: Annotated[bool, typer.Option(help="Save what was found as the server's capabilities.")] = True,
) -> None:
    """Test what a server supports, report it, and save what was found; only reads without --write."""
    from dicomdock.dicomweb import connect, probe

    console: Console = context.obj
    profile = load_profiles(console.settings).get(name)
    with connect(profile, console.settings) as client:
        next(
            iter(client.search(Query(limit=1)))
        )  # raises what the exit code needs; the report has words only
        report = probe.test(client, write=write)
    found = bool(report.addresses) or report.dialect != profile.dialect
    changed = save and report.reachable and found
    if changed:
        change_profiles(
            console.settings,
            lambda known: known.with_profile(report.apply(known.get(name))),
        )
    console.result({**report.to_json(), "saved": changed})
    console.print(*report.sentences)
    if report.consequences:
        console.print(
            "", "dicomdock will therefore do this:", *(f"  {words}" for words in report.consequences)
        )
    if changed:
        console.print("", f"These habits are saved with {name}.")


@commands.command()
def use(context: typer.Context, name: Name) -> None:
    """Set the default server, for commands that name none."""
    console: Console = context.obj
    change_profiles(console.settings, lambda known: known.with_default(name))
    console.result({"default": name})
    console.print(f"{name} is the default server now.")


@commands.command()
def remove(context: typer.Context, name: Name) -> None:
    """Remove a server and its secret; studies pulled from it stay in the archive."""
    from dicomdock.config.secrets import Secrets

    console: Console = context.obj
    profiles = load_profiles(console.settings)
    if name not in profiles.unusable:  # whose address names no origin that a login was stored for
        secrets: Secrets = Secrets(console.settings)
        secrets.delete(name, profiles.get(name).origin)
    change_profiles(console.settings, lambda known: known.without(name))
    console.result({"removed": name})
    console.print(f"{name} and its login are removed.")


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
        "search_url": profile.search_url,
        "retrieve_url": profile.retrieve_url,
        "store_url": profile.store_url,
        "habits": _habits(profile),
    }


def _habits(profile: ServerProfile) -> dict[str, JsonValue]:
    """Return where the server differs from the standard."""
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
