"""The planes that slice views show: their names, and the letters at their edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from dicomdock.viewer.features.layout.layouts import PLANES

TOWARDS, AWAY = "RAS", "LPI"  # letters of the axes of RAS, and of their other ends
LEANING = 0.5  # cosine down to which an oblique slice is named after its view (60 degrees)
OBLIQUE = 0.25
"""Share of the main direction that a second one must have to be named beside it (14 degrees)."""

_Side = TypeVar("_Side")


def rotation(turn: float, tilt: float) -> np.ndarray:
    """Return the rotation of a picture's axes (right, up, away from the user) by two angles in degrees."""
    a, b = np.radians((turn, tilt))
    about_vertical = [[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]]
    about_horizontal = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    return np.array(about_vertical) @ np.array(about_horizontal)


def arranged(
    right: _Side, up: _Side, rotation: int, flipped: bool, opposed: Callable[[_Side], _Side]
) -> tuple[_Side, _Side]:
    """Return what is at the right and at the top of a picture after it was turned clockwise and then flipped.

    Parameters
    ----------
    opposed : returns the opposite of a side.
    """
    for _ in range(rotation // 90):
        right, up = up, opposed(right)
    return (opposed(right) if flipped else right), up


def plane_shown(normal: Sequence[float] | np.ndarray, usual: str) -> str:
    """Name the plane that a view shows by its normal in RAS: ``usual`` unless it lies clearly in another one.

    A single slice is shown in the plane that it lies in, by every view.
    """
    along = np.abs(np.asarray(normal))
    if usual in PLANES and along[PLANES.index(usual)] >= LEANING:
        return usual
    return PLANES[int(np.argmax(along))]


def letters(direction: Any) -> str:
    """Name where a direction in RAS leads: ``A``, or ``AL`` where it leans."""
    order = np.argsort(-np.abs(direction))
    main = abs(float(direction[order[0]]))
    named = ""
    for axis in order:
        share = float(direction[axis])
        if abs(share) >= OBLIQUE * main:
            named += (TOWARDS if share > 0 else AWAY)[axis]
    return named
