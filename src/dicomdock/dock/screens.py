"""Screens: bring a page before the user's eyes, in a tab that he looks at, else in a new one."""

from __future__ import annotations

import asyncio
import webbrowser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nicegui import Client

    from dicomdock.dock.service import Dock

PATIENCE = 0.4  # seconds for an open page to say whether it is in sight


class Screens:
    """The open pages of the dock.

    Parameters
    ----------
    dock : makes the links.
    browser : a browser may be opened.
    """

    def __init__(self, dock: Dock, *, browser: bool) -> None:
        self._dock = dock
        self._browser = browser

    async def show(self, path: str) -> None:
        """Show a page: go to it in the tab in sight, or open a tab when none is in sight."""
        from nicegui import Client

        clients = [client for client in Client.instances.values() if client.has_socket_connection]
        seen = await asyncio.gather(*(_in_sight(client) for client in clients))
        # The youngest: the one that was opened last is the one most likely meant.
        for client, visible in reversed([*zip(clients, seen, strict=True)]):
            if visible:
                client.open(path)
                return
        if self._browser:
            # Opening a browser may wait for it to start.
            await self._dock.run(webbrowser.open, self._dock.link(path))


async def _in_sight(client: Client) -> bool:
    try:
        return bool(await client.run_javascript("document.visibilityState === 'visible'", timeout=PATIENCE))
    except TimeoutError:
        return False
