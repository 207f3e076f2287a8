"""Curved planar reformats: the values along a line through a volume, straightened to a plane image.

References
----------
A. Kanitsar et al., CPR: curved planar reformation (IEEE Visualization 2002), straightened;
C. Yuksel et al., Parameterization and applications of Catmull-Rom curves (Computer-Aided Design 43, 2011);
W. Wang et al., Computation of rotation minimizing frames (ACM Transactions on Graphics 27, 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.geometry.grid import Matrix
from dicomdock.imaging.volume.pixels import Array
from dicomdock.imaging.volume.resample import values_at

SAME_POINT = 1e-6  # mm that neighbours on a line are at least apart
FINE = 8  # steps of arc length in each row, in which the curve is a straight line
LEAST_FINE = 16  # of them between two points
STEEP = 0.9  # cosine between the curve's start and the patient's left from which on another axis is across
MOST_PIXELS = 1 << 24

LEFT, POSTERIOR = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


@dataclass(frozen=True, eq=False)
class CurvedImage:
    """An image whose rows lie one after the other along a curve, each perpendicular to it.

    Parameters
    ----------
    array : (rows, columns), or (rows, columns, 3) red, green, blue; the curve is the middle column.
    spacing : mm between rows, along the curve, and between columns. Both are the same.
    points : (rows, 3), where each row meets the curve: mm, LPS, in the frame of reference of the volume.
    across : (rows, 3), unit vectors along which the columns of each row run, LPS.
    tangents : (rows, 3), unit vectors of the curve, LPS.
    length : of the whole curve in mm. The last row lies less than one row's spacing before its end.
    """

    array: Array
    spacing: float
    points: Matrix
    across: Matrix
    tangents: Matrix
    length: float

    def to_lps(self, row: float, column: float) -> Matrix:
        """Return the point that a pixel shows, in mm, LPS; the row is rounded and kept on the image."""
        at = int(np.clip(round(row), 0, len(self.points) - 1))
        offset = (column - (self.array.shape[1] - 1) / 2) * self.spacing
        point: Matrix = self.points[at] + offset * self.across[at]
        return point


def along_curve(
    array: Array,
    geometry: VolumeGeometry,
    points: npt.ArrayLike,
    *,
    width: float = 50.0,
    spacing: float | None = None,
    angle: float = 0.0,
    towards: Sequence[float] | None = None,
    tolerance: float = 0.0,
    fill: float = 0,
) -> CurvedImage:
    """Straighten a volume along a smooth curve through points, with linear interpolation.

    Distances along the curve and across it are true; what lies beside a bend is stretched or compressed.
    Rows turn about the curve as little as its bends allow (rotation minimizing frame).

    Parameters
    ----------
    array, geometry : the values, (k, j, i) or (k, j, i, 3), and their grid.
    points : (n, 3), mm, LPS, in the order in which the rows follow each other.
    width : of the image, in mm.
    spacing : mm between rows and between columns; the least one of the grid unless given.
    angle : degrees by which all rows are turned about the curve, clockwise for who looks along it.
    towards : direction, LPS, in which the columns of the first row run as far as the curve allows; unless
        given, the patient's left, or posterior where the curve begins along left and right.
    tolerance : mm that points may be left out for, as ``smooth_curve``.
    fill : the value outside the volume.

    Raises
    ------
    GeometryError
        The points form no line, ``towards`` runs along it, a size is not positive, or the image would be
        too large.
    """
    step = min(geometry.spacing) if spacing is None else float(spacing)
    if not (np.isfinite([step, width]).all() and step > 0 and width > 0):
        raise GeometryError("Width and spacing of an image along a path must be more than 0 mm.")
    columns = 2 * round(width / step / 2) + 1
    at, tangents, length = smooth_curve(points, step, tolerance=tolerance, most=MOST_PIXELS // columns)
    beside = _across(at, tangents, _start(tangents[0], towards))
    turn = np.radians(angle)
    across: Matrix = np.cos(turn) * beside + np.sin(turn) * np.cross(tangents, beside)
    offsets = (np.arange(columns) - columns // 2) * step
    places = at[:, None, :] + offsets[:, None] * across[:, None, :]
    values = values_at(array, geometry.to_index(places), fill=fill)
    return CurvedImage(values, step, at, across, tangents, length)


def smooth_curve(
    points: npt.ArrayLike, step: float, *, tolerance: float = 0.0, most: int = MOST_PIXELS
) -> tuple[Matrix, Matrix, float]:
    """Lay a smooth curve through points and sample it by its arc length (centripetal Catmull-Rom).

    Parameters
    ----------
    points : (n, 3), mm. Neighbours that are the same count once.
    step : mm of arc length between samples.
    tolerance : points of a line drawn by hand are left out where the straight line between the remaining
        ones stays as near to them, in mm: its tremor would turn the rows.
    most : samples that there may be.

    Returns
    -------
    Samples from the first point on, (m, 3); the unit vectors of the curve there, (m, 3); its length in mm.

    Raises
    ------
    GeometryError
        There are not two points that differ, a number is not finite, or there would be too many samples.
    """
    given = np.asarray(points, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] != 3 or not np.isfinite(given).all():
        raise GeometryError("The points of a path are three finite numbers each.")
    apart = np.linalg.norm(np.diff(given, axis=0), axis=1) > SAME_POINT
    knots = given[np.concatenate([[True], apart])] if len(given) else given
    if len(knots) < 2:
        raise GeometryError("A path needs at least two points that differ.")
    if np.linalg.norm(np.diff(knots, axis=0), axis=1).sum() / step >= most:
        raise GeometryError("The image along the path would be too large; take a wider spacing.")
    knots = _simplified(knots, tolerance)
    chords = np.linalg.norm(np.diff(knots, axis=0), axis=1)
    counts = np.maximum(LEAST_FINE, np.ceil(FINE * chords / step).astype(int))
    segments = np.concatenate([np.repeat(np.arange(len(chords)), counts), [len(chords) - 1]])
    shares = np.concatenate([*(np.arange(count) / count for count in counts), [1.0]])
    fine, _ = _hermite(knots, segments, shares)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    total = float(lengths[-1])
    wanted = np.arange(int(total / step + SAME_POINT) + 1) * step
    where = np.interp(wanted, lengths, segments + shares)  # the segment, and the share of it
    segment = np.minimum(where.astype(int), len(chords) - 1)
    samples, tangents = _hermite(knots, segment, where - segment)
    return samples, tangents, total


def _hermite(knots: Matrix, segments: Any, shares: Any) -> tuple[Matrix, Matrix]:
    """Return points and unit tangents at shares (0 to 1) of segments of the curve."""
    intervals = np.sqrt(np.linalg.norm(np.diff(knots, axis=0), axis=1))[:, None]
    slopes = np.diff(knots, axis=0) / intervals
    if len(slopes) == 1:
        at_knots = np.vstack([slopes, slopes])
    else:
        before, after = intervals[:-1], intervals[1:]
        inner = (slopes[:-1] * after + slopes[1:] * before) / (before + after)
        first = slopes[0] + (slopes[0] - slopes[1]) * before[0] / (before[0] + after[0])
        last = slopes[-1] + (slopes[-1] - slopes[-2]) * after[-1] / (before[-1] + after[-1])
        at_knots = np.vstack([first, inner, last])
    span, t = intervals[segments], np.asarray(shares)[:, None]
    start, end = knots[segments], knots[np.add(segments, 1)]
    leaving, arriving = at_knots[segments] * span, at_knots[np.add(segments, 1)] * span
    bend, twist = 3 * (end - start) - 2 * leaving - arriving, 2 * (start - end) + leaving + arriving
    points = start + t * (leaving + t * (bend + t * twist))
    tangents = leaving + t * (2 * bend + 3 * t * twist)
    size = np.linalg.norm(tangents, axis=1, keepdims=True)
    still = size[:, 0] < SAME_POINT  # where a path turns back on itself
    tangents[still], size[still] = (end - start)[still], np.linalg.norm((end - start)[still], axis=1)[:, None]
    return points, tangents / size


def _simplified(points: Matrix, tolerance: float) -> Matrix:
    """Leave out points that lie near the line between the others (Ramer, Douglas and Peucker)."""
    kept = np.zeros(len(points), bool)
    kept[[0, -1]] = True
    open_ranges = [(0, len(points) - 1)]
    while open_ranges:
        first, last = open_ranges.pop()
        if last - first < 2:
            continue
        line, away = points[last] - points[first], points[first + 1 : last] - points[first]
        share = np.clip(away @ line / max(float(line @ line), SAME_POINT**2), 0, 1)
        distances = np.linalg.norm(away - share[:, None] * line, axis=1)
        farthest = int(np.argmax(distances))
        if distances[farthest] > tolerance or tolerance <= 0:
            middle = first + 1 + farthest
            kept[middle] = True
            open_ranges += [(first, middle), (middle, last)]
    return points[kept]


def _start(tangent: Matrix, towards: Sequence[float] | None) -> Matrix:
    """Return the unit vector perpendicular to the curve's start that is nearest to a direction."""
    if towards is None:
        towards = LEFT if abs(float(tangent[0])) < STEEP else POSTERIOR
    wanted = np.asarray(towards, dtype=np.float64)
    beside = wanted - (wanted @ tangent) * tangent
    size = float(np.linalg.norm(beside))
    if not size > SAME_POINT * max(1.0, float(np.linalg.norm(wanted))):
        raise GeometryError("The path begins along the direction that its image is to show; choose another.")
    start: Matrix = beside / size
    return start


def _across(points: Matrix, tangents: Matrix, start: Matrix) -> Matrix:
    """Carry a vector along the curve without turning about it, by double reflection."""
    found = [start]
    for at in range(len(points) - 1):
        step = points[at + 1] - points[at]
        vector, tangent = _reflected(found[-1], step), _reflected(tangents[at], step)
        found.append(_reflected(vector, tangents[at + 1] - tangent))
    across: Matrix = np.array(found)
    return across


def _reflected(vector: Matrix, normal: Matrix) -> Matrix:
    square = float(normal @ normal)
    if square < SAME_POINT**2:
        return vector
    reflected: Matrix = vector - 2 / square * float(normal @ vector) * normal
    return reflected
