"""Measurements, and the structured reports (TID 1500) that hold them."""

from __future__ import annotations

from dicomdock.imaging.measurements.calibration import (
    Calibration,
    calibration_at,
    calibrations_of,
    shape_at,
)
from dicomdock.imaging.measurements.measurement import (
    Evaluation,
    Measurement,
    Value,
    angle,
    cobb_angle,
    distance,
    ellipse,
    ellipse_outline,
    in_pixels,
    path,
    point,
    quantity_of,
    region,
    two_way,
    unit_text,
)
from dicomdock.imaging.measurements.reading import Report, is_report, read_report
from dicomdock.imaging.measurements.writing import report_to_dicom

__all__ = [
    "Calibration",
    "Evaluation",
    "Measurement",
    "Report",
    "Value",
    "angle",
    "calibration_at",
    "calibrations_of",
    "cobb_angle",
    "distance",
    "ellipse",
    "ellipse_outline",
    "in_pixels",
    "is_report",
    "path",
    "point",
    "quantity_of",
    "read_report",
    "region",
    "report_to_dicom",
    "shape_at",
    "two_way",
    "unit_text",
]
