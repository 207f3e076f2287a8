"""The viewers of the studies that are open: one process each, and a spare one that is started in advance."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dicomdock import rpc
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewer_gl import GlChoice
from dicomdock.dock.services.viewer_memory import Usage, machine_share, memory_of, viewers_to_end
from dicomdock.dock.services.viewer_process import Send, StartProcess, ViewerError, ViewerProcess, close_all
from dicomdock.dock.services.viewer_requests import StandaloneNetwork, ViewerRequests
from dicomdock.dock.services.viewer_return import ViewerReturn
from dicomdock.dock.services.viewer_template import ViewerTemplate, start_anew
from dicomdock.errors import DicomdockError, MissingDependency

if TYPE_CHECKING:
    from dicomdock.sources import DicomJson

INSTALL = "install it with: pip install 'dicomdock[viewer]'"
RETURN_SECONDS = 5.0  # for a page that closed to come back: a reload closes it, too


class Viewers:
    """The viewers of one dock or command, one for each open study. Thread-safe; methods block.

    Parameters
    ----------
    settings : passed on to each.
    requests : answers what viewers ask; by default with the servers of the user's list.
    spare : keep one started, so that a study opens at once, and let viewers end that nobody looks at.
    template : starts viewers; by default one of its own where a spare is wanted, else each starts anew.
    gl : what the viewers draw with; by default it is tried out for the first.
    """

    def __init__(
        self,
        settings: Settings,
        requests: ViewerRequests | None = None,
        *,
        spare: bool = True,
        template: ViewerTemplate | None = None,
        gl: GlChoice | None = None,
    ) -> None:
        self._settings = settings
        self._requests = requests or ViewerRequests(settings, StandaloneNetwork(settings))
        self._spare_wanted = spare
        self._template = ViewerTemplate() if spare and template is None else None
        own = template or self._template
        self._start_process: StartProcess = start_anew if own is None else own.start
        self._series_shown: Callable[[Resource], None] | None = None
        self._reopen: Callable[[Resource], str] = self.open
        self._open: dict[str, ViewerProcess] = {}
        self._return = ViewerReturn() if spare else None
        self._spare: ViewerProcess | None = None
        self._gl = gl or GlChoice()
        self._lock = threading.RLock()
        self._closed = False

    def available(self) -> bool:
        """Return whether the viewer is installed."""
        return importlib.util.find_spec("trame_slicer") is not None

    def observe(
        self, series_shown: Callable[[Resource], None], reopen: Callable[[Resource], str] | None = None
    ) -> None:
        """Call ``series_shown`` with each series that a viewer begins to show.

        Parameters
        ----------
        reopen : opens a study again whose viewer had ended, and returns the address; by default ``open``.
        """
        self._series_shown = series_shown
        self._reopen = reopen or self.open

    def is_ready(self, study: str) -> bool:
        """Return whether a viewer could show the study at once."""
        with self._lock:
            viewer = self._open.get(study) or self._spare
            return viewer is not None and viewer.ready

    def warm(self) -> None:
        """Start a spare viewer, if there is none; returns at once."""
        with self._lock:
            if self._closed or not self.available() or (self._spare is not None and self._spare.running):
                return
            viewer = self._spare = self._new()
        threading.Thread(target=viewer.start_quietly, name="spare viewer", daemon=True).start()

    def open(
        self,
        resource: Resource,
        *,
        pulling: bool = False,
        coming: Sequence[DicomJson] = (),
        segments: Sequence[rpc.WantedSegment] = (),
    ) -> str:
        """Open a study in a viewer and return the address of its page.

        The viewer that shows the study already is used again.

        Parameters
        ----------
        resource : a study, or the series of it to begin with.
        pulling : the study is being downloaded; ``pull_changed`` reports the end.
        coming : the series that are being downloaded, as the server describes them.
        segments : with which a new segmentation of their series begins.

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
            if viewer is None or viewer.ended:
                viewer, self._spare = self._spare or self._new(), None
                self._open[resource.study] = viewer
                viewer.study = resource.study
        try:
            viewer.start()
            viewer.wait_ready()
        except DicomdockError:
            with self._lock:
                self._open.pop(resource.study, None)
            raise
        has_list = self._requests.has_list
        viewer.open(rpc.OpenStudy(resource, pulling, tuple(coming), has_list, tuple(segments)))
        return viewer.url

    def get(self, study: str) -> ViewerProcess | None:
        """Return the viewer of a study that is open."""
        with self._lock:
            viewer = self._open.get(study)
            return viewer if viewer is not None and viewer.running else None

    def expect(self, series: Resource, metadata: Sequence[DicomJson]) -> None:
        """Pass on the server's description of the images of a series that is being downloaded."""
        viewer = self._open.get(series.study)
        if viewer is not None and metadata and series.series is not None:
            viewer.send(rpc.ExpectSeries(series.series, tuple(metadata)))

    def pull_changed(self, study: str, running: bool, reason: str = "") -> None:
        """Report to the viewer of a study that its download began, or ended; ``reason``: incomplete."""
        viewer = self._open.get(study)
        if viewer is not None:
            viewer.pull_changed(running, reason)

    def close_study(self, study: str) -> None:
        """End the viewer of a study, after it saved what was drawn."""
        with self._lock:
            viewer = self._open.pop(study, None)
        if viewer is not None:
            close_all([viewer])

    def close(self) -> None:
        """End all viewers, after they saved what was drawn."""
        with self._lock:
            self._closed = True
            viewers = [*self._open.values(), *([self._spare] if self._spare else [])]
            self._open.clear()
            self._spare = None
        close_all(viewers)
        if self._template is not None:
            self._template.close()
        if self._return is not None:
            self._return.close()

    # Inner

    def _new(self) -> ViewerProcess:
        return ViewerProcess(self._settings, self._gl.choose, self._start_process, self._receive, self._ended)

    def _receive(self, viewer: ViewerProcess, event: rpc.Event, send: Send) -> None:
        match event:
            case rpc.SeriesShown(series):
                viewer.shown = Resource(viewer.study, series)
                if self._series_shown is not None:
                    self._series_shown(viewer.shown)
            # A new spare takes the processor for seconds, which the study that was opened needs first.
            case rpc.Settled() if self._spare_wanted and self._free_memory():
                self.warm()
            case rpc.PageChanged(page):
                self._page_changed(viewer, page)
            case rpc.StudyChanged() if viewer.study:
                self._requests.study_changed(viewer.study)
            case _ if isinstance(event, rpc.Request) and viewer.study:
                threading.Thread(
                    target=lambda: send(self._requests.answer(viewer.study, event, send)),
                    name="viewer request",
                    daemon=True,
                ).start()

    def _ended(self, viewer: ViewerProcess) -> None:
        with self._lock:
            if self._open.get(viewer.study) is viewer:
                del self._open[viewer.study]
            closed = self._closed
        if self._return is None or closed or not viewer.left or viewer.shown is None:
            return
        shown = viewer.shown
        self._return.add(viewer.port, viewer.secret, lambda: self._reopen(shown))
        if self._free_memory():
            self.warm()

    def _page_changed(self, viewer: ViewerProcess, page: rpc.PageState) -> None:
        viewer.page, viewer.page_since = page, time.monotonic()
        if not self._spare_wanted or not viewer.study:
            return
        if page == "closed":
            viewer.send(rpc.CloseWhenUnused(RETURN_SECONDS))
        elif page != "visible":
            self._free_memory()

    def _free_memory(self) -> bool:
        """Let viewers end that nobody looks at while all use too much; return whether a spare one fits."""
        with self._lock:
            shown, spare = dict(self._open), self._spare
        limit = self._settings.viewer_memory or machine_share()
        used = [
            Usage(study, memory_of(one.pid), one.page, one.page_since)
            for study, one in shown.items()
            if one.running
        ]
        others = memory_of(spare.pid) if spare is not None and spare.running else 0
        ended = viewers_to_end(used, others, limit)
        for study in ended:
            gone = time.monotonic() - shown[study].page_since
            shown[study].send(rpc.CloseWhenUnused(max(0.0, RETURN_SECONDS - gone)))
        return others + sum(one.memory for one in used if one.study not in ended) <= limit


__all__ = ["ViewerError", "Viewers"]
