"""The servers of the user's list, and one connection to each for all pages."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dicomdock.config.settings import Settings
from dicomdock.dock.services.events import Events, ServersChanged
from dicomdock.errors import ProfileError

if TYPE_CHECKING:
    from dicomdock.config.servers import Profiles, ServerProfile
    from dicomdock.dicomweb import Client


class Servers:
    """The servers of the user's list. Thread-safe; methods may block.

    Parameters
    ----------
    settings : where the list is.
    events : is informed of changes.
    """

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._clients: dict[str, Client] = {}
        self._lock = threading.RLock()

    def profiles(self) -> Profiles:
        """Return the servers as they are in the file now; the command line may have changed them."""
        from dicomdock.config.servers import load_profiles

        return load_profiles(self._settings)

    def names(self) -> tuple[str, ...]:
        """Return the servers' names; an unreadable list counts as empty here."""
        try:
            return self.profiles().names
        except ProfileError:
            return ()

    def save(self, profile: ServerProfile, *, replaces: str = "") -> None:
        """Save a server, in place of the one that it was edited from."""
        from dicomdock.config.servers import change_profiles

        with self._lock:
            change_profiles(self._settings, lambda known: known.replaced(replaces, profile))
            self._disconnect(replaces or profile.name)
            self._disconnect(profile.name)
        self._events.publish(ServersChanged())

    def use(self, name: str) -> None:
        """Make a server the one that commands use which name none."""
        from dicomdock.config.servers import change_profiles

        with self._lock:
            change_profiles(self._settings, lambda known: known.with_default(name))
        self._events.publish(ServersChanged())

    def remove(self, name: str) -> None:
        """Remove a server from the list, and its secret from the keyring."""
        from dicomdock.config.secrets import Secrets
        from dicomdock.config.servers import change_profiles

        with self._lock:
            Secrets(self._settings).delete(name, self.profiles().get(name).origin)
            change_profiles(self._settings, lambda known: known.without(name))
            self._disconnect(name)
        self._events.publish(ServersChanged())

    def client(self, name: str) -> Client:
        """Return the connection to a server; one for all pages.

        Raises
        ------
        ProfileError
            There is no such server.
        """
        from dicomdock.dicomweb import connect

        with self._lock:
            profile = self.profiles().get(name)
            known = self._clients.get(name)
            if known is not None and known.profile == profile:
                return known
            self._disconnect(name)
            client = self._clients[name] = connect(profile, self._settings)
            return client

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _disconnect(self, name: str) -> None:
        client = self._clients.pop(name, None)
        if client is not None:
            client.close()
