"""The panel of the 3D view."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.volume.state import VolumeState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, panel

VOLUME, SERIES = names_of(VolumeState), names_of(SeriesState)


def volume_panel(_server: Any) -> None:
    """Build the panel."""
    with panel("volume", "3D"):
        html.P("The volume is drawn by the processor; turning a large one is slow.")
        with html.Div(classes="row"):
            button(
                "Draw the volume",
                f"{VOLUME.rendering} = !{VOLUME.rendering}",
                on=f"{VOLUME.rendering}",
                disabled=f"!{SERIES.complete} || !{SERIES.kind_3d}",
                testid="render-volume",
            )
            button(
                "Turn",
                f"{VOLUME.turning} = !{VOLUME.turning}",
                on=f"{VOLUME.turning}",
                disabled=f"!{VOLUME.rendering}",
                title="Turn about the head",
                testid="turn-volume",
            )
        html.P(
            "It can be drawn when all images have arrived.", v_show=f"!{SERIES.complete} && {SERIES.kind_3d}"
        )
        html.P(
            "These images have no position in the patient, so they form no volume.",
            v_show=f"!{SERIES.kind_3d}",
        )
        html.H3("Look")
        with html.Select(
            raw_attrs=[
                f':value="{VOLUME.render_preset}"',
                f'@change="{VOLUME.render_preset} = $event.target.value"',
                'aria-label="Look of the volume"',
                'data-testid="render-preset"',
            ]
        ):
            html.Option("{{ name }}", v_for=f"name in {VOLUME.render_presets}", key="name", value=("name",))
