"""The menu of a view: what its keys do, and a few things that have none."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.layout.layouts import AXIAL, BESIDE, THREED
from dicomdock.viewer.features.layout.logic import ALONE
from dicomdock.viewer.features.measure.kinds import KINDS
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.views.state import ViewsState
from dicomdock.viewer.features.window.state import WindowState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.keys import NAMED
from dicomdock.viewer.shell.state import ShellState
from dicomdock.viewer.shell.widgets import KEY_LABELS

SHELL, SERIES = names_of(ShellState), names_of(SeriesState)
VIEWS, WINDOW = names_of(ViewsState), names_of(WindowState)
VIEW = SHELL.menu_view
FIRST = f"![{', '.join(map(repr, (*BESIDE, THREED)))}].includes({VIEW})"
"""It shows the first series as slices, which windows and measurements are of."""


def view_menu(server: Any) -> None:
    """Build the menu; ``menu.js`` opens and closes it, and walks it by keys."""
    control = server.controller
    with html.Div(
        classes="menu",
        v_if=VIEW,
        style=(SHELL.menu_place,),
        raw_attrs=['role="menu"', 'aria-label="This view"', 'data-testid="menu"'],
    ):
        with _group("Window", f"{FIRST} && {WINDOW.grey}"):
            with html.Button(
                v_for=f"(name, i) in {WINDOW.presets}",
                key="i",
                click=f"trigger('act', ['preset-' + (i + 1), {VIEW}])",
                raw_attrs=['role="menuitem"', f':title="{WINDOW.preset_values}[i]"'],
            ):
                html.Span("{{ name }}")
                html.Kbd(f"{{{{ {KEY_LABELS}['preset-' + (i + 1)] }}}}")
            _key("Auto", "auto-window")
            _key("Inverted", "invert", on=WINDOW.inverted)
        with _group("Left drag", f"{VIEW} !== '{THREED}'"):
            choices = (
                ("Window", "window", ""),
                ("Scroll", "scroll", ""),
                ("Zoom", "zoom", "drag-zoom"),
                ("Move", "move", "drag-move"),
            )
            for label, does, action in choices:
                _item(label, f"{VIEWS.left} = '{does}'", action, on=f"{VIEWS.left} === '{does}'")
        with _group("Measure", FIRST):
            for kind in ("distance", "angle", "ellipse", "region", "point", "arrow"):
                _item(KINDS[kind].title, (control.measure_by_menu, f"['{kind}']"), kind)
        with _group("View", "true"):
            _item("Fit", (control.fit_view, f"[{VIEW}]"), "fit", testid="menu-fit")
            _key("Reset all", "reset")
            _key("Turn", "turn", when=f"{VIEW} !== '{THREED}'")
            _key("Mirror", "mirror", when=f"{VIEW} !== '{THREED}'")
            alone = f"{[*ALONE.values()]}.includes({VIEWS.layout})"
            one = f"{SERIES.kind_3d} && {[*ALONE]}.includes({VIEW})"
            _item("All views", f"trigger('alone', [{VIEW}])", "", when=f"{one} && {alone}")
            _item("This view alone", f"trigger('alone', [{VIEW}])", "", when=f"{one} && !{alone}")
            _key("Magnifier", "magnifier", on=SHELL.glass)
        with _group("Picture", "true"):
            _item("Copy", (control.copy_picture, f"[{VIEW}]"), "", testid="menu-copy")
            _item("Save …", (control.take_picture, f"[{VIEW}]"), "", testid="menu-save")
            _key("Key image", "key-image", when=f"{VIEW} === '{AXIAL}'")


def _group(title: str, when: str) -> Any:
    group = html.Div(v_if=when, classes="group", raw_attrs=['role="group"', f'aria-label="{title}"'])
    with group:
        html.Div(title, classes="faint", raw_attrs=['aria-hidden="true"'])
    return group


def _key(title: str, action: str, *, on: object = "", when: str = "true") -> None:
    """Make an item that does what a key does in the view."""
    _item(title, f"trigger('act', ['{action}', {VIEW}])", action, on=on, when=when)


def _item(
    title: str, click: Any, action: str, *, on: object = "", when: str = "true", testid: str = ""
) -> None:
    role = ['role="menuitemcheckbox"', f':aria-checked="String(!!({on}))"'] if on else ['role="menuitem"']
    with html.Button(
        click=click,
        v_if=when,
        classes=(f"[{on or 'false'} ? 'on' : '']",),
        raw_attrs=[*role, f'data-testid="{testid or "menu-" + title.lower().replace(" ", "-")}"'],
    ):
        html.Span(title)
        if action in NAMED:
            html.Kbd(f"{{{{ {KEY_LABELS}['{action}'] }}}}")
