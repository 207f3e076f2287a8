"""Show a page to the user: in a tab in sight, else in a new one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from dicomdock.dock.services.threads import Run

if TYPE_CHECKING:
    from nicegui import Client

PATIENCE = 0.4  # seconds for an open page to say whether it is in sight
TURN = 3.0  # seconds for a tab to go from one page to another
START = 10.0  # seconds for a browser to start


class BrowserTabs:
    """The open pages of the dock.

    Parameters
    ----------
    run : does blocking work.
    open_browser : opens a new tab at a page; None where no browser may be opened.
    """

    def __init__(self, run: Run, open_browser: Callable[[str], object] | None) -> None:
        self._run = run
        self._open_browser = open_browser
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted = ""
        self._busy = False
        self._awaited = ""
        self._arrived = asyncio.Event()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin: the pages can be served now; the one that was asked for before is shown."""
        from nicegui import app

        app.on_connect(self._connected)
        with self._lock:
            self._loop = loop
            path = self._wanted
        if path:
            self.show(path)

    def detach(self) -> None:
        """Show nothing more: the loop ends."""
        with self._lock:
            self._loop = None

    def show(self, path: str) -> None:
        """Show a page; from any thread, returns at once.

        Of pages that are to be shown while another is on its way, the last one is: thirty links at once open
        one tab.
        """
        with self._lock:
            self._wanted = path
            loop = self._loop
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._show_wanted(), loop)

    def redirected(self, path: str, target: str) -> None:
        """Record that a browser was sent on from an address: to another page, or out of the dock."""
        if unquote(path) != self._awaited:
            return
        if target.startswith("/"):
            self._awaited = unquote(target.partition("?")[0])
        else:
            self._arrived.set()

    async def _show_wanted(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            while path := self._take():
                await self._show(path)
        finally:
            self._busy = False

    def _take(self) -> str:
        with self._lock:
            path, self._wanted = self._wanted, ""
            return path

    async def _show(self, path: str) -> None:
        from nicegui import Client

        clients = [client for client in Client.instances.values() if client.has_socket_connection]
        seen = await asyncio.gather(*(_in_sight(client) for client in clients))
        in_sight = [client for client, visible in zip(clients, seen, strict=True) if visible]
        if any(_path(client) == unquote(path.partition("?")[0]) for client in in_sight):
            return  # it follows the events itself, and is not pulled away from under a finger
        self._awaited = unquote(path.partition("?")[0])
        self._arrived.clear()
        if in_sight:
            # The youngest: the one that was opened last is the one most likely meant.
            in_sight[-1].open(path)
        elif self._open_browser is not None:
            # Opening a browser may wait for it to start.
            await self._run(self._open_browser, path)
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), TURN if in_sight else START)

    def _connected(self, client: Client) -> None:
        if _path(client) == self._awaited:
            self._arrived.set()


def _path(client: Client) -> str:
    return str(client.request.scope["path"])


async def _in_sight(client: Client) -> bool:
    try:
        return bool(await client.run_javascript("document.visibilityState === 'visible'", timeout=PATIENCE))
    except TimeoutError:
        return False
