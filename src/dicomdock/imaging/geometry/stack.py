"""Order planes along their normal and measure what lies between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry.grid import Matrix, VolumeGeometry
from dicomdock.imaging.geometry.plane import Plane, Vector

NORMAL_TOLERANCE = 1e-3
"""Greatest difference of a direction cosine within one stack: 0.06 degrees, what rounding to four digits
makes."""

COINCIDENCE = 0.01
"""Pixels: planes closer than this share a position. Relative, so that it holds from microscopy to whole
bodies."""

GAP_TOLERANCE = 0.01
"""Part of a gap by which gaps may differ and still be equal; scanners round positions to 0.01 mm or worse."""

GAP_FLOOR = 0.01
"""mm by which gaps may always differ, for slices so thin that the relative tolerance is below the
rounding."""

EXACT = 1e-3  # mm from a line below which positions are taken to lie on it

ROUNDING_LIMIT = 0.2
"""Slices: the most that rounded positions may explain; a header that states whole millimetres between slices
of two says nothing of how they lie."""

COARSE_UNIT = 0.1  # mm: what some scanners round the table or gradient position to, and then add an offset

DRIFT_TOLERANCE = 0.1
"""Slices: how far a slice may lie from its place in the regular grid once small differences have added up."""

MISSING_LIMIT = 0.1
"""Part of a stack's places that may be empty and still be called missing slices of one regular stack."""

DEFAULT_THICKNESS = 1.0  # mm, of a single slice whose header states none


@dataclass(frozen=True, slots=True)
class PositionReport:
    """How planes lie along their normal.

    Parameters
    ----------
    order : for each slice k of the grid, the index of its plane in the sequence that was given; None where
        it is missing.
    step : mm, LPS, from one slice to the next.
    spacing : mm between slices, along the normal.
    tilt : degrees between ``step`` and the normal: a tilted gantry.
    missing : slices k that no plane fills.
    origin : mm, LPS, of the first pixel of slice 0, on the line that fits all planes best.
    """

    order: tuple[int | None, ...]
    step: Vector
    spacing: float
    tilt: float
    missing: tuple[int, ...] = ()
    origin: Vector | None = None


def plane_positions(planes: Sequence[Plane]) -> PositionReport:
    """Order planes along their common normal and fit a line of equal steps through them.

    Planes may lie off the line by what the decimals of their positions cannot state (``Plane.rounding``).
    A gap of a whole number of slices is reported as missing slices, as long as few are missing.

    Parameters
    ----------
    planes : planes with a position; at least one. Order does not matter.

    Raises
    ------
    GeometryError
        A plane has no position, directions or sizes differ, two planes share a position, gaps are
        irregular, or the slices wander sideways.

    References
    ----------
    PS3.3 §C.7.6.2 (Image Plane Module).
    """
    if not planes:
        raise GeometryError("There are no planes to order.")
    _require_parallel(planes)
    normal = np.array(planes[0].normal)
    origins = np.array([plane.origin for plane in planes])
    depths = origins @ normal
    order = np.argsort(depths, kind="stable")
    if len(planes) == 1:
        spacing = planes[0].thickness or DEFAULT_THICKNESS
        return PositionReport((0,), _vector(normal * spacing), spacing, 0.0, (), planes[0].origin)
    gaps = np.diff(depths[order])
    _require_distinct(planes, order, gaps)
    places = _places(planes, order, gaps)
    step, first = _line(origins[order], places, normal, min(plane.rounding for plane in planes))
    _require_straight(planes, origins, order, places, first, step)
    filled: list[int | None] = [None] * (places[-1] + 1)
    for place, plane in zip(places, order, strict=True):
        filled[place] = int(plane)
    spacing = float(step @ normal)
    tilt = math.degrees(math.acos(min(1.0, spacing / float(np.linalg.norm(step)))))
    missing = tuple(at for at, plane in enumerate(filled) if plane is None)
    return PositionReport(tuple(filled), _vector(step), spacing, tilt, missing, _vector(first))


def stack_geometry(planes: Sequence[Plane], report: PositionReport) -> VolumeGeometry:
    """Make the grid of planes in the order of their report."""
    begin = report.order[0]
    end = report.order[-1]
    assert begin is not None and end is not None, "a stack begins and ends with a plane"
    plane = planes[begin]
    assert plane.along_row is not None and plane.along_column is not None and plane.spacing is not None
    affine = np.eye(4)
    affine[:3, 0] = report.step
    affine[:3, 1] = np.array(plane.along_column) * plane.spacing[0]
    affine[:3, 2] = np.array(plane.along_row) * plane.spacing[1]
    affine[:3, 3] = np.array(report.origin or plane.origin)
    return VolumeGeometry((len(report.order), plane.rows, plane.columns), affine)


def same_orientation(a: Plane, b: Plane) -> bool:
    """Return whether rows and columns of two planes run the same way, up to ``NORMAL_TOLERANCE``."""
    if a.along_row is None or b.along_row is None or a.along_column is None or b.along_column is None:
        return a.along_row is b.along_row and a.along_column is b.along_column
    mine, theirs = (*a.along_row, *a.along_column), (*b.along_row, *b.along_column)
    return all(abs(x - y) <= NORMAL_TOLERANCE for x, y in zip(mine, theirs, strict=True))


def coincidence(plane: Plane) -> float:
    """Return the distance in mm below which another plane lies at the same place."""
    return COINCIDENCE * min(plane.spacing or (1.0,))


def gap_tolerance(gap: float) -> float:
    """Return the mm by which other gaps may differ from this one."""
    return max(GAP_FLOOR if gap > 10 * GAP_FLOOR else 0.0, GAP_TOLERANCE * gap)


def rounded(planes: Sequence[Plane]) -> float:
    """Return the mm by which planes may lie off their true place along the normal, for their decimals."""
    unit = min((plane.rounding for plane in planes), default=0.0)
    return 0.5 * unit * float(np.abs(planes[0].normal).sum()) if unit else 0.0


def coarsely_rounded(planes: Sequence[Plane]) -> list[Plane] | None:
    """Return oblique planes with the unit that their distances show, where their decimals claim a finer one.

    Positions such as -72.7575, -65.7575 and -58.8575 are rounded to 0.1 mm and then shifted by a constant.
    None where nothing shows that. Of a stack that runs along one axis, steps of 0.1 mm show nothing.
    """
    origins = np.array([plane.origin for plane in planes])
    away = origins - origins[0]
    off = np.abs(away - np.round(away / COARSE_UNIT) * COARSE_UNIT).max()
    slanting = (np.ptp(origins, axis=0) > COARSE_UNIT).sum() > 1
    if not slanting or off > COARSE_UNIT / 100 or max(plane.rounding for plane in planes) >= COARSE_UNIT:
        return None
    return [replace(plane, rounding=COARSE_UNIT) for plane in planes]


def _line(origins: Matrix, places: Sequence[int], normal: Matrix, unit: float) -> tuple[Matrix, Matrix]:
    """Fit ``first + place * step`` to positions in the order of their places.

    Where all lie on the line from the first to the last, as exact positions do, it is that line. Of rounded
    ones, a slant that the rounding to ``unit`` explains is none.
    """
    at = np.asarray(places, dtype=np.float64)

    def slant(step: Matrix) -> float:
        return float(np.linalg.norm(step - normal * (step @ normal))) * float(at[-1])

    direct: Matrix = (origins[-1] - origins[0]) / at[-1]
    if np.abs(origins - origins[0] - np.outer(at, direct)).max() <= (min(EXACT, unit / 20) or EXACT):
        # A slant of less than one unit from the first to the last position cannot be stated.
        return (normal * (direct @ normal) if slant(direct) < 0.99 * unit else direct), origins[0]
    centred = at - at.mean()
    step: Matrix = centred @ (origins - origins.mean(axis=0)) / float(centred @ centred)
    # Half a unit at each position turns the line that fits best by up to one and a half over its length.
    if slant(step) <= 1.5 * math.sqrt(3) * unit:
        step = normal * (step @ normal)
    first: Matrix = origins.mean(axis=0) - step * at.mean()
    return step, first


def _vector(values: Matrix) -> Vector:
    x, y, z = values
    return float(x), float(y), float(z)


def _require_parallel(planes: Sequence[Plane]) -> None:
    bare = [plane.instance for plane in planes if not plane.placed]
    if bare:
        raise GeometryError(f"{len(bare)} images state no position in the patient.", bare)
    lead = planes[0]
    askew = [plane.instance for plane in planes if not same_orientation(lead, plane)]
    if askew:
        raise GeometryError(f"{len(askew)} images are turned against the others.", askew)
    odd = [plane.instance for plane in planes if (plane.rows, plane.columns) != (lead.rows, lead.columns)]
    if odd:
        raise GeometryError(f"{len(odd)} images have another number of rows or columns than the others.", odd)


def _require_distinct(planes: Sequence[Plane], order: Matrix, gaps: Matrix) -> None:
    close = np.flatnonzero(gaps < coincidence(planes[0]))
    if close.size:
        there = sorted({planes[order[at + step]].instance for at in close for step in (0, 1)})
        raise GeometryError(f"{len(close)} images lie at a position that another image already holds.", there)


def _places(planes: Sequence[Plane], order: Matrix, gaps: Matrix) -> list[int]:
    """Return each plane, in order, its place in the regular grid."""
    unit = float(np.median(gaps))
    counts = np.maximum(1, np.round(gaps / unit)).astype(int)
    slack = min(rounded(planes), ROUNDING_LIMIT * unit)
    if slack:
        # Rounding shifts either end of a gap; the mean step is known far better than any single gap.
        unit = float(gaps.sum() / counts.sum())
    wrong = np.flatnonzero(np.abs(gaps - counts * unit) > counts * gap_tolerance(unit) + 2 * slack)
    empty = int(counts.sum() - len(gaps))
    if not wrong.size and empty <= MISSING_LIMIT * len(planes):
        return [0, *map(int, np.cumsum(counts))]
    if not wrong.size:
        wrong = np.flatnonzero(counts > 1)
    there = [planes[order[at + step]].instance for at in wrong for step in (0, 1)]
    least, most = float(gaps.min()), float(gaps.max())
    raise GeometryError(
        f"The distance between neighbouring slices varies from {least:.3f} to {most:.3f} mm.",
        list(dict.fromkeys(there)),
    )


def _require_straight(
    planes: Sequence[Plane],
    origins: Matrix,
    order: Matrix,
    places: Sequence[int],
    first: Matrix,
    step: Matrix,
) -> None:
    away = origins[order] - (first + np.outer(places, step))
    normal = np.array(planes[0].normal)
    along = np.abs(away @ normal)
    sideways = np.linalg.norm(away - np.outer(away @ normal, normal), axis=1)
    spacing = float(step @ normal)
    pixel = min(planes[0].spacing or (1.0,))
    # Half a unit in each of three coordinates, in whatever direction, of the slice and of the fitted line.
    unit = min(plane.rounding for plane in planes)
    slack = min(math.sqrt(3) * unit, ROUNDING_LIMIT * spacing)
    wrong = np.flatnonzero(
        (along > max(DRIFT_TOLERANCE * spacing, slack))
        | (sideways > max(DRIFT_TOLERANCE * pixel, GAP_FLOOR, slack))
    )
    if wrong.size:
        # One slice that is off draws the line that fits best towards it; it is named by the others' median.
        middle = np.median(origins[order] - np.outer(places, step), axis=0)
        off = np.linalg.norm(origins[order] - middle - np.outer(places, step), axis=1)
        wrong = np.flatnonzero(off > off.max() / 2)
        there = [planes[order[at]].instance for at in wrong]
        raise GeometryError(f"{len(there)} slices do not lie on one straight line with the others.", there)
