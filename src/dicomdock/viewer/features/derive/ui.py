"""The panel of derived images."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.derive.state import DeriveState
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, panel

DERIVE = names_of(DeriveState)
NOT_COMPLETE = f"{DERIVE.deriving} || !{names_of(SeriesState).complete}"
NO_SEGMENT = f"{DERIVE.deriving} || !{names_of(SegmentsState).drawing_name}"


def deriving_panel(server: Any) -> None:
    """Build the panel."""
    derive = server.controller.derive
    with panel("derive", "New images"):
        html.P("Made of the shown series, as a new series of the study; the shown one stays as it is.")
        for key, words, kind, label in (
            (DERIVE.smooth_mm, "Smooth", "smooth", "Width in millimetres"),
            (DERIVE.resample_mm, "Resample", "resample", "Voxel size in millimetres"),
        ):
            with html.Label():
                button(words, (derive, f"['{kind}']"), disabled=NOT_COMPLETE, testid=f"derive-{kind}")
                html.Input(
                    type="number",
                    raw_attrs=[
                        f'v-model.number="{key}"',
                        'step="0.1"',
                        'min="0.1"',
                        f'aria-label="{label}"',
                    ],
                )
                html.Span("mm")
        html.H3("By the chosen segment")
        with html.Div(classes="row"):
            button("Keep only it", (derive, "['mask']"), disabled=NO_SEGMENT, testid="derive-mask")
            button("Crop to it", (derive, "['crop']"), disabled=NO_SEGMENT, testid="derive-crop")
        html.P("Making images...", v_show=DERIVE.deriving, raw_attrs=['role="status"'])
