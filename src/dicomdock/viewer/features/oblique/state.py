"""What the page knows of oblique planes."""

from __future__ import annotations

from dataclasses import dataclass

from dicomdock.viewer.features.layout.layouts import AXIAL


@dataclass
class ObliqueState:
    """The plane of a view, by two angles from its usual one.

    Parameters
    ----------
    oblique_view : tag of the view.
    oblique_turn : degrees about the vertical of the picture; the right edge moves away from the user.
    oblique_tilt : degrees about the horizontal of the picture; the upper edge moves away from the user.
    """

    oblique_view: str = AXIAL
    oblique_turn: float = 0
    oblique_tilt: float = 0
