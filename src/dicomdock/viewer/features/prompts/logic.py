"""Prompts: points, boxes, scribbles and lassos that a network on an nnInteractive server segments by."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import slicer

from dicomdock.config.settings import Settings
from dicomdock.config.trust import TrustStore
from dicomdock.errors import Cancelled, DicomdockError, GeometryError
from dicomdock.imaging.segmentation import Mask
from dicomdock.imaging.volume import Volume
from dicomdock.tools.nninteractive import Kind, Prompt, PromptSession, server_of
from dicomdock.viewer.features.prompts.drawing import LEAST, prompt_of
from dicomdock.viewer.features.prompts.server import ServerWatch
from dicomdock.viewer.features.prompts.state import PromptsState
from dicomdock.viewer.features.segments.logic import SegmentsLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.process.threads import in_thread
from dicomdock.viewer.scene import LPS, add_points, mask_of
from dicomdock.viewer.segmentation_nodes import SegmentationNode
from dicomdock.viewer.shell.state import ShellState

NODES: dict[Kind, str] = {
    "point": "vtkMRMLMarkupsFiducialNode",
    "box": "vtkMRMLMarkupsLineNode",
    "scribble": "vtkMRMLMarkupsCurveNode",
    "lasso": "vtkMRMLMarkupsClosedCurveNode",
}
DRAGS: dict[Kind, Literal["", "ends", "path"]] = {
    "point": "",
    "box": "ends",
    "scribble": "path",
    "lasso": "path",
}
"""What a drag places; see ``LeftButton``."""
TITLES: dict[Kind, str] = {"point": "Point", "box": "Box", "scribble": "Scribble", "lasso": "Lasso"}
POSITIVE, NEGATIVE = (0.35, 0.9, 0.45), (0.95, 0.4, 0.35)  # colours of what is being drawn


@dataclass(frozen=True)
class Waiting:
    """A prompt that waits for its turn, and the segment that it is for."""

    prompt: Prompt
    node: SegmentationNode
    segment: str


@dataclass
class Dialogue:
    """What the server knows: of which volume, of which segment, and what came of each prompt.

    Parameters
    ----------
    address : of the server.
    session : the server's.
    volume : what was sent.
    segment : the node and the id of the segment.
    masks : of the segment: before the first prompt, and after each.
    drawn : what was drawn before and the server does not know; the results are added to it.
    """

    address: str
    session: PromptSession
    volume: Volume | None = None
    segment: tuple[SegmentationNode, str] | None = None
    masks: list[Mask] = field(default_factory=list)
    drawn: npt.NDArray[np.bool_] | None = None


class PromptsLogic:
    """Takes prompts and puts what the server makes of them into the active segment, one after the other.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    series, segments : the shown series, and its segmentation.
    settings : have the server's address, as they are at the time.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        segments: SegmentsLogic,
        settings: Settings,
        notifications: Notifications,
    ) -> None:
        self.app, self.series, self.segments, self.notifications = app, series, segments, notifications
        self.state, self._settings = PageState(server.state, PromptsState), settings
        self.server = ServerWatch(self.state, PageState(server.state, ShellState), settings, notifications)
        self._node: Any = None
        self._kind: Kind = "point"  # of what is drawn, or was last
        self._queue: deque[Waiting] = deque()
        self._working: asyncio.Task[None] | None = None
        self._dialogue: Dialogue | None = None
        self._stopped = asyncio.Event()

        control = server.controller
        control.place_prompt = self.place
        control.finish_prompt = self.finish
        control.allow_prompts = self.allow
        segments.computing.on_stop.append(self.stop)
        segments.on_opened.append(self.drop)
        segments.on_tool.append(lambda on: self.drop() if on else None)
        self.state.bind_changes({self.state.name.prompt_positive: lambda _: self._colour()})

    @property
    def placing(self) -> bool:
        """Whether a prompt is being drawn."""
        return self._node is not None

    def place(self, kind: Kind) -> None:
        """Let the user draw a prompt; ask first where images may not be sent to the server yet."""
        self.server.look()
        same = self.state.data.prompt_placing == kind
        self.drop()
        if same or self.segments.current is None or not self.segments.editor.active_segment_id:
            return
        settings = self._settings.overlaid()
        try:
            origin = server_of(settings)
            allowed = origin.is_loopback or TrustStore.for_pixels(settings).trusts(str(origin))
        except DicomdockError as error:
            self.notifications.info(str(error))
            return
        if not allowed:
            self._kind = kind
            clear = "" if origin.is_encrypted else ", unencrypted"
            with self.state as data:
                data.prompt_question = (
                    f"To segment by prompts, the images of this series are sent to {origin.short}{clear}."
                    " They leave this machine. Allow that for this server?"
                )
            return
        self.segments.deselect_tool()
        self._begin(kind)

    def allow(self) -> None:
        """Remember that images may be sent to the server, and go on."""
        settings = self._settings.overlaid()
        with self.state as data:
            data.prompt_question = ""
        try:
            TrustStore.for_pixels(settings).add(str(server_of(settings)))
        except DicomdockError as error:
            self.notifications.error(str(error))
            return
        self.place(self._kind)

    def finish(self) -> None:
        """End drawing; a scribble or lasso is sent."""
        if self._node is not None and self._kind in ("scribble", "lasso"):
            self._send()
        self.drop()

    def stop(self) -> None:
        """Drop the prompts that wait, and give up the one that is under way."""
        self._queue.clear()
        self._stopped.set()

    def close(self) -> None:
        """Release the session of the server."""
        self.stop()
        self._hang_up()

    def _begin(self, kind: Kind) -> None:
        node = self.app.scene.AddNewNodeByClass(NODES[kind], f"prompt {kind}")
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetGlyphScale(1.6)
        display.SetTextScale(0)
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(False)
        if kind in ("scribble", "lasso"):
            node.SetCurveTypeToLinear()
        self._node, self._kind = node, kind
        self._colour()
        node.AddObserver(slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent, self._clicked)
        with self.state as data:
            data.prompt_placing = kind
        self.series.views.mouse.drag_places(
            DRAGS[kind], lambda points: add_points(node, points), self._dragged
        )
        self.app.markups_logic.place_node(node, persistent=kind != "point")

    def _colour(self) -> None:
        if self._node is not None:
            colour = POSITIVE if self.state.data.prompt_positive else NEGATIVE
            self._node.GetDisplayNode().SetSelectedColor(*colour)
            self._node.GetDisplayNode().SetColor(*colour)

    def _dragged(self) -> None:
        """Send a scribble or lasso that was drawn by a drag, and begin the next one, after the event."""
        asyncio.get_running_loop().call_soon(self._complete, self._node)

    def _clicked(self, node: Any, _event: str) -> None:
        """Go on with a point or a box when the event is over: its node may not be removed meanwhile."""
        if self._kind in ("point", "box"):
            asyncio.get_running_loop().call_soon(self._complete, node)

    def _complete(self, node: Any) -> None:
        """Send what is drawn as soon as it has its points, and begin the next one."""
        kind = self._kind
        if node is None or node is not self._node or len(self._points()) < LEAST[kind]:
            return
        self._send()
        self.drop()
        self._begin(kind)

    def _points(self) -> list[list[float]]:
        """Return what was clicked, in mm, LPS."""
        found = []
        for at in range(self._node.GetNumberOfControlPoints()):
            if self._node.GetNthControlPointPositionStatus(at) == slicer.vtkMRMLMarkupsNode.PositionDefined:
                point = [0.0, 0.0, 0.0]
                self._node.GetNthControlPointPositionWorld(at, point)
                found.append((np.array(point) * LPS).tolist())
        return found

    def drop(self) -> None:
        """End drawing without sending."""
        node, self._node = self._node, None
        if node is None:
            return
        self.series.views.mouse.drag_places("")
        self.app.markups_logic.disable_place_mode()
        self.app.scene.RemoveNode(node)
        with self.state as data:
            data.prompt_placing = ""

    def _send(self) -> None:
        """Put what was drawn in the queue."""
        kind, points = self._kind, self._points()
        current, segment = self.segments.current, self.segments.editor.active_segment_id
        if current is None or not segment:
            return
        if len(points) < LEAST[kind]:
            self.notifications.info(f"A {kind} needs at least {LEAST[kind]} points.")
            return
        try:
            prompt = prompt_of(kind, self.state.data.prompt_positive, points, current.base.geometry)
        except GeometryError as error:
            self.notifications.info(str(error))
            return
        if self.segments.state.data.busy and self._working is None:
            self.notifications.info("Wait until what is being computed is done.")
            return
        self._queue.append(Waiting(prompt, current, segment))
        if self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Send what waits, in its order."""
        self._stopped.clear()
        try:
            while self._queue:
                await self._apply(self._queue.popleft())
        except DicomdockError as error:
            dropped = f" {len(self._queue)} waiting prompts were dropped." if self._queue else ""
            self._queue.clear()
            self._hang_up()
            told = self.notifications.info if isinstance(error, Cancelled) else self.notifications.error
            told(f"{error} Nothing was changed.{dropped}")
        finally:
            self._working = None
            with self.segments.state as data:
                data.busy = ""

    async def _apply(self, waiting: Waiting) -> None:
        """Send a prompt, and put its result into its segment."""
        node, segment, volume = waiting.node, waiting.segment, self.series.volume
        if not self._is_there(waiting) or volume is None:
            return
        before = mask_of(node.node, segment, node.base.geometry)
        title = TITLES[waiting.prompt.kind]
        found = await self._watched(title, lambda: self._on_server(waiting, before, volume))
        if not self._is_there(waiting):
            return
        if not mask_of(node.node, segment, node.base.geometry).same(before):
            self._forget_segment()
            self.notifications.info("The segment was changed meanwhile; what the network found is dropped.")
            return
        if self.segments.editor.active_segment_id != segment:
            self.segments.editor.set_active_segment_id(segment)
        if found is None:
            self.notifications.info("The network changes nothing by that.")
        else:
            self.segments.computing.put(f"{title} (nnInteractive)", segment, found)
        if self._dialogue is not None:
            self._dialogue.masks.append(mask_of(node.node, segment, node.base.geometry))

    def _is_there(self, waiting: Waiting) -> bool:
        """Return whether the segment that a prompt is for is still open."""
        return (
            self.segments.current is waiting.node
            and waiting.segment in self.segments.editor.get_segment_ids()
        )

    def _on_server(self, waiting: Waiting, before: Mask, volume: Volume) -> Mask | None:
        """Send what the server does not know yet, and the prompt; in a thread of its own.

        Returns
        -------
        The box in which the segment changes; None where it does not.
        """
        settings, dialogue = self._settings.overlaid(), self._dialogue
        if dialogue is not None and dialogue.address != settings.nninteractive:
            self._hang_up()
            dialogue = None
        if dialogue is None:
            dialogue = self._dialogue = Dialogue(settings.nninteractive, PromptSession(settings))
        if dialogue.volume is not volume:
            dialogue.session.set_image(volume.array, volume.geometry.spacing)
            dialogue.volume, dialogue.segment = volume, None
        if dialogue.segment != (waiting.node, waiting.segment) or not agree(dialogue, before):
            whole = before.whole(volume.geometry.shape)
            knows = dialogue.session.begin(whole)
            dialogue.drawn = None if knows else whole
            dialogue.segment, dialogue.masks = (waiting.node, waiting.segment), [before]
        found = dialogue.session.add(waiting.prompt)
        if found is None:
            return None
        changed = Mask(*found)
        if dialogue.drawn is None:
            return changed
        return Mask(changed.start, changed.array | dialogue.drawn[changed.box])

    def _forget_segment(self) -> None:
        if self._dialogue is not None:
            self._dialogue.segment = None

    async def _watched(self, title: str, work: Callable[[], Mask | None]) -> Mask | None:
        """Wait for the server, and show every second how long it has taken.

        The thread is left alone when the user stops it: it may not be kept by a server that says nothing.

        Raises
        ------
        Cancelled
            The user has stopped it.
        """
        done = in_thread(work)
        stopped: asyncio.Future[Any] = asyncio.ensure_future(self._stopped.wait())
        both: set[asyncio.Future[Any]] = {done, stopped}
        seconds = 0
        try:
            while True:
                waits = f", {len(self._queue)} waiting" if self._queue else ""
                with self.segments.state as data:
                    data.busy = f"{title}, {seconds} s{waits}"
                ended, _ = await asyncio.wait(both, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                if done in ended:
                    return done.result()
                if stopped in ended:
                    raise Cancelled("The prompt was stopped.")
                seconds += 1
        finally:
            stopped.cancel()

    def _hang_up(self) -> None:
        """Release the session, without waiting for it."""
        dialogue, self._dialogue = self._dialogue, None
        if dialogue is not None:
            threading.Thread(target=_close, args=(dialogue.session,), daemon=True).start()


def _close(session: PromptSession) -> None:
    try:
        session.close()
    except DicomdockError:
        return  # the server is gone; it forgets the session by itself


def agree(dialogue: Dialogue, now: Mask) -> bool:
    """Return whether the server knows the segment as it is now, after it has undone what the user has."""
    while dialogue.masks:
        if dialogue.masks[-1].same(now):
            return True
        if not any(mask.same(now) for mask in dialogue.masks) or not dialogue.session.undo():
            return False
        dialogue.masks.pop()
    return False
