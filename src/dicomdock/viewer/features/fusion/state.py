"""What the page knows of the volume that lies over the shown one."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicomdock.viewer.palettes import HOT_IRON, NAMES

USUAL_OPACITY = 40


@dataclass
class FusionState:
    """The series that is shown over the one that is looked at.

    Parameters
    ----------
    fusion_uid : its Series Instance UID; empty where none was chosen.
    fusion_name : as the list of series names it, once it is shown; empty before.
    fusion_on : it is drawn.
    fusion_opacity : in percent.
    fusion_colours : name of its colour table, one of ``fusion_palettes``.
    fusion_presets : names of its usual windows.
    fusion_width, fusion_centre : its own window, in ``fusion_unit``.
    fusion_unregistered : UID of the series that was not shown as nothing registers it; may be empty.
    fusion_words : why it is not shown, or what the user should know of it; empty where there is nothing.
    """

    fusion_uid: str = ""
    fusion_name: str = ""
    fusion_on: bool = True
    fusion_opacity: int = USUAL_OPACITY
    fusion_colours: str = HOT_IRON
    fusion_palettes: list[str] = field(default_factory=lambda: list(NAMES))
    fusion_presets: list[str] = field(default_factory=list)
    fusion_width: float = 1.0
    fusion_centre: float = 0.0
    fusion_unit: str = ""
    fusion_unregistered: str = ""
    fusion_words: str = ""
