"""Actions and their keys: the one table from which help, menus, the page's filter and what keys do come."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

ZOOM = 1.25  # by one key

Context = Literal["views", "placing", "cross"]
"""When a key holds: always, while the points of a measurement are placed, while the cross for it is shown."""

Keys = dict[str, tuple[str, ...]]
"""The keys of each action, by its name; an empty tuple where it has none."""


@dataclass(frozen=True)
class Action:
    """What a key does.

    Parameters
    ----------
    name : under which the preferences keep its key.
    keys : by default, as the page names them: ``r``, ``Shift+r``, ``Ctrl+z``, ``ArrowUp``, ``Space``, ``?``.
    words : what it does, for the help; neighbours with the same words share a row.
    does : called with the workstation.
    when : the context that it holds in.
    changeable : the user may give it another key.
    """

    name: str
    keys: tuple[str, ...]
    words: str
    does: Callable[[Any], Any]
    when: Context = "views"
    changeable: bool = True


def _step(steps: int) -> Callable[[Any], None]:
    return lambda station: station.views.step(station.focus, steps)


def _left(does: str) -> Callable[[Any], None]:
    def change(station: Any) -> None:
        data = station.views.state.data
        data.left = "window" if data.left == does else does

    return change


def _panel(tool: str) -> Callable[[Any], None]:
    def change(station: Any) -> None:
        data = station.shell.data
        data.tool = "" if data.tool == tool else tool

    return change


def _next_layout(station: Any) -> None:
    data = station.views.state.data
    after = [*data.layouts, *data.layouts[:1]]
    data.layout = dict(pairwise(after)).get(data.layout, after[0])


def _brush(change: str) -> Callable[[Any], None]:
    def resize(station: Any) -> None:
        size = getattr(station.segments.editor.active_effect, f"{change}_brush_size", None)
        if size is not None:
            size()

    return resize


def _erase(station: Any) -> None:
    if station.segments.current is not None:
        from trame_slicer.segmentation import SegmentationEffectErase

        station.segments.editor.set_active_effect_type(SegmentationEffectErase)


def _paint(station: Any) -> None:
    station.segments.paint()
    station.shell.data.tool = "segment"


def _toggle(part: str, field: str) -> Callable[[Any], None]:
    """Turn a field of the state of a part of the workstation on or off."""

    def change(station: Any) -> None:
        state = getattr(station, part)
        state = getattr(state, "state", state)
        state.toggle(getattr(state.name, field))

    return change


def _cross(key: str, right: int, up: int) -> Iterator[Action]:
    """Yield the actions that move the cross of the tool in hand, by one pixel and by ten."""
    for held, far, words in (("", 1, "one pixel"), ("Shift+", 10, "ten pixels")):

        def move(station: Any, far: int = far) -> None:
            view = station.views.visible_at(station.focus)
            station.views.cross.move(view, right * far, up * far)

        words = f"while measuring, with the cross: move it by {words}"
        yield Action(f"cross-{held}{key}", (f"{held}Arrow{key}",), words, move, "cross", changeable=False)


def _preset(at: int) -> Action:
    return Action(f"preset-{at}", (str(at),), "window presets", lambda one: one.window.use(at - 1))


CROSS = [
    action
    for key, *way in (("Left", -1, 0), ("Right", 1, 0), ("Up", 0, 1), ("Down", 0, -1))
    for action in _cross(key, *way)
]

ACTIONS = (
    Action("next", ("ArrowUp", "ArrowRight"), "one slice on", _step(1)),
    Action("previous", ("ArrowDown", "ArrowLeft"), "one slice back", _step(-1)),
    Action("next-ten", ("PageUp",), "ten slices on", _step(10)),
    Action("previous-ten", ("PageDown",), "ten slices back", _step(-10)),
    Action("first", ("Home",), "the first slice", _step(-100_000)),
    Action("last", ("End",), "the last slice", _step(100_000)),
    Action(
        "play",
        ("Space",),
        "play the slices; of several series that do not scroll together: in the view at the mouse",
        lambda one: one.cine.toggle(one.focus),
    ),
    *map(_preset, range(1, 10)),
    Action("auto-window", ("0",), "window that fits the values", lambda one: one.window.auto()),
    Action("invert", ("i",), "inverted: low values bright", _toggle("window", "inverted")),
    Action("drag-zoom", ("z",), "left drag zooms; again: window", _left("zoom")),
    Action("drag-move", ("g",), "left drag moves; again: window", _left("move")),
    Action("zoom-in", ("+",), "enlarge", lambda one: one.views.zoom(one.focus, ZOOM)),
    Action("zoom-out", ("-",), "shrink", lambda one: one.views.zoom(one.focus, 1 / ZOOM)),
    Action("turn", ("t",), "turn by 90 degrees", lambda one: one.turning.turn()),
    Action("mirror", ("m",), "mirror", lambda one: one.turning.mirror()),
    Action("magnifier", ("v",), "magnifier at the mouse, on or off", _toggle("shell", "glass")),
    Action("fit", ("r",), "fit the pictures into the views", lambda one: one.views.fit()),
    Action(
        "reset",
        ("Shift+r",),
        "everything as it was opened: window, zoom, planes",
        lambda one: one.reset(),
    ),
    Action("layout", ("l",), "next layout", _next_layout),
    Action(
        "crosshair", ("c",), "crosshair; with Shift held it follows the mouse", _toggle("views", "crosshair")
    ),
    Action("corner-text", ("h",), "text in the corners", _toggle("views", "words_shown")),
    Action("fusion", ("f",), "the series over the images: on or off", lambda one: one.fusion.toggle()),
    Action("fusion-less", ("{",), "less of the series over the images", lambda one: one.fusion.more(-1)),
    Action("fusion-more", ("}",), "more of the series over the images", lambda one: one.fusion.more(1)),
    Action("series", ("s",), "series panel", _panel("series")),
    Action("window", ("w",), "window panel", _panel("window")),
    Action("paint", ("p",), "paint", _paint),
    Action("erase", ("e",), "erase", _erase),
    Action("smaller-brush", ("[",), "smaller brush", _brush("decrease")),
    Action("larger-brush", ("]",), "larger brush", _brush("increase")),
    Action("distance", ("d",), "measure a distance", lambda one: one.measure("distance")),
    Action("angle", ("a",), "measure an angle", lambda one: one.measure("angle")),
    Action("region", ("o",), "measure a region", lambda one: one.measure("region")),
    Action(
        "place",
        ("Enter",),
        "while measuring: show a cross; again: place a point there",
        lambda one: one.views.cross.click(one.views.visible_at(one.focus)),
        "placing",
        changeable=False,
    ),
    *CROSS[::2],
    *CROSS[1::2],
    Action(
        "key-image",
        ("k",),
        "save the image in the first view as a key image",
        lambda one: one.key_images.mark(),
    ),
    Action("undo", ("Ctrl+z",), "undo", lambda one: one.undo()),
    Action("redo", ("Ctrl+y", "Ctrl+Shift+z"), "redo", lambda one: one.redo()),
    Action("save", ("Ctrl+s",), "save", lambda one: one.saving.save()),
    Action("help", ("?",), "this list", _toggle("shell", "help_open")),
    Action(
        "escape", ("Escape",), "close, end, put the tool away", lambda one: one.escape(), changeable=False
    ),
)
"""In the order of the help."""

NAMED = {action.name: action for action in ACTIONS}

MOUSE = (
    ("wheel", "one slice on or back"),
    ("left drag", "window: sideways width, up and down centre"),
    ("right drag, middle drag", "zoom, move"),
    ("right click, Menu", "menu of the view"),
    ("double click", "one view alone, all views again"),
)
"""What the help says of the mouse."""

BROWSERS = frozenset(
    [f"Ctrl+{key}" for key in "acvxlntwrpf"]
    + [f"Ctrl+Shift+{key}" for key in "cijnprtw"]
    + ["Enter", "Tab", "Shift+Tab", "Escape", "F1", "F5", "F6", "F11", "F12", "Shift+F10", "ContextMenu"]
)
"""Keys that browsers keep to themselves, or by which the page itself is used."""

_HELD = re.compile(r"((?:(?:Ctrl|Alt|Shift)\+)*)(.+)")


def label(key: str) -> str:
    """Return a key as the user sees it: ``Up``, ``Ctrl+Z``, ``Shift+R``, ``r``."""
    found = _HELD.fullmatch(key)
    if found is None:
        return key
    held, last = found.groups()
    return held + (last.upper() if held and len(last) == 1 else last.removeprefix("Arrow"))


def labels(keys: Keys) -> dict[str, str]:
    """Return the keys of each action as the user sees them."""
    return {name: ", ".join(map(label, given)) for name, given in keys.items()}


def chosen(changes: object) -> Keys:
    """Return the keys of every action.

    What the user has chosen wins over a default: another action that has it by default loses it.

    Parameters
    ----------
    changes : from the preferences, an action's name to its key, empty for none. What is not understood there,
        such as names of another version, is left out.
    """
    keys = {action.name: action.keys for action in ACTIONS}
    for name, key in changes.items() if isinstance(changes, Mapping) else ():
        action = NAMED.get(name)
        if action is None or not action.changeable or not isinstance(key, str) or key in BROWSERS:
            continue
        for other in _beside(action):
            keys[other.name] = tuple(one for one in keys[other.name] if one != key)
        keys[name] = (key,) if key else ()
    return keys


def problem(keys: Keys, name: str, key: str) -> str:
    """Return why an action cannot have a key; empty where it can."""
    if key in BROWSERS:
        return f"{label(key)} belongs to the browser."
    taken = next((one for one in _beside(NAMED[name]) if key in keys[one.name] and key), None)
    if taken is None:
        return ""
    return f"{label(key)} is already the key for “{taken.words}”: change that one first."


def by_context(keys: Keys) -> dict[Context, dict[str, str]]:
    """Return the action of each key, in each context."""
    found: dict[Context, dict[str, str]] = {"views": {}, "placing": {}, "cross": {}}
    for name, given in keys.items():
        found[NAMED[name].when].update(dict.fromkeys(given, name))
    return found


def _beside(action: Action) -> Iterator[Action]:
    """Yield the other actions of the same context."""
    return (one for one in ACTIONS if one.when == action.when and one.name != action.name)
