"""Volumes: values on a grid in the patient, from every kind of image instance that has slices.

``allocate`` and ``fill_slice`` open a series while it is still arriving; ``Volume.from_instances`` reads it
at once.
"""

from __future__ import annotations

from dicomdock.imaging.volume.curved import CurvedImage, along_curve, smooth_curve
from dicomdock.imaging.volume.pixels import modality_table, rescale
from dicomdock.imaging.volume.resample import resample, values_at
from dicomdock.imaging.volume.volume import (
    AIR,
    Volume,
    allocate,
    check_claim,
    fill_slice,
    outline,
    straight_grid,
    window_over,
)

__all__ = [
    "AIR",
    "CurvedImage",
    "Volume",
    "allocate",
    "along_curve",
    "check_claim",
    "fill_slice",
    "modality_table",
    "outline",
    "resample",
    "rescale",
    "smooth_curve",
    "straight_grid",
    "values_at",
    "window_over",
]
