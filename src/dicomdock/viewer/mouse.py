"""What the mouse does in a view of the page, before the engine makes something of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trame_rca.utils import RcaViewAdapter
from trame_slicer.rca_view.rca_view_factory import RcaWindow
from vtkmodules.vtkCommonCore import vtkCommand

from dicomdock.viewer.frames import FrameScheduler

DRAG_PIXELS = 8  # that the mouse moves with the button held before it is a drag and no click
PATH_PIXELS = 4  # between two points along a drag

RELEASED_TOPIC = "dicomdock.released"  # what viewer.js subscribes to: a button of the mouse was let go

PathDrawn = Callable[[str, Sequence[tuple[float, float]]], None]
Grabbed = Callable[[str, tuple[float, float]], Callable[[float, float], None] | None]


@dataclass
class LeftButton:
    """What a drag or click with the left button does, beside what the engine makes of it.

    Parameters
    ----------
    how : what a drag places: nothing; a point at its end (``ends``); points along it (``path``).
    drawn : called with a view's tag and points along a path, in pixels from the lower left of the view.
    ended : called at the end of a path.
    clicked : called with a view's tag where the left button is pressed, instead of all else that it does.
    picture : a drag moves or enlarges the picture.
    scrolled : called with a view's tag and how many pixels a drag has gone up, and returns how many of them
        made slices; None where a drag does not scroll.
    grabbed : called with a view's tag and where the button is pressed, in pixels from the lower left; returns
        what moves the thing there, None where there is none.
    dropped : called when it is let go.
    """

    how: Literal["", "ends", "path"] = ""
    drawn: PathDrawn = lambda _tag, _points: None
    ended: Callable[[], None] = lambda: None
    clicked: Callable[[str], None] | None = None
    picture: bool = False
    scrolled: Callable[[str, float], float] | None = None
    grabbed: Grabbed = lambda _tag, _at: None
    dropped: Callable[[], None] = lambda: None


class MouseArea(RcaViewAdapter):
    """Takes what the mouse does in a view.

    Parameters
    ----------
    view : of the engine.
    window : in which it is drawn.
    tag : its name on the page.
    scheduler : of its pictures.
    drag : what the left button does there.
    """

    def __init__(
        self, view: Any, window: RcaWindow, tag: str, scheduler: FrameScheduler, drag: LeftButton
    ) -> None:
        super().__init__(window, tag, scheduler=scheduler, do_schedule_render_on_interaction=False)
        self.interactor = view.interactor()
        self._modified = view.modified
        self._line = scheduler.line
        self._drag = drag
        self._pressed: tuple[float, float] | None = None  # where the left button was pressed
        self._held: Callable[[float, float], None] | None = None  # moves what is dragged
        self._last = (0.0, 0.0)  # where the last point of the drag was placed

    def update_size(self, origin: str, size: dict[str, Any]) -> None:
        """Take the size of the view on the page."""
        self._line.forget()  # a page that has just come does not know of earlier pictures
        super().update_size(origin, size)

    def on_interaction(self, origin: str, event: dict[str, Any]) -> None:
        """Take one event of the mouse, or a picture's receipt (``line``)."""
        if event.get("type") == "Received":
            self._line.received(int(event["number"]), float(event["delay"]))
            return
        if str(event.get("type")).startswith("Key"):
            return  # keys are the page's (``shell.keys``); Slicer has meanings of its own for some of them
        with self._modified.emit_once():  # the engine says several times that it shows another slice
            self._interact(origin, event)

    def _interact(self, origin: str, event: dict[str, Any]) -> None:
        try:
            if self._drag.clicked is not None and str(event.get("type")).startswith("LeftButton"):
                super().on_interaction(origin, {**event, "type": "MouseMove"})
                if event["type"] == "LeftButtonPress":
                    self._drag.clicked(self.area_name)
            elif not (
                (self._drag.how and self._places(origin, event)) or self._drags(event) or self._scrolls(event)
            ):
                super().on_interaction(origin, event)
        finally:
            if str(event.get("type")).endswith("Release"):
                self._let_go(event["type"])
                self.streamer.publish(RELEASED_TOPIC, self.area_name)

    def _places(self, origin: str, event: dict[str, Any]) -> bool:
        """Place points by a drag; return False for what is not part of one.

        The ends are placed as clicks would, and the button never stays pressed for the engine, where a point
        that was placed would follow the mouse. The engine does not see the way of a path: it takes too long.
        """
        kind, at = str(event.get("type")), (float(event.get("x", 0)), float(event.get("y", 0)))
        if kind == "LeftButtonPress":
            self._pressed = at
            self._click(origin, event, at)
        elif kind == "LeftButtonRelease" and self._pressed is not None:
            self._release(origin, event, at, self._pressed)
        elif kind == "MouseMove" and self._pressed is not None and self._drag.how == "path":
            self._draw(event.get("trail", [at]))
        else:
            return False
        return True

    def _release(
        self, origin: str, event: dict[str, Any], at: tuple[float, float], pressed: tuple[float, float]
    ) -> None:
        """End a drag; a click is none."""
        self._pressed = None
        if self._drag.how == "path":
            self._draw(event.get("trail", ()))
            if self._last != pressed or math.dist(at, pressed) >= DRAG_PIXELS:
                self._draw([at], apart=1)
                self._drag.ended()
        elif math.dist(at, pressed) >= DRAG_PIXELS:
            self._click(origin, event, at)

    def _draw(self, trail: Iterable[Sequence[float]], apart: float = PATH_PIXELS) -> None:
        """Place points along the way of the mouse, that far apart at least."""
        points = []
        for x, y in trail:
            if math.dist((x, y), self._last) >= apart:
                self._last = (float(x), float(y))
                points.append((self._last[0] * self.scale_factor, self._last[1] * self.scale_factor))
        if points:
            self._drag.drawn(self.area_name, points)

    def _drags(self, event: dict[str, Any]) -> bool:
        """Drag what lies under the mouse; return False for what is not part of that."""
        kind, scale = str(event.get("type")), self.scale_factor
        at = float(event.get("x", 0)) * scale, float(event.get("y", 0)) * scale
        if kind == "LeftButtonPress":
            self._held = self._drag.grabbed(self.area_name, at)
            return self._held is not None
        if self._held is None or kind not in ("MouseMove", "LeftButtonRelease"):
            return False
        self._held(*at)
        if kind == "LeftButtonRelease":
            self._held = None
            self._drag.dropped()
        return True

    def _scrolls(self, event: dict[str, Any]) -> bool:
        """Scroll by a drag; return False for what is not part of one."""
        kind, at = str(event.get("type")), (float(event.get("x", 0)), float(event.get("y", 0)))
        if self._drag.scrolled is None or not (kind == "LeftButtonPress" or self._pressed):
            return False
        if kind == "LeftButtonPress":
            self._pressed = at
        elif kind == "MouseMove" and self._pressed is not None:
            x, y = self._pressed
            self._pressed = (x, y + self._drag.scrolled(self.area_name, at[1] - y))
        elif kind == "LeftButtonRelease":
            self._pressed = None
        return True

    def _click(self, origin: str, event: dict[str, Any], at: tuple[float, float]) -> None:
        self._last = at
        for kind in ("MouseMove", "LeftButtonPress", "LeftButtonRelease"):
            super().on_interaction(origin, {**event, "type": kind})

    def _let_go(self, released: str) -> None:
        """Free what zoomed or moved the picture: else it keeps all further moves of the mouse to itself."""
        if not released.startswith("Left") or self._drag.picture:
            for event in (vtkCommand.LeaveEvent, vtkCommand.EnterEvent):
                self.interactor.InvokeEvent(event)
