"""Geometry: which instances form which volume, and where it lies in the patient.

``split_series`` takes the headers of a series and gives a ``VolumePlan`` for each volume in it, which can be
allocated before the pixels arrive.
"""

from __future__ import annotations

from dicomdock.imaging.geometry.frame_planes import planes_of
from dicomdock.imaging.geometry.grid import Shape, VolumeGeometry
from dicomdock.imaging.geometry.pixel_values import pixel_format_of
from dicomdock.imaging.geometry.plane import PixelFormat, Plane, Window
from dicomdock.imaging.geometry.series import split_series
from dicomdock.imaging.geometry.stack import PositionReport, plane_positions
from dicomdock.imaging.geometry.volume_plan import VolumePlan
from dicomdock.imaging.geometry.windows import is_inverse, windows_of

__all__ = [
    "PixelFormat",
    "Plane",
    "PositionReport",
    "Shape",
    "VolumeGeometry",
    "VolumePlan",
    "Window",
    "is_inverse",
    "pixel_format_of",
    "plane_positions",
    "planes_of",
    "split_series",
    "windows_of",
]
