"""VolumePlan: a volume of a series, known from the headers, before any of its pixels are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry.grid import VolumeGeometry
from dicomdock.imaging.geometry.plane import PixelFormat, Plane, Window

PADDING_BELOW = 4096
"""HU below what 16 bits hold that only padding takes: the lowest stored number less the usual intercept."""


@dataclass(frozen=True)
class VolumePlan:
    """A volume that can be allocated before its pixels arrive.

    Parameters
    ----------
    planes : for each slice k its plane; None where the slice is missing.
    geometry : the grid. Of a stack without a place in the patient: pixel spacing where known, else 1 mm,
        from 0.
    spatial : False for such a stack; its geometry must not be shown together with other images or measured
        in mm across slices.
    label : what distinguishes this volume in its series ("echo time 30"); empty for the only one.
    phase : the split_keys that ``label`` says, by keyword.
    problem : why the images form no volume in the patient although they state positions; None else.
    remarks : what the user should know: missing slices, tilt, duplicates. One sentence each.
    """

    planes: tuple[Plane | None, ...]
    geometry: VolumeGeometry
    spatial: bool = True
    label: str = ""
    phase: Mapping[str, object] = field(default_factory=dict)
    problem: GeometryError | None = None
    remarks: tuple[str, ...] = ()

    @property
    def lead(self) -> Plane:
        """The first plane that is there."""
        return next(plane for plane in self.planes if plane is not None)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array: (k, j, i), and (k, j, i, 3) in colour."""
        return (*self.geometry.shape, 3) if self.colour else self.geometry.shape

    @property
    def colour(self) -> bool:
        """True when voxels are red, green, blue."""
        return self.lead.pixels.colour

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds every value after the rescale: integers stay integers."""
        return value_type([plane.pixels for plane in self.planes if plane is not None])

    @cached_property
    def slots(self) -> Mapping[tuple[str, int], int]:
        """Slice k of each SOP Instance UID and 1-based frame."""
        return {(plane.instance, plane.frame): k for k, plane in enumerate(self.planes) if plane is not None}

    def places(self, instance: str) -> Mapping[int, int]:
        """Return the slice k of each 1-based frame of an instance; empty where it is not in the volume."""
        return self._places.get(instance, {})

    @cached_property
    def _places(self) -> Mapping[str, Mapping[int, int]]:
        places: dict[str, dict[int, int]] = defaultdict(dict)
        for (instance, frame), k in self.slots.items():
            places[instance][frame] = k
        return dict(places)

    @cached_property
    def instances(self) -> tuple[str, ...]:
        """SOP Instance UIDs in slice order, each once."""
        return tuple(dict.fromkeys(plane.instance for plane in self.planes if plane is not None))

    @property
    def frame_of_reference(self) -> str:
        """UID of the frame of reference; may be empty."""
        return self.lead.frame_of_reference

    @property
    def units(self) -> str:
        """Units of the values as the header names them; may be empty."""
        return self.lead.pixels.units

    @property
    def modality(self) -> str:
        """The modality; may be empty."""
        return self.lead.modality

    @property
    def frame_time(self) -> float | None:
        """Milliseconds between the frames of a cine loop; None where the header states none."""
        return self.lead.frame_time

    @property
    def inverted(self) -> bool:
        """True when low values are shown bright: MONOCHROME1, or an inverse presentation LUT."""
        return self.lead.pixels.inverse

    @property
    def windows(self) -> tuple[Window, ...]:
        """Window presets of the middle slice."""
        there = [plane for plane in self.planes if plane is not None]
        return there[len(there) // 2].windows

    def require_spatial(self) -> VolumePlan:
        """Return the plan itself, or refuse it where the images have no place in the patient.

        Raises
        ------
        GeometryError
            Says which instances and why.
        """
        if self.problem is not None:
            raise self.problem
        if not self.spatial:
            stated = next((plane.remark for plane in self.planes if plane is not None and plane.remark), "")
            reason = stated or "The images state no position in the patient, so they form no volume."
            raise GeometryError(reason, self.instances)
        return self


def value_type(formats: Sequence[PixelFormat]) -> np.dtype[Any]:
    """Return the smallest type that holds the values of all formats.

    Hounsfield units are signed, for air, and what pads them below -32768 is clipped.
    """
    if any(one.colour for one in formats):
        return np.dtype(np.uint8)
    if any(one.floating for one in formats):
        return np.dtype(np.float64 if any(one.bits_allocated > 32 for one in formats) else np.float32)
    if any(one.slope % 1 or one.intercept % 1 for one in formats):
        return np.dtype(np.float32)
    if any(one.lut for one in formats):
        return np.dtype(np.uint16)
    low, high = min(one.bounds[0] for one in formats), max(one.bounds[1] for one in formats)
    if all(one.units == "HU" for one in formats):
        if high <= np.iinfo(np.int16).max and low >= np.iinfo(np.int16).min - PADDING_BELOW:
            return np.dtype(np.int16)
        low = min(low, -1.0)
    for candidate in (np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        limits = np.iinfo(candidate)
        if limits.min <= low and high <= limits.max:
            return np.dtype(candidate)
    return np.dtype(np.float64)  # whole numbers up to 2**53; a float32 holds them up to 2**24
