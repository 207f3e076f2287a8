"""The panel of windows, slabs and text."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.oblique.ui import oblique_part
from dicomdock.viewer.features.overlays.state import OverlaysState
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.series.suv_types import suv_types
from dicomdock.viewer.features.views.state import ViewsState
from dicomdock.viewer.features.window.state import WindowState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.palettes import GREY
from dicomdock.viewer.shell.widgets import (
    TYPED,
    button,
    checkbox,
    panel,
    select_colours,
    shown,
    window_fields,
)

WINDOW, VIEWS, OVERLAYS = names_of(WindowState), names_of(ViewsState), names_of(OverlaysState)
SERIES = names_of(SeriesState)
LEFT = (
    ("window", "Window", "Sideways for width, up and down for centre."),
    ("region", "Window of a region", "Drag over a region; the window is fitted to its values."),
    ("zoom", "Zoom", "Up and down; the right button does it at any time (z)."),
    ("scroll", "Scroll", "Up for one slice on, down for one back, as the wheel does."),
    ("move", "Move", "The middle button does it at any time (g)."),
)


def window_panel(server: Any) -> None:
    """Build the panel."""
    control, shown_values = server.controller, f"${{{WINDOW.preset_values}[i]}}"
    with panel("window", "Window"):
        html.H3("A drag with the left button")
        with html.Div(classes="row"):
            for does, label, hint in LEFT:
                button(
                    label,
                    f"{VIEWS.left} = '{does}'",
                    on=f"{VIEWS.left} === '{does}'",
                    title=hint,
                    testid=f"left-{does}",
                )
        for does, _, hint in LEFT:
            html.P(hint, v_show=f"{VIEWS.left} === '{does}'")
        html.H3("Window")
        with html.Div(classes="row"):
            button("Auto", control.auto_window, title="Fit to the values (0)")
            with html.Button(
                v_for=f"(name, i) in {WINDOW.presets}",
                key="i",
                classes="btn",
                click=(control.use_preset, "[i]"),
                raw_attrs=[f':title="`Width / centre {shown_values}, key ${{i + 1}}`"'],
            ):
                html.Span("{{ name }} ")
                html.Span(shown(f"{WINDOW.preset_values}[i]"), classes="faint")
        window_fields(WINDOW.window_width, WINDOW.window_centre, WINDOW.window_unit, control.set_window)
        with html.Div(v_show=WINDOW.grey):
            select_colours(WINDOW.colours, WINDOW.palettes, "Colours of the series", "colours")
            with html.Div(v_show=f"{WINDOW.colours} === '{GREY}'"):
                checkbox(WINDOW.inverted, "Inverted: low values bright")
            html.P("Colours are for viewing only and are not saved.", v_show=f"{WINDOW.colours} !== '{GREY}'")
        suv_types(f"{SERIES.series_list}.some(s => s.uid === {SERIES.series_uid} && s.modality === 'PT')")
        with html.Div(v_show=SERIES.kind_3d):
            _slab()
        oblique_part(server)
        html.H3("Pictures")
        with html.Div(classes="row"):
            button("Turn", control.turn_picture, title="By 90 degrees, clockwise", testid="turn-picture")
            button("Mirror", control.mirror_picture, title="Left and right", testid="mirror")
            button(
                "As usual", control.turn_picture_back, title="As they lie in the patient", testid="turn-back"
            )
        with html.Div(v_show=SERIES.kind_3d):
            for box, label in (
                (VIEWS.crosshair, "Crosshair (move with Shift held)"),
                (VIEWS.lines, "Lines where the other views cut"),
                (VIEWS.handles, "Handles that move and turn these planes"),
                (VIEWS.aligned, "Along the images' own planes"),
            ):
                checkbox(box, label)
        checkbox(VIEWS.words_shown, "Text in the corners")
        with html.Div(classes="row"):
            button(
                "Reset all",
                control.reset,
                title="Window, zoom and planes as they were opened",
                testid="reset",
            )
        with html.Div(v_show=OVERLAYS.has_overlays):
            checkbox(OVERLAYS.overlays_shown, "Overlays and shutters of the images")


def _slab() -> None:
    html.H3("Slab")
    with html.Label():
        html.Input(
            type="range",
            min=0,
            max=50,
            raw_attrs=[
                f':value="{VIEWS.slab}"',
                f'@change="{VIEWS.slab} = {TYPED}"',
                'aria-label="Slab"',
            ],
        )
        html.Span(shown(f"{VIEWS.slab} ? {VIEWS.slab} + ' mm' : 'off'"), style="width:52px")
    with html.Div(classes="row"):
        for kind, label in (("max", "Maximum"), ("min", "Minimum"), ("mean", "Mean")):
            button(label, f"{VIEWS.slab_kind} = '{kind}'", on=f"{VIEWS.slab_kind} === '{kind}'")
