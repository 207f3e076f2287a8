"""Run tools that segment on the shown series, and accept what they have made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from dicomdock.api.archive import Archive
from dicomdock.api.segmentation import Segmentation
from dicomdock.api.tool_points import BACKGROUND, LabelledPoint
from dicomdock.api.tools import Job, run_on_series
from dicomdock.config.settings import Settings
from dicomdock.config.tools import Tool, ToolFolder
from dicomdock.config.trust import TrustStore
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Cancelled, DicomdockError
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.segments.logic import SegmentsLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.tools.state import ToolsState
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.process.threads import in_thread
from dicomdock.viewer.shell.state import ShellState

CLOSING = 8.0  # seconds that the end of the viewer waits for the end of a tool


class ToolsLogic:
    """Runs one tool at a time.

    Parameters
    ----------
    server : trame's.
    series, segments, saving : what is shown, its segmentation, and what asks before it is closed.
    archive : where series are read from and drafts are stored.
    settings : have the tools.
    notifications : shows messages to the user.
    points : returns the points that are measured on the shown series, by their names.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        segments: SegmentsLogic,
        saving: SavingLogic,
        archive: Archive,
        settings: Settings,
        notifications: Notifications,
        points: Callable[[], Sequence[LabelledPoint]],
    ) -> None:
        self.state, self.series, self.segments = PageState(server.state, ToolsState), series, segments
        self.saving, self.archive, self.notifications = saving, archive, notifications
        self._points = points
        self._settings, self._tools = settings, ToolFolder(settings)
        self._cancelled, self._ended = threading.Event(), threading.Event()
        self._ended.set()

        control = server.controller
        control.run_tool = self.run
        control.stop_tool = self.stop
        control.allow_tool = self.allow
        control.accept_draft = self.accept
        segments.on_opened.append(self._update_draft)
        shell = PageState(server.state, ShellState)
        shell.bind_changes({shell.name.tool: self._panel_changed})
        self.state.bind_changes({self.state.name.tool_chosen: self._chosen})

    @property
    def running(self) -> bool:
        """Whether a tool runs."""
        return bool(self.state.data.tool_line)

    def run(self) -> None:
        """Run the chosen tool on the shown series; ask first where images may not be sent there yet."""
        series, chosen = self.series.series, self.state.data.tool_chosen
        if series is None or self.running or not chosen:
            return
        try:
            tool = self._tools.get(chosen)
        except DicomdockError as error:
            self.notifications.error(str(error))
            return
        origin, pixels = tool.origin, TrustStore.for_pixels(self._settings)
        if origin is not None and not origin.is_loopback and not pixels.trusts(str(origin)):
            clear = "" if origin.is_encrypted else ", unencrypted"
            with self.state as data:
                data.tool_question = (
                    f"{tool.name} sends {tool.sends} of this series to {origin.short}{clear}. They leave this"
                    " machine. Allow that for this server?"
                )
            return
        with self.state as data:
            data.tool_line = f"{tool.name} begins"
        asyncio.get_running_loop().create_task(self._run(tool, series.resource))

    def allow(self) -> None:
        """Remember that images may be sent to the chosen tool's address, and run it."""
        with self.state as data:
            data.tool_question = ""
        try:
            origin = self._tools.get(data.tool_chosen).origin
            if origin is not None:
                TrustStore.for_pixels(self._settings).add(str(origin))
        except DicomdockError as error:
            self.notifications.error(str(error))
            return
        self.run()

    def stop(self) -> None:
        """End the tool that runs, with all that it has started."""
        self._cancelled.set()

    def close(self) -> None:
        """End the tool that runs, and wait until it has ended."""
        self.stop()
        self._ended.wait(CLOSING)

    async def accept(self) -> None:
        """Store a version of the open draft that says that this user has accepted it, and open that."""
        current, study = self.segments.current, self.series.study
        if study is None or current is None or current.unsaved or not current.base.draft:
            return
        origin = current.base.origin
        if origin is None:
            return
        draft = Resource(study.uid, origin.series, origin.instance)
        person = self._settings.current().person_name
        try:
            stored = await asyncio.to_thread(self.archive.accept_draft, draft, person)
        except DicomdockError as error:
            self.notifications.error(f"It was not accepted: {error}")
            return
        self._show(stored)
        self.notifications.info(f"Accepted by {person}.")

    async def _run(self, tool: Tool, series: Resource) -> None:
        volume = self.series.scanned
        name = volume.plan.label if volume is not None and volume.plan is not None else None
        self._cancelled = threading.Event()
        names = {label.name for label in tool.named.values()} | {BACKGROUND}
        points = [one for one in self._points() if one.label in names] if tool.points else []
        job = Job(tool, self._settings, name, self._cancelled, points=points, operator=self.saving.person)
        loop = asyncio.get_running_loop()

        def said(line: str) -> None:
            loop.call_soon_threadsafe(self._said, tool.name, line)

        self._ended.clear()
        try:
            stored = await in_thread(lambda: self._stored(job, series, said))
        except Cancelled as error:
            self.notifications.info(str(error))
            return
        except DicomdockError as error:
            self.notifications.error(str(error))
            return
        finally:
            with self.state as data:
                data.tool_line = ""
        self._show(stored)
        self.notifications.info(f"{tool.name} is done; its segmentation is a draft until you accept it.")

    def _stored(self, job: Job, series: Resource, said: Callable[[str], None]) -> Resource:
        """Run a tool to its end and store its segmentation; in a thread."""
        try:
            with closing(run_on_series(self.archive, job, series)) as work:
                while True:
                    try:
                        said(next(work).line)
                    except StopIteration as end:
                        made: Segmentation = end.value
                        return made.save(self.archive)
        finally:
            self._ended.set()

    def _said(self, name: str, line: str) -> None:
        if self.running:
            with self.state as data:
                data.tool_line = f"{name}: {line}"

    def _show(self, stored: Resource) -> None:
        """List what was stored, and open it where it belongs to the shown series."""
        self.saving.dock.study_changed()
        self.series.refresh()
        if any(one.uid == stored.series for one in self.segments.state.data.drawings):
            self.saving.before(lambda: self.segments.open(str(stored.series)))

    def _panel_changed(self, panel: str) -> None:
        """Read anew which tools there are when the panel is opened."""
        if panel == "segment":
            names = self._tools.names()
            with self.state as data:
                data.tool_names = names
                data.tool_chosen = data.tool_chosen if data.tool_chosen in names else next(iter(names), "")

    def _chosen(self, name: str) -> None:
        """Say how the chosen tool is given points, where it takes any."""
        try:
            tool = self._tools.get(name) if name else None
        except DicomdockError:
            tool = None  # the run says why
        hint = ""
        if tool is not None and tool.points:
            names = ", ".join([*(label.name for label in tool.named.values()), BACKGROUND])
            hint = f"It takes points: measure points, and name them {names}."
        with self.state as data:
            data.tool_hint = hint

    def _update_draft(self) -> None:
        current = self.segments.current
        with self.state as data:
            data.draft = current is not None and current.base.draft
