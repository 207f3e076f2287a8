"""The volume in 3D: drawn only when asked for, on the processor, and not while somebody paints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from trame_slicer.core.volume_property import VolumeProperty

from dicomdock.imaging.geometry import Window
from dicomdock.viewer.engine import project_greatest_values, projects_greatest_values, turn_camera
from dicomdock.viewer.features.layout.layouts import THREED
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.features.volume.state import VolumeState
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import ShownVolume

PRESETS = {
    "CT": ("CT-Bone", "CT-AAA", "CT-Chest-Contrast-Enhanced", "CT-Lung", "CT-Muscle", "CT-Soft-Tissue"),
    "MR": ("MR-Default", "MR-Angio", "MR-MIP", "MR-T2-Brain"),
}


PROJECTIONS = MappingProxyType({"Maximum (MIP)": False, "Maximum (MIP), dark on light": True})
"""Looks of projections of the greatest values -> high values are dark."""

TURN_SPEED = 30.0  # degrees a second
TURN_PAUSE = 0.1  # seconds between two pictures, at least


class VolumeLogic:
    """Volume rendering of the shown series."""

    def __init__(self, server: Any, app: Any, series: SeriesLogic, views: Views) -> None:
        self.app, self.series, self.views = app, series, views
        self.state = PageState(server.state, VolumeState)
        name = self.state.name
        self.state.bind_changes(
            {(name.rendering, name.render_preset): self._chosen, name.turning: self._turning_chosen}
        )
        self._turn: asyncio.Task[None] | None = None
        self._tool_in_hand = False
        self._observed: tuple[Any, int] | None = None
        self._display: Any = None  # of the volume that is drawn
        self.above: Callable[[], ShownVolume | None] = lambda: None  # what lies over the shown series
        app.segmentation_editor.show_3d_changed.connect(self._segments_shown)
        series.on_shown.append(self._forget)
        series.on_complete.append(self._offer)

    def painting(self, on: bool) -> None:
        """Hold the 3D view still while a brush is in hand: on software GL it would hold all else."""
        self._tool_in_hand = on
        self._hold()

    def _hold(self) -> None:
        """Hold the view still, or no more, by what it shows now; where it has something to show, say so."""
        view = self.app.view_manager.get_view(THREED)
        if view is None:
            return
        visible = THREED in self.app.view_manager.get_current_view_ids()
        rendering = self.state.data.rendering
        held = self._tool_in_hand and (rendering or not self.app.segmentation_editor.is_3d_shown())
        view.set_render_blocked(held or not visible)
        self._note("Held still while a tool is in hand; Escape puts it away" if held and rendering else "")

    def above_changed(self) -> None:
        """Project what lies over the shown series now."""
        data, drawn = self.state.data, self._display
        target = self._target(data.render_preset)
        if not data.rendering or target is None or drawn is None:
            return
        if drawn.GetVolumeNodeID() != target.node.GetID():
            self._chosen(True, data.render_preset)

    def _target(self, preset: str) -> ShownVolume | None:
        """Return what is drawn: the shown series, but of a projection what lies over it."""
        above = self.above() if preset in PROJECTIONS else None
        return above or self.series.shown

    def _segments_shown(self, shown: bool) -> None:
        """Bring the surfaces of the segments into the 3D view, unless the volume has given it its place."""
        view = self.views.view(THREED)
        if shown and view is not None and not self.state.data.rendering:
            asyncio.get_running_loop().call_soon(view.fit_view_to_content)

    def _forget(self) -> None:
        with self.state as data:
            data.rendering = data.turning = False

    def _offer(self) -> None:
        series = self.series.series
        assert series is not None
        names = self.app.volume_rendering.preset_names()
        usual = PRESETS.get(series.modality, PRESETS["CT"] + PRESETS["MR"])
        offered = [name for name in usual if name in names]
        projections = [*PROJECTIONS]
        offered = projections[::-1] + offered if series.modality == "PT" else offered + projections
        offered += [name for name in names if name not in offered]
        with self.state as data:
            data.render_presets = offered
            data.render_preset = offered[0] if offered else ""

    def _note(self, text: str) -> None:
        with self.views.state as data:
            data.threed_note = text

    def _chosen(self, rendering: bool, render_preset: str) -> None:
        shown = self._target(render_preset)
        if shown is None:
            return
        logic = self.app.volume_rendering
        display = logic.get_vr_display_node(shown.node)
        if self._display is not None and not (rendering and self._display is display):
            self._display.SetVisibility(False)
            self._display = None
        if not rendering:
            with self.state as data:
                data.turning = False
            self._hold()
            return
        if not self.series.complete or not shown.grey:
            self._forget()
            return

        async def draw() -> None:
            self._note("Drawing the volume...")
            await asyncio.sleep(0.05)
            first = display is None
            made = self._display = logic.create_display_node(shown.node, render_preset)
            view = self.views.view(THREED)
            self._project(made, shown, render_preset)
            if render_preset not in PROJECTIONS:
                logic.apply_preset(made, render_preset)
                if self.series.series is not None and self.series.series.modality != "CT":
                    fit_to_values(made.GetVolumePropertyNode(), shown)
            made.SetVisibility(True)
            if first and view is not None:
                view.fit_view_to_content()
            await asyncio.sleep(0.05)
            self._hold()

        asyncio.get_running_loop().create_task(draw())

    def _project(self, display: Any, shown: ShownVolume, preset: str) -> None:
        """Project the greatest values in the window of the slices, or do so no more; fit what changes."""
        if self._observed is not None:
            self._observed[0].RemoveObserver(self._observed[1])
            self._observed = None
        view = self.views.view(THREED)
        if view is None:
            return
        projecting = preset in PROJECTIONS
        if projecting != projects_greatest_values(view):
            project_greatest_values(view, on=projecting)
            view.fit_view_to_content()
        if projecting:
            window, look = shown.node.GetDisplayNode(), display.GetVolumePropertyNode()

            def colour(*_: Any) -> None:
                shade_greatest_values(look, shown.window, dark=PROJECTIONS[preset])

            colour()
            self._observed = (window, window.AddObserver("ModifiedEvent", colour))

    def _turning_chosen(self, turning: bool) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if turning:
            self._turn = asyncio.get_running_loop().create_task(self._turn_on())

    async def _turn_on(self) -> None:
        """Turn the camera about the head at an even speed, with as many pictures as this machine draws."""
        before, pause = time.monotonic(), TURN_PAUSE
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            view = self.views.view(THREED)
            if view is not None:
                turn_camera(view, (now - before) * TURN_SPEED)
            # What took longer than asked for was a picture; the page gets as much time as it.
            before, pause = now, max(TURN_PAUSE, 2 * (now - before - pause))


def shade_greatest_values(node: Any, window: Window, *, dark: bool) -> None:
    """Show values in the shades of a window, dark on light or light on dark."""
    low, high = window.center - window.width / 2, window.center + window.width / 2
    prop = node.GetVolumeProperty()
    before = node.StartModify()
    for function in (prop.GetScalarOpacity(), prop.GetGradientOpacity(), prop.GetRGBTransferFunction()):
        function.RemoveAllPoints()
    for value, shade in ((low, float(dark)), (high, float(not dark))):
        prop.GetScalarOpacity().AddPoint(value, 1.0)
        prop.GetRGBTransferFunction().AddRGBPoint(value, shade, shade, shade)
    prop.GetGradientOpacity().AddPoint(0, 1.0)
    prop.ShadeOff()
    prop.SetInterpolationTypeToLinear()
    node.EndModify(before)


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
