"""What the page knows of the window."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicomdock.viewer.palettes import GREY, NAMES


@dataclass
class WindowState:
    """The window of the shown volume.

    Parameters
    ----------
    presets : names of the windows that can be chosen.
    preset_values : width and centre of each.
    inverted : low values are shown bright.
    grey : it has values that have a window, and no colours.
    colours : name of the colour table that values are shown in, one of ``palettes``.
    window_width, window_centre : in ``window_unit``, which is empty where none is stated.
    """

    presets: list[str] = field(default_factory=list)
    preset_values: list[str] = field(default_factory=list)
    inverted: bool = False
    grey: bool = False
    colours: str = GREY
    palettes: list[str] = field(default_factory=lambda: list(NAMES))
    window_width: float = 1.0
    window_centre: float = 0.0
    window_unit: str = ""
