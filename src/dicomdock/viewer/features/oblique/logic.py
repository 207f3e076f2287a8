"""Oblique reformatting: the plane of a view by two angles from its usual one."""

from __future__ import annotations

from typing import Any

from dicomdock.viewer.features.oblique.state import ObliqueState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.page_state import PageState


class ObliqueLogic:
    """Turns the planes of views; another series is shown in its usual planes again.

    Parameters
    ----------
    server : trame's.
    series : what is shown.
    views : where it is shown.
    """

    def __init__(self, server: Any, series: SeriesLogic, views: Views) -> None:
        self.state, self.series, self.views = PageState(server.state, ObliqueState), series, views
        self._series = ""
        name = self.state.name
        self.state.bind_changes(
            {
                (name.oblique_turn, name.oblique_tilt): self._angles_chosen,
                name.oblique_view: self._view_chosen,
            }
        )
        server.controller.straighten = self.straighten
        series.on_shown.append(self._shown)

    def straighten(self) -> None:
        """Show all views in their usual planes."""
        self.views.turn_back()
        with self.state as data:
            data.oblique_turn = data.oblique_tilt = 0

    def _angles_chosen(self, turn: float, tilt: float) -> None:
        self.views.turn(self.state.data.oblique_view, float(turn or 0), float(tilt or 0))

    def _view_chosen(self, tag: str) -> None:
        with self.state as data:
            data.oblique_turn, data.oblique_tilt = self.views.angles(tag)

    def _shown(self) -> None:
        uid = self.series.series.uid if self.series.series is not None else ""
        if uid != self._series:
            self._series = uid
            self.straighten()
