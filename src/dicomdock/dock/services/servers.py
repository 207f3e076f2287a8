"""Servers as the pages add and try them; a secret goes from the form to the keyring and never comes back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dicomdock.config.servers import ServerProfile
from dicomdock.dock.services.logins import FORMS
from dicomdock.errors import AuthenticationError, DicomdockError, InvalidInput

if TYPE_CHECKING:
    from dicomdock.config.secrets import Secrets
    from dicomdock.dicomweb import Client
    from dicomdock.dicomweb.probe.report import Report
    from dicomdock.dock.service import Dock

MAX_NAME = 40


@dataclass(frozen=True)
class Draft:
    """A server as the form has it.

    Parameters
    ----------
    profile : as typed.
    secret : as typed; empty to use the one that is kept.
    instead_of : the name of the server that is edited; empty for a new one.
    """

    profile: ServerProfile
    secret: str = field(default="", repr=False)
    instead_of: str = ""


@dataclass(frozen=True)
class Trial:
    """What came of trying a server.

    Parameters
    ----------
    profile : with the base address that was found, and the habits that the server showed.
    changes : what was changed in the address, a sentence each.
    report : what it can do; None where it could not be tried.
    error : why it could not be tried.
    wants_login : the server refused for want of a (right) login.
    """

    profile: ServerProfile
    changes: tuple[str, ...] = ()
    report: Report | None = None
    error: str = ""
    wants_login: bool = False

    @property
    def works(self) -> bool:
        """The server answered a search."""
        return not self.error


def check(dock: Dock, draft: Draft) -> Draft:
    """Give the draft with its address repaired, or refuse what cannot be a server.

    Raises
    ------
    InvalidInput
        The name, the address or the login cannot be right.
    """
    from dicomdock.dicomweb import urls
    from dicomdock.dicomweb.google_stores import store_url

    name = draft.profile.name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable() or name in ("local", "all"):
        raise InvalidInput(f"Give the server a name of at most {MAX_NAME} characters, not 'local' or 'all'.")
    if name != draft.instead_of and name in dock.source_names():
        raise InvalidInput(f"There is a server called {name} already; choose another name.")
    typed = draft.profile.url.strip()
    if typed.startswith("projects/"):  # how Google names a store
        typed = store_url(typed)
    repaired = urls.repair(typed)
    return replace(draft, profile=replace(draft.profile, name=name, url=repaired.url))


def test(dock: Dock, name: str, *, write: bool = False) -> Trial:
    """Ask what a known server can do, and keep its habits, as ``dicomdock server test`` does.

    Parameters
    ----------
    write : send one small made object too, and delete it again where the server does that.
    """
    trial = try_out(dock, Draft(dock.profiles().get(name), instead_of=name), write=write)
    known = dock.profiles().get(name)  # anew, because it may have been changed meanwhile
    if trial.works and trial.profile.dialect != known.dialect:
        dock.save_profile(replace(known, dialect=trial.profile.dialect))
    return trial


def try_out(dock: Dock, draft: Draft, *, write: bool = False) -> Trial:
    """Find the base address and ask what the server can do; nothing is kept.

    Parameters
    ----------
    write : as of ``test``.

    Raises
    ------
    InvalidInput
        The address cannot be one.
    """
    from dicomdock.dicomweb import probe, urls

    profile = draft.profile
    repaired = urls.repair(profile.url)
    try:
        repaired = probe.find_base(repaired, lambda url: _connected(dock, draft, replace(profile, url=url)))
        profile = replace(profile, url=repaired.url)
        with _connected(dock, draft, profile) as client:
            report = probe.test(client, write=write)
    except AuthenticationError as error:
        return Trial(profile, repaired.changes, error=str(error), wants_login=True)
    except DicomdockError as error:
        return Trial(profile, repaired.changes, error=str(error))
    return Trial(replace(profile, dialect=report.dialect), repaired.changes, report, report.error)


def _connected(dock: Dock, draft: Draft, profile: ServerProfile) -> Client:
    from dicomdock.config.secrets import Secrets, TypedSecret
    from dicomdock.dicomweb import Client
    from dicomdock.dicomweb.auth import auth_for

    if draft.secret:
        typed = TypedSecret(draft.secret)
        return Client(profile, settings=dock.settings, auth=auth_for(profile, typed, dock.settings))
    # The kept secret goes to the origin that it was kept for, under the name that it was kept under.
    kept = replace(profile, name=draft.instead_of or profile.name)
    return Client(profile, settings=dock.settings, auth=auth_for(kept, Secrets(dock.settings), dock.settings))


def keep(dock: Dock, draft: Draft) -> str:
    """Keep a server and its secret; give the words for where the secret is, or "".

    Raises
    ------
    AuthenticationError
        The login needs a secret, and none is known for this address.
    """
    from dicomdock.config.secrets import Secrets
    from dicomdock.dicomweb.auth import same_secret

    profile, secrets = draft.profile, Secrets(dock.settings)
    form = FORMS[profile.login.kind]
    secret: str | None = draft.secret or None
    if secret is None and draft.instead_of:
        old = dock.profiles().get(draft.instead_of)
        if same_secret(old.login, profile.login):
            secret = secrets.get(old.name, profile.origin)
    if form.secret:
        if secret is None and form.secret_needed:
            raise AuthenticationError(
                f"Type the password or token for {profile.origin}; a kept one goes to no other address.",
                server=profile.url,
                login=str(profile.login),
            )
        if secret is not None:
            secrets.set(profile.name, profile.origin, secret)
    _forget_old_secret(dock, secrets, draft, kept=secret is not None)
    dock.save_profile(profile, instead_of=draft.instead_of)
    return secrets.where if secret is not None else ""


def _forget_old_secret(dock: Dock, secrets: Secrets, draft: Draft, *, kept: bool) -> None:
    if not draft.instead_of:
        return
    old = dock.profiles().get(draft.instead_of)
    moved = (old.name, old.origin) != (draft.profile.name, draft.profile.origin)
    if old.login.kind != "none" and (moved or not kept):
        secrets.delete(old.name, old.origin)


def disconnect(dock: Dock, name: str) -> Draft:
    """Take a server off the list and its secret out of the keyring; give what brings both back."""
    from dicomdock.config.secrets import Secrets

    profile = dock.profiles().get(name)
    secret = Secrets(dock.settings).get(name, profile.origin) if profile.login.kind != "none" else None
    dock.remove_profile(name)
    return Draft(profile, secret or "")
