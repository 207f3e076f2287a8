"""How bright values are shown: windows from the header, usual ones, and by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dicomdock.imaging.geometry import Window
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.window.state import WindowState
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.palettes import GREY
from dicomdock.viewer.uptake import SUV_WINDOWS

# Usual windows of CT in HU, as radiology workstations offer them.
CT_WINDOWS = (
    Window(40, 80, "Brain"),
    Window(-600, 1500, "Lung"),
    Window(40, 400, "Abdomen"),
    Window(50, 350, "Mediastinum"),
    Window(400, 1800, "Bone"),
)
MOST = 9  # presets have the keys 1 to 9


def offered(stated: Sequence[Window], usual: Sequence[Window]) -> list[Window]:
    """Return the windows of the header, each once, and the usual ones that it does not have.

    One of the header that is a usual one has that name too.
    """
    found: list[Window] = []
    for one in stated:
        if not any((one.stated, one.function) == (other.stated, other.function) for other in found):
            found.append(one)
    names, numbers = {one.name.casefold() for one in found}, {one.stated for one in found}
    known = {one.stated: one.name for one in usual}
    found = [_with_usual_name(one, known.get(one.stated, "")) for one in found]
    found += [one for one in usual if one.name.casefold() not in names and one.stated not in numbers]
    return found[:MOST]


def _with_usual_name(one: Window, usual: str) -> Window:
    """Name a window of the header after the usual one of its numbers too: readers look for that name."""
    if not usual or usual.casefold() in one.name.casefold():
        return one
    return replace(one, name=f"{usual} ({one.name or 'header'})")


class WindowLogic:
    """Windows of the volume that is shown."""

    def __init__(self, server: Any, series: SeriesLogic) -> None:
        self.state, self.series = PageState(server.state, WindowState), series
        self._presets: list[Window] = []
        self._observed: tuple[Any, int] | None = None
        self._colours: dict[str, str] = {}  # names of colour tables that the user chose, by series
        self.on_window: list[Callable[[], None]] = []

        server.controller.use_preset = self.use
        server.controller.auto_window = self.auto
        server.controller.set_window = self.set
        name = self.state.name
        self.state.bind_changes({name.inverted: self._invert, name.colours: self._colours_chosen})
        series.on_shown.append(self._shown)
        series.on_complete.append(self._shown)

    def use(self, number: int) -> None:
        """Apply a preset, counted from 0."""
        if number < len(self._presets):
            self._apply(self._presets[number])

    def auto(self) -> None:
        """Apply the window that nearly all values lie in."""
        loaded, shown = self.series.loaded, self.series.shown
        if loaded is not None and shown is not None and shown.grey:
            self._apply(loaded.guess_window())

    def reset(self) -> None:
        """Apply the window that the series was opened with."""
        shown = self.series.shown
        if shown is not None and shown.grey:
            self._colours_chosen(GREY)
            self._invert(False)
            self._apply(shown.volume.window())

    def set(self, width: float | None, centre: float | None) -> None:
        """Apply a window by its numbers; None for one that stays."""
        shown = self.series.shown
        if shown is None:
            return
        width = float(width) if width is not None and float(width) > 0 else shown.window.width
        centre = shown.window.center if centre is None else float(centre)
        function = shown.shading.function
        if function == "TABLE" or (function == "LINEAR" and width < 1):
            function = "LINEAR_EXACT"
        self._apply(Window(centre, width, function=function))

    def _invert(self, inverted: bool) -> None:
        shown = self.series.shown
        if shown is not None and shown.inverted != inverted:
            shown.invert(inverted)

    def _colours_chosen(self, name: str) -> None:
        if self.series.series is not None:
            self._colours[self.series.series.uid] = name
            self._colour()

    def _colour(self) -> None:
        """Show the values in the colour table of their series."""
        shown, series = self.series.shown, self.series.series
        if shown is None or series is None:
            return
        palette = self.palette_of(series.uid) if shown.grey else ""
        if palette != shown.palette:
            shown.palette = palette
            shown.set_window(shown.window)
        with self.state as data:
            data.colours = palette or GREY

    def palette_of(self, series: str) -> str:
        """Return the name of the colours that a series is shown in; empty for shades of grey."""
        name = self._colours.get(series, GREY)
        return "" if name == GREY else name

    def _apply(self, window: Window) -> None:
        if self.series.shown is not None:
            self.series.window_touched()
            self.series.shown.set_window(window)

    def _shown(self) -> None:
        shown = self.series.shown
        assert shown is not None
        volume = shown.volume
        usual = {"HU": CT_WINDOWS, "GML": SUV_WINDOWS}.get(volume.units, ())
        self._presets = offered(volume.windows, usual) if shown.grey else []
        display = shown.node.GetDisplayNode()
        if self._observed is not None:
            self._observed[0].RemoveObserver(self._observed[1])
        self._observed = (display, display.AddObserver("ModifiedEvent", self._changed))
        with self.state as data:
            data.presets = [one.name or f"Header {at + 1}" for at, one in enumerate(self._presets)]
            data.preset_values = [
                f"{width:g} / {centre:g}" for width, centre in (one.stated for one in self._presets)
            ]
        self._colour()
        self._changed()

    def _changed(self, *_: Any) -> None:
        shown = self.series.shown
        if shown is None:
            return
        window = shown.window
        with self.state as data:
            data.window_width, data.window_centre = window.stated
            data.window_unit = shown.unit
            data.inverted, data.grey = shown.inverted, shown.grey
        for callback in self.on_window:
            callback()
        self.series.views.refresh_text()
