"""What the mouse does in the views: change the window, move or scroll the picture, place points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from slicer import vtkMRMLInteractionNode, vtkMRMLWindowLevelWidget

from dicomdock.viewer.engine import RemoteViews
from dicomdock.viewer.features.views.cursor_values import CursorValues
from dicomdock.viewer.features.views.state import ViewsState
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import array_of

WINDOW_MODE = vtkMRMLWindowLevelWidget.GetInteractionNodeAdjustWindowLevelModeAttributeName()


class Mouse:
    """The mouse in the views.

    Parameters
    ----------
    app : Slicer's application.
    state : what the user has chosen that the left button does.
    remote : the views of the page.
    values : what is under the mouse.
    scrolled : goes as many slices of a view on as a drag of so many pixels asks for; returns how many of them
        it took.
    """

    def __init__(
        self,
        app: Any,
        state: PageState[ViewsState],
        remote: RemoteViews,
        values: CursorValues,
        scrolled: Callable[[str, float], float],
    ) -> None:
        self._app, self._state, self._remote, self._values = app, state, remote, values
        self._scrolled = scrolled
        self._interaction = "window"
        state.bind_changes({state.name.left: self._left_chosen})

    def drag_places(
        self,
        how: Literal["", "ends", "path"],
        drawn: Callable[[Sequence[Any]], None] = lambda _: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Let a drag with the left button place points of a measurement: at its ends, or along its path.

        Parameters
        ----------
        drawn : called with points along a path, behind the first one, each in mm, RAS.
        ended : called at the end of a path.
        """

        def draw(tag: str, pixels: Sequence[tuple[float, float]]) -> None:
            to_ras = array_of(self._app.view_manager.get_view(tag).get_view_node().GetXYToRAS())
            at = np.array([(*pixel, 0.0, 1.0) for pixel in pixels])
            drawn((at @ to_ras.T)[:, :3])

        self._remote.drag_places(how, draw, ended)

    def tool(self, *, on: bool) -> None:
        """Leave drags with the left button to a tool that draws, with their whole way, or take them back."""
        self._remote.follow_drags(on=on)
        self.interaction("none" if on else "window")

    def take_drags(
        self,
        grabbed: Callable[[Any, tuple[float, float]], Callable[[float, float], None] | None],
        dropped: Callable[[], None],
    ) -> None:
        """Let what lies in slices be dragged with the left button, while no tool is in hand.

        Parameters
        ----------
        grabbed : called with a slice view and where the button is pressed, in pixels from its lower
            left; returns what moves the thing there to where the mouse goes, None where there is none.
        dropped : called at the end.
        """

        def grab(tag: str, at: tuple[float, float]) -> Callable[[float, float], None] | None:
            view = self._app.view_manager.get_view(tag)
            free = self._interaction == "window" and view in self._app.view_manager.get_slice_views()
            return grabbed(view, at) if free else None

        self._remote.take_drags(grab, dropped)

    def take_clicks(self, clicked: Callable[[str, np.ndarray], None] | None) -> None:
        """Call a function with the tag of the slice view that is clicked and the point, in mm, LPS.

        Clicks do nothing else then. None: they do what they usually do.
        """

        def click(tag: str) -> None:
            view = self._app.view_manager.get_view(tag)
            if clicked is not None and view in self._app.view_manager.get_slice_views():
                clicked(tag, self._values.point(view))

        self._remote.take_clicks(None if clicked is None else click)

    def interaction(self, mode: str) -> None:
        """Set what dragging with the left button does.

        Parameters
        ----------
        mode : ``place`` a measurement; ``none``; ``window`` for what the user has chosen that it does.
        """
        self._interaction = mode
        does = self._state.data.left if mode == "window" else mode
        node = self._app.scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        modes = {
            "window": vtkMRMLInteractionNode.AdjustWindowLevel,
            "region": vtkMRMLInteractionNode.AdjustWindowLevel,
            "place": vtkMRMLInteractionNode.Place,
        }
        node.SetAttribute(WINDOW_MODE, "Rectangle" if does == "region" else "Adjust")
        node.SetCurrentInteractionMode(modes.get(does, vtkMRMLInteractionNode.ViewTransform))
        self._remote.drag_picture(
            does, self._app.view_manager.get_slice_views(), self._scrolled if does == "scroll" else None
        )

    def _left_chosen(self, _: str) -> None:
        if self._interaction == "window":
            self.interaction("window")
