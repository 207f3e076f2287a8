"""Numbers of segments: their size and shape, the values in them, and the uptake of PET."""

from __future__ import annotations

from dicomdock.imaging.statistics.body import BODIES, NAMES, body_size
from dicomdock.imaging.statistics.report import measurements_of
from dicomdock.imaging.statistics.segments import SegmentStatistics, place, segment_statistics
from dicomdock.imaging.statistics.shape import Shape, measure_shape
from dicomdock.imaging.statistics.uptake import (
    body_weight_factor,
    scaled_to_suv,
    suv_factor,
    to_suv,
)
from dicomdock.imaging.statistics.values import PERCENTILES, ValueStatistics, peak, summarize

__all__ = [
    "BODIES",
    "NAMES",
    "PERCENTILES",
    "SegmentStatistics",
    "Shape",
    "ValueStatistics",
    "body_size",
    "body_weight_factor",
    "measure_shape",
    "measurements_of",
    "peak",
    "place",
    "scaled_to_suv",
    "segment_statistics",
    "summarize",
    "suv_factor",
    "to_suv",
]
