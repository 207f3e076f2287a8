"""What answering a viewer's requests needs of the dock: its connections, downloads and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.connections import Connections
from dicomdock.dock.services.events import ArchiveChanged, Events, ServerChanged
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.transfers import Transfers
from dicomdock.dock.services.viewer_process import Send

if TYPE_CHECKING:
    from dicomdock.dicomweb import Client


class DockNetwork:
    """The dock as its viewers' requests see it (``viewer_requests.Network``).

    Parameters
    ----------
    servers, connections, transfers, events : of the dock.
    list_address : returns an address of the list of studies that works once.
    """

    has_list = True

    def __init__(
        self,
        servers: Servers,
        connections: Connections,
        transfers: Transfers,
        events: Events,
        list_address: Callable[[], str],
    ) -> None:
        self._servers = servers
        self._connections = connections
        self._transfers = transfers
        self._events = events
        self._list_address = list_address

    def server_names(self) -> tuple[str, ...]:
        """Return the names of the user's servers."""
        return self._servers.profiles().names

    def link_names(self) -> frozenset[str]:
        """Return the names of the connections that links brought."""
        return self._connections.link_names

    def connect(self, name: str) -> Client:
        """Connect to a server, or by the connection of a link; the caller closes it."""
        return self._connections.connect(name)

    def pull(self, server: str, series: Sequence[Resource], send: Send) -> None:  # noqa: ARG002
        """Queue the download; the viewer is informed by the one that watches downloads."""
        self._transfers.pull(server, series)

    def list_address(self) -> str:
        """Return an address of the list of studies that works once."""
        return self._list_address()

    def study_changed(self, study: str) -> None:
        """Let the pages look the study up."""
        self._events.publish(ArchiveChanged(study))

    def sent(self, server: str, study: str) -> None:
        """Let the pages ask the server again."""
        self._events.publish(ServerChanged(server, study))
