"""RT Structure Sets, read and written as segmentations."""

from __future__ import annotations

from dicomdock.imaging.rtstruct.polygons import fill, trace
from dicomdock.imaging.rtstruct.reading import (
    contours_on,
    images_of_contours,
    is_structure_set,
    read_structures,
)
from dicomdock.imaging.rtstruct.writing import structures_to_dicom

__all__ = [
    "contours_on",
    "fill",
    "images_of_contours",
    "is_structure_set",
    "read_structures",
    "structures_to_dicom",
    "trace",
]
