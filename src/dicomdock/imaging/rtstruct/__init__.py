"""RT Structure Sets, read and written as segmentations."""

from __future__ import annotations

from dicomdock.imaging.rtstruct.polygons import fill, trace
from dicomdock.imaging.rtstruct.reading import is_structure_set, read_structures
from dicomdock.imaging.rtstruct.writing import structures_to_dicom

__all__ = ["fill", "is_structure_set", "read_structures", "structures_to_dicom", "trace"]
