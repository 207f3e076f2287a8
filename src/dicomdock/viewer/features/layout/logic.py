"""The layout that suits what is shown: one view for a single slice or a stack, the user's own for volumes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dicomdock.imaging.volume import Volume
from dicomdock.viewer.features.layout.layouts import (
    AXIAL,
    CORONAL,
    FOUR_VIEWS,
    LISTED,
    OF_IMAGES,
    PLANES,
    SAGITTAL,
    SEVERAL,
    THREED,
)
from dicomdock.viewer.features.measure.state import MeasureState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.page_state import PageState

ALONE = {AXIAL: "Axial", SAGITTAL: "Sagittal", CORONAL: "Coronal", THREED: "3D"}


class LayoutLogic:
    """Changes the layout with the series, and back; shows one view alone, and all again."""

    def __init__(self, server: Any, series: SeriesLogic) -> None:
        self.series, self.state = series, series.views.state
        self._measuring = PageState(server.state, MeasureState)
        self._users = ""  # the layout before one was forced
        self._before = FOUR_VIEWS  # the layout that a view was taken out of
        series.on_shown.append(self._suit)

    def alone(self, view: str) -> None:
        """Show a view over the whole window, or all views again."""
        layout = self.state.data.layout
        if view not in ALONE or self._measuring.data.measuring or not self.series.state.data.kind_3d:
            return
        if layout not in ALONE.values():
            self._before = layout
        with self.state as data:
            data.layout = self._before if layout == ALONE[view] else ALONE[view]

    def _suit(self) -> None:
        loaded = self.series.loaded
        assert loaded is not None
        layout, alone = self.state.data.layout, view_of(loaded.volume)
        with self.state as data:
            data.layouts = list(LISTED if loaded.volume.spatial else OF_IMAGES)
        if loaded.provisional or layout in SEVERAL:
            return
        if alone and layout != alone:
            self._users = self._users or layout
        elif not alone and self._users:
            # What the user chose over a single slice since then stays.
            alone, self._users = self._users if layout in PLANES else layout, ""
        with self.state as data:
            data.layout = alone or layout


def view_of(volume: Volume) -> str:
    """Name the layout of the one view that shows all of a volume; empty where several are needed."""
    if not volume.spatial:
        return "Axial"
    across = int(np.argmax(np.abs(volume.geometry.directions[:, 0])))
    return PLANES[across] if volume.geometry.shape[0] == 1 else ""
