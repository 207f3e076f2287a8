"""End a viewer that no page shows: its process holds half a gigabyte for each study that was opened.

Unsaved segments and measurements are autosaved and restored when the study is opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from wslink.websocket import LinkProtocol

from dicomdock.rpc import PageState

CLOSED = "/closed"  # the page posts there when it is closed or left
VISIBLE, HIDDEN = "/visible", "/hidden"  # and there when its tab comes to the front or leaves it
PAGES = ("/", "/index.html")
RETRY_SECONDS = 2.0  # while something runs that must not be interrupted
LOADING_SECONDS = 60.0  # for a page that is on its way, whatever was reported before


class IdleShutdown:
    """Ends the viewer when no page has been connected for some time.

    A page that is reloaded says that it is closed, too; so the dock, which hears of it, has the viewer wait
    for some seconds (``close_when_unused``), and any visit of the page ends that wait.

    Parameters
    ----------
    server : trame's.
    timeout : seconds without a page.
    busy : returns whether something is running that must not be interrupted, or would be lost.
    exit_viewer : ends the viewer.
    report : called with each new state of the page.
    """

    def __init__(
        self,
        server: Any,
        timeout: float,
        busy: Callable[[], bool],
        exit_viewer: Callable[[], None],
        report: Callable[[PageState], None],
    ) -> None:
        self._timeout, self._busy, self._exit, self._report = timeout, busy, exit_viewer, report
        self._pages = 0
        self._opened = False
        self._hidden = False
        self._closing = False
        self._expected_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        connections = _Connections(self._connected, self._disconnected)
        server.add_protocol_to_configure(lambda protocol: protocol.registerLinkProtocol(connections))
        server.controller.on_server_bind.add(lambda bound: self.install(bound.app))

    def install(self, app: web.Application) -> None:
        """Add the routes by which a page says what becomes of it."""

        async def closed(_: web.Request) -> web.Response:
            self._page_closed()
            return web.Response(status=204)

        async def hidden(_: web.Request) -> web.Response:
            self._set_hidden(True)
            return web.Response(status=204)

        async def visible(_: web.Request) -> web.Response:
            self._set_hidden(False)
            return web.Response(status=204)

        async def prepare(request: web.Request, response: web.StreamResponse) -> None:
            if request.path in PAGES and response.status < 400:
                self._expect_page()

        app.router.add_post(CLOSED, closed)
        app.router.add_post(HIDDEN, hidden)
        app.router.add_post(VISIBLE, visible)
        app.on_response_prepare.append(prepare)

    def opened(self) -> None:
        """Start to watch: a study is open. Until then the viewer is a spare one, which never times out."""
        self._opened = True
        self._expect_page()

    def close_when_unused(self, seconds: float) -> None:
        """End the viewer after so many seconds, unless its page is visited meanwhile or is in sight."""
        if self._opened and (not self._pages or self._hidden or self._closing):
            expected = self._expected_until - asyncio.get_running_loop().time()
            self._wait(max(seconds, expected), hidden_too=True)

    def _connected(self) -> None:
        self._pages += 1
        self._expected_until = 0.0
        self._set_hidden(self._hidden)  # its tab may have been left before it was connected

    def _disconnected(self) -> None:
        self._pages = max(0, self._pages - 1)
        if not self._pages:
            # A page that has reported it before has its shorter wait.
            if self._timer is None:
                self._wait(self._timeout)
            self._report("lost")

    def _page_closed(self) -> None:
        if self._pages <= 1:  # else the study is shown in another tab
            self._closing = True
            self._report("closed")

    def _set_hidden(self, hidden: bool) -> None:
        self._hidden, self._closing = hidden, False
        if not hidden:
            self._wait(self._timeout)
        self._report("hidden" if hidden else "visible")

    def _expect_page(self) -> None:
        """Wait for a page that is being loaded."""
        self._hidden = self._closing = False
        self._expected_until = asyncio.get_running_loop().time() + LOADING_SECONDS
        self._wait(self._timeout)

    def _wait(self, seconds: float, *, hidden_too: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._opened and (hidden_too or not self._pages):
            self._timer = asyncio.get_running_loop().call_later(seconds, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        if self._busy():
            self._wait(RETRY_SECONDS, hidden_too=True)
        else:
            self._exit()


class _Connections(LinkProtocol):  # type: ignore[misc]  # without types
    """Hears of each connection of a page itself: the last message of a page that ends may be lost."""

    def __init__(self, opened: Callable[[], None], closed: Callable[[], None]) -> None:
        super().__init__()
        self._opened, self._closed = opened, closed

    def onConnect(self, _request: object, _client: str) -> None:  # noqa: N802
        self._opened()

    def onClose(self, _client: str) -> None:  # noqa: N802
        self._closed()
