"""Overlays of the images (groups 60xx), drawn over them in white, and shutters (PS3.3 §C.7.6.11)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.terminology import RGB
from dicomdock.viewer.features.layout.layouts import AXIAL, CORONAL, SAGITTAL
from dicomdock.viewer.features.overlays.state import OverlaysState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.loaded import BLACK, COVERED, Loaded
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import add_overlays


class OverlaysLogic:
    """The overlays and shutters of the shown series, once all of it has arrived."""

    def __init__(self, server: Any, app: Any, series: SeriesLogic, views: Views) -> None:
        self.app, self.series, self.views = app, series, views
        self.state = PageState(server.state, OverlaysState)
        self._node: Any = None
        self._shutter: tuple[npt.NDArray[np.bool_], RGB] | None = None  # in place of the images' own
        self.state.bind_changes({self.state.name.overlays_shown: lambda _on: self._draw()})
        views.state.bind_changes({views.state.name.layout: lambda _layout: self._draw()})
        series.on_shown.append(self._changed)
        series.on_complete.append(self._changed)

    def cover(self, covered: npt.NDArray[np.bool_], color: RGB) -> None:
        """Cover voxels (k, row, column) of the shown series, in place of what its own shutters cover.

        Parameters
        ----------
        color : of what is covered.
        """
        self._shutter = covered, color
        self._changed()

    def uncover(self) -> None:
        """Cover what the images' own shutters cover."""
        if self._shutter is not None:
            self._shutter = None
            self._changed()

    def _changed(self) -> None:
        if self._node is not None:
            self.app.scene.RemoveNode(self._node)
            self._node = None
        loaded = self.series.loaded
        complete = loaded is not None and loaded.complete
        own = loaded.overlays if loaded is not None else None
        found = complete and (own is not None or self._shutter is not None)
        with self.state as data:
            data.has_overlays = found
        self._draw()

    def _draw(self) -> None:
        loaded, wanted = self.series.loaded, self.state.data
        on = wanted.has_overlays and wanted.overlays_shown
        if on and self._node is None and loaded is not None:
            covered, color = self._covered(loaded)
            self._node = add_overlays(self.app, covered, loaded.volume.geometry, color)
        for tag in (AXIAL, SAGITTAL, CORONAL):
            self.views.layers.set_overlays(tag, self._node if on else None)

    def _covered(self, loaded: Loaded) -> tuple[npt.NDArray[np.uint8], RGB]:
        own = loaded.overlays
        if self._shutter is None and own is not None:
            return own, loaded.shutter_color
        shutter, color = self._shutter or (np.zeros(loaded.plan.geometry.shape, bool), BLACK)
        found = np.where(shutter, np.uint8(COVERED), np.uint8(0))
        if own is not None:
            found[own == 1] = 1
        return found, color
