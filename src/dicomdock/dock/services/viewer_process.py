"""One viewer process: started, sent orders, watched, and started again when it crashes.

A viewer is what ``python -m dicomdock.viewer`` runs. Settings, secret and orders (``dicomdock.rpc``) go to
its standard input, so no process list shows them; it ends when that is closed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TypeAlias

from dicomdock import rpc
from dicomdock.config.home import make_folders, private
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewer_template import Process
from dicomdock.errors import DicomdockError

START_SECONDS = 90.0  # until a viewer answers; a cold disk makes the first start slow
CLOSE_SECONDS = 8.0  # for it to save what was drawn
NOTICE_SECONDS = 0.05  # for the thread that watches a process to notice its end
RESTARTS = 3  # of one viewer within RESTART_SPAN; what crashes more often crashes again
RESTART_SPAN = 120.0  # seconds
GL_CHOICE = "VTK_DEFAULT_OPENGL_WINDOW"

log = logging.getLogger(__name__)
Send: TypeAlias = Callable[[rpc.Order], None]
StartProcess: TypeAlias = Callable[[Mapping[str, str], IO[bytes]], Process]


class ViewerError(DicomdockError):
    """A viewer did not start, or crashed too often."""


class ViewerProcess:
    """A viewer, through its restarts.

    Parameters
    ----------
    settings : passed on to it.
    start_process : starts one, with these environment variables and this file for its standard error.
    choose_gl : finds the OpenGL window class to use; raises ``ViewerError`` where none works.
    receive : called with each event except ``Ready``, and with a way to answer the process that sent it.
    ended : called once it has ended for good.
    """

    def __init__(
        self,
        settings: Settings,
        choose_gl: Callable[[], str],
        start_process: StartProcess,
        receive: Callable[[ViewerProcess, rpc.Event, Send], None],
        ended: Callable[[ViewerProcess], None],
    ) -> None:
        self.study = ""
        self.shown: Resource | None = None  # the series that its page shows
        self.page: rpc.PageState = "lost"
        self.page_since = time.monotonic()
        self._settings = settings
        self._choose_gl, self._start_process = choose_gl, start_process
        self._receive, self._report_end = receive, ended
        self._secret = secrets.token_urlsafe(32)
        self._one_time_token = ""
        self._port = 0
        self._process: Process | None = None
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._writing = threading.Lock()  # one order at a time
        self._open: rpc.OpenStudy | None = None  # repeated after a restart
        self._starts: list[float] = []
        self._closing = False
        self._exit_code: int | None = None
        self._problem: DicomdockError | None = None

    @property
    def running(self) -> bool:
        """The process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        """It would show a study at once."""
        return self.running and self._ready.is_set()

    @property
    def ended(self) -> bool:
        """It has ended for good, and is not started again."""
        return self._ended.is_set()

    @property
    def pid(self) -> int:
        """The process ID; 0 before the start."""
        return 0 if self._process is None else self._process.pid

    @property
    def left(self) -> bool:
        """It ended by itself because nobody looked at its study."""
        return not self._closing and self._exit_code == 0

    @property
    def port(self) -> int:
        """Where its page is; 0 before it is ready."""
        return self._port

    @property
    def secret(self) -> str:
        """What authorises its page."""
        return self._secret

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"http://127.0.0.1:{self._port}/?secret={self._secret}"

    @property
    def one_time_url(self) -> str:
        """An address that works once: others can read what a browser is started with."""
        return f"http://127.0.0.1:{self._port}/?once={self._one_time_token}"

    def start(self) -> None:
        """Start it, unless it was started before; ``wait_ready`` waits for it.

        Raises
        ------
        ViewerError
            It cannot draw on this machine.
        """
        if not self._starts:
            self._start()

    def start_quietly(self) -> None:
        """Start it, and leave a failure to ``wait_ready``."""
        try:
            self._start()
        except DicomdockError as error:
            self._problem = error
            self._ready.set()
            self._finish()
            log.warning("%s", error)

    def wait_ready(self) -> None:
        """Wait until its page can be opened.

        Raises
        ------
        ViewerError
            It did not start.
        """
        end = time.monotonic() + START_SECONDS
        while self._ready.wait(max(0.0, end - time.monotonic())):
            if self.running:
                return
            # It has crashed a moment ago: it is about to be started again, or to be given up.
            if self._ended.wait(NOTICE_SECONDS):
                break
        close_all([self])
        if self._problem is not None:
            raise self._problem
        raise ViewerError(f"The viewer did not start; its log is {self._log}.")

    def open(self, order: rpc.OpenStudy) -> None:
        """Show a study, also after a restart."""
        self._open, self.shown = order, order.resource
        self.send(order)

    def pull_changed(self, running: bool, reason: str = "") -> None:
        """Report that the study's download began or ended."""
        self.send(rpc.PullChanged(running, reason))
        if self._open is not None:
            self._open = replace(self._open, pulling=running)

    def send(self, order: rpc.Order) -> None:
        """Send an order; a process that has crashed is handled by the thread that watches it."""
        self._send_to(self._process, order)

    def wait(self) -> None:
        """Wait until it has ended for good."""
        self._ended.wait()

    # Inner

    @property
    def _log(self) -> Path:
        return self._settings.state / "viewer.log"

    def _journal(self) -> IO[bytes]:
        """Open the file for what it says; a home that cannot be written is viewed without."""
        try:
            make_folders(self._settings.state)
            return open(self._log, "ab", opener=private)
        except OSError:
            return Path(os.devnull).open("ab")

    def _start(self) -> None:
        self._starts.append(time.monotonic())
        environment = {**os.environ}
        if choice := self._choose_gl():
            environment[GL_CHOICE] = choice
        else:
            environment.pop(GL_CHOICE, None)  # an empty one would be taken for the name of a class
        with self._journal() as journal:
            process = self._start_process(environment, journal)
        self._process = process
        self._one_time_token = secrets.token_urlsafe(32)
        self.send(rpc.Start(self._secret, self._one_time_token, self._settings, self._port))
        threading.Thread(target=self._watch, args=(process,), name="viewer", daemon=True).start()

    def _send_to(self, process: Process | None, order: rpc.Order) -> None:
        if process is None or process is not self._process or process.stdin is None:
            return  # an answer to a process that was started again meanwhile has no reader
        with contextlib.suppress(OSError, ValueError), self._writing:
            process.stdin.write(rpc.encode(order))
            process.stdin.flush()

    def _watch(self, process: Process) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                try:
                    self._take(process, rpc.decode_event(line))
                except rpc.MessageError as error:
                    log.warning("A viewer sent an unknown message: %s", error)
        code = self._exit_code = process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        if self._closing or not self._restart(code):
            self._ready.set()
            self._finish()

    def _take(self, process: Process, event: rpc.Event) -> None:
        if isinstance(event, rpc.Ready):
            self._port = event.port
            self._ready.set()
        else:
            self._receive(self, event, lambda order: self._send_to(process, order))

    def _restart(self, code: int) -> bool:
        """Start it again after a crash, on the same port with the same secret: its open page reconnects."""
        if code == 0:
            return False  # nobody had looked at it for long
        self._problem = ViewerError(f"The viewer did not start: it ended with code {code}; see {self._log}.")
        recent = [start for start in self._starts if start > time.monotonic() - RESTART_SPAN]
        again = bool(self.study) and self._ready.is_set() and len(recent) <= RESTARTS
        log.warning(
            "The viewer of a study ended with code %s%s.", code, "; it is started again" if again else ""
        )
        if not again:
            return False
        self._ready.clear()
        try:
            self._start()
        except DicomdockError as error:
            self._problem = error
            return False
        # In a thread of its own: this one ends, and the new process has its own.
        threading.Thread(target=self._reopen, name="viewer restart", daemon=True).start()
        return True

    def _reopen(self) -> None:
        if self._ready.wait(START_SECONDS) and self.running and self._open is not None:
            self.send(self._open)

    def _finish(self) -> None:
        self._report_end(self)
        self._ended.set()

    def begin_close(self) -> None:
        """Let it save what was drawn, and end; ``close_all`` waits for that."""
        self._closing = True
        process = self._process
        if process is None:
            self._ended.set()
            return
        if not self._ready.is_set():
            process.kill()  # it is still starting, and has nothing to save
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def end_by(self, end: float) -> None:
        """Wait for the process until a time of the monotonic clock, then kill it."""
        process = self._process
        if process is None:
            return
        try:
            process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def close_all(viewers: Sequence[ViewerProcess]) -> None:
    """End viewers side by side, after they saved what was drawn."""
    for viewer in viewers:
        viewer.begin_close()
    end = time.monotonic() + CLOSE_SECONDS
    for viewer in viewers:
        viewer.end_by(end)
