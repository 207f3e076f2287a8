"""VolumeGeometry: the grid of a volume in the patient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError

Matrix: TypeAlias = npt.NDArray[Any]
Shape = tuple[int, int, int]

SHEAR_TOLERANCE = 1e-3
"""Cosine between two axes of a grid: below it they count as perpendicular (0.06 degrees, 0.25 mm over 250
mm)."""

GRID_TOLERANCE = 0.01
"""Voxels that the corners of two grids may lie apart and still be the same grid: what rounding in DS values
makes."""

SNAP = 6
"""Decimals of a voxel that positions and shifts have: what is closer to a limit between voxels lies on it."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_KJI_TO_IJK = np.eye(4)[[2, 1, 0, 3]]


@dataclass(frozen=True, eq=False)
class VolumeGeometry:
    """A regular grid of voxels, possibly oblique, possibly sheared by a tilted gantry.

    Parameters
    ----------
    shape : slices, rows, columns.
    affine : 4 x 4, takes a voxel index (k, j, i, 1) to its centre in mm, LPS. It is copied and made
        read-only.

    Raises
    ------
    GeometryError
        The affine is singular or the shape empty.
    """

    shape: Shape
    affine: Matrix

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
            raise GeometryError("The affine matrix of a volume must be 4 x 4 and invertible.")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(f"A volume cannot have the shape {self.shape}.")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", (int(self.shape[0]), int(self.shape[1]), int(self.shape[2])))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbours along k, j and i (along the axis, also where it is sheared)."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def directions(self) -> Matrix:
        """Unit vectors of the axes k, j, i as columns, LPS."""
        columns: Matrix = self.affine[:3, :3] / np.array(self.spacing)
        return columns

    @property
    def origin(self) -> tuple[float, float, float]:
        """Centre of voxel (0, 0, 0) in mm, LPS."""
        x, y, z = self.affine[:3, 3]
        return float(x), float(y), float(z)

    @cached_property
    def inverse(self) -> Matrix:
        """Takes a point in mm, LPS, to a voxel index (k, j, i, 1)."""
        inverse: Matrix = np.linalg.inv(self.affine)
        return inverse

    @property
    def tilt(self) -> float:
        """Angle in degrees between the slice axis and the normal of the slices: a tilted gantry's shear."""
        k, j, i = self.directions.T
        cosine = abs(float(k @ np.cross(i, j)))
        return math.degrees(math.acos(min(1.0, cosine)))

    @property
    def sheared(self) -> bool:
        """True when the axes are not perpendicular, as most programs (and Slicer's volumes) need them."""
        products = self.directions.T @ self.directions
        return bool(np.abs(products - np.eye(3)).max() > SHEAR_TOLERANCE)

    @property
    def ijk_to_ras(self) -> Matrix:
        """Takes (i, j, k, 1) to mm, RAS: the matrix of Slicer, VTK, NIfTI and NRRD."""
        matrix: Matrix = LPS_TO_RAS @ self.affine @ _KJI_TO_IJK
        return matrix

    @classmethod
    def from_ijk_to_ras(cls, shape: Shape, matrix: npt.ArrayLike) -> VolumeGeometry:
        """Make a grid of a matrix from (i, j, k, 1) to mm, RAS; ``shape`` is (k, j, i) all the same."""
        return cls(shape, LPS_TO_RAS @ np.asarray(matrix, dtype=np.float64) @ _KJI_TO_IJK)

    @classmethod
    def of_stack(cls, shape: Shape, rows: float, columns: float) -> VolumeGeometry:
        """Make the grid of a stack of images without a position in the patient.

        Parameters
        ----------
        shape : images, rows, columns.
        rows, columns : between rows, and between columns; images are 1 apart, which measures nothing.
        """
        affine = np.zeros((4, 4))
        affine[[2, 1, 0, 3], [0, 1, 2, 3]] = 1.0, rows, columns, 1.0
        return cls(shape, affine)

    def to_lps(self, indices: npt.ArrayLike) -> Matrix:
        """Take voxel indices (..., 3) in the order k, j, i to points in mm, LPS."""
        points: Matrix = np.asarray(indices, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return points

    def to_index(self, points: npt.ArrayLike) -> Matrix:
        """Take points (..., 3) in mm, LPS, to voxel indices k, j, i, not rounded."""
        indices: Matrix = np.asarray(points, dtype=np.float64) @ self.inverse[:3, :3].T + self.inverse[:3, 3]
        return indices

    def part(self, start: Shape, stop: Shape) -> VolumeGeometry:
        """Return the grid of the voxels from ``start`` up to, without, ``stop`` (both k, j, i)."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_lps(start)
        return VolumeGeometry((stop[0] - start[0], stop[1] - start[1], stop[2] - start[2]), affine)

    def turned(self, other: VolumeGeometry) -> tuple[list[int], list[bool], VolumeGeometry]:
        """Let the axes run as another grid's do; every voxel stays where it is.

        Returns
        -------
        The own axis that becomes k, j and i, which of these are flipped then, and the grid: this very one
        where nothing is to be turned, or no axis is nearest to just one of the other's.
        """
        mixed = other.directions.T @ self.directions
        order = [int(np.argmax(np.abs(row))) for row in mixed]
        if sorted(order) != [0, 1, 2] or (order == [0, 1, 2] and (np.diag(mixed) > 0).all()):
            return [0, 1, 2], [False] * 3, self
        flips = [bool(mixed[to, own] < 0) for to, own in enumerate(order)]
        affine = np.eye(4)
        affine[:3, :3] = self.affine[:3, order]
        first = np.zeros(3)
        for to, own in enumerate(order):
            if flips[to]:
                affine[:3, to] *= -1
                first[own] = self.shape[own] - 1
        affine[:3, 3] = self.to_lps(first)
        shape = (self.shape[order[0]], self.shape[order[1]], self.shape[order[2]])
        return order, flips, VolumeGeometry(shape, affine)

    def matches(self, other: VolumeGeometry) -> bool:
        """Return whether two grids are the same voxels, up to ``GRID_TOLERANCE``."""
        return self.shape == other.shape and self.offset_of(other) == (0, 0, 0)

    def offset_of(self, other: VolumeGeometry) -> Shape | None:
        """Return the index of the first voxel of ``other``; None unless it lies on this lattice."""
        ends = np.array([(k, j, i) for k in (0, 1) for j in (0, 1) for i in (0, 1)]) * (
            np.array(other.shape) - 1
        )
        found = self.to_index(other.to_lps(ends))
        offset = np.round(found[0])
        if np.abs(found - ends - offset).max() > GRID_TOLERANCE:
            return None
        return int(offset[0]), int(offset[1]), int(offset[2])

    def slides_of(self, other: VolumeGeometry) -> npt.NDArray[np.int64] | None:
        """Return by how many voxels (k, j, i) each slice of ``other`` is shifted to lie on this grid.

        Shifts within a slice are rounded to whole voxels, the same way there and back: a tilted gantry's
        slices and their straightened volume hold the same voxels.

        Returns
        -------
        (slices of ``other``, 3); None unless one grid is the other sheared, with the same pixels and slices.
        """
        mixed = self.inverse @ other.affine
        drift = np.abs(mixed[:3, :3] - np.eye(3)) * (np.array(other.shape) - 1)
        if drift[1:, 0].max() <= GRID_TOLERANCE:
            return None  # not sheared: what lies between voxels is resampled
        drift[1:, 0] = 0
        between = mixed[0, 3] - np.round(mixed[0, 3])
        if drift.max() > GRID_TOLERANCE or abs(between) > GRID_TOLERANCE:
            return None
        at = np.outer(np.arange(other.shape[0]), mixed[:3, 0] - (1, 0, 0)) + mixed[:3, 3]
        shifts: npt.NDArray[np.int64] = np.round(np.round(at, SNAP)).astype(np.int64)
        return shifts
