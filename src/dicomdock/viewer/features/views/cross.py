"""A cross that keys move in a view, for those who place points without a mouse."""

from __future__ import annotations

from typing import Any

from dicomdock.viewer.engine import RemoteViews
from dicomdock.viewer.features.views.state import ViewsState
from dicomdock.viewer.page_state import PageState


class Cross:
    """The cross: the engine takes it for the mouse.

    Parameters
    ----------
    state : where the page shows it.
    remote : the views of the page.
    """

    def __init__(self, state: PageState[ViewsState], remote: RemoteViews) -> None:
        self._state, self._remote = state, remote
        self._at: tuple[float, float] = (0.0, 0.0)  # pixels of the page from the lower left of its view

    def move(self, view: Any, right: int, up: int) -> None:
        """Move it by so many pixels; in a view where it is not, it begins in the middle."""
        tag = view.get_singleton_tag()
        width, height = self._remote.size(tag)
        x, y = self._at
        if self._state.data.cross_view == tag:
            x, y = x + right, y + up
        else:
            x, y = width / 2, height / 2
        self._at = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
        self._remote.mouse(tag, self._at, "MouseEnter", "MouseMove")
        with self._state as data:
            data.cross_view = tag
            data.cross_place = f"left:{self._at[0]:g}px;bottom:{self._at[1]:g}px"

    def click(self, view: Any) -> None:
        """Click there with the left button; where it is not shown yet, show it first."""
        tag = view.get_singleton_tag()
        if self._state.data.cross_view != tag:
            self.move(view, 0, 0)
            return
        self._remote.mouse(tag, self._at, "LeftButtonPress", "LeftButtonRelease")

    def hide(self) -> None:
        """Take it away."""
        with self._state as data:
            data.cross_view = ""
