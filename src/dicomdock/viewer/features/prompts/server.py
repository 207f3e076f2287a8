"""Which nnInteractive server prompts go to, as the settings say while the viewer runs."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

from dicomdock.config.settings import Settings
from dicomdock.tools.nninteractive import INSTALL
from dicomdock.viewer.features.prompts.state import PromptsState
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.shell.state import ShellState
from dicomdock.web.url import redact

LOOKS = 2.0  # seconds between two looks at the settings while the panel of segments is open
NOT_SET = (
    "No nnInteractive server is set; 'dicomdock tool nninteractive https://HOST:PORT' in a terminal sets one."
)
NOT_INSTALLED = f"The client of nnInteractive is missing; {INSTALL}."


class ServerWatch:
    """Shows the address of the server, or what is missing, and says when the settings name another one.

    Parameters
    ----------
    state : of the prompts.
    shell : says which panel is open.
    settings : as the viewer began with them.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        state: PageState[PromptsState],
        shell: PageState[ShellState],
        settings: Settings,
        notifications: Notifications,
    ) -> None:
        self._state, self._shell, self._settings = state, shell, settings
        self._notifications = notifications
        self._shown = self._address()
        self._show(self._shown)
        shell.bind_changes({shell.name.tool: lambda _: self.look()})

    async def watch(self) -> None:
        """Look again and again while the panel of segments is open."""
        while True:
            await asyncio.sleep(LOOKS)
            if self._shell.data.tool == "segment":
                self.look()

    def look(self) -> None:
        """Look which server the settings name now."""
        address, before = self._address(), self._shown
        if address == before:
            return
        self._shown = address
        self._show(address)
        if before:
            self._notifications.info(
                f"Prompts go to {address} from now on, no longer to {before}."
                if address
                else f"Prompts go no longer to {before}: no nnInteractive server is set."
            )

    def _address(self) -> str:
        return redact(self._settings.current().nninteractive)

    def _show(self, address: str) -> None:
        with self._state as data:
            data.prompt_server = address
            data.prompt_missing = missing(address)


def missing(address: str) -> str:
    """Return what is to be done before there can be prompts; empty where all is there."""
    if not address:
        return NOT_SET
    return "" if find_spec("nnInteractive") is not None else NOT_INSTALLED
