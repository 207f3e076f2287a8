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
    theme : one of ``config.preferences.THEMES``.
    """

    tool: str = "series"
    help_open: bool = False
    has_list: bool = False
    theme: str = THEMES[0]
