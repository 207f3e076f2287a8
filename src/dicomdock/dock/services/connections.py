"""Connections by name: to the servers of the user's list, and those that links brought with their tokens."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from dicomdock.config.settings import Settings
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.sources import LOCAL
from dicomdock.errors import LaunchError

if TYPE_CHECKING:
    from dicomdock.dicomweb import Client
    from dicomdock.launch.link import LaunchRequest
    from dicomdock.launch.trust import Allowed


class Connections:
    """Opens connections of their own, for work that closes them at its end. Thread-safe.

    The tokens of links stay in this memory, and end with it.

    Parameters
    ----------
    settings : of the connections.
    servers : the user's list.
    """

    def __init__(self, settings: Settings, servers: Servers) -> None:
        self._settings = settings
        self._servers = servers
        self._links: dict[str, tuple[LaunchRequest, Allowed]] = {}
        self._lock = threading.Lock()

    @property
    def link_names(self) -> frozenset[str]:
        """The names of the connections that links brought."""
        with self._lock:
            return frozenset(self._links)

    def add_link(self, request: LaunchRequest, allowed: Allowed) -> str:
        """Register the connection of a link and return its name.

        Each token gets a name of its own, and never that of a server of the user's, unless the link goes by
        that server's stored login.
        """
        plain = allowed.profile.name
        taken = {LOCAL, *self._servers.names()}
        with self._lock:
            if plain in taken and allowed.stored_login and request.options.bulk_retrieve:
                return plain
            for name in (f"{plain} (link {count})" if count else plain for count in itertools.count()):
                known = self._links.get(name)
                if name not in taken and (known is None or known == (request, allowed)):
                    self._links[name] = (request, allowed)
                    return name
        raise AssertionError("unreachable: names do not run out")

    def connect(self, name: str) -> Client:
        """Connect to a server, or by the connection of a link; the caller closes it.

        Raises
        ------
        LaunchError
            The name is neither; the token of a link ends with the dock that took it.
        """
        from dicomdock.dicomweb import connect
        from dicomdock.transfer.linked import LINK_EXPIRED, connect_link

        with self._lock:
            link = self._links.get(name)
        if link is not None:
            return connect_link(*link, self._settings)
        profiles = self._servers.profiles()
        if name not in profiles:
            raise LaunchError(f"{name} came with a link to an earlier dock; {LINK_EXPIRED}.")
        return connect(profiles.get(name), self._settings)
