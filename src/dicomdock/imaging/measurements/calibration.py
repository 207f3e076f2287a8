"""Calibration: what a pixel measures in images without a position in the patient, and by what.

References
----------
PS3.3 §C.8.5.5 (US Region Calibration), §10.7.1.3 (pixel spacing of projections).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import integer, items, number, numbers, text

CENTIMETRES = 3  # Physical Units X and Y Direction
TWO_DIMENSIONAL = 1  # Region Spatial Format; others have time or speed on an axis
UNSTATED = 0  # Physical Units X and Y Direction: none, or not applicable
SAME_SHAPE = 0.01  # relative; how much the ratio of rows to columns may differ between pixels of one shape
ASPECT = "PixelAspectRatio"  # height and width of a pixel

Area = tuple[int, int, int, int]


@dataclass(frozen=True)
class Calibration:
    """What pixels measure.

    Parameters
    ----------
    rows, columns : between rows, and between columns, in the unit.
    words : by what it is known, behind the unit.
    area : first column, first row, last column and last row that it holds for; None for all.
    unit : ``mm``, or ``px`` where nothing is known but that pixels are square.
    """

    rows: float
    columns: float
    words: str
    area: Area | None = None
    unit: Literal["mm", "px"] = "mm"

    def holds(self, points: Sequence[Sequence[float]]) -> bool:
        """Return whether points, as column and row from 0, all lie where it holds."""
        if self.area is None:
            return True
        return _in(self.area, points)


_PIXELS = Calibration(1.0, 1.0, "because the image states no spacing of its pixels", unit="px")


def calibrations_of(header: Dataset) -> tuple[Calibration, ...]:
    """Return the calibrations that a header states: one for each region of ultrasound, else one.

    Lengths are in pixels where it states none; where pixels are not square either, there is no calibration.

    Raises
    ------
    GeometryError
        A region of ultrasound reaches beyond the image.
    """
    regions = items(header, "SequenceOfUltrasoundRegions")
    if regions:
        found = tuple(_regions(regions))
        # A program that shrinks an image may leave its regions as they were: each length would be wrong.
        # One pixel more is a count from 1, which scanners write too.
        size = (integer(header, "Columns"), integer(header, "Rows"))
        for one in found:
            if one.area and any(end > most for end, most in zip(one.area[2:], size, strict=True) if most):
                raise GeometryError(
                    "An ultrasound region reaches beyond the image, so its scale is that of an image of"
                    " another size: nothing is measured in mm."
                )
        return found or (_PIXELS,)
    return _of_image(header)


def shape_at(header: Dataset, points: Sequence[Sequence[float]]) -> Calibration:
    """Return the shape of the pixels at points, as column and row from 0: all that an angle needs.

    It is that of the regions of ultrasound that they lie in, elsewhere that of the image: by its spacing or
    Pixel Aspect Ratio (0028,0034), without which pixels are square.

    Raises
    ------
    GeometryError
        The pixels differ in shape, or an axis there is not a length.

    References
    ----------
    PS3.3 §C.7.6.3.1.7 (Pixel Aspect Ratio).
    """
    areas = [(_area(one), one) for one in items(header, "SequenceOfUltrasoundRegions")]
    shapes = []
    for point in points:
        region = next((one for area, one in reversed(areas) if area and _in(area, [point])), None)
        shapes.append(_shape_of_image(header) if region is None else _shape_of_region(header, region))
    if max(shapes) > min(shapes) * (1 + SAME_SHAPE):
        raise GeometryError("The pixels at these points differ in shape: there is no angle between them.")
    return Calibration(shapes[0], 1.0, "by the shape of its pixels", unit="px")


def _of_image(header: Dataset) -> tuple[Calibration, ...]:
    projected = _positive(header, "ImagerPixelSpacing")
    stated = _positive(header, "PixelSpacing")
    if stated and stated != projected:
        how = text(header, "PixelSpacingCalibrationType")
        return (Calibration(*stated, f"by Pixel Spacing{f' ({how.lower()})' if how else ''}"),)
    if projected:
        factor = number(header, "EstimatedRadiographicMagnificationFactor")
        magnified = f", the body magnified about {factor:g} times" if factor else ", the body magnified"
        return (Calibration(*projected, f"at the detector{magnified}"),)
    scanned = _positive(header, "NominalScannedPixelSpacing")
    if scanned:
        return (Calibration(*scanned, "on the scanned film"),)
    aspect = _positive(header, ASPECT)
    return () if aspect and aspect[0] != aspect[1] else (_PIXELS,)


def calibration_at(calibrations: Sequence[Calibration], points: Sequence[Sequence[float]]) -> Calibration:
    """Return the calibration for points, as column and row from 0.

    Raises
    ------
    GeometryError
        There is none, or the points do not lie in one region.
    """
    if not calibrations:
        raise GeometryError(
            "The image states no spacing of its pixels, and they are not square: nothing is measured."
        )
    found = next((one for one in reversed(calibrations) if one.holds(points)), None)
    if found is None:
        raise GeometryError("The points do not lie in one calibrated region of the ultrasound image.")
    return found


def _regions(regions: Sequence[Dataset]) -> Iterator[Calibration]:
    for number_, region in enumerate(regions, 1):
        spacing, area = _spacing(region), _area(region)
        if spacing is None or area is None:
            continue
        words = f"by ultrasound region {number_}" if len(regions) > 1 else "by the ultrasound region"
        yield Calibration(*spacing, words, area)


def _spacing(region: Dataset) -> tuple[float, float] | None:
    """Return mm between rows and between columns of a region; None where an axis is not a length."""
    steps = [number(region, f"PhysicalDelta{axis}") for axis in "XY"]
    if _units(region) != [CENTIMETRES, CENTIMETRES] or not _flat(region) or not all(steps):
        return None
    across, down = (abs(step or 0.0) * 10 for step in steps)
    return down, across


def _area(region: Dataset) -> Area | None:
    """Return first column, first row, last column and last row of a region; None where one is not stated."""
    corners = [integer(region, f"RegionLocation{corner}") for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    left, top, right, bottom = (corner or 0 for corner in corners)
    return None if None in corners else (left, top, right, bottom)


def _in(area: Area, points: Sequence[Sequence[float]]) -> bool:
    at, (left, top, right, bottom) = np.asarray(points), area
    return bool((at >= (left - 0.5, top - 0.5)).all() and (at <= (right + 0.5, bottom + 0.5)).all())


def _units(region: Dataset) -> list[int | None]:
    return [integer(region, f"PhysicalUnits{axis}Direction") for axis in "XY"]


def _flat(region: Dataset) -> bool:
    return integer(region, "RegionSpatialFormat") in (TWO_DIMENSIONAL, None)


def _shape_of_region(header: Dataset, region: Dataset) -> float:
    """Return how much higher than wide the pixels of a region are.

    Raises
    ------
    GeometryError
        An axis of it is not a length.
    """
    spacing = _spacing(region)
    if spacing is not None:
        return spacing[0] / spacing[1]
    if _flat(region) and all(unit in (UNSTATED, None) for unit in _units(region)):
        return _shape_of_image(header)
    raise GeometryError("An axis of that ultrasound region is not a length: there are no angles in it.")


def _shape_of_image(header: Dataset) -> float:
    """Return how much higher than wide the pixels of an image are."""
    known = _of_image(header)
    rows, columns = (known[0].rows, known[0].columns) if known else _positive(header, ASPECT) or (1.0, 1.0)
    return rows / columns


def _positive(header: Dataset, keyword: str) -> tuple[float, float] | None:
    found = numbers(header, keyword, 2)
    return (found[0], found[1]) if found is not None and min(found) > 0 else None
