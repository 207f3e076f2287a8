"""Measurements: distances, angles, regions and what was measured in them.

Points are in mm, LPS, in the frame of reference of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dicomdock.errors import GeometryError
from dicomdock.imaging.rtstruct import fill
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume

Vector = tuple[float, float, float]
Form = Literal["", "POINT", "MULTIPOINT", "POLYLINE", "POLYGON", "ELLIPSE", "ELLIPSOID"]

LENGTH = Code("410668003", "SCT", "Length")
ANGLE = Code("1483009", "SCT", "Angle")
AREA = Code("42798000", "SCT", "Area")
VOLUME = Code("118565006", "SCT", "Volume")
MEAN = Code("373098007", "SCT", "Mean")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
MINIMUM = Code("255605001", "SCT", "Minimum")
MAXIMUM = Code("56851009", "SCT", "Maximum")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
INTENSITY = Code("110852", "DCM", "MR signal intensity")

MILLIMETRE = Code("mm", "UCUM", "millimeter")
SQUARE_MILLIMETRE = Code("mm2", "UCUM", "square millimeter")
CUBIC_MILLIMETRE = Code("mm3", "UCUM", "cubic millimeter")
DEGREE = Code("deg", "UCUM", "degree")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNITS = Code("1", "UCUM", "no units")

FLATNESS = 0.5  # voxels that the outline of a region may leave its slice by

_UNITS = {
    "HU": HOUNSFIELD,
    "BQML": Code("Bq/ml", "UCUM", "Becquerels/milliliter"),
    "GML": Code("g/ml", "UCUM", "gram per milliliter"),
    "GY": Code("Gy", "UCUM", "Gray"),
}


@dataclass(frozen=True, slots=True)
class Value:
    """One number.

    Parameters
    ----------
    name : what was measured.
    number : how much.
    unit : in UCUM.
    derivation : how many numbers became one (mean, standard deviation); None for a plain measurement.
    """

    name: Code
    number: float
    unit: Code
    derivation: Code | None = None

    @property
    def words(self) -> str:
        """The value for the user, for example ``Length 12.3 mm``."""
        name = self.name.meaning if self.derivation is None else self.derivation.meaning
        unit = "" if self.unit == NO_UNITS else f" {'HU' if self.unit == HOUNSFIELD else self.unit.value}"
        return f"{name} {self.number:.4g}{unit}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured at one place.

    Parameters
    ----------
    label : its name.
    form, points : where: a ``POLYLINE`` of two points is a distance, of three an angle at the second; a
        ``POLYGON`` or
        ``ELLIPSE`` (ends of the long, then of the short axis) a region. Empty where only numbers are given,
        or
        where the places are known as pixels of images that were not at hand.
    values : the numbers.
    finding, site : what and where it is; None for not said.
    image : SOP Instance UID and 1-based frame of the image it was made on; None for not said.
    segment : SOP Instance UID of a segmentation and the segment's number; None for none.
    tracking_uid : identifies the same measurement in later versions; made when written if empty.
    """

    label: str
    form: Form = ""
    points: tuple[Vector, ...] = ()
    values: tuple[Value, ...] = ()
    finding: Code | None = None
    site: Code | None = None
    image: tuple[str, int] | None = None
    segment: tuple[str, int] | None = None
    tracking_uid: str = ""


def distance(label: str, a: Vector, b: Vector, **described: object) -> Measurement:
    """Measure from point to point."""
    length = float(np.linalg.norm(np.subtract(a, b)))
    return Measurement(label, "POLYLINE", (a, b), (Value(LENGTH, length, MILLIMETRE),), **described)  # type: ignore[arg-type]


def angle(label: str, a: Vector, apex: Vector, b: Vector, **described: object) -> Measurement:
    """Measure the angle at ``apex``.

    Raises
    ------
    GeometryError
        A leg has no length.
    """
    legs = np.subtract(a, apex), np.subtract(b, apex)
    lengths = [float(np.linalg.norm(leg)) for leg in legs]
    if not all(lengths):
        raise GeometryError("An angle needs three different points.")
    cosine = float(np.clip(legs[0] @ legs[1] / (lengths[0] * lengths[1]), -1, 1))
    value = Value(ANGLE, float(np.degrees(np.arccos(cosine))), DEGREE)
    return Measurement(label, "POLYLINE", (a, apex, b), (value,), **described)  # type: ignore[arg-type]


def region(label: str, outline: Sequence[Vector], volume: Volume, **described: object) -> Measurement:
    """Measure area, mean, standard deviation, minimum and maximum inside an outline on a slice of a volume.

    Parameters
    ----------
    outline : at least three points, mm, LPS, on an axial, sagittal or coronal slice of the volume's own
        grid. A voxel
        counts when its centre is inside.
    volume : grey values.

    Raises
    ------
    GeometryError
        The outline is no region of one slice, or holds no voxel.
    """
    if volume.colour or len(outline) < 3:
        raise GeometryError("A region needs a grey volume and at least three points.")
    at = volume.geometry.to_index(outline)
    axis = int(np.argmin(np.ptp(at, axis=0)))
    level = int(np.round(at[:, axis].mean()))
    if float(np.abs(at[:, axis] - level).max()) > FLATNESS or not 0 <= level < volume.array.shape[axis]:
        raise GeometryError("The outline does not lie on one slice of the volume.")
    plane = np.take(volume.array, level, axis)
    inside = plane[fill([np.delete(at, axis, axis=1)], (plane.shape[0], plane.shape[1]))].astype(np.float64)
    if not inside.size:
        raise GeometryError("The region holds no voxel.")
    name = ATTENUATION if volume.units == "HU" else INTENSITY
    unit = _UNITS.get(volume.units.upper(), NO_UNITS)
    statistics = (
        (MEAN, inside.mean()),
        (STANDARD_DEVIATION, inside.std()),
        (MINIMUM, inside.min()),
        (MAXIMUM, inside.max()),
    )
    values = [Value(AREA, _area(outline), SQUARE_MILLIMETRE)]
    values += [Value(name, float(number), unit, derivation) for derivation, number in statistics]
    closed = tuple(outline) if outline[0] == outline[-1] else (*outline, outline[0])
    return Measurement(label, "POLYGON", closed, tuple(values), **described)  # type: ignore[arg-type]


def _area(outline: Sequence[Vector]) -> float:
    points = np.asarray(outline, dtype=np.float64)
    points = points - points[0]
    return float(np.linalg.norm(np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)) / 2)
