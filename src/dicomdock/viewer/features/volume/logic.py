"""The volume in 3D: drawn only when asked for, on the processor, and not while somebody paints."""

from __future__ import annotations

import asyncio
from typing import Any

from trame_slicer.core.volume_property import VolumeProperty

from dicomdock.viewer.features.layout.layouts import THREED
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.features.volume.state import VolumeState
from dicomdock.viewer.page_state import PageState

PRESETS = {
    "CT": ("CT-Bone", "CT-AAA", "CT-Chest-Contrast-Enhanced", "CT-Lung", "CT-Muscle", "CT-Soft-Tissue"),
    "MR": ("MR-Default", "MR-Angio", "MR-MIP", "MR-T2-Brain"),
}


class VolumeLogic:
    """Volume rendering of the shown series."""

    def __init__(self, server: Any, app: Any, series: SeriesLogic, views: Views) -> None:
        self.app, self.series, self.views = app, series, views
        self.state = PageState(server.state, VolumeState)
        name = self.state.name
        self.state.bind_changes({(name.rendering, name.render_preset): self._chosen})
        app.segmentation_editor.show_3d_changed.connect(self._segments_shown)
        series.on_shown.append(self._forget)
        series.on_complete.append(self._offer)

    def painting(self, on: bool) -> None:
        """Hold the 3D view still while a brush is in hand: on software GL it would hold all else."""
        view = self.app.view_manager.get_view(THREED)
        if view is None:
            return
        visible = THREED in self.app.view_manager.get_current_view_ids()
        held = on and (self.state.data.rendering or not self.app.segmentation_editor.is_3d_shown())
        view.set_render_blocked(held or not visible)
        still = on and self.state.data.rendering
        self._note("Held still while the brush is in hand" if still else "")

    def _segments_shown(self, shown: bool) -> None:
        """Bring the surfaces of the segments into the 3D view, unless the volume has given it its place."""
        view = self.views.view(THREED)
        if shown and view is not None and not self.state.data.rendering:
            asyncio.get_running_loop().call_soon(view.fit_view_to_content)

    def _forget(self) -> None:
        with self.state as data:
            data.rendering = False

    def _offer(self) -> None:
        series = self.series.series
        assert series is not None
        names = self.app.volume_rendering.preset_names()
        usual = PRESETS.get(series.modality, PRESETS["CT"] + PRESETS["MR"])
        offered = [name for name in usual if name in names] + [name for name in names if name not in usual]
        with self.state as data:
            data.render_presets = offered
            data.render_preset = offered[0] if offered else ""

    def _note(self, text: str) -> None:
        with self.views.state as data:
            data.threed_note = text

    def _chosen(self, rendering: bool, render_preset: str) -> None:
        shown = self.series.shown
        if shown is None:
            return
        logic = self.app.volume_rendering
        display = logic.get_vr_display_node(shown.node)
        if not rendering:
            if display is not None and display.GetVisibility():
                display.SetVisibility(False)
            return
        if not self.series.complete or not shown.grey:
            self._forget()
            return

        async def draw() -> None:
            self._note("Drawing the volume...")
            await asyncio.sleep(0.05)
            first = display is None
            made = logic.create_display_node(shown.node, render_preset)
            logic.apply_preset(made, render_preset)
            if self.series.series is not None and self.series.series.modality != "CT":
                fit_to_values(made.GetVolumePropertyNode(), shown)
            made.SetVisibility(True)
            view = self.views.view(THREED)
            if first and view is not None:
                view.fit_view_to_content()
            await asyncio.sleep(0.05)
            self._note("")

        asyncio.get_running_loop().create_task(draw())


def fit_to_values(node: Any, shown: Any) -> None:
    """Stretch a preset made for other values over those of this volume; MR has no common scale."""
    prop = VolumeProperty(node)
    window = shown.window
    low, high = window.center - window.width / 2, window.center + window.width / 2
    opacity, colours = prop.get_opacity_map_values(), prop.get_color_map_values()
    inner = [value[0] for value in opacity or [] if abs(value[0]) < 1e5]
    if len(inner) < 2 or inner[-1] <= inner[0]:
        return
    scale = (high * 1.2 - low) / (inner[-1] - inner[0])

    def moved(values: list[list[float]]) -> list[list[float]]:
        return [[low + (value[0] - inner[0]) * scale, *value[1:]] for value in values]

    prop.set_opacity_values(moved(opacity))
    prop.set_color_map_values(moved(colours))
    node.GetVolumeProperty().GetGradientOpacity().RemoveAllPoints()
    node.GetVolumeProperty().GetGradientOpacity().AddPoint(0, 1.0)
