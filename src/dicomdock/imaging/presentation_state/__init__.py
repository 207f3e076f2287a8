"""Presentation states: how images were shown, with what was drawn on them."""

from __future__ import annotations

from dicomdock.imaging.presentation_state.applying import arranged, presented, uncovered
from dicomdock.imaging.presentation_state.drawing import (
    area_box,
    captions,
    identity_window,
    outlines,
    simplified,
    window_on,
)
from dicomdock.imaging.presentation_state.reading import (
    is_presentation_state,
    read_presentation_state,
    read_shutter,
)
from dicomdock.imaging.presentation_state.state import (
    READABLE,
    Area,
    Frame,
    Graphic,
    Note,
    PresentationState,
    Shutter,
)
from dicomdock.imaging.presentation_state.writing import presentation_state_to_dicom

__all__ = [
    "READABLE",
    "Area",
    "Frame",
    "Graphic",
    "Note",
    "PresentationState",
    "Shutter",
    "area_box",
    "arranged",
    "captions",
    "identity_window",
    "is_presentation_state",
    "outlines",
    "presentation_state_to_dicom",
    "presented",
    "read_presentation_state",
    "read_shutter",
    "simplified",
    "uncovered",
    "window_on",
]
