"""Derived images: volumes made of others, and the series they are written as."""

from __future__ import annotations

from dicomdock.imaging.derived.operations import Derivation, cropped, masked, resampled, smoothed
from dicomdock.imaging.derived.writing import derived_to_dicom

__all__ = ["Derivation", "cropped", "derived_to_dicom", "masked", "resampled", "smoothed"]
