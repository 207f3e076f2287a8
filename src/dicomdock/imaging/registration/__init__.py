"""Rigid registration of two frames of reference, and its DICOM object."""

from __future__ import annotations

from dicomdock.imaging.registration.rigid import (
    Alignment,
    adjusted,
    from_landmarks,
    inverted,
    moved,
    require_rigid,
)
from dicomdock.imaging.registration.spatial import (
    SPATIAL_REGISTRATION,
    Registration,
    is_registration,
    read_registrations,
    registration_to_dicom,
)

__all__ = [
    "SPATIAL_REGISTRATION",
    "Alignment",
    "Registration",
    "adjusted",
    "from_landmarks",
    "inverted",
    "is_registration",
    "moved",
    "read_registrations",
    "registration_to_dicom",
    "require_rigid",
]
