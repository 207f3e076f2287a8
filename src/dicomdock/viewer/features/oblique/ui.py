"""The part of the window panel that turns planes."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.layout.layouts import AXIAL, CORONAL, NAMES, SAGITTAL
from dicomdock.viewer.features.oblique.state import ObliqueState
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, panel_part, shown

OBLIQUE, SERIES = names_of(ObliqueState), names_of(SeriesState)
MOST = 90  # degrees


def oblique_part(server: Any) -> None:
    """Build the part."""
    with panel_part("Oblique plane", f"{SERIES.kind_3d}"):
        with html.Select(
            raw_attrs=[
                f':value="{OBLIQUE.oblique_view}"',
                f'@change="{OBLIQUE.oblique_view} = $event.target.value"',
                'aria-label="View whose plane is turned"',
            ]
        ):
            for tag in (AXIAL, SAGITTAL, CORONAL):
                html.Option(NAMES[tag], value=tag)
        for label, name in (("Turn", OBLIQUE.oblique_turn), ("Tilt", OBLIQUE.oblique_tilt)):
            with html.Label():
                html.Span(label, style="width:40px")
                html.Input(
                    type="range",
                    min=-MOST,
                    max=MOST,
                    raw_attrs=[
                        f':value="{name}"',
                        f'@input="{name} = Number($event.target.value)"',
                        f'aria-label="{label} of the plane in degrees"',
                        f'data-testid="{label.lower()}"',
                    ],
                )
                html.Span(shown(f"{name} + '°'"), style="width:40px")
        button("Straight", server.controller.straighten, testid="straighten")
