"""What the page shows around the features."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass
class KeysState:
    """The keys that hold.

    Parameters
    ----------
    key_actions : the action of each key, by context.
    key_labels : the keys of each action as the user sees them.
    key_asked : the action whose new key is awaited; empty for none.
    key_problem : why it did not get the last one.
    keys_changed : some keys are of the user's own.
    """

    key_actions: dict[str, dict[str, str]] = field(default_factory=dict)
    key_labels: dict[str, str] = field(default_factory=dict)
    key_asked: str = ""
    key_problem: str = ""
    keys_changed: bool = False
