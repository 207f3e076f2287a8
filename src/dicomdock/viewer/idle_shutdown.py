"""End a viewer whose page is closed: its process holds half a gigabyte for each study that was opened.

Unsaved segments and measurements are autosaved and restored when the study is opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class IdleShutdown:
    """Ends the viewer when no page has been connected for some time.

    Parameters
    ----------
    server : trame's; calls when a page connects and disconnects.
    timeout : seconds without a page.
    busy : returns whether something is running that must not be interrupted.
    exit_viewer : ends the viewer.
    """

    def __init__(
        self, server: Any, timeout: float, busy: Callable[[], bool], exit_viewer: Callable[[], None]
    ) -> None:
        self._timeout, self._busy, self._exit = timeout, busy, exit_viewer
        self._pages = 0
        self._opened = False
        self._timer: asyncio.TimerHandle | None = None
        server.controller.on_client_connected.add(self._connected)
        server.controller.on_client_exited.add(self._disconnected)

    def opened(self) -> None:
        """Start to watch: a study is open. Until then the viewer is a spare one, which never times out."""
        self._opened = True
        self._restart_timer()

    def _connected(self) -> None:
        self._pages += 1
        self._restart_timer()

    def _disconnected(self) -> None:
        self._pages = max(0, self._pages - 1)
        self._restart_timer()

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._opened and not self._pages:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        if self._busy():
            self._restart_timer()
        else:
            self._exit()
