"""How large a segment is: volume, surface area and longest diameters.

The surface passes halfway between the centres of voxels in and out of the segment, as marching cubes draws
it; diameters are those of its vertices.

References
----------
IBSI, surface area (C0JK) and maximum 3D diameter (L0JK) of the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.measurements.calibration import Calibration
from dicomdock.imaging.mesh.cells import CORNERS, loops

Points = npt.NDArray[np.float64]

_ROWS = 512  # points compared with all others at a time


@dataclass(frozen=True)
class Shape:
    """The size of a segment.

    Parameters
    ----------
    voxels : number of its voxels.
    volume : of the voxels, in ml; None on an image without a position in the patient.
    surface : area in mm2; likewise.
    diameter : longest distance between two points of the surface, in mm; likewise.
    slice_diameter : the longest within one slice, in mm; None where its pixels are not calibrated.
    area : of the pixels, in mm2; of an image without a position in the patient alone, where they are
        calibrated.
    """

    voxels: int
    volume: float | None
    surface: float | None
    diameter: float | None
    slice_diameter: float | None
    area: float | None = None


def measure_shape(mask: npt.NDArray[np.bool_], geometry: VolumeGeometry) -> Shape:
    """Measure a segment.

    Parameters
    ----------
    mask : its voxels (k, j, i); a part of the grid will do.
    geometry : of the grid, of which the directions and spacings are used.
    """
    axes = geometry.affine[:3, :3]
    voxels = int(np.count_nonzero(mask))
    if not voxels:
        return Shape(0, 0.0, 0.0, 0.0, 0.0)
    volume = voxels * abs(float(np.linalg.det(axes))) / 1000
    corners = _outermost(mask)
    within = max(
        _longest(_halfway(corners[corners[:, 0] == k], (1, 2)) @ axes.T) for k in np.unique(corners[:, 0])
    )
    for axis in (1, 2):
        corners = _hulls(corners, axis)
    return Shape(
        voxels, volume, _surface(mask, axes), _longest(_halfway(corners, (0, 1, 2)) @ axes.T), within
    )


def measure_area(mask: npt.NDArray[np.bool_], calibration: Calibration | None) -> Shape:
    """Measure a segment on an image without a position in the patient.

    Parameters
    ----------
    mask : its pixels (rows, columns); a part of the image will do.
    calibration : what they measure; None where that is not known.
    """
    pixels = int(np.count_nonzero(mask))
    if calibration is None or calibration.unit != "mm":
        return Shape(pixels, None, None, None, None)
    grid = VolumeGeometry.of_stack((1, *mask.shape), calibration.rows, calibration.columns)
    area = pixels * calibration.rows * calibration.columns
    return Shape(pixels, None, None, None, measure_shape(mask[None], grid).slice_diameter, area)


def _surface(mask: npt.NDArray[np.bool_], axes: Points) -> float:
    """Return the area of the surface in mm2: that of each kind of cell times how many there are."""
    counts = np.zeros(256, np.int64)
    below = np.zeros((mask.shape[1] + 2, mask.shape[2] + 2), np.uint8)
    empty = np.zeros(mask.shape[1:], np.bool_)
    for plane in (*mask, empty):
        above = np.pad(plane.astype(np.uint8), 1)
        cells = np.zeros((below.shape[0] - 1, below.shape[1] - 1), np.uint8)
        for bit, (k, j, i) in enumerate(CORNERS):
            layer = above if k else below
            cells |= layer[j : j + cells.shape[0], i : i + cells.shape[1]] << bit
        counts += np.bincount(cells.reshape(-1), minlength=256)
        below = above
    return float(
        sum(
            count * sum(_area(np.array(loop) @ axes.T) for loop in loops(cell))
            for cell, count in enumerate(counts.tolist())
            if count
        )
    )


def _area(loop: Points) -> float:
    """Return the area of a closed line's triangles around its middle."""
    spokes = loop - loop.mean(axis=0)
    return float(np.linalg.norm(np.cross(spokes, np.roll(spokes, -1, axis=0)), axis=1).sum() / 2)


def _outermost(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the voxels (n, 3) that are corners of the convex hull of their slice."""
    k, j = np.nonzero(mask.any(axis=2))
    rows = mask[k, j]
    first = rows.argmax(axis=1)
    last = mask.shape[2] - 1 - rows[:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.column_stack([k, j, first]), np.column_stack([k, j, last])])
    return _hulls(np.unique(ends, axis=0), 0)


def _hulls(points: npt.NDArray[np.int64], axis: int) -> npt.NDArray[np.int64]:
    """Return the points that are corners of the convex hull of those with the same index on an axis."""
    found = []
    others = [one for one in range(3) if one != axis]
    ordered = points[np.lexsort((points[:, others[1]], points[:, others[0]], points[:, axis]))]
    cuts = np.flatnonzero(np.diff(ordered[:, axis])) + 1
    for part in np.split(ordered, cuts):
        flat = [tuple(point) for point in part[:, others].tolist()]
        for x, y in {*_half_hull(flat), *_half_hull(flat[::-1])}:
            point = [0, 0, 0]
            point[axis], point[others[0]], point[others[1]] = int(part[0, axis]), x, y
            found.append(point)
    return np.array(found, np.int64)


def _half_hull(points: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return one side of the convex hull of sorted points."""
    hull: list[tuple[int, ...]] = []
    for x, y in points:
        while len(hull) > 1:
            (x0, y0), (x1, y1) = hull[-2:]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                break
            hull.pop()
        hull.append((x, y))
    return hull


def _halfway(points: npt.NDArray[np.int64], axes: tuple[int, ...]) -> Points:
    """Return the points half a voxel from each point, both ways along each of the axes."""
    steps = [sign * np.eye(3)[axis] / 2 for axis in axes for sign in (-1, 1)]
    return np.concatenate([points + step for step in steps])


def _longest(points: Points) -> float:
    """Return the greatest distance between two points."""
    away = np.linalg.norm(points - points.mean(axis=0), axis=1)
    order = np.argsort(-away)
    points, away = points[order], away[order]
    best = 0.0
    for begin in range(0, len(points), _ROWS):
        rest = points[begin : begin + int(np.count_nonzero(away[begin:] + away[begin] >= best))]
        if len(rest) < 2:
            break
        part = points[begin : begin + _ROWS]
        squares = sum((part[:, None, axis] - rest[None, :, axis]) ** 2 for axis in range(3))
        best = max(best, float(np.sqrt(np.max(squares))))
    return best
