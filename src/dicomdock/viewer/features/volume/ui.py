"""The panel of the 3D view."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.shell.widgets import button, panel


def volume_panel(_server: Any) -> None:
    """Build the panel."""
    with panel("volume", "3D"):
        html.P("The volume is drawn by the processor; turning a large one is slow.")
        with html.Div(classes="row"):
            button(
                "Draw the volume",
                "rendering = !rendering",
                on="rendering",
                disabled="!complete || !kind_3d",
                testid="render-volume",
            )
        html.P("It can be drawn when all images are here.", v_show="!complete && kind_3d")
        html.P("These pictures have no place in the patient, so they form no volume.", v_show="!kind_3d")
        html.H3("Look")
        with html.Select(
            raw_attrs=[
                ':value="render_preset"',
                '@change="render_preset = $event.target.value"',
                'aria-label="Look of the volume"',
            ]
        ):
            html.Option("{{ name }}", v_for="name in render_presets", key="name", value=("name",))
