"""The part of the series panel for its volumes: a slider, playing them, and values over them."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.timepoints.plot import HEIGHT, WIDTH
from dicomdock.viewer.features.timepoints.state import TimePointsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, checkbox, plot, shown

SERIES, TIME = names_of(SeriesState), names_of(TimePointsState)


def timepoints_part(server: Any) -> None:
    """Build the part; it is there while the series has several volumes."""
    control = server.controller
    html.Input(
        type="range",
        raw_attrs=[
            'min="0"',
            f':max="{SERIES.volumes}.length - 1"',
            f':value="{SERIES.volume_at}"',
            f'@change="{SERIES.volume_at} = Number($event.target.value)"',
            f':aria-valuetext="{SERIES.volumes}[{SERIES.volume_at}]"',
            'aria-label="Volume by slider"',
            'data-testid="volume-slider"',
            'style="width:100%"',
        ],
    )
    checkbox(TIME.volumes_playing, "Play the volumes")
    with html.Label():
        html.Input(
            type="number",
            raw_attrs=[
                f':value="{TIME.volumes_rate}"',
                'min="0.2"',
                'max="30"',
                'step="any"',
                f'@change="{TIME.volumes_rate} = Number($event.target.value)"',
                'aria-label="Volumes a second"',
                'style="width:64px"',
            ],
        )
        html.Span("volumes a second, at most")
    with html.Div(classes="row"):
        button(
            "Values over the volumes",
            control.measure_over_volumes,
            title="In the segments, else at the point in the middle of the views",
            testid="curves",
        )
        button("CSV", control.save_curves, title="All numbers as CSV", testid="curves-csv")
    html.P("Computing …", v_show=TIME.curves_busy, raw_attrs=['role="status"'])
    with html.Div(v_if=f"{TIME.curves}.length"):
        plot(
            "Mean values over the volumes",
            "curves-plot",
            TIME.curves,
            (WIDTH, HEIGHT),
            (4, 14, 4, 26),
            (
                (shown(TIME.curves_high), 0, -4, "start"),
                (shown(TIME.curves_low), 3, HEIGHT - 3, "start"),
                (shown(TIME.curves_first), 0, HEIGHT + 12, "start"),
                (shown(TIME.curves_last), WIDTH, HEIGHT + 24, "end"),
            ),
        )
        html.P(shown("remark"), v_for=f"(remark, i) in {TIME.curves_remarks}", key="i")
