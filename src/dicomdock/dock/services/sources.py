"""The archive and the servers under one roof: what studies can be searched in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.servers import Servers

if TYPE_CHECKING:
    from dicomdock.sources import DicomSource

LOCAL = "local"
"""The archive's name among the sources."""


class Sources:
    """The archive, then the servers of the user's list.

    Parameters
    ----------
    local, servers : the two.
    """

    def __init__(self, local: LocalArchive, servers: Servers) -> None:
        self._local = local
        self._servers = servers

    def get(self, name: str) -> DicomSource:
        """Return the archive or a server by its name."""
        return self._local.archive if name == LOCAL else self._servers.client(name)

    def names(self) -> tuple[str, ...]:
        """Return the archive's name, then the servers'."""
        return (LOCAL, *self._servers.names())
