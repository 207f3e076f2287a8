"""Adding, testing and editing servers; a secret goes from the form to the keyring and never comes back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dicomdock.config.servers import ServerProfile
from dicomdock.dock.services.logins import FORMS
from dicomdock.dock.services.servers import Servers
from dicomdock.errors import AuthenticationError, DicomdockError, InvalidInput

if TYPE_CHECKING:
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb import Client
    from dicomdock.dicomweb.probe.report import Report
MAX_NAME = 40


@dataclass(frozen=True)
class Draft:
    """A server as the form has it.

    Parameters
    ----------
    profile : as typed.
    secret : as typed; empty to use the stored one.
    replaces : the name of the server that is edited; empty for a new one.
    """

    profile: ServerProfile
    secret: str = field(default="", repr=False)
    replaces: str = ""


@dataclass(frozen=True)
class Trial:
    """The result of testing a server.

    Parameters
    ----------
    profile : with the base address that was found, and the capabilities that it showed.
    changes : what was changed in the address, a sentence each.
    report : what it can do; None where it could not be tested.
    error : why it could not be tested.
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


class ServerSetup:
    """Adds, tests, edits and disconnects servers. Methods block.

    Parameters
    ----------
    settings : of the connections.
    servers : the user's list.
    """

    def __init__(self, settings: Settings, servers: Servers) -> None:
        self._settings = settings
        self._servers = servers

    def check(self, draft: Draft) -> Draft:
        """Return the draft with its address repaired, or refuse what cannot be a server.

        Raises
        ------
        InvalidInput
            The name, the address or the login cannot be right.
        """
        from dicomdock.dicomweb import urls
        from dicomdock.dicomweb.google_stores import store_url

        name = draft.profile.name.strip()
        if not name or len(name) > MAX_NAME or not name.isprintable() or name in ("local", "all"):
            raise InvalidInput(
                f"Give the server a name of at most {MAX_NAME} characters, not 'local' or 'all'."
            )
        if name != draft.replaces and name in self._servers.names():
            raise InvalidInput(f"There is a server called {name} already; choose another name.")
        typed = draft.profile.url.strip()
        if typed.startswith("projects/"):  # how Google names a store
            typed = store_url(typed)
        repaired = urls.repair(typed)
        return replace(draft, profile=replace(draft.profile, name=name, url=repaired.url))

    def test(self, name: str, *, write: bool = False) -> Trial:
        """Test what a known server can do, and save its capabilities, as ``dicomdock server test`` does.

        Parameters
        ----------
        write : send one small made object too, and delete it again where the server does that.
        """
        trial = self.try_out(Draft(self._servers.profiles().get(name), replaces=name), write=write)
        known = self._servers.profiles().get(name)  # anew, because it may have been changed meanwhile
        if trial.works and trial.profile.dialect != known.dialect:
            self._servers.save(replace(known, dialect=trial.profile.dialect))
        return trial

    def try_out(self, draft: Draft, *, write: bool = False) -> Trial:
        """Find the base address and test what the server can do; nothing is saved.

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
            repaired = probe.find_base(
                repaired, lambda url: self._connected(draft, replace(profile, url=url))
            )
            profile = replace(profile, url=repaired.url)
            with self._connected(draft, profile) as client:
                report = probe.test(client, write=write)
        except AuthenticationError as error:
            return Trial(profile, repaired.changes, error=str(error), wants_login=True)
        except DicomdockError as error:
            return Trial(profile, repaired.changes, error=str(error))
        return Trial(report.apply(profile), repaired.changes, report, report.error)

    def _connected(self, draft: Draft, profile: ServerProfile) -> Client:
        from dicomdock.config.secrets import Secrets, TypedSecret
        from dicomdock.dicomweb import Client
        from dicomdock.dicomweb.auth import auth_for

        if draft.secret:
            typed = TypedSecret(draft.secret)
            return Client(profile, settings=self._settings, auth=auth_for(profile, typed, self._settings))
        # The stored secret goes to the origin that it was stored for, under its name of then.
        stored = replace(profile, name=draft.replaces or profile.name)
        return Client(
            profile, settings=self._settings, auth=auth_for(stored, Secrets(self._settings), self._settings)
        )

    def save(self, draft: Draft) -> str:
        """Save a server and its secret; return the name of the secret's store, or "".

        Raises
        ------
        AuthenticationError
            The login needs a secret, and none is known for this address.
        """
        from dicomdock.config.secrets import Secrets
        from dicomdock.dicomweb.auth import same_secret

        profile, secrets = draft.profile, Secrets(self._settings)
        form = FORMS[profile.login.kind]
        secret: str | None = draft.secret or None
        if secret is None and draft.replaces:
            old = self._servers.profiles().get(draft.replaces)
            if same_secret(old.login, profile.login):
                secret = secrets.get(old.name, profile.origin)
        if form.secret:
            if secret is None and form.secret_needed:
                raise AuthenticationError(
                    f"Type the password or token for {profile.origin}; a stored one goes nowhere else.",
                    server=profile.url,
                    login=str(profile.login),
                )
            if secret is not None:
                secrets.set(profile.name, profile.origin, secret)
        self._forget_old_secret(secrets, draft, stored=secret is not None)
        self._servers.save(profile, replaces=draft.replaces)
        return secrets.where if secret is not None else ""

    def _forget_old_secret(self, secrets: Secrets, draft: Draft, *, stored: bool) -> None:
        if not draft.replaces:
            return
        old = self._servers.profiles().get(draft.replaces)
        moved = (old.name, old.origin) != (draft.profile.name, draft.profile.origin)
        if old.login.kind != "none" and (moved or not stored):
            secrets.delete(old.name, old.origin)

    def lacks_secret(self, profile: ServerProfile) -> bool:
        """Return whether the login of a server needs a secret that is not stored."""
        from dicomdock.config.secrets import Secrets

        form = FORMS[profile.login.kind]
        wanted = bool(form.secret) and form.secret_needed
        return wanted and Secrets(self._settings).get(profile.name, profile.origin) is None

    def disconnect(self, name: str) -> Draft:
        """Remove a server and its secret; return what brings both back."""
        from dicomdock.config.secrets import Secrets

        profile = self._servers.profiles().get(name)
        secret = Secrets(self._settings).get(name, profile.origin) if profile.login.kind != "none" else None
        self._servers.remove(name)
        return Draft(profile, secret or "")
