"""The server loop of the dock and of ``serve``: uvicorn, set as both need it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Literal

import uvicorn

from dicomdock.origin.connections import Connections, OwnConnections, allow_files

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

GRACE = 3  # seconds for open requests at the end


class Server(uvicorn.Server):
    """Serve an application until ``end`` is called or a signal (SIGINT, SIGTERM) arrives.

    Parameters
    ----------
    app : the application.
    any_user : let programs of other users of this machine connect.
    websockets : the application answers them.
    last : seconds after which the process ends in any case, whatever its clients and threads do; None to wait
        for them.

    Attributes
    ----------
    on_start : called once when requests are answered.
    """

    on_start: Callable[[], None] | None = None

    def __init__(
        self,
        app: ASGIApp,
        *,
        any_user: bool = False,
        websockets: bool = False,
        last: float | None = None,
    ) -> None:
        sockets: Literal["websockets-sansio", "none"] = "websockets-sansio" if websockets else "none"
        super().__init__(
            uvicorn.Config(
                app,
                http=Connections if any_user else OwnConnections,
                ws=sockets,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # origin.forwarded reads them, of trusted proxies only
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._last = last

    def end(self) -> None:
        """End soon, also where the server has not begun yet."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End because of a signal."""
        if self._last is not None:
            # What was confirmed is on the disk, so that nothing is lost by an end without farewell.
            timer = threading.Timer(self._last, lambda: os._exit(0))
            timer.daemon = True
            timer.start()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        allow_files()
        await super().startup(sockets)
        if self.on_start is not None and not self.should_exit:
            self.on_start()
