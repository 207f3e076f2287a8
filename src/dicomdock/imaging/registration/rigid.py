"""Rigid transforms: from landmarks, checked, inverted, and applied to volumes.

References
----------
Arun, Huang and Blostein 1987 (least squares by the singular value decomposition).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.volume import Volume

Matrix = npt.NDArray[np.float64]

RIGID_TOLERANCE = 1e-4
"""Of the products of a rotation's columns: what six decimals of a Decimal String leave."""

SPREAD = 1.0  # mm that landmarks lie off a line at least, root of the mean of squares

SomeVolume = TypeVar("SomeVolume", bound=Volume)


@dataclass(frozen=True, eq=False)
class Alignment:
    """A rigid transform that brings landmarks together.

    Parameters
    ----------
    matrix : 4 x 4, takes points that move to where they belong, in mm, LPS.
    residuals : distance in mm that is left at each landmark.
    """

    matrix: Matrix
    residuals: tuple[float, ...]

    @property
    def error(self) -> float:
        """Root of the mean square of the residuals, in mm."""
        return float(np.sqrt(np.mean(np.square(self.residuals))))


def from_landmarks(moving: npt.ArrayLike, fixed: npt.ArrayLike) -> Alignment:
    """Return the rotation and shift that bring landmarks together best, in the sense of least squares.

    Parameters
    ----------
    moving, fixed : the same landmarks in both frames of reference, (n, 3), in mm, LPS.

    Raises
    ------
    GeometryError
        There are fewer than three pairs, or they lie on a line, about which nothing fixes the rotation.
    """
    before, after = (np.asarray(points, dtype=np.float64).reshape(-1, 3) for points in (moving, fixed))
    if len(before) != len(after) or len(before) < 3:
        raise GeometryError("A registration by landmarks needs three pairs of points at least.")
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise GeometryError("A landmark is not a point.")
    centres = before.mean(axis=0), after.mean(axis=0)
    for points, centre in zip((before, after), centres, strict=True):
        spread = np.linalg.svd(points - centre, compute_uv=False) / np.sqrt(len(points))
        if spread[1] < SPREAD:
            raise GeometryError("The landmarks lie on a line, about which nothing fixes the rotation.")
    left, _, right = np.linalg.svd((before - centres[0]).T @ (after - centres[1]))
    sign = np.sign(np.linalg.det(right.T @ left.T))
    matrix = np.eye(4)
    matrix[:3, :3] = right.T @ np.diag([1, 1, sign]) @ left.T
    matrix[:3, 3] = centres[1] - matrix[:3, :3] @ centres[0]
    left_over = np.linalg.norm(before @ matrix[:3, :3].T + matrix[:3, 3] - after, axis=1)
    return Alignment(matrix, tuple(float(one) for one in left_over))


def require_rigid(matrix: npt.ArrayLike) -> Matrix:
    """Return a matrix that is a rotation and a shift.

    Raises
    ------
    GeometryError
        It scales, shears or mirrors, or is not 4 x 4.
    """
    found = np.asarray(matrix, dtype=np.float64)
    if found.shape != (4, 4) or not np.isfinite(found).all():
        raise GeometryError("A rigid transform is a matrix of 4 x 4 numbers.")
    turn = found[:3, :3]
    exact = np.abs(turn.T @ turn - np.eye(3)).max() <= RIGID_TOLERANCE
    if not exact or np.linalg.det(turn) < 0 or np.abs(found[3] - (0, 0, 0, 1)).max() > RIGID_TOLERANCE:
        raise GeometryError("The matrix is not rigid: it scales, shears or mirrors.")
    return found


def adjusted(matrix: Matrix, centre: npt.ArrayLike, shift: npt.ArrayLike, degrees: npt.ArrayLike) -> Matrix:
    """Return a rigid transform that turns and shifts further what ``matrix`` has moved.

    Parameters
    ----------
    matrix : 4 x 4, in mm, LPS.
    centre : the point that it is turned about, where ``matrix`` has brought it; in mm, LPS.
    shift : in mm, along L, P and H (x, y, z of LPS).
    degrees : about the same axes, one after the other; counter-clockwise as seen from the end of the axis.
    """
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(np.asarray(degrees, dtype=np.float64))):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[one, one] = step[other, other] = np.cos(angle)
        step[one, other], step[other, one] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    about = np.asarray(centre, dtype=np.float64)
    further = np.eye(4)
    further[:3, :3], further[:3, 3] = turn, about - turn @ about + np.asarray(shift, dtype=np.float64)
    return further @ matrix


def inverted(matrix: Matrix) -> Matrix:
    """Return the rigid transform back."""
    turn = matrix[:3, :3].T
    back = np.eye(4)
    back[:3, :3], back[:3, 3] = turn, -turn @ matrix[:3, 3]
    return back


def moved(volume: SomeVolume, matrix: npt.ArrayLike, frame_of_reference: str) -> SomeVolume:
    """Return a volume in another frame of reference: its grid is turned and shifted, no value changes.

    Parameters
    ----------
    matrix : takes points of the volume's frame of reference to the other one, in mm, LPS.
    frame_of_reference : UID of the other one.

    Raises
    ------
    GeometryError
        The matrix is not rigid, or the volume has no place in the patient.
    """
    rigid = require_rigid(matrix)
    if not volume.spatial:
        raise GeometryError("Images without a position in the patient cannot be registered.")
    geometry = VolumeGeometry(volume.geometry.shape, rigid @ volume.geometry.affine)
    return replace(volume, geometry=geometry, frame_of_reference=frame_of_reference, plan=None)
