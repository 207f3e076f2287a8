"""The numbers of segments as measurements of a report, by their codes.

References
----------
PS3.16 TID 1410, 1411 (Planar and Volumetric ROI Measurements), CID 7462 (units of volume), CID 7464
(derivations), CID 7466 (PET), CID 7470 and 7471 (lengths and areas).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import integer, text
from dicomdock.imaging.measurements import Measurement, Value
from dicomdock.imaging.measurements.measurement import (
    AREA,
    LONG_AXIS,
    MAXIMUM,
    MEAN,
    MILLIMETRE,
    MINIMUM,
    SQUARE_MILLIMETRE,
    SQUARE_PIXEL,
    STANDARD_DEVIATION,
    UPTAKE,
    VOLUME,
)
from dicomdock.imaging.segmentation.stacked import frames_on_images, has_planes
from dicomdock.imaging.statistics.segments import SegmentStatistics
from dicomdock.imaging.terminology import Code, code_of

CUBIC_CENTIMETRE = Code("cm3", "UCUM", "Cubic Centimeter")
GRAM = Code("g", "UCUM", "gram")

SURFACE = Code("C0JK", "IBSI", "Surface Area of Mesh")
DIAMETER = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
MEDIAN = Code("373099004", "SCT", "Median")
PEAK = Code("126031", "DCM", "Peak Value Within ROI")
METABOLIC_VOLUME = Code("126032", "DCM", "Metabolic Volume")
GLYCOLYSIS = Code("126033", "DCM", "Total Lesion Glycolysis")


def measurements_of(
    statistics: Iterable[SegmentStatistics], segments: Mapping[int, Dataset], drawn: Dataset
) -> Iterator[Measurement]:
    """Yield a measurement for each segment; on images without a position for each image that it is drawn on.

    Percentiles and the diameter within a slice of a volume have no code in the standard, and are left out.

    Parameters
    ----------
    segments : the items of the Segment Sequence (0062,0002), by their number in the statistics.
    drawn : the segmentation that holds them, with or without pixels.
    """
    instance = text(drawn, "SOPInstanceUID")
    spatial = has_planes(drawn)
    frames = {} if spatial else frames_on_images(drawn)
    for one in statistics:
        if one.image is None and not spatial:
            continue  # an empty segment lies on no image
        segment = segments[one.number]
        number = integer(segment, "SegmentNumber") or one.number
        yield Measurement(
            one.label,
            values=tuple(_values(one)),
            finding=code_of(segment, "SegmentedPropertyTypeCodeSequence"),
            site=code_of(segment, "AnatomicRegionSequence"),
            segment=(instance, number),
            segment_frame=frames.get((number, one.image)) if one.image else None,
            image=one.image,
            tracking_uid=text(segment, "TrackingUID") if one.image is None else "",
        )


def _values(one: SegmentStatistics) -> Iterator[Value]:
    shape = one.shape
    if shape.volume is not None and shape.surface is not None and shape.diameter is not None:
        yield Value(VOLUME, shape.volume, CUBIC_CENTIMETRE)
        yield Value(SURFACE, shape.surface, SQUARE_MILLIMETRE)
        yield Value(DIAMETER, shape.diameter, MILLIMETRE)
    elif shape.area is not None and shape.slice_diameter is not None:
        yield Value(AREA, shape.area, SQUARE_MILLIMETRE)
        yield Value(LONG_AXIS, shape.slice_diameter, MILLIMETRE)
    else:
        yield Value(AREA, shape.voxels, SQUARE_PIXEL)
    if one.values is not None:
        for derivation, number in (
            (MEAN, one.values.mean),
            (STANDARD_DEVIATION, one.values.deviation),
            (MINIMUM, one.values.minimum),
            (MAXIMUM, one.values.maximum),
            (MEDIAN, one.values.median),
        ):
            yield Value(one.quantity, number, one.unit, derivation)
    if one.peak is not None:
        yield Value(UPTAKE, one.peak, one.unit, PEAK)
    if one.metabolic_volume is not None:
        yield Value(METABOLIC_VOLUME, one.metabolic_volume, CUBIC_CENTIMETRE)
    if one.glycolysis is not None:
        yield Value(GLYCOLYSIS, one.glycolysis, GRAM)
