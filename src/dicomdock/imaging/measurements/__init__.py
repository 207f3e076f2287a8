"""Measurements, and the structured reports (TID 1500) that hold them."""

from __future__ import annotations

from dicomdock.imaging.measurements.measurement import (
    Measurement,
    Value,
    angle,
    distance,
    quantity_of,
    region,
    unit_text,
)
from dicomdock.imaging.measurements.reading import Report, is_report, read_report
from dicomdock.imaging.measurements.writing import report_to_dicom

__all__ = [
    "Measurement",
    "Report",
    "Value",
    "angle",
    "distance",
    "is_report",
    "quantity_of",
    "read_report",
    "region",
    "report_to_dicom",
    "unit_text",
]
