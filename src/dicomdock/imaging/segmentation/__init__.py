"""Segmentations: named, coloured, coded segments on a grid, read from DICOM SEG and written as it."""

from __future__ import annotations

from dicomdock.imaging.segmentation.agreement import Agreement, agreement
from dicomdock.imaging.segmentation.mask import Mask
from dicomdock.imaging.segmentation.reading import (
    is_draft,
    is_segmentation,
    read_segmentation,
    segment_items,
)
from dicomdock.imaging.segmentation.segmentation import Algorithm, Origin, Segment, Segmentation
from dicomdock.imaging.segmentation.stacked import has_planes
from dicomdock.imaging.segmentation.writing import (
    content_label,
    earlier_version_of,
    named_by,
    segmentation_to_dicom,
)

__all__ = [
    "Agreement",
    "Algorithm",
    "Mask",
    "Origin",
    "Segment",
    "Segmentation",
    "agreement",
    "content_label",
    "earlier_version_of",
    "has_planes",
    "is_draft",
    "is_segmentation",
    "named_by",
    "read_segmentation",
    "segment_items",
    "segmentation_to_dicom",
]
