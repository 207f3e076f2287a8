"""The panel of the segment editor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.save.state import SaveState
from dicomdock.viewer.features.segments.editor_ui import SegmentEditorPanel
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, icon, panel, shown

SEGMENTS, SERIES, SAVE = names_of(SegmentsState), names_of(SeriesState), names_of(SaveState)
BUSY = f"!!{SEGMENTS.busy}"


def segments_panel(
    server: Any,
    tools: Callable[[Any], None],
    prompts: Callable[[Any], None],
    more: Callable[[Any], None],
) -> SegmentEditorPanel:
    """Build the panel and return the part of it that trame-slicer's segment editor works with.

    Parameters
    ----------
    tools, prompts, more : build parts of others: below the list, below the editor, and at the end.
    """
    control = server.controller
    with panel("segment", "Segment"):
        html.P(
            f"You can draw when all images have arrived. {shown(SERIES.arrival_words)}",
            v_show=f"!{SERIES.complete}",
        )
        with html.Div(v_show=SERIES.complete):
            with html.Button(
                v_for=f"one in {SEGMENTS.drawings}",
                key="one.uid",
                classes=(f"['item', one.uid === {SEGMENTS.drawing_uid} ? 'on' : '']",),
                click=(control.ask_open_drawing, "[one.uid]"),
                raw_attrs=[":data-testid=\"'drawing-' + one.uid\""],
            ):
                icon("mdi-shape-outline", 16)
                html.Span("{{ one.name }}", classes="grow", raw_attrs=[':title="one.name"'])
                html.Span("{{ one.kind }}", v_show="one.kind !== 'segmentation'", classes="faint")
            with html.Div(classes="row"):
                button("New segmentation", control.ask_new_drawing, testid="new-drawing")
            tools(server)
            with html.Div(v_show=SEGMENTS.drawing_name):
                html.H3(shown(SEGMENTS.drawing_name) + shown(f"{SEGMENTS.unsaved} ? ' (not saved yet)' : ''"))
                with html.Div(classes="row keep"):
                    button("Undo", control.undo, title="Ctrl+Z", testid="undo")
                    button("Redo", control.redo, title="Ctrl+Y", testid="redo")
                    button(
                        "Save",
                        control.save,
                        main=True,
                        disabled=f"{SAVE.saving}",
                        title="Ctrl+S",
                        testid="save-panel",
                    )
                    with html.Select(
                        raw_attrs=[
                            f'v-model="{SAVE.save_as}"',
                            'aria-label="Save as"',
                            'title="What Save writes: a segmentation or a structure set"',
                            'data-testid="save-as"',
                        ],
                    ):
                        html.Option("as SEG", value="SEG")
                        html.Option("as RTSTRUCT", value="RTSTRUCT")
                editor = SegmentEditorPanel(server)
                with html.Div(
                    classes="row", v_show=SEGMENTS.busy, raw_attrs=['role="status"', 'data-testid="busy"']
                ):
                    html.Span(f"{shown(SEGMENTS.busy)}...")
                    button("Stop", control.stop_computing, testid="stop-computing")
                prompts(server)
                html.H3("Computed")
                with html.Div(classes="row"):
                    button(
                        "Grow from seeds",
                        control.grow_from_seeds,
                        disabled=f"{BUSY} || !{SEGMENTS.grey}",
                        testid="grow",
                    )
                    button(
                        "Fill between slices",
                        control.fill_between,
                        disabled=f"{BUSY} || !{SEGMENTS.fillable}",
                        testid="fill",
                    )
                with html.Label():
                    button("Margin", control.apply_margin, disabled=BUSY, testid="margin")
                    html.Input(
                        type="number",
                        raw_attrs=[
                            f':value="{SEGMENTS.margin_mm}"',
                            'step="0.5"',
                            f'@change="{SEGMENTS.margin_mm} = Number($event.target.value)"',
                            f""":aria-label="'Margin in ' + ({SEGMENTS.unit} === 'mm'"""
                            """ ? 'millimetres' : 'pixels')\"""",
                        ],
                    )
                    html.Span(shown(SEGMENTS.unit))
                more(server)
    return editor
