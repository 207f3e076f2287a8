"""Contours along the slices of a volume: which plane, slice and piece each belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.rtstruct.polygons import Points

SLICE_TOLERANCE = 0.5
"""Slices: a contour belongs to the slice that it is no farther away from, so to the one it lies in."""

PLANE_TOLERANCE = 0.02
"""Slices: contours closer to each other than this lie in one plane; what rounding in DS values makes."""

MOST_COMPARED = 300  # contours within one slice; of more, the nearest plane alone is taken


@dataclass(frozen=True, slots=True)
class Contour:
    """A closed contour: its place along the slices, not rounded, and its points as (row, column)."""

    level: float
    points: Points
    xor: bool


def slice_of(level: float) -> int:
    """Return the nearest slice; of two equally near ones always the upper, whatever rounding made of it."""
    return int(np.floor(round(level, 2) + SLICE_TOLERANCE))


def planes_of(contours: Sequence[Contour]) -> list[list[Contour]]:
    """Divide contours, sorted along the slices, into those that lie in one plane."""
    planes: list[list[Contour]] = []
    for contour in contours:
        if planes and contour.level - planes[-1][0].level <= PLANE_TOLERANCE:
            planes[-1].append(contour)
        else:
            planes.append([contour])
    return planes


def pieces_of(contours: Sequence[Contour]) -> list[list[Contour]]:
    """Divide the contours of one slice into pieces that lie apart, each sorted as before.

    Contours whose bounding boxes meet belong to one piece, so a branch that is drawn in planes of its own is
    not left out for another that is nearer.
    """
    if len(planes_of(contours)) == 1 or len(contours) > MOST_COMPARED:
        return [list(contours)]
    low = np.array([contour.points.min(axis=0) for contour in contours])
    high = np.array([contour.points.max(axis=0) for contour in contours])
    meet: npt.NDArray[np.bool_] = np.all((low[:, None] <= high[None]) & (low[None] <= high[:, None]), axis=2)
    pieces: list[list[Contour]] = []
    left = set(range(len(contours)))
    while left:
        piece: set[int] = set()
        met = {min(left)}
        while met:
            left -= met
            piece |= met
            met = {other for at in met for other in np.flatnonzero(meet[at]).tolist()} & left
        pieces.append([contours[at] for at in sorted(piece)])
    return pieces


def is_regular(planes: Sequence[Sequence[Contour]]) -> bool:
    """Return whether planes lie at one distance, so that slices between them are gaps of the drawing."""
    gaps = np.diff([plane[0].level for plane in planes])
    return bool(np.ptp(gaps) <= 2 * PLANE_TOLERANCE)
