"""Measurements: distances, angles, regions and what was measured in them.

Points are in mm, LPS, in the frame of reference of the images.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.numbers import number_text
from dicomdock.imaging.rtstruct import fill
from dicomdock.imaging.suv import suv_type_of
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.pixels import valid

Vector = tuple[float, float, float]
Form = Literal["", "POINT", "MULTIPOINT", "POLYLINE", "POLYGON", "ELLIPSE", "ELLIPSOID"]

LENGTH = Code("410668003", "SCT", "Length")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
ANGLE = Code("1483009", "SCT", "Angle")
COBB_ANGLE = Code("285285000", "SCT", "Cobb angle")
PERIMETER = Code("131191004", "SCT", "Perimeter")
RADIUS = Code("131190003", "SCT", "Radius")
AREA = Code("42798000", "SCT", "Area")
VOLUME = Code("118565006", "SCT", "Volume")
MEAN = Code("373098007", "SCT", "Mean")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
MINIMUM = Code("255605001", "SCT", "Minimum")
MAXIMUM = Code("56851009", "SCT", "Maximum")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
INTENSITY = Code("110852", "DCM", "MR signal intensity")
UPTAKE = Code("126400", "DCM", "Standardized Uptake Value")
ACTIVITY = Code("110821", "DCM", "Nuclear Medicine Tomographic Activity")
DOSES = {
    "PHYSICAL": Code("128513", "DCM", "Absorbed Dose"),
    "EFFECTIVE": Code("EFFECTIVE_DOSE", "99DICOMDOCK", "Dose corrected for biological effect"),
    "ERROR": Code("DOSE_DIFFERENCE", "99DICOMDOCK", "Difference of planned from desired dose"),
}
"""By Dose Type (3004,0004), PS3.3 §C.8.8.3. The equivalent and effective doses that PS3.16 has codes for are
quantities of radiation protection."""

PIXEL_VALUE = Code("PIXEL_VALUE", "99DICOMDOCK", "Pixel value")
"""Of images whose values have no quantity in the standard: photographs, ultrasound, secondary capture."""

MILLIMETRE = Code("mm", "UCUM", "millimeter")
SQUARE_MILLIMETRE = Code("mm2", "UCUM", "square millimeter")
CUBIC_MILLIMETRE = Code("mm3", "UCUM", "cubic millimeter")
PIXEL = Code("{pixels}", "UCUM", "pixels")
SQUARE_PIXEL = Code("{square_pixels}", "UCUM", "square pixels")
DEGREE = Code("deg", "UCUM", "degree")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNITS = Code("1", "UCUM", "no units")
_SIGNS = {NO_UNITS: "", HOUNSFIELD: "HU", DEGREE: "°", PIXEL: "px", SQUARE_PIXEL: "px²"}
_IN_PIXELS = {MILLIMETRE: PIXEL, SQUARE_MILLIMETRE: SQUARE_PIXEL}
_POWER, _POWERS = re.compile(r"(?<=m)[23](?![0-9])"), {"2": "²", "3": "³"}  # of lengths, in UCUM

MOST_POINTS = 1 << 24  # of the grid by which a region in an oblique plane is measured

ELLIPSE_POINTS = 64  # of the outline that an ellipse is drawn and filled by

FLATNESS = 0.5  # voxels that the outline of a region may leave its slice by

_EMISSION = {
    "BQML": Code("Bq/ml", "UCUM", "Becquerels/milliliter"),
    "CNTS": Code("{counts}", "UCUM", "Counts"),
    "CPS": Code("{counts}/s", "UCUM", "Counts per second"),
    "PROPCNTS": Code("{propcounts}", "UCUM", "Proportional to counts"),
    "PROPCPS": Code("{propcounts}/s", "UCUM", "Proportional to counts per second"),
}
"""Units (0054,1001) of PET and nuclear medicine, PS3.3 §C.8.9.1."""

_SUV = {
    "BW": Code("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight"),
    "LBM": Code("g/ml{SUVlbm}", "UCUM", "Standardized Uptake Value lean body mass (James)"),
    "LBMJAMES128": Code(
        "g/ml{SUVlbm(James128)}", "UCUM", "Standardized Uptake Value lean body mass (James 128 multiplier)"
    ),
    "LBMJANMA": Code("g/ml{SUVlbm(Janma)}", "UCUM", "Standardized Uptake Value lean body mass (Janma)"),
    "IBW": Code("g/ml{SUVibw}", "UCUM", "Standardized Uptake Value ideal body weight"),
    "BSA": Code("cm2/ml{SUVbsa}", "UCUM", "Standardized Uptake Value body surface area"),
}
"""SUV Type (0054,1006)."""


@dataclass(frozen=True, slots=True)
class Value:
    """One number.

    Parameters
    ----------
    name : what was measured.
    number : how much.
    unit : in UCUM.
    derivation : how many numbers became one (mean, standard deviation); None for a plain measurement.
    points : where, as a polyline in mm, LPS, where the numbers of a measurement have different places.
    """

    name: Code
    number: float
    unit: Code
    derivation: Code | None = None
    points: tuple[Vector, ...] = ()

    @property
    def words(self) -> str:
        """The value for the user, for example ``Length 12.3 mm``."""
        return f"{self.quantity} {self.amount}"

    @property
    def quantity(self) -> str:
        """What was measured, for example ``Length`` or ``Mean``."""
        return self.name.meaning if self.derivation is None else self.derivation.meaning

    @property
    def amount(self) -> str:
        """The number with its unit, for example ``12.3 mm``; no space before the sign of degrees."""
        unit = unit_text(self.unit)
        return f"{number_text(self.number)}{'' if unit == '°' else ' '}{unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was judged rather than measured: a qualitative evaluation (PS3.16 TID 1501).

    Parameters
    ----------
    name : what was judged.
    value : the judgement, as a code or in words.
    """

    name: Code
    value: Code | str

    @property
    def words(self) -> str:
        """The evaluation for the user, for example ``Calcification: Present``."""
        return f"{self.name.meaning}: {self.value if isinstance(self.value, str) else self.value.meaning}"


def unit_text(unit: Code) -> str:
    """Return a unit as numbers are shown with it; empty where there is none."""
    if unit in _SIGNS:
        return _SIGNS[unit]
    return _POWER.sub(lambda found: _POWERS[found[0]], unit.value)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured at one place.

    Parameters
    ----------
    label : its name.
    form, points : where: a ``POLYLINE`` of two points is a distance, of three an angle at the second, of four
        one between two lines, of any number with a length a path; a ``POINT`` a value; a ``POLYGON`` or
        ``ELLIPSE`` (ends of the long, then of the short axis) a region. Empty where only
        numbers are given, or where the places are known as pixels of images that were not at hand.
    values : the numbers.
    finding, site : what and where it is; None if not stated.
    evaluations : what was judged of it.
    image : SOP Instance UID and 1-based frame of the image it was made on; None if not stated.
    flat : points are column and row of ``image``, from 0, and 0, because it has no position in the patient.
    segment : SOP Instance UID of a segmentation and the segment's number, 0 where ``segment_frame`` alone was
        stated; None for none.
    segment_frame : the frame of the segmentation that was measured; None for the whole segment.
    tracking_uid : identifies the same measurement in later versions; made when written if empty.
    """

    label: str
    form: Form = ""
    points: tuple[Vector, ...] = ()
    values: tuple[Value, ...] = ()
    finding: Code | None = None
    site: Code | None = None
    evaluations: tuple[Evaluation, ...] = ()
    image: tuple[str, int] | None = None
    segment: tuple[str, int] | None = None
    segment_frame: int | None = None
    tracking_uid: str = ""
    flat: bool = False


def in_pixels(one: Measurement) -> Measurement:
    """Return a measurement on a grid of 1 mm with its lengths and areas in pixels."""
    values = tuple(replace(value, unit=_IN_PIXELS.get(value.unit, value.unit)) for value in one.values)
    return replace(one, values=values)


def distance(label: str, a: Vector, b: Vector, **described: object) -> Measurement:
    """Measure from point to point."""
    length = float(np.linalg.norm(np.subtract(a, b)))
    return Measurement(label, "POLYLINE", (a, b), (Value(LENGTH, length, MILLIMETRE),), **described)  # type: ignore[arg-type]


def path(label: str, points: Sequence[Vector], **described: object) -> Measurement:
    """Measure along the straight lines from point to point; there are two points at least."""
    length = float(np.linalg.norm(np.diff(np.asarray(points), axis=0), axis=1).sum())
    return Measurement(label, "POLYLINE", tuple(points), (Value(LENGTH, length, MILLIMETRE),), **described)  # type: ignore[arg-type]


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


def two_way(label: str, a: Vector, b: Vector, c: Vector, d: Vector, **described: object) -> Measurement:
    """Measure two distances of one thing, the longer and the shorter: from a to b and from c to d."""
    pairs = sorted(((a, b), (c, d)), key=lambda pair: -float(np.linalg.norm(np.subtract(*pair))))
    values = tuple(
        Value(name, float(np.linalg.norm(np.subtract(*pair))), MILLIMETRE, points=pair)
        for name, pair in zip((LONG_AXIS, SHORT_AXIS), pairs, strict=True)
    )
    return Measurement(label, "POLYLINE", pairs[0], values, **described)  # type: ignore[arg-type]


def cobb_angle(label: str, a: Vector, b: Vector, c: Vector, d: Vector, **described: object) -> Measurement:
    """Measure the angle of at most 90 degrees between the line from a to b and that from c to d.

    Raises
    ------
    GeometryError
        A line has no length.
    """
    lines = np.subtract(b, a), np.subtract(d, c)
    lengths = [float(np.linalg.norm(line)) for line in lines]
    if not all(lengths):
        raise GeometryError("An angle between two lines needs four different points.")
    cosine = min(1.0, abs(float(lines[0] @ lines[1])) / (lengths[0] * lengths[1]))
    value = Value(COBB_ANGLE, float(np.degrees(np.arccos(cosine))), DEGREE)
    return Measurement(label, "POLYLINE", (a, b, c, d), (value,), **described)  # type: ignore[arg-type]


def point(label: str, at: Vector, volume: Volume, **described: object) -> Measurement:
    """Measure the value of the voxel at a point.

    Raises
    ------
    GeometryError
        The point lies beside the volume, or the voxel has no value.
    """
    index = np.round(volume.geometry.to_index(at)).astype(int)
    if volume.colour or not ((index >= 0) & (index < volume.geometry.shape)).all():
        raise GeometryError("A point needs a voxel of a grey volume.")
    number = volume.array[tuple(index)]
    if not valid(np.asarray([number]), volume.padding)[0]:
        raise GeometryError("The voxel there has no value.")
    name, unit = quantity_of(volume)
    value = Value(name, float(number), unit)
    return Measurement(label, "POINT", (at,), (value,), **described)  # type: ignore[arg-type]


def ellipse(
    label: str, a: Vector, b: Vector, c: Vector, d: Vector, volume: Volume, **described: object
) -> Measurement:
    """Measure as ``region`` does inside an ellipse.

    Parameters
    ----------
    a, b, c, d : the ends of one axis, then of the other, which stands on it; mm, LPS.

    Raises
    ------
    GeometryError
        It lies in no plane of the volume, or holds no voxel.
    """
    first, second = np.subtract(b, a) / 2, np.subtract(d, c) / 2
    outline = ellipse_outline(a, b, c, d)
    found = region(label, outline, volume, **described)
    area = float(np.pi * np.linalg.norm(first) * np.linalg.norm(second))
    values = (Value(AREA, area, SQUARE_MILLIMETRE), *found.values[1:])
    ends = (a, b, c, d) if np.linalg.norm(first) >= np.linalg.norm(second) else (c, d, a, b)
    return Measurement(label, "ELLIPSE", ends, values, **described)  # type: ignore[arg-type]


def ellipse_outline(a: Vector, b: Vector, c: Vector, d: Vector) -> tuple[Vector, ...]:
    """Return points around an ellipse that is given by the ends of its axes, as for ``ellipse``."""
    middle, first, second = np.add(a, b) / 2, np.subtract(b, a) / 2, np.subtract(d, c) / 2
    turns = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS, endpoint=False)
    points = middle + np.outer(np.cos(turns), first) + np.outer(np.sin(turns), second)
    return tuple((float(x), float(y), float(z)) for x, y, z in points)


def region(label: str, outline: Sequence[Vector], volume: Volume, **described: object) -> Measurement:
    """Measure area, mean, standard deviation, minimum and maximum inside an outline on a slice of a volume.

    In colour it is the area alone.

    Parameters
    ----------
    outline : at least three points, mm, LPS, in one plane. On a slice of the volume's own grid a voxel counts
        when its centre is inside; in any other plane the voxels nearest to points of a fine grid do.
    volume : grey values.

    Raises
    ------
    GeometryError
        The outline lies in no plane, or holds no voxel.
    """
    if len(outline) < 3:
        raise GeometryError("A region needs at least three points.")
    closed = tuple(outline) if outline[0] == outline[-1] else (*outline, outline[0])
    values = [Value(AREA, _area(outline), SQUARE_MILLIMETRE)]
    if volume.colour:
        return Measurement(label, "POLYGON", closed, tuple(values), **described)  # type: ignore[arg-type]
    at = volume.geometry.to_index(outline)
    axis = int(np.argmin(np.ptp(at, axis=0)))
    level = int(np.round(at[:, axis].mean()))
    if float(np.abs(at[:, axis] - level).max()) > FLATNESS:
        inside = _values_in(np.asarray(outline, dtype=np.float64), volume)
        if not inside.size:
            raise GeometryError("The outline does not lie on one slice of the volume, and holds no voxel.")
    elif 0 <= level < volume.array.shape[axis]:
        plane = np.take(volume.array, level, axis)
        inside = plane[fill([np.delete(at, axis, axis=1)], (plane.shape[0], plane.shape[1]))]
    else:
        raise GeometryError("The outline does not lie on the volume.")
    inside = inside.astype(np.float64)
    inside = inside[valid(inside, volume.padding)]
    if not inside.size:
        raise GeometryError("The region holds no voxel.")
    name, unit = quantity_of(volume)
    statistics = (
        (MEAN, inside.mean()),
        (STANDARD_DEVIATION, inside.std()),
        (MINIMUM, inside.min()),
        (MAXIMUM, inside.max()),
    )
    values += [Value(name, float(number), unit, derivation) for derivation, number in statistics]
    return Measurement(label, "POLYGON", closed, tuple(values), **described)  # type: ignore[arg-type]


def quantity_of(volume: Volume) -> tuple[Code, Code]:
    """Return what the values of a volume measure, and their unit."""
    if volume.units == "HU":
        return ATTENUATION, HOUNSFIELD
    suv_type = suv_type_of(volume.units, volume.suv_type)
    if suv_type in _SUV:
        return UPTAKE, _SUV[suv_type]
    if volume.units in _EMISSION:
        return ACTIVITY, _EMISSION[volume.units]
    if volume.units == "GY":
        return DOSES.get(volume.dose_type, PIXEL_VALUE), Code("Gy", "UCUM", "Gray")
    return (INTENSITY if volume.modality == "MR" else PIXEL_VALUE), NO_UNITS


def _values_in(outline: npt.NDArray[np.float64], volume: Volume) -> npt.NDArray[Any]:
    """Return the values inside an outline in any plane, by a grid of points as fine as the voxels are.

    Raises
    ------
    GeometryError
        The outline lies in no plane, or is too large for the volume.
    """
    middle = outline.mean(axis=0)
    _, _, axes = np.linalg.svd(outline - middle)
    step = min(volume.geometry.spacing)
    if float(np.abs((outline - middle) @ axes[2]).max()) > FLATNESS * step:
        raise GeometryError("The outline does not lie in one plane.")
    flat = (outline - middle) @ axes[:2].T / step
    low = np.floor(flat.min(axis=0))
    rows, columns = (np.ceil(flat.max(axis=0)) - low + 1).astype(int)
    if int(rows) * int(columns) > MOST_POINTS:
        raise GeometryError("The region is too large for the volume.")
    chosen = np.argwhere(fill([flat - low], (int(rows), int(columns))))
    at = np.round(volume.geometry.to_index(middle + (chosen + low) * step @ axes[:2])).astype(int)
    at = at[((at >= 0) & (at < volume.geometry.shape)).all(axis=1)]
    values: npt.NDArray[Any] = volume.array[at[:, 0], at[:, 1], at[:, 2]]
    return values


def _area(outline: Sequence[Vector]) -> float:
    points = np.asarray(outline, dtype=np.float64)
    points = points - points[0]
    return float(np.linalg.norm(np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)) / 2)
