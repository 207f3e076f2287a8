"""Where the plane of one view lies in another one."""

from __future__ import annotations

import numpy as np

from dicomdock.imaging.geometry.grid import LPS_TO_RAS

SAME_PLANE = 0.7  # cosine of the angle up to which planes are scrolled together


def place_in(here: np.ndarray, there: np.ndarray, transform: np.ndarray) -> np.ndarray | None:
    """Return where another view shows the same position; None where its plane lies across.

    The middle of a sagittal localizer says nothing of where an axial slice should be.

    Parameters
    ----------
    here, there : (4, 4), from the plane of each view to RAS, in mm; columns are right, up, normal, middle.
    transform : (4, 4), from the frame of reference of the first to that of the other, in mm, LPS.

    Returns
    -------
    The middle of the first view, in mm, RAS, in the frame of reference of the other.
    """
    moved = LPS_TO_RAS @ transform @ LPS_TO_RAS @ here
    if abs(moved[:3, 2] @ there[:3, 2]) < SAME_PLANE:
        return None
    return np.asarray(moved[:3, 3])
