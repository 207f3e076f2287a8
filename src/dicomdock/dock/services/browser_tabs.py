"""Show a page to the user: in a tab in sight, else in a new one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from dicomdock.dock.services.threads import Run

if TYPE_CHECKING:
    from nicegui import Client

PATIENCE = 2.0  # seconds for an open page to say whether it is in sight
TURN = 3.0  # seconds for a tab to go from one page to another
START = 10.0  # seconds for a browser to start; where none may be opened, for a page to load or to answer
TRIES = 3  # of sending a tab that is just leaving its page, which loses what it is sent


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
        self._wanted = self._showing = ""
        self._busy = False
        self._awaited = ""
        self._arrived = asyncio.Event()
        self._loaded: weakref.WeakSet[Client] = weakref.WeakSet()

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
            if path == self._showing:
                self._wanted = (
                    ""  # once more, later, it might pull the user away from where he went from there
                )
                return
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
            self._busy, self._showing = False, ""

    def _take(self) -> str:
        with self._lock:
            self._showing, self._wanted = self._wanted, ""
            return self._showing

    async def _show(self, path: str) -> None:
        wanted = unquote(path.partition("?")[0])
        for _ in range(TRIES):
            in_sight = await self._pages_in_sight()
            if any(_path(client) == wanted for client in in_sight):
                return  # it follows the events itself, and is not pulled away from under a finger
            self._awaited = wanted
            self._arrived.clear()
            sent = time.time()
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
                return
            if not in_sight or self._wanted or self._requested(wanted, sent):
                return

    async def _pages_in_sight(self) -> list[Client]:
        """Return the visible pages, the youngest last; a page that is loading is waited for."""
        from nicegui import Client

        patience, answer = (TURN, PATIENCE) if self._open_browser is not None else (START, START)
        loading = [
            asyncio.ensure_future(client.connected(patience))
            for client in Client.instances.values()
            if client not in self._loaded and client.created > time.time() - patience
        ]
        if loading:
            await asyncio.wait(loading, timeout=patience)
            for task in loading:
                task.cancel()
            await asyncio.gather(*loading, return_exceptions=True)
        clients = [client for client in Client.instances.values() if client.has_socket_connection]
        seen = await asyncio.gather(*(_in_sight(client, answer) for client in clients))
        return [client for client, visible in zip(clients, seen, strict=True) if visible]

    def _requested(self, path: str, since: float) -> bool:
        """Return whether a browser has come to ask for a page, or was sent on from it."""
        from nicegui import Client

        pages = Client.instances.values()
        return self._awaited != path or any(one.created > since and _path(one) == path for one in pages)

    def _connected(self, client: Client) -> None:
        self._loaded.add(client)
        if _path(client) == self._awaited:
            self._arrived.set()


def _path(client: Client) -> str:
    return str(client.request.scope["path"])


async def _in_sight(client: Client, patience: float) -> bool:
    try:
        return bool(await client.run_javascript("document.visibilityState === 'visible'", timeout=patience))
    except TimeoutError:
        return False
