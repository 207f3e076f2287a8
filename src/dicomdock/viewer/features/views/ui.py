"""What lies over and beside each picture: corners, orientation letters, the slice slider with its arrival."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.layout.layouts import NAMES
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.views.state import SliceViewState, ViewsState
from dicomdock.viewer.features.volume.state import VolumeState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import icon, shown

SHOW_3D = "SegmentEditorState__segment_display__SegmentDisplayState__show_3d"  # trame-slicer's
SEGMENTS = names_of(SegmentsState)
VIEWS, SERIES, VOLUME = names_of(ViewsState), names_of(SeriesState), names_of(VolumeState)


def slice_overlay(server: Any, view_id: str, _view: Any) -> None:
    """Put the text around a slice view, and its slider below."""
    view = names_of(SliceViewState, view_id)
    corners = {"tl": view.tl, "tr": view.tr, "bl": view.bl, "br": view.br}
    edges = {"left": view.left, "right": view.right, "top": view.top, "bottom": view.bottom}
    with html.Div(classes="over", raw_attrs=[f':data-drawn="{view.written}"']):
        for corner, text in corners.items():
            html.Div(shown(text), classes=f"corner {corner}", v_show=VIEWS.words_shown)
        for edge, letters in edges.items():
            html.Div(shown(letters), classes=f"edge {edge}", v_show=VIEWS.words_shown)
        with html.Div(
            classes="colours", v_show=view.palette, raw_attrs=[f'data-testid="colour-bar-{view_id}"']
        ):
            html.Div(shown(view.highest))
            html.Div(classes="strip", style=(f"{{ backgroundImage: {view.palette} }}",))
            html.Div(shown(view.lowest))
        html.Div(
            classes="corner value", v_show=VIEWS.words_shown
        )  # written by viewer.js, shown where the mouse is
        _cross(view_id)
    _reset_button(server, view_id)
    with html.Div(classes="slices", v_show=f"{view.count} > 1"):
        html.Div(classes="arrival", style=(f"{{ backgroundImage: {view.arrival} }}",))
        html.Input(
            type="range",
            min=0,
            raw_attrs=[
                f':max="{view.count} - 1"',
                f':value="{view.at}"',
                f'@input="{view.at} = Number($event.target.value)"',
                f'data-testid="slices-{view_id}"',
                f":aria-label=\"{SERIES.kind_3d} ? 'Slice of the {NAMES[view_id].lower()} view' : 'Image'\"",
            ],
        )


def threed_overlay(server: Any, view_id: str, _view: Any) -> None:
    """Put the text around the 3D view."""
    with html.Div(classes="over"):
        html.Div("3D", classes="corner tl", v_show=VIEWS.words_shown)
        html.Div(shown(VIEWS.threed_note), classes="corner bl", v_show=VIEWS.threed_note)
        _cross(view_id)
    html.Button(
        "Draw the volume",
        click=f"{VOLUME.rendering} = true",
        v_show=f"{SERIES.complete} && {SERIES.kind_3d} && !{VOLUME.rendering} && !{VIEWS.threed_note}",
        classes="btn draw",
        raw_attrs=['data-testid="draw-volume"'],
    )
    with html.Label(classes="in3d", v_show=SEGMENTS.drawing_name):
        html.Input(
            type="checkbox",
            raw_attrs=[
                f':checked="{SHOW_3D}"',
                f'@change="{SHOW_3D} = $event.target.checked"',
                'data-testid="segments-3d"',
            ],
        )
        html.Span("Segments")
    _reset_button(server, view_id)


def _cross(view_id: str) -> None:
    html.Div(
        classes="cross",
        v_if=f"{VIEWS.cross_view} === '{view_id}'",
        style=(VIEWS.cross_place,),
        raw_attrs=[f'data-testid="cross-{view_id}"'],
    )


def _reset_button(server: Any, view_id: str) -> None:
    with html.Button(
        classes="fit",
        title="Fit the picture into the view",
        click=(server.controller.fit_view, f"['{view_id}']"),
        raw_attrs=[f'data-testid="fit-{view_id}"'],
    ):
        icon("mdi-fit-to-page-outline", 16)
