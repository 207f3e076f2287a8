"""Overlays of the images (groups 60xx), drawn over them in white."""

from __future__ import annotations

from typing import Any

from dicomdock.viewer.features.layout.layouts import AXIAL, CORONAL, SAGITTAL
from dicomdock.viewer.features.overlays.state import OverlaysState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import add_overlays


class OverlaysLogic:
    """The overlays of the shown series, once all of it has arrived."""

    def __init__(self, server: Any, app: Any, series: SeriesLogic, views: Views) -> None:
        self.app, self.series, self.views = app, series, views
        self.state = PageState(server.state, OverlaysState)
        self._node: Any = None
        self.state.bind_changes({self.state.name.overlays_shown: lambda _on: self._draw()})
        views.state.bind_changes({views.state.name.layout: lambda _layout: self._draw()})
        series.on_shown.append(self._changed)
        series.on_complete.append(self._changed)

    def _changed(self) -> None:
        if self._node is not None:
            self.app.scene.RemoveNode(self._node)
            self._node = None
        loaded = self.series.loaded
        found = loaded is not None and loaded.complete and loaded.overlays is not None
        with self.state as data:
            data.has_overlays = found
        self._draw()

    def _draw(self) -> None:
        loaded, wanted = self.series.loaded, self.state.data
        on = wanted.has_overlays and wanted.overlays_shown
        if on and self._node is None and loaded is not None and loaded.overlays is not None:
            self._node = add_overlays(self.app, loaded.overlays, loaded.volume.geometry)
        for tag in (AXIAL, SAGITTAL, CORONAL):
            self.views.set_overlays(tag, self._node if on else None)
