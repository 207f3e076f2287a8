"""Run a dock: listen, say where it is, serve until a signal ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from dicomdock.config.settings import Settings
from dicomdock.dock.app import Dock, build, create_app
from dicomdock.errors import Cancelled, DicomdockError
from dicomdock.launch.browser import open_link
from dicomdock.launch.handoff import AlreadyRunning, HandoffServer, show

if TYPE_CHECKING:
    from dicomdock.dock.asgi import AsgiApp

LOOPBACK = "127.0.0.1"
PORTS_TO_TRY = 20
GRACE = 3  # seconds for open requests at the end


def run(
    settings: Settings,
    *,
    demo: bool = False,
    port: int | None = None,
    browser: bool = True,
    background: bool = False,
) -> int:
    """Run the dock until a signal (SIGINT, SIGTERM) ends it.

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
    handoff = HandoffServer(
        settings, lambda link: dock.services.links.receive(link), lambda: dock.one_time_link()
    )
    with contextlib.ExitStack() as ending:
        signals = ending.enter_context(_EndingBySignal())
        listener = ending.enter_context(_listen(port, settings.port))
        dock = build(
            settings,
            port=listener.getsockname()[1],
            open_browser=partial(open_link, settings) if browser else None,
        )
        try:
            with signals.held():
                ending.enter_context(handoff)
        except AlreadyRunning:
            return _show_running(settings, browser=browser and not background)
        app = create_app(dock)
        start = "/"
        if demo:
            start = f"/?source={dock.services.demonstration.introduce()}"
        else:
            dock.services.demonstration.resume()
        # The socket listens already: who follows the link now waits until the server answers.
        if not background:
            _greet(dock, start, demo=demo, browser=browser)
        if demo:
            ending.callback(dock.services.demonstration.close)
            threading.Thread(target=_demonstrate, args=(dock,), name="demonstration").start()
        _serve(app, listener)
    return 0


def _demonstrate(dock: Dock) -> None:
    """Make the demonstration study while the page is there already, which shows it once it is made."""
    _say("The demonstration study is being made; its list waits for it.")
    try:
        dock.services.demonstration.prepare()
    except Cancelled:
        return
    except (DicomdockError, OSError) as error:
        _say(f"The demonstration study cannot be made: {error}")
    else:
        _say("The demonstration study is ready.")


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _serve(app: AsgiApp, listener: socket.socket) -> None:
    import uvicorn

    from dicomdock.origin.connections import OwnConnections

    config = uvicorn.Config(
        app,
        http=OwnConnections,
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
    opened = browser and open_link(settings, link)
    said = "dicomdock runs already; its page opens." if opened else f"dicomdock runs already. Open: {link}"
    sys.stdout.write(said + "\n")
    return 0


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
        f"dicomdock runs on {dock.services.url} for you alone."
        " Ctrl-C ends it; transfers are resumed at the next start."
    ]
    if demo:
        lines.append("Try: choose the demonstration study, press d to download it, Enter to open it.")
    opened = browser and open_link(dock.services.local.settings, dock.one_time_link(page))
    lines.append("Nothing opened? This link works once:" if opened else "Open this link, it works once:")
    lines.append(f"  {dock.one_time_link(page)}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


class _Ended(BaseException):
    """A signal asked the dock to end."""


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
