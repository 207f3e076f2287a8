"""Placing a measurement: by a drag or by clicks, part after part, until all its points are there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import slicer

from dicomdock.viewer.features.measure.kinds import KINDS, POINTS
from dicomdock.viewer.features.measure.nodes import Drawn
from dicomdock.viewer.features.measure.state import MeasureState
from dicomdock.viewer.page_state import PageState


class Placing:
    """Takes the points of one measurement after the other from the user.

    Parameters
    ----------
    app : the viewer.
    views : its views.
    state : which kind is placed, for the page.
    add : adds a measurement of a kind to the scene.
    ended : called with a measurement that gets no more points, whether it has all of them or not.
    """

    def __init__(
        self,
        app: Any,
        views: Any,
        state: PageState[MeasureState],
        add: Callable[[str], Drawn],
        ended: Callable[[Drawn], None],
    ) -> None:
        self._app, self._views, self._state, self._add, self._ended = app, views, state, add, ended
        self._drawn: Drawn | None = None
        app.scene.AddNode(slicer.vtkMRMLInteractionNode()) if self._interaction() is None else None
        self._interaction().AddObserver(slicer.vtkMRMLInteractionNode.EndPlacementEvent, self._placed)

    def __bool__(self) -> bool:
        """Return whether a measurement is being placed."""
        return self._drawn is not None

    @property
    def half_done(self) -> bool:
        """Whether the measurement that is being placed has points, and lacks some."""
        return self._drawn is not None and bool(self._drawn.points()) and not self._drawn.complete

    def begin(self, kind: str) -> None:
        """Let the user place a measurement, by a drag or by clicks."""
        self._views.mouse.interaction("place")
        self._drawn = self._add(kind)
        with self._state as data:
            data.measuring = kind
        self._views.mouse.drag_places(KINDS[kind].drag, self._drawn.draw, self.stop)
        self._place(self._drawn.nodes[0])

    def stop(self) -> None:
        """End placing."""
        drawn, self._drawn = self._drawn, None
        self._app.markups_logic.disable_place_mode()
        if drawn is None:
            return
        self._views.mouse.drag_places("")
        self._views.cross.hide()
        self._views.mouse.interaction("window")
        with self._state as data:
            data.measuring = ""
        self._ended(drawn)

    def end_when_complete(self) -> None:
        """End soon what would take more points than it needs, where it has those."""
        drawn = self._drawn
        if drawn is not None and drawn.kind in ("ellipse", "rectangle") and drawn.complete:
            asyncio.get_running_loop().call_soon(self._end_if_complete, drawn)

    def _end_if_complete(self, drawn: Drawn) -> None:
        if self._drawn is drawn and drawn.complete:
            self.stop()

    def _interaction(self) -> Any:
        return self._app.scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")

    def _place(self, node: Any) -> None:
        kind = KINDS[self._drawn.kind] if self._drawn is not None else None
        several = kind is not None and (kind.open_ended or kind.parts[0] == (POINTS, 2))
        self._app.markups_logic.place_node(node, persistent=several)

    def _placed(self, *_: Any) -> None:
        """Go on when a part has its points, once Slicer has done with the event that says so."""
        if self._drawn is not None:
            asyncio.get_running_loop().call_soon(self._go_on, self._drawn)

    def _go_on(self, drawn: Drawn) -> None:
        """Place the next part, or end."""
        if self._drawn is not drawn:
            return
        if drawn.part_complete and (node := drawn.next_part()) is not None:
            self._place(node)
        else:
            self.stop()
