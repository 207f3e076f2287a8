"""The kinds of measurements: by which points each is placed, and what it measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.measurements import (
    Measurement,
    angle,
    cobb_angle,
    distance,
    ellipse,
    ellipse_outline,
    path,
    point,
    region,
    two_way,
)
from dicomdock.imaging.measurements.measurement import LENGTH, PERIMETER
from dicomdock.imaging.volume import Volume

LINE, ANGLE, CURVE, OPEN_CURVE, POINTS = (
    f"vtkMRMLMarkups{name}Node" for name in ("Line", "Angle", "ClosedCurve", "Curve", "Fiducial")
)
HEAD = 0.15  # of an arrow's length that its head takes
MOST_IN_PICTURE = 2  # numbers of a measurement that are written beside it; its panel has all
PARALLEL = 1e-3  # sine up to which two directions are one

Point = Any
"""Three numbers in mm, LPS."""


@dataclass(frozen=True)
class Kind:
    """A kind of measurement.

    Parameters
    ----------
    title : for the user.
    hint : how it is placed.
    parts : node of each part, and the points that it has.
    drag : what a drag places: points at its ``ends``, or along its ``path``.
    smooth : its line is the engine's spline through the points.
    """

    title: str
    hint: str
    parts: tuple[tuple[str, int], ...]
    drag: Literal["ends", "path"] = "ends"
    smooth: bool = False

    @property
    def points(self) -> int:
        """How many points it needs."""
        return sum(count for _, count in self.parts)

    @property
    def open_ended(self) -> bool:
        """Whether points are placed until the user ends it."""
        return self.drag == "path"


_TWO = "Drag, or click two points."
KINDS = {
    "distance": Kind("Distance", _TWO, ((LINE, 2),)),
    "two-way": Kind(
        "Two-way", "Drag one line and then the other, or click four points.", ((LINE, 2), (LINE, 2))
    ),
    "angle": Kind("Angle", "Click three points; the second is the corner.", ((ANGLE, 3),)),
    "cobb": Kind(
        "Cobb angle", "Drag one line and then the other, or click four points.", ((LINE, 2), (LINE, 2))
    ),
    "region": Kind(
        "Region",
        "Draw around it with the button held; or click around it, then press Escape.",
        ((CURVE, 3),),
        "path",
    ),
    "path": Kind(
        "Path",
        "Draw along it with the button held; or click along it, on any slices, then press Escape.",
        ((OPEN_CURVE, 2),),
        "path",
    ),
    "spline": Kind(
        "Spline",
        "Click around it, then press Escape; a smooth curve goes through the points.",
        ((CURVE, 3),),
        "path",
        smooth=True,
    ),
    "curve": Kind(
        "Curve",
        "Click along it, then press Escape; a smooth curve goes through the points.",
        ((OPEN_CURVE, 2),),
        "path",
        smooth=True,
    ),
    "ellipse": Kind("Ellipse", "Drag from corner to corner of the rectangle around it.", ((POINTS, 2),)),
    "rectangle": Kind("Rectangle", "Drag from corner to corner.", ((POINTS, 2),)),
    "point": Kind("Point", "Click a point.", ((POINTS, 1),)),
    "arrow": Kind("Arrow", "Drag from the tip; then type its text.", ((LINE, 2),)),
}
"""By the names under which the page and what is autosaved have them."""

ANGLES = ("angle", "cobb")
"""Kinds whose numbers need the shape of the pixels alone."""


def picture_text(one: Measurement) -> str:
    """Return what stands beside a measurement in the picture: its name and its first numbers.

    The first number stands in the line of the name, so that texts of neighbours have room.
    """
    first, *more = one.values[:MOST_IN_PICTURE] or (None,)
    line = one.label if first is None else f"{one.label}  {first.amount}"
    return "\n".join((line, *(value.words for value in more)))


def measured(
    kind: str, label: str, points: Sequence[Point], volume: Volume, image: tuple[str, int] | None
) -> Measurement:
    """Measure.

    Parameters
    ----------
    points : as many as the kind needs; of a smooth one those of its line.
    volume : what is measured on.
    image : the image that all points lie on; None for none.

    Raises
    ------
    GeometryError
        There is nothing to measure there.
    """
    at: list[Any] = [tuple(float(one) for one in each) for each in points]
    match kind:
        case "distance":
            return distance(label, *at[:2], image=image)
        case "two-way":
            return two_way(label, *at[:4], image=image)
        case "angle":
            return angle(label, *at[:3], image=image)
        case "cobb":
            return cobb_angle(label, *at[:4], image=image)
        case "path" | "curve":
            return path(label, at, image=image)
        case "point":
            return point(label, at[0], volume, image=image)
        case "arrow":
            return Measurement(label, "POLYLINE", tuple(at[:2]), image=image)
        case "ellipse":
            a, b, c, d = _axes(at[:2], volume.geometry)
            return ellipse(label, a, b, c, d, volume, image=image)
        case "rectangle":
            corners: Any = [tuple(map(float, one)) for one in _corners(at[:2], volume.geometry)]
            return region(label, corners, volume, image=image)
        case "spline":
            around = path(label, [*at, at[0]]).values[0]
            found = region(label, at, volume, image=image)
            return replace(found, values=(*found.values, replace(around, name=PERIMETER)))
        case _:
            return region(label, at, volume, image=image)


def outline(kind: str, points: Sequence[Point], geometry: VolumeGeometry) -> list[Point]:
    """Return the closed line that is drawn beside the points of a kind; empty where there is none."""
    if len(points) < 2 or np.allclose(points[0], points[1]):
        return []
    match kind:
        case "ellipse":
            return [np.array(one) for one in ellipse_outline(*_axes(points, geometry))]
        case "rectangle":
            return _corners(points, geometry)
        case "arrow":
            tip, along = np.asarray(points[0]), np.subtract(points[1], points[0])
            across = np.cross(normal_of(points, geometry), along)
            across *= np.linalg.norm(along) / (np.linalg.norm(across) or 1.0)
            return [tip, tip + HEAD * (along + across / 2), tip + HEAD * (along - across / 2)]
        case _:
            return []


def placed(one: Measurement, geometry: VolumeGeometry) -> tuple[str, list[Point]] | None:
    """Return the kind and the points by which a measurement of a report is shown; None where it is not."""
    points = [np.array(each) for each in one.points]
    places = list(dict.fromkeys(value.points for value in one.values if value.points))
    if len(places) == 2 and all(len(each) == 2 for each in places):
        return "two-way", [np.array(each) for pair in places for each in pair]
    if len(points) > 2 and [value.name for value in one.values] == [LENGTH]:
        return "path", points
    match one.form, len(points):
        case "POLYLINE", 2:
            return "distance", points
        case "POLYLINE", 3:
            return "angle", points
        case "POLYLINE", 4:
            return "cobb", points
        case "POINT", 1:
            return "point", points
        case "POLYGON", count if count > 3:
            return "region", points[:-1] if np.array_equal(points[0], points[-1]) else points
        case "ELLIPSE", 4:
            first, second = (points[1] - points[0]) / 2, (points[3] - points[2]) / 2
            middle = (points[0] + points[1]) / 2
            corners = [middle - first - second, middle + first + second]
            along = _across(corners, geometry)
            straight = min(_sine(first, along), _sine(second, along)) < PARALLEL
            return ("ellipse", corners) if straight else ("region", _round(points))
        case _:
            return None


def on_pixels(one: Measurement, geometry: VolumeGeometry) -> Measurement:
    """Return a measurement on a grid with its points as column and row of its image."""

    def turned(points: Sequence[Point]) -> tuple[Any, ...]:
        if not points:
            return ()
        return tuple((float(i), float(j), 0.0) for _, j, i in geometry.to_index(points))

    values = tuple(replace(value, points=turned(value.points)) for value in one.values)
    return replace(one, points=turned(one.points), values=values, flat=True)


def in_stack(one: Measurement, geometry: VolumeGeometry, k: int) -> Measurement:
    """Return the reverse of ``on_pixels``, on the slice k of a stack."""

    def turned(points: Sequence[Point]) -> tuple[Any, ...]:
        if not points:
            return ()
        places = geometry.to_lps([(k, row, column) for column, row, _ in points])
        return tuple(tuple(map(float, place)) for place in places)

    values = tuple(replace(value, points=turned(value.points)) for value in one.values)
    return replace(one, points=turned(one.points), values=values, flat=False)


def _round(points: Sequence[Point]) -> list[Point]:
    a, b, c, d = points
    return [np.array(one) for one in ellipse_outline(a, b, c, d)]


def _corners(points: Sequence[Point], geometry: VolumeGeometry) -> list[Point]:
    """Return the corners of the rectangle between two opposite ones, its sides along the images' rows."""
    start, end = (np.asarray(one, dtype=np.float64) for one in points[:2])
    along = _across(points, geometry)
    side = (end - start) @ along * along
    corners = [start, start + side, end, end - side]
    if np.linalg.norm(side) == 0 or np.allclose(corners[1], end):
        raise GeometryError("It is a line; drag from corner to corner.")
    return corners


def _axes(points: Sequence[Point], geometry: VolumeGeometry) -> list[Point]:
    """Return the ends of the axes of the ellipse in that rectangle."""
    a, b, c, d = _corners(points, geometry)
    return [tuple((one + other) / 2) for one, other in ((a, d), (b, c), (a, b), (c, d))]


def normal_of(points: Sequence[Point], geometry: VolumeGeometry) -> Point:
    """Return the axis of the grid that the points differ least along."""
    extent = np.ptp(geometry.to_index(np.array(points)), axis=0)
    return geometry.directions[:, int(np.argmin(extent))]


def _across(points: Sequence[Point], geometry: VolumeGeometry) -> Point:
    """Return the grid's direction along which the rows of the points' plane run."""
    least = int(np.argmin(np.ptp(geometry.to_index(np.array(points)), axis=0)))
    return geometry.directions[:, 1 if least == 2 else 2]


def _sine(one: Point, direction: Point) -> float:
    length = float(np.linalg.norm(one))
    return float(np.linalg.norm(np.cross(one, direction))) / length if length else 0.0
