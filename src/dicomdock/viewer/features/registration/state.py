"""What the page knows of a registration that the user is making."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RegistrationState:
    """A registration by hand of the series over the images, and one by landmarks of two compared series.

    Parameters
    ----------
    by_hand_on : the series over the images comes from another frame of reference.
    shift_left, shift_back, shift_head : mm along L, P and H, further than it was moved before.
    turn_left, turn_back, turn_head : degrees about the same axes, through its middle.
    by_hand_unsaved : where it lies is not saved.
    landmarks_on : clicks in the pictures are landmarks.
    landmark_rows : a line for each pair: its number, and once there are enough what is left between both.
    landmark_words : what is missing, or how well they fit.
    landmarks_fit : they make a registration, which is not saved.
    """

    by_hand_on: bool = False
    shift_left: float = 0
    shift_back: float = 0
    shift_head: float = 0
    turn_left: float = 0
    turn_back: float = 0
    turn_head: float = 0
    by_hand_unsaved: bool = False
    landmarks_on: bool = False
    landmark_rows: list[str] = field(default_factory=list)
    landmark_words: str = ""
    landmarks_fit: bool = False
