"""The question before a segmentation is closed that is not saved."""

from __future__ import annotations

from typing import Any

from dicomdock.viewer.features.save.state import SaveState
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import question, shown

SAVE, SEGMENTS = names_of(SaveState), names_of(SegmentsState)


def leaving_dialog(server: Any) -> None:
    """Build the dialog."""
    question(
        f"{shown(SEGMENTS.drawing_name)} is not saved",
        "Another segmentation takes its place. What was drawn can be saved first.",
        SAVE.leaving_open,
        server.controller.leave_drawing,
        "leave",
        ("Stay with it", "Discard it", "Save it"),
    )
