"""What the page shows around the features."""

from __future__ import annotations

from dataclasses import dataclass

from dicomdock.config.preferences import THEMES


@dataclass
class ShellState:
    """The state of the page itself.

    Parameters
    ----------
    tool : whose panel is open; empty where none is.
    help_open : the keys are shown.
    has_list : there is a list of studies or cases to go back to.
    menu_view : the view whose menu is open; empty where none is. ``menu_place`` is where, as CSS.
    glass : a magnifying glass follows the mouse.
    theme : one of ``config.preferences.THEMES``.
    """

    tool: str = "series"
    help_open: bool = False
    has_list: bool = False
    menu_view: str = ""
    menu_place: str = ""
    glass: bool = False
    theme: str = THEMES[0]
