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
    save_as : the kind of object that is written, ``SEG`` or ``RTSTRUCT``.
    """

    saving: bool = False
    leaving_open: bool = False
    save_as: str = "SEG"
