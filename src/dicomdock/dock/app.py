"""The dock: one ASGI application per user on loopback: pages, the origin server, live events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Self

from dicomdock.config.settings import Settings
from dicomdock.dock.security.guard import Guard
from dicomdock.dock.service import Dock
from dicomdock.dock.services import demonstration
from dicomdock.dock.services.browser_tabs import Screens
from dicomdock.errors import DicomdockError
from dicomdock.launch.handoff import AlreadyRunning, HandoffServer, show

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from dicomdock.dock.security.guard import AsgiApp

LOOPBACK = "127.0.0.1"
PORTS_TO_TRY = 20
GRACE = 3  # seconds for open requests at the end


def create_app(dock: Dock, *, browser: bool = True) -> AsgiApp:
    """Make the dock's application, guarded.

    NiceGUI keeps its pages in its module, so a process has one dock at a time.

    Parameters
    ----------
    dock : what the pages work with.
    browser : a browser may be opened to show a page that somebody asked for.
    """
    # NiceGUI would keep its own storage in a folder ".nicegui" below the working directory; we use none of
    # it.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(dock.settings.state / "nicegui"))
    # Before any thread does: two that import parts of it at the same time get them half made.
    import pydicom  # noqa: F401
    from nicegui import app as nicegui_app
    from nicegui import ui
    from starlette.applications import Starlette

    from dicomdock.dock import pages, routes

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        dock.events.attach(loop)
        screens = Screens(dock, browser=browser)
        dock.on_show(lambda path: _soon(screens.show(path), loop), screens.led_on)
        going_on = loop.create_task(_go_on(dock))
        try:
            yield
        finally:
            going_on.cancel()
            dock.on_show(None)
            dock.events.detach()
            dock.links.close()
            await asyncio.to_thread(dock.close)

    logging.getLogger("nicegui").addFilter(_is_no_sentence)
    application = Starlette(routes=routes.routes(dock), lifespan=lifespan)
    pages.register(dock)
    nicegui_app.config.socket_io_js_transports = ["websocket"]
    ui.run_with(
        application,  # type: ignore[arg-type]  # it needs a mount and a lifespan, no more
        title="dicomdock",
        favicon=pages.FAVICON,
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        tailwind=False,
        gzip_middleware_factory=None,  # over loopback, packing costs more than it saves
        show_welcome_message=False,
        reconnect_timeout=20.0,
    )
    return Guard(application, dock.keys, dock.port)


async def _go_on(dock: Dock) -> None:
    """Take up the transfers that an earlier dock left; the pages do not wait for it."""
    try:
        await dock.run(dock.start_transfers)
    except DicomdockError as error:
        logging.getLogger("dicomdock.dock").warning("Transfers cannot go on now: %s", error)


def _is_no_sentence(record: logging.LogRecord) -> bool:
    """Keep errors that the page tells in words, and addresses that lead nowhere, out of the log."""
    error = record.exc_info[1] if record.exc_info else record.msg
    return not isinstance(error, DicomdockError)


def run(
    settings: Settings,
    *,
    demo: bool = False,
    port: int | None = None,
    browser: bool = True,
    background: bool = False,
) -> int:
    """Run the dock until it is told to end (SIGINT, SIGTERM).

    Parameters
    ----------
    settings : where things are and how much is allowed.
    demo : put the demonstration study on a demonstration server of the dock and open that.
    port : answer on this port and no other; None for the settings' or the next free one.
    browser : open the page in the browser.
    background : started by a link; say nothing, open no page.

    Raises
    ------
    DicomdockError
        The port that was asked for is in use.
    """
    handoff = HandoffServer(settings, lambda link: dock.links.receive(link), lambda: dock.link())
    with contextlib.ExitStack() as ending:
        signals = ending.enter_context(_EndingBySignal())
        listener = ending.enter_context(_listen(port, settings.port))
        dock = Dock(settings, port=listener.getsockname()[1])
        try:
            with signals.held():
                ending.enter_context(handoff)
        except AlreadyRunning:
            return _show_running(settings, browser=browser and not background)
        app = create_app(dock, browser=browser)
        start = "/"
        if demo:
            start = f"/?source={demonstration.prepare(dock)}"
        else:
            demonstration.resume(dock)
        # The socket listens already: who follows the link now waits until the server answers.
        if not background:
            _greet(dock, start, demo=demo, browser=browser)
        _serve(app, listener)
    return 0


def _serve(app: AsgiApp, listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        timeout_graceful_shutdown=GRACE,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _show_running(settings: Settings, *, browser: bool) -> int:
    """Open a page of the dock that runs already."""
    link = show(settings).text
    opened = browser and webbrowser.open(link)
    said = "dicomdock runs already; its page opens." if opened else f"dicomdock runs already. Open: {link}"
    sys.stdout.write(said + "\n")
    return 0


def _soon(work: Coroutine[None, None, None], loop: asyncio.AbstractEventLoop) -> None:
    asyncio.run_coroutine_threadsafe(work, loop)


def _listen(wanted: int | None, usual: int) -> socket.socket:
    tries = [wanted] if wanted is not None else [*range(usual, usual + PORTS_TO_TRY), 0]
    for port in tries:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":
            # Elsewhere this option would let two programs share a port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            listener.close()
            continue
        listener.listen(128)
        return listener
    raise DicomdockError(f"Port {wanted} is in use by another program; choose another, or leave out --port.")


def _greet(dock: Dock, page: str, *, demo: bool, browser: bool) -> None:
    lines = [
        f"dicomdock runs on {dock.url} for you alone. Ctrl-C ends it; transfers go on at the next start."
    ]
    if demo:
        lines.append("Try: choose the demonstration study, press d to download it, Enter to open it.")
    opened = browser and webbrowser.open(dock.link(page))
    lines.append("Nothing opened? This link works once:" if opened else "Open this link, it works once:")
    lines.append(f"  {dock.link(page)}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


class _Ended(BaseException):
    """A signal told the dock to end."""


class _EndingBySignal:
    """Leaves its ``with`` when a signal says so; what was opened inside is closed.

    While the server runs, uvicorn minds the signals; after its clean end it raises the one that ended it
    once more.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._held = self._asked = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is _Ended

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait until what is opened in here is whole, and so can be closed."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._asked:
            raise _Ended

    def _end(self, *_: object) -> None:
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)  # the way out is not interrupted
        self._asked = True
        if not self._held:
            raise _Ended
