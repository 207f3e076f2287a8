"""What the pages of one dock are given: each takes from it the services that it uses, and no more."""

from __future__ import annotations

from dataclasses import dataclass

from dicomdock.config.preferences import Preferences
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.connections import Connections
from dicomdock.dock.services.delete import Deletions
from dicomdock.dock.services.demonstration import Demonstration
from dicomdock.dock.services.events import Events
from dicomdock.dock.services.links import Links
from dicomdock.dock.services.logins import SignIns
from dicomdock.dock.services.open_study import OpenStudy
from dicomdock.dock.services.project_work import ProjectWork
from dicomdock.dock.services.server_setup import ServerSetup
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.slicer_links import SlicerLinks
from dicomdock.dock.services.sources import Sources
from dicomdock.dock.services.studies import StudyFinder
from dicomdock.dock.services.threads import Run
from dicomdock.dock.services.transfers import Downloads, Transfers
from dicomdock.dock.services.uploads import Uploads
from dicomdock.dock.services.viewer_requests import ViewerRequests


@dataclass(frozen=True)
class Services:
    """The services of one dock, made by ``dock.app``.

    Parameters
    ----------
    url : the dock's address, without a trailing slash.
    run : does blocking work in a thread.
    events : inform the pages of changes.
    preferences : what the pages remember.
    local : the archive.
    servers, setup, sign_ins : the user's list of servers, its forms, and logins where a person signs in.
    sources, finder : archive and servers under one roof, and what can be found there.
    connections : to servers, and those that links brought.
    downloads, transfers : what is on its way, and all transfers.
    links : links from other programs.
    uploads : files from the browser.
    open_study, slicer : show studies in the viewer, or in 3D Slicer.
    requests : fetches images that objects refer to.
    deletions : remove and delete.
    demonstration : the demonstration server.
    work : what the user does in annotation projects.
    """

    url: str
    run: Run
    events: Events
    preferences: Preferences
    local: LocalArchive
    servers: Servers
    setup: ServerSetup
    sign_ins: SignIns
    sources: Sources
    finder: StudyFinder
    connections: Connections
    downloads: Downloads
    transfers: Transfers
    links: Links
    uploads: Uploads
    open_study: OpenStudy
    slicer: SlicerLinks
    requests: ViewerRequests
    deletions: Deletions
    demonstration: Demonstration
    work: ProjectWork
