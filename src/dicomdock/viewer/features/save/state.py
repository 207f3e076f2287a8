"""What the page knows of saving."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SaveState:
    """Saving, and the question before unsaved work is left.

    Parameters
    ----------
    saving : a segmentation is being written.
    leaving_open : the question is shown.
    """

    saving: bool = False
    leaving_open: bool = False
