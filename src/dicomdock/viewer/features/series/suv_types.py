"""The choice of what Standardized Uptake Values are normalised to."""

from __future__ import annotations

from trame.widgets import html

from dicomdock.imaging.statistics import NAMES
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.page_state import names_of

SERIES = names_of(SeriesState)
AS_STATED = "as the images state, else by body weight"


def suv_types(when: str) -> None:
    """Build the choice; it is there while ``when`` holds."""
    with html.Div(v_show=when):
        html.H3("SUV")
        with html.Select(
            raw_attrs=[
                f':value="{SERIES.suv_type}"',
                f'@change="{SERIES.suv_type} = $event.target.value"',
                'aria-label="SUV"',
                'data-testid="suv-type"',
            ]
        ):
            for value, name in (("", AS_STATED), *NAMES.items()):
                html.Option(name, value=value)
