"""What the page knows of the comparison."""

from __future__ import annotations

from dataclasses import dataclass

from dicomdock.viewer.features.layout.layouts import OTHER


@dataclass
class CompareState:
    """The series beside the first one.

    Parameters
    ----------
    compare_view : the view that a series of the list goes to.
    compare_uid : Series Instance UID of the one that it shows.
    linked : the views scroll together.
    zoomed, windowed : they are enlarged together, and have the same window.
    """

    compare_view: str = OTHER
    compare_uid: str = ""
    linked: bool = True
    zoomed: bool = False
    windowed: bool = False
