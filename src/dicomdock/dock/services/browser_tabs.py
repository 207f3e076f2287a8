"""Screens: bring a page before the user's eyes, in a tab that he looks at, else in a new one."""

from __future__ import annotations

import asyncio
import contextlib
import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from nicegui import Client

    from dicomdock.dock.service import Dock

PATIENCE = 0.4  # seconds for an open page to say whether it is in sight
TURN = 3.0  # seconds for a tab to go from one page to another
START = 10.0  # seconds for a browser to start


class Screens:
    """The open pages of the dock.

    Parameters
    ----------
    dock : makes the links.
    browser : a browser may be opened.
    """

    def __init__(self, dock: Dock, *, browser: bool) -> None:
        from nicegui import app

        self._dock = dock
        self._browser = browser
        self._wanted = ""
        self._busy = False
        self._awaited = ""
        self._there = asyncio.Event()
        app.on_connect(self._connected)

    async def show(self, path: str) -> None:
        """Show a page: go to it in the tab in sight, or open a tab when none is in sight.

        Of pages that are to be shown while another is on its way, the last one is: thirty links at once open
        one tab.
        """
        self._wanted = path
        if self._busy:
            return
        self._busy = True
        try:
            while path := self._wanted:
                self._wanted = ""
                await self._show(path)
        finally:
            self._busy = False

    async def _show(self, path: str) -> None:
        from nicegui import Client

        clients = [client for client in Client.instances.values() if client.has_socket_connection]
        seen = await asyncio.gather(*(_in_sight(client) for client in clients))
        in_sight = [client for client, visible in zip(clients, seen, strict=True) if visible]
        if any(_place(client) == unquote(path.partition("?")[0]) for client in in_sight):
            return  # it follows the events itself, and is not pulled away from under a finger
        self._awaited = unquote(path.partition("?")[0])
        self._there.clear()
        if in_sight:
            # The youngest: the one that was opened last is the one most likely meant.
            in_sight[-1].open(path)
        elif self._browser:
            # Opening a browser may wait for it to start.
            await self._dock.run(webbrowser.open, self._dock.link(path))
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._there.wait(), TURN if in_sight else START)

    def led_on(self, path: str, place: str) -> None:
        """Take notice that a browser was led on from an address: to another page, or out of the dock."""
        if unquote(path) != self._awaited:
            return
        if place.startswith("/"):
            self._awaited = unquote(place.partition("?")[0])
        else:
            self._there.set()

    def _connected(self, client: Client) -> None:
        if _place(client) == self._awaited:
            self._there.set()


def _place(client: Client) -> str:
    return str(client.request.scope["path"])


async def _in_sight(client: Client) -> bool:
    try:
        return bool(await client.run_javascript("document.visibilityState === 'visible'", timeout=PATIENCE))
    except TimeoutError:
        return False
