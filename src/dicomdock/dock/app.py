"""The composition root: builds everything that a dock is made of, once, and joins it to one application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicomdock.config.preferences import Preferences
from dicomdock.config.secrets import SecretFile
from dicomdock.config.settings import Settings
from dicomdock.dock.addresses import LIST_ADDRESS
from dicomdock.dock.bundle import Services
from dicomdock.dock.security.browser_keys import BrowserKeys
from dicomdock.dock.security.requests import Guard
from dicomdock.dock.security.sessions import Grant, Keys
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.browser_tabs import BrowserTabs
from dicomdock.dock.services.connections import Connections
from dicomdock.dock.services.delete import Deletions
from dicomdock.dock.services.demonstration import Demonstration
from dicomdock.dock.services.dock_network import DockNetwork
from dicomdock.dock.services.events import Events
from dicomdock.dock.services.links import Links
from dicomdock.dock.services.logins import SignIns
from dicomdock.dock.services.open_study import OpenStudy
from dicomdock.dock.services.prefetch import Prefetch
from dicomdock.dock.services.project_work import ProjectWork
from dicomdock.dock.services.server_setup import ServerSetup
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.slicer_links import SlicerLinks
from dicomdock.dock.services.sources import Sources
from dicomdock.dock.services.studies import StudyFinder
from dicomdock.dock.services.threads import Lazy, Threads
from dicomdock.dock.services.transfers import Downloads, Transfers
from dicomdock.dock.services.uploads import Uploads
from dicomdock.dock.services.viewer_requests import ViewerRequests
from dicomdock.dock.services.viewers import Viewers
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from dicomdock.dock.asgi import AsgiApp
    from dicomdock.origin.workers import Workers
    from dicomdock.transfer import TransferQueue

OWN_SERVICE = "/dicom-web"  # where the dock serves its archive

log = logging.getLogger("dicomdock.dock")


@dataclass(frozen=True)
class Dock:
    """What runs a dock: its services for the pages, and what only the application needs.

    Parameters
    ----------
    services : for the pages.
    port : the TCP port that the dock answers on.
    keys : sessions and tokens.
    threads : blocking work runs there.
    tabs : shows pages to the user.
    viewers, prefetch : serve studies that are open.
    decoders : processes that decode images.
    """

    services: Services
    port: int
    keys: Keys
    threads: Threads
    tabs: BrowserTabs
    viewers: Viewers
    prefetch: Prefetch
    decoders: Lazy[Workers]

    def one_time_link(self, path: str = "/") -> str:
        """Return an address that opens a page once, with a new session."""
        return f"{self.services.url}{path}#{self.keys.one_time_token()}"

    def close(self) -> None:
        """Pause the transfers; close viewers, connections and archives."""
        services = self.services
        services.links.close()
        self.prefetch.close()
        self.viewers.close()
        services.transfers.close()
        self.threads.close()
        services.servers.close()
        decoders = self.decoders.take()
        if decoders is not None:
            decoders.close()
        services.local.close()
        services.demonstration.close()


def build(settings: Settings, *, port: int, open_browser: Callable[[str], object] | None = None) -> Dock:
    """Build the services of a dock. Nothing is opened or started before it is needed.

    Parameters
    ----------
    settings : where things are and how much is allowed.
    port : the TCP port that the dock answers on.
    open_browser : opens a one-time link in a browser; None where none may be opened.
    """
    url = f"http://127.0.0.1:{port}"
    keys = Keys(browsers=BrowserKeys(SecretFile(settings.state / "browsers.json")))
    events = Events()
    threads = Threads()
    preferences = Preferences(settings)
    local = LocalArchive(settings, events)
    servers = Servers(settings, events)
    sources = Sources(local, servers)
    connections = Connections(settings, servers)
    queue = Lazy(lambda: _open_queue(settings))
    downloads = Downloads(queue)
    transfers = Transfers(settings, queue, downloads, local, connections.connect, events)

    def one_time_link(path: str) -> str:
        return f"{url}{path}#{keys.one_time_token()}"

    def list_address() -> str:
        return one_time_link(LIST_ADDRESS)

    requests = ViewerRequests(settings, DockNetwork(servers, connections, transfers, events, list_address))
    viewers = Viewers(settings, requests)
    prefetch = Prefetch(connections.connect)
    open_study = OpenStudy(local, downloads, prefetch, viewers, preferences)
    transfers.observe(open_study)
    opener = None if open_browser is None else lambda path: open_browser(one_time_link(path))
    tabs = BrowserTabs(threads.run, opener)

    def own_token(endpoint: str, token: str) -> Grant | None:
        grant = keys.granted(token) if endpoint == url + OWN_SERVICE else None
        return grant if grant is not None and grant.root in ("", OWN_SERVICE) else None

    services = Services(
        url=url,
        run=threads.run,
        events=events,
        preferences=preferences,
        local=local,
        servers=servers,
        setup=ServerSetup(settings, servers),
        sign_ins=SignIns(settings, servers),
        sources=sources,
        finder=StudyFinder(local, servers, sources),
        connections=connections,
        downloads=downloads,
        transfers=transfers,
        links=Links(settings, servers, own_token, connections, transfers, open_study.warm, tabs.show, events),
        uploads=Uploads(threads.run, local, transfers, events),
        open_study=open_study,
        slicer=SlicerLinks(url, keys),
        requests=requests,
        deletions=Deletions(local, servers, open_study, events),
        demonstration=Demonstration(settings, servers, keys, url),
        work=ProjectWork(local, transfers, downloads, events),
    )
    return Dock(services, port, keys, threads, tabs, viewers, prefetch, Lazy(_start_decoders))


def create_app(dock: Dock) -> AsgiApp:
    """Return the dock's application, guarded.

    NiceGUI keeps its pages in its module, so a process has one dock at a time.
    """
    services = dock.services
    # NiceGUI would keep its own storage in a folder ".nicegui" below the working directory; we use none of
    # it.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(services.local.settings.state / "nicegui"))
    # Before any thread does: two that import parts of it at the same time get them half made.
    import pydicom  # noqa: F401
    from nicegui import app as nicegui_app
    from nicegui import ui
    from starlette.applications import Starlette

    from dicomdock.dock.pages.registration import register
    from dicomdock.dock.pages.table import FAVICON
    from dicomdock.dock.routes import Entrance, LazyOrigin, routes
    from dicomdock.dock.services.thumbnails import Thumbnails

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        services.events.attach(loop)
        dock.tabs.attach(loop)
        resuming = loop.create_task(_resume(dock))
        try:
            yield
        finally:
            resuming.cancel()
            dock.tabs.detach()
            services.events.detach()
            await asyncio.to_thread(dock.close)

    logging.getLogger("nicegui").addFilter(_is_unexpected)
    application = Starlette(
        routes=routes(
            LazyOrigin(lambda: services.local.archive, dock.decoders),
            LazyOrigin(lambda: services.demonstration.archive, dock.decoders),
            Thumbnails(services.run, services.local, services.servers, dock.decoders),
            Entrance(services.run, services.open_study, dock.tabs.redirected),
            services.uploads,
        ),
        lifespan=lifespan,
    )
    register(services)
    nicegui_app.config.socket_io_js_transports = ["websocket"]
    ui.run_with(
        application,  # type: ignore[arg-type]  # it needs a mount and a lifespan, no more
        title="dicomdock",
        favicon=FAVICON,
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        tailwind=False,
        gzip_middleware_factory=None,  # over loopback, packing costs more than it saves
        show_welcome_message=False,
        reconnect_timeout=20.0,
    )
    return Guard(application, dock.keys, dock.port)


def _open_queue(settings: Settings) -> TransferQueue:
    from dicomdock.transfer import TransferQueue

    return TransferQueue(settings)


def _start_decoders() -> Workers:
    from dicomdock.origin.workers import Workers

    return Workers()


async def _resume(dock: Dock) -> None:
    """Resume the transfers that an earlier dock left; the pages do not wait for it."""
    try:
        await dock.services.run(dock.services.transfers.start)
    except DicomdockError as error:
        log.warning("Transfers cannot be resumed now: %s", error)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Keep errors that the page shows as a sentence, and addresses that do not exist, out of the log."""
    error = record.exc_info[1] if record.exc_info else record.msg
    return not isinstance(error, DicomdockError)
