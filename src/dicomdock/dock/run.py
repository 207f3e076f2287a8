"""Run a dock: listen, say where it is, serve until a signal ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from dicomdock.config.home import check_writable
from dicomdock.config.settings import Settings
from dicomdock.dock.app import Dock, build, create_app
from dicomdock.errors import Cancelled, DicomdockError
from dicomdock.launch.browser import open_link
from dicomdock.launch.handoff import AlreadyRunning, HandoffServer, show
from dicomdock.origin.serving import Server

LOOPBACK = "127.0.0.1"
PORTS_TO_TRY = 20


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
    ReadOnlyHome
        The state folder cannot be written.
    """
    check_writable(settings.state, "dicomdock run")
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
        if not (background or signals.asked):
            _greet(dock, start, demo=demo, browser=browser)
        server = Server(app, websockets=True)
        if demo:
            ending.callback(dock.services.demonstration.close)
            # Only then, so that the page comes first.
            server.on_start = threading.Thread(target=_demonstrate, args=(dock,), name="demonstration").start
        signals.then(server.end)
        ending.callback(signals.ignore)
        server.run(sockets=[listener])
    return 0


def _demonstrate(dock: Dock) -> None:
    """Make the demonstration study while the page is there already, which shows it once it is made."""
    _say("The demonstration study is being created; its list waits for it.")
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


def _show_running(settings: Settings, *, browser: bool) -> int:
    """Open a page of the dock that runs already."""
    link = show(settings).text
    opened = browser and open_link(settings, link)
    sentence = (
        "dicomdock runs already; its page opens." if opened else f"dicomdock runs already. Open: {link}"
    )
    sys.stdout.write(sentence + "\n")
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
    """A second signal asked the dock to end at once."""


class _EndingBySignal:
    """Calls what ends the dock when a signal asks for it.

    An exception that a signal raises amid other work, an import for example, can leave that work's locks
    taken. So only a second signal raises one: for who waits on a locked keyring. It leaves the ``with``, and
    what was opened inside is closed.

    While the server runs, uvicorn minds the signals; after its clean end it raises the one that ended it
    once more.

    Attributes
    ----------
    asked : a signal came.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self.asked = False
        self._end: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is _Ended

    def then(self, end: Callable[[], None]) -> None:
        """Let a signal call ``end``; one that came before calls it now."""
        self._end = end
        if self.asked:
            end()

    def ignore(self) -> None:
        """Let no further signal interrupt the way out."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def _ask(self, *_: object) -> None:
        if self.asked:
            self.ignore()
            raise _Ended
        self.asked = True
        self._end()
