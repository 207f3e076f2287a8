"""The parts of the panels in which series are registered."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.registration.state import RegistrationState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import TYPED, button, panel_part, shown

REGISTRATION = names_of(RegistrationState)


def by_hand_part(server: Any) -> None:
    """Build the part of the fusion panel."""
    one = REGISTRATION
    with panel_part("Registration by hand", f"{one.by_hand_on}"):
        for label, unit, limit, name in (
            ("Left", "mm", 200, one.shift_left),
            ("Back", "mm", 200, one.shift_back),
            ("Head", "mm", 400, one.shift_head),
            ("About left", "°", 180, one.turn_left),
            ("About back", "°", 180, one.turn_back),
            ("About head", "°", 180, one.turn_head),
        ):
            with html.Label():
                html.Span(label, style="width:84px")
                html.Input(
                    type="number",
                    raw_attrs=[
                        f':value="{name}"',
                        f'@change="{name} = {TYPED}"',
                        'step="0.5"',
                        f'min="{-limit}"',
                        f'max="{limit}"',
                        f'aria-label="{_described(label, unit)}"',
                        f'data-testid="{name}"',
                    ],
                )
                html.Span(unit, classes="faint", style="width:24px")
        with html.Div(classes="row"):
            saved = f"!{one.by_hand_unsaved}"
            button("Save registration", server.controller.save_by_hand, disabled=saved, testid="save-by-hand")
            button("Put it back", server.controller.drop_by_hand, disabled=saved, testid="drop-by-hand")


def _described(label: str, unit: str) -> str:
    if unit == "mm":
        return f"Shift towards {label.lower()} in mm"
    return f"Turn about the axis to the {label.removeprefix('About ')} in degrees"


def landmarks_part(server: Any) -> None:
    """Build the part of the panel in which series are compared."""
    control, one = server.controller, REGISTRATION
    html.H3("Registration by landmarks")
    button("Pick landmarks", control.pick_landmarks, on=f"{one.landmarks_on}", testid="pick-landmarks")
    with html.Div(v_show=one.landmarks_on):
        html.P(shown(one.landmark_words), raw_attrs=['role="status"', 'data-testid="landmark-words"'])
        with html.Div(v_for=f"(row, i) in {one.landmark_rows}", key="i", classes="row"):
            html.Span(shown("row"), style="flex:1")
            button("Remove", (control.drop_landmark, "[i]"), testid="drop-landmark")
        button(
            "Save registration",
            control.save_landmarks,
            disabled=f"!{one.landmarks_fit}",
            testid="save-landmarks",
        )
