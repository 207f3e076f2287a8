"""What lies over and beside each picture: corners, orientation letters, the slice slider with its arrival."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame_vuetify.widgets.vuetify3 import VIcon

from dicomdock.viewer.features.layout.layouts import NAMES

CORNERS = ("tl", "tr", "bl", "br")
EDGES = ("left", "right", "top", "bottom")


def slice_overlay(server: Any, view_id: str, _view: Any) -> None:
    """Put the words around a slice view, and its slider below."""
    state = server.state
    for corner in CORNERS:
        state.setdefault(f"{view_id}_{corner}", "")
    for edge in EDGES:
        state.setdefault(f"{view_id}_{edge}", "")
    for name, value in {"at": 0, "count": 1, "arrival": ""}.items():
        state.setdefault(f"{view_id}_{name}", value)
    with html.Div(classes="over"):
        for corner in CORNERS:
            html.Div("{{ " + f"{view_id}_{corner}" + " }}", classes=f"corner {corner}", v_show="words_shown")
        for edge in EDGES:
            html.Div("{{ " + f"{view_id}_{edge}" + " }}", classes=f"edge {edge}", v_show="words_shown")
    _reset_button(server, view_id)
    with html.Div(classes="slices", v_show=f"{view_id}_count > 1"):
        html.Div(classes="arrival", style=(f"{{ backgroundImage: {view_id}_arrival }}",))
        html.Input(
            type="range",
            min=0,
            raw_attrs=[
                f':max="{view_id}_count - 1"',
                f':value="{view_id}_at"',
                f'@input="{view_id}_at = Number($event.target.value)"',
                f'data-testid="slices-{view_id}"',
                f'aria-label="Slice of the {NAMES.get(view_id, view_id).lower()} view"',
            ],
        )


def threed_overlay(server: Any, view_id: str, _view: Any) -> None:
    """Put the words around the 3D view."""
    with html.Div(classes="over"):
        html.Div("3D", classes="corner tl", v_show="words_shown")
        html.Div(
            "{{ threed_note }}",
            classes="corner bl",
            v_show="threed_note",
        )
    html.Button(
        "Draw the volume",
        click="rendering = true",
        v_show="complete && kind_3d && !rendering && !threed_note",
        classes="btn draw",
        raw_attrs=['data-testid="draw-volume"'],
    )
    _reset_button(server, view_id)


def _reset_button(server: Any, view_id: str) -> None:
    with html.Button(
        classes="fit",
        title="Fit the picture into the view (r)",
        click=(server.controller.fit_view, f"['{view_id}']"),
    ):
        VIcon("mdi-fit-to-page-outline", size=16)
