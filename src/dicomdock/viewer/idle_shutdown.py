"""The end of a viewer that nobody looks at: its process holds half a gigabyte for each study that was opened.

What was drawn and measured is kept; the study's next opening brings it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Solitude:
    """Waits for the page of an open study to come back, and ends the viewer when it does not.

    Parameters
    ----------
    server : trame's; tells when a page comes and goes.
    patience : seconds.
    busy : tells that something is under way that must not be cut off.
    leave : ends the viewer.
    """

    def __init__(
        self, server: Any, patience: float, busy: Callable[[], bool], leave: Callable[[], None]
    ) -> None:
        self._patience, self._busy, self._leave = patience, busy, leave
        self._pages = 0
        self._opened = False
        self._waiting: asyncio.TimerHandle | None = None
        server.controller.on_client_connected.add(self._came)
        server.controller.on_client_exited.add(self._went)

    def opened(self) -> None:
        """A study is there to be looked at; until then a viewer is a spare one, and waits for ever."""
        self._opened = True
        self._look()

    def _came(self) -> None:
        self._pages += 1
        self._look()

    def _went(self) -> None:
        self._pages = max(0, self._pages - 1)
        self._look()

    def _look(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._opened and not self._pages:
            self._waiting = asyncio.get_running_loop().call_later(self._patience, self._end)

    def _end(self) -> None:
        self._waiting = None
        if self._busy():
            self._look()
        else:
            self._leave()
