"""What the actions on studies and series work with."""

from __future__ import annotations

from dataclasses import dataclass

from dicomdock.dock.bundle import Services
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.connections import Connections
from dicomdock.dock.services.delete import Deletions
from dicomdock.dock.services.slicer_links import SlicerLinks
from dicomdock.dock.services.sources import Sources
from dicomdock.dock.services.threads import Run
from dicomdock.dock.services.transfers import Downloads, Transfers


@dataclass(frozen=True)
class ActionServices:
    """The services of the actions; see ``Services``."""

    run: Run
    local: LocalArchive
    sources: Sources
    connections: Connections
    downloads: Downloads
    transfers: Transfers
    slicer: SlicerLinks
    deletions: Deletions

    @classmethod
    def of(cls, services: Services) -> ActionServices:
        """Return those of a dock."""
        return cls(
            services.run,
            services.local,
            services.sources,
            services.connections,
            services.downloads,
            services.transfers,
            services.slicer,
            services.deletions,
        )
