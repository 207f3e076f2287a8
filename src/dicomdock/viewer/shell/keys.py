"""What the keys do; the help shows the same table."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from dicomdock.viewer.page_state import PageState

ZOOM = 1.25  # by one key

HELP = (
    ("wheel, Up, Down", "one slice on or back"),
    ("PageUp, PageDown, Home, End", "ten slices on or back, the first one, the last one"),
    ("left drag", "window: sideways width, up and down centre"),
    ("right drag, middle drag", "zoom, move"),
    ("z, g", "left drag zooms, moves; the same key again: window"),
    ("+, -", "enlarge, shrink"),
    ("1 to 9, 0", "window presets, automatic window"),
    ("i", "inverted: low values bright"),
    ("t, m", "turn by 90 degrees, mirror"),
    ("right click, Menu", "menu of the view"),
    ("v", "magnifier at the mouse, on or off"),
    ("double click", "one view alone, all views again"),
    ("r", "fit the pictures into the views"),
    ("Shift+R", "everything as it was opened: window, zoom, planes"),
    ("l", "next layout"),
    ("c", "crosshair; with Shift held it follows the mouse"),
    ("f, {, }", "the series over the images: on or off, less, more of it"),
    ("p, e, Escape", "paint, erase, put the tool away"),
    ("[, ]", "smaller, larger brush"),
    ("d, a, o", "distance, angle, region"),
    ("Space", "play the slices; of several series that do not scroll together: in the view at the mouse"),
    ("k", "save the image in the first view as a key image"),
    ("Ctrl+Z, Ctrl+Y", "undo, redo"),
    ("Ctrl+S", "save"),
    ("s, w", "series, window"),
    ("h", "text in the corners"),
    ("?", "these keys"),
)


def bindings(station: Any) -> dict[str, Callable[[], Any]]:
    """Return what each key does."""
    shell, views, segments = station.shell.data, station.views, station.segments
    layout = views.state.data

    def step(steps: int) -> Callable[[], None]:
        return lambda: views.step(station.focus, steps)

    def toggle(state: PageState[Any], name: Any) -> Callable[[], None]:
        return lambda: state.toggle(name)

    def panel(tool: str) -> Callable[[], None]:
        def change() -> None:
            shell.tool = "" if shell.tool == tool else tool

        return change

    def next_layout() -> None:
        after = [*layout.layouts, *layout.layouts[:1]]
        layout.layout = dict(pairwise(after)).get(layout.layout, after[0])

    def erase() -> None:
        if segments.current is not None:
            from trame_slicer.segmentation import SegmentationEffectErase

            segments.editor.set_active_effect_type(SegmentationEffectErase)

    def brush(larger: bool) -> Callable[[], None]:
        def change() -> None:
            effect = segments.editor.active_effect
            size = getattr(effect, "increase_brush_size" if larger else "decrease_brush_size", None)
            if size is not None:
                size()

        return change

    def paint() -> None:
        segments.paint()
        shell.tool = "segment"

    def measure(kind: str) -> Callable[[], None]:
        def begin() -> None:
            station.measure(kind)

        return begin

    def left(does: str) -> Callable[[], None]:
        def change() -> None:
            layout.left = "window" if layout.left == does else does

        return change

    def preset(at: int) -> Callable[[], None]:
        return lambda: station.window.use(at)

    table: dict[str, Callable[[], Any]] = {
        "ArrowUp": step(1),
        "ArrowRight": step(1),
        "ArrowDown": step(-1),
        "ArrowLeft": step(-1),
        "PageUp": step(10),
        "PageDown": step(-10),
        "Home": step(-100_000),
        "End": step(100_000),
        "r": views.fit,
        "R": station.reset,
        "z": left("zoom"),
        "g": left("move"),
        "+": lambda: views.zoom(station.focus, ZOOM),
        "-": lambda: views.zoom(station.focus, 1 / ZOOM),
        "l": next_layout,
        "t": station.turning.turn,
        "m": station.turning.mirror,
        "i": toggle(station.window.state, station.window.state.name.inverted),
        "c": toggle(views.state, views.state.name.crosshair),
        "h": toggle(views.state, views.state.name.words_shown),
        " ": lambda: station.cine.toggle(station.focus),
        "v": toggle(station.shell, station.shell.name.glass),
        "?": toggle(station.shell, station.shell.name.help_open),
        "s": panel("series"),
        "w": panel("window"),
        "p": paint,
        "e": erase,
        "[": brush(larger=False),
        "]": brush(larger=True),
        "d": measure("distance"),
        "a": measure("angle"),
        "o": measure("region"),
        "f": station.fusion.toggle,
        "k": station.key_images.mark,
        "{": lambda: station.fusion.more(-1),
        "}": lambda: station.fusion.more(1),
        "0": station.window.auto,
        "Ctrl+z": station.undo,
        "Ctrl+Z": station.redo,
        "Ctrl+y": station.redo,
        "Ctrl+s": station.saving.save,
        "Escape": station.escape,
    }
    for number in range(1, 10):
        table[str(number)] = preset(number - 1)
    return table
