"""Segmentations: named, coloured, coded segments on a grid, read from DICOM SEG and written as it."""

from __future__ import annotations

from dicomdock.imaging.segmentation.mask import Mask
from dicomdock.imaging.segmentation.reading import is_segmentation, read_segmentation
from dicomdock.imaging.segmentation.segmentation import Algorithm, Origin, Segment, Segmentation

__all__ = ["Algorithm", "Mask", "Origin", "Segment", "Segmentation", "is_segmentation", "read_segmentation"]
