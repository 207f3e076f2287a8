"""What the page knows of the comparison."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class CompareState:
    """The series in the second view.

    Parameters
    ----------
    compare_uid : its Series Instance UID.
    linked : both views scroll together.
    zoomed, windowed : they are enlarged together, and have the same window.
    """

    compare_uid: str = ""
    linked: bool = True
    zoomed: bool = False
    windowed: bool = False
