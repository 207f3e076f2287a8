"""Viewers: starting them, keeping one warm, watching them, and starting one again that fell.

A viewer is a process of its own (``python -m dicomdock.viewer``). Settings, secret and orders go to its
standard input, so no process list shows them; it ends when that is closed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewer_requests import Errands
from dicomdock.errors import DicomdockError, MissingDependency

if TYPE_CHECKING:
    from dicomdock.sources import DicomJson, JsonValue

START_SECONDS = 90.0  # until a viewer answers; a cold disk makes the first start slow
CLOSE_SECONDS = 8.0  # for it to keep what was drawn
RESTARTS = 3  # of one viewer within RESTART_SPAN; what falls more often falls again
RESTART_SPAN = 120.0  # seconds
MODULE = "dicomdock.viewer"
INSTALL = "install it with: pip install 'dicomdock[viewer]'"
GL_CHOICE = "VTK_DEFAULT_OPENGL_WINDOW"
NO_GL = (
    "The viewer cannot draw: no OpenGL library works on this machine."
    " On Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri. Everything but the viewer works without."
)

log = logging.getLogger(__name__)
Message = Mapping[str, Any]  # JSON; what stands in it is made and read here


class ViewerError(DicomdockError):
    """A viewer did not start, or fell and would not stay up."""


@dataclass(eq=False)
class _Viewer:
    """One process."""

    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    once: str = field(default="", repr=False)
    port: int = 0
    line: threading.Lock = field(default_factory=threading.Lock, repr=False)  # one order at a time
    process: subprocess.Popen[bytes] | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    told: list[Message] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    study: str = ""
    closing: bool = False
    why: str = ""

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/?secret={self.secret}"


class Viewers:
    """The viewers of one dock, one for each open study. Thread-safe; methods block.

    Parameters
    ----------
    settings : handed on to each.
    spare : keep one started, so that a study opens at once.
    on_series : told the series that a viewer shows, when it begins to.
    errands : does for viewers what needs a server.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        spare: bool = True,
        on_series: Callable[[Resource], None] | None = None,
        errands: Errands | None = None,
    ) -> None:
        self.settings = settings
        self._errands = errands or Errands(settings)
        self._spare_wanted, self._on_series = spare, on_series
        self._open: dict[str, _Viewer] = {}
        self._spare: _Viewer | None = None
        self._gl: str | None = None
        self._lock = threading.RLock()
        self._closed = False

    def available(self) -> bool:
        """Tell whether the viewer is installed."""
        return importlib.util.find_spec("trame_slicer") is not None

    def is_ready(self, study: str) -> bool:
        """Tell whether a viewer could show the study at once."""
        with self._lock:
            viewer = self._open.get(study) or self._spare
            return viewer is not None and viewer.running and viewer.ready.is_set()

    def warm(self) -> None:
        """Start a spare viewer, if there is none; returns at once."""
        with self._lock:
            if self._closed or not self.available() or (self._spare is not None and self._spare.running):
                return
            viewer = self._spare = _Viewer()
        threading.Thread(target=self._start_quietly, args=(viewer,), name="spare viewer", daemon=True).start()

    def open(self, resource: Resource, *, pulling: bool = False, coming: Sequence[DicomJson] = ()) -> str:
        """Open a study in a viewer and give the address of its page.

        The viewer that shows the study already is used again.

        Parameters
        ----------
        resource : a study, or the series of it to begin with.
        pulling : the study is being downloaded; ``pull_ended`` tells the end.
        coming : the series that are being downloaded, as the server describes them.

        Raises
        ------
        MissingDependency
            The viewer is not installed.
        ViewerError
            It cannot draw or does not start on this machine.
        """
        if not self.available():
            raise MissingDependency("The viewer", INSTALL)
        with self._lock:
            viewer = self._open.get(resource.study)
            if viewer is None or not viewer.running:
                viewer, self._spare = self._spare or _Viewer(), None
                self._open[resource.study] = viewer
                viewer.study = resource.study
        try:
            if viewer.process is None and not viewer.starts:
                self._start(viewer)
            self._wait(viewer)
        except DicomdockError:
            with self._lock:
                self._open.pop(resource.study, None)
            raise
        order = {"do": "open", "resource": str(resource), "pulling": pulling, "coming": list(coming)}
        self._tell(viewer, order, keep=True)
        return viewer.url

    def expect(self, series: Resource, metadata: Sequence[DicomJson]) -> None:
        """Tell the viewer of a study what the server says about the images of a series on its way."""
        viewer = self._open.get(series.study)
        if viewer is not None and metadata:
            self._tell(viewer, {"do": "expect", "series": series.series, "metadata": list(metadata)})

    def pull_ended(self, study: str, why: str = "") -> None:
        """Tell the viewer of a study that nothing more comes; ``why`` where it ended before its time."""
        self._pulling(study, False, why)

    def pull_started(self, study: str) -> None:
        """Tell the viewer of a study that more of it comes."""
        self._pulling(study, True)

    def studies(self) -> tuple[str, ...]:
        """Give the studies that are open."""
        with self._lock:
            return tuple(study for study, viewer in self._open.items() if viewer.running)

    def door(self, study: str) -> str:
        """Give an address of an open study that works once: others see what a browser is started with."""
        viewer = self._open[study]
        return f"http://127.0.0.1:{viewer.port}/?once={viewer.once}"

    def wait(self, study: str) -> None:
        """Wait until the viewer of a study has ended."""
        viewer = self._open.get(study)
        while viewer is not None and viewer.process is not None and not viewer.closing:
            process = viewer.process
            process.wait()
            time.sleep(0.2)
            if viewer.process is process:
                return

    def close_study(self, study: str) -> None:
        """End the viewer of a study, with what was drawn kept."""
        with self._lock:
            viewer = self._open.pop(study, None)
        if viewer is not None:
            self._end([viewer])

    def close(self) -> None:
        """End all viewers, with what was drawn kept."""
        with self._lock:
            self._closed = True
            viewers = [*self._open.values(), *([self._spare] if self._spare else [])]
            self._open.clear()
            self._spare = None
        self._end(viewers)

    # Inner

    def _pulling(self, study: str, running: bool, why: str = "") -> None:
        viewer = self._open.get(study)
        if viewer is not None:
            self._tell(viewer, {"do": "pulling", "running": running, "why": why})
            viewer.told = [
                {**order, "pulling": running} if order.get("do") == "open" else order for order in viewer.told
            ]

    def _start_quietly(self, viewer: _Viewer) -> None:
        try:
            self._start(viewer)
        except DicomdockError as error:
            viewer.why = str(error)
            viewer.ready.set()
            log.warning("%s", error)

    def _start(self, viewer: _Viewer) -> None:
        viewer.starts.append(time.monotonic())
        environment = {**os.environ}
        choice = self._choose_gl()
        if choice:
            environment[GL_CHOICE] = choice
        else:
            environment.pop(GL_CHOICE, None)  # an empty one would be taken for the name of a class
        self.settings.state.mkdir(parents=True, exist_ok=True)
        with (self.settings.state / "viewer.log").open("ab") as journal:
            process = subprocess.Popen(
                [sys.executable, "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=journal,
                env=environment,
                start_new_session=os.name == "posix",
            )
        viewer.process = process
        viewer.once = secrets.token_urlsafe(32)
        keys = {"secret": viewer.secret, "once": viewer.once}
        self._tell(viewer, {**keys, "settings": _plain(self.settings), "port": viewer.port})
        threading.Thread(target=self._watch, args=(viewer, process), name="viewer", daemon=True).start()

    def _choose_gl(self) -> str:
        with self._lock:
            if self._gl is None:
                tried = subprocess.run(
                    [sys.executable, "-m", f"{MODULE}.process.gl", "choose"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )
                said = tried.stdout.decode(errors="replace").strip()
                if tried.returncode != 0:
                    raise ViewerError(NO_GL)
                self._gl = said
            return self._gl

    def _wait(self, viewer: _Viewer) -> None:
        if not viewer.ready.wait(START_SECONDS) or not viewer.running:
            self._end([viewer])
            reason = viewer.why or f"its log is {self.settings.state / 'viewer.log'}"
            raise ViewerError(viewer.why if viewer.why == NO_GL else f"The viewer did not start; {reason}.")

    def _tell(self, viewer: _Viewer, message: Message, *, keep: bool = False) -> None:
        if keep:
            viewer.told = [order for order in viewer.told if order.get("do") != message.get("do")]
            viewer.told.append(message)
        process = viewer.process
        if process is None or process.stdin is None:
            return
        # One that has fallen is seen to by the thread that watches it.
        with contextlib.suppress(OSError, ValueError), viewer.line:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()

    def _watch(self, viewer: _Viewer, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for event in _events(stream):
                self._told(viewer, process, event)
        code = process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        if viewer.closing or self._closed:
            viewer.ready.set()
            return
        self._fell(viewer, code)

    def _run(self, viewer: _Viewer, process: subprocess.Popen[bytes] | None, errand: Message) -> None:
        """Run an errand of a viewer; one that fell meanwhile is told nothing."""

        def say(message: Message) -> None:
            if viewer.process is process:
                self._tell(viewer, {"number": errand.get("number"), **message})

        say({"do": "answer", **self._errands.run(viewer.study, errand, say)})

    def _told(self, viewer: _Viewer, process: subprocess.Popen[bytes], event: Message) -> None:
        """Hear what a viewer says."""
        match event.get("event"):
            case "ready":
                viewer.port = int(str(event["port"]))
                viewer.ready.set()
            case "series" if self._on_series is not None:
                self._on_series(Resource(viewer.study, str(event["series"])))
            # A new spare takes the processor for seconds, which the study that was opened needs first.
            case "settled" if self._spare_wanted:
                self.warm()
            case "errand" if viewer.study:
                facts = (viewer, process, event)
                threading.Thread(target=self._run, args=facts, name="errand", daemon=True).start()

    def _fell(self, viewer: _Viewer, code: int) -> None:
        again = False
        if code != 0:  # else nobody had looked at it for long
            viewer.why = f"it ended with code {code}; its log is {self.settings.state / 'viewer.log'}"
            now = time.monotonic()
            recent = [start for start in viewer.starts if start > now - RESTART_SPAN]
            again = bool(viewer.study) and viewer.ready.is_set() and len(recent) <= RESTARTS
            words = "; it is started again" if again else ""
            log.warning("The viewer of a study ended with code %s%s.", code, words)
        if not again:
            viewer.ready.set()
            with self._lock:
                if self._open.get(viewer.study) is viewer:
                    del self._open[viewer.study]
            return
        # Same port and secret: the page that is open finds it again by itself.
        viewer.ready.clear()
        self._start_quietly(viewer)
        if viewer.ready.wait(START_SECONDS) and viewer.running:
            for order in list(viewer.told):
                self._tell(viewer, order)

    def _end(self, viewers: Sequence[_Viewer]) -> None:
        for viewer in viewers:
            viewer.closing = True
            if viewer.process is not None and not viewer.ready.is_set():
                viewer.process.kill()  # it is still starting, and has nothing to keep
            if viewer.process is not None and viewer.process.stdin is not None:
                with contextlib.suppress(OSError):
                    viewer.process.stdin.close()
        end = time.monotonic() + CLOSE_SECONDS
        for viewer in viewers:
            if viewer.process is None:
                continue
            try:
                viewer.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                viewer.process.kill()
                viewer.process.wait()


def _plain(settings: Settings) -> dict[str, JsonValue]:
    given = dataclasses.asdict(settings)
    return {
        name: value if isinstance(value, (int, float, str)) else str(value) for name, value in given.items()
    }


def _events(stream: IO[bytes]) -> Iterator[Message]:
    """Read the events of a viewer; a line that is none is passed over."""
    for line in stream:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event
