"""The question before a segmentation is closed that is not saved."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.save.state import SaveState
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, shown

SAVE, SEGMENTS = names_of(SaveState), names_of(SegmentsState)


def leaving_dialog(server: Any) -> None:
    """Build the dialog."""
    leave = server.controller.leave_drawing
    with html.Div(classes="dialog-ground", v_if=SAVE.leaving_open):
        with html.Div(
            classes="dialog",
            raw_attrs=['role="alertdialog"', 'aria-label="Not saved"', 'data-testid="leaving-dialog"'],
        ):
            html.H2(f"{shown(SEGMENTS.drawing_name)} is not saved")

            html.P("Another segmentation takes its place. What was drawn can be saved first.")
            with html.Div(classes="row"):
                button("Stay with it", (leave, "['stay']"), testid="leave-stay")
                button("Discard it", (leave, "['drop']"), testid="leave-drop")
                button("Save it", (leave, "['save']"), main=True, testid="leave-save")
