"""Split a series into the volumes it holds, before any of its pixels are here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry.frame_planes import planes_of
from dicomdock.imaging.geometry.grid import VolumeGeometry
from dicomdock.imaging.geometry.plane import PixelFormat, Plane, Window
from dicomdock.imaging.geometry.split_keys import NAMES, words
from dicomdock.imaging.geometry.stack import (
    ROUNDING_LIMIT,
    coarsely_rounded,
    coincidence,
    gap_tolerance,
    plane_positions,
    rounded,
    same_orientation,
    stack_geometry,
)

MAX_RUNS = 4
"""Stretches of one spacing each that a series is split into; more than that is not a scan with zones but a
jumble."""

MIN_RUN = 3  # slices: two always have one spacing, three that have it are a stretch

PADDING_BELOW = 4096
"""HU below what 16 bits hold that only padding takes: the lowest stored number less the usual intercept."""

ACQUIRED = ("DiffusionBValue", "DiffusionGradientOrientation")
"""Split keys that distinguish volumes and say nothing of their order."""

REPETITION = "Repetition"
"""Split key of images that share a position and state nothing to tell them apart."""

_SHARED = "Some of its images share a position, and nothing but their order tells which belong together."

TILT_SHOWN = 0.1  # degrees; a smaller tilt is rounding


@dataclass(frozen=True)
class VolumePlan:
    """A volume that can be allocated before its pixels arrive.

    Parameters
    ----------
    planes : for each slice k its plane; None where the slice is missing.
    geometry : the grid. Of a stack without a place in the patient: pixel spacing where known, else 1 mm,
        from 0.
    spatial : False for such a stack; its geometry must not be shown together with other images or measured
        in mm
        across slices.
    label : what tells this volume from the others of its series ("echo time 30"); empty for the only one.
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


def split_series(headers: Iterable[Dataset]) -> list[VolumePlan]:
    """Split a series into volumes, the largest first.

    Images that differ in size, kind, orientation or frame of reference are set apart, localizers too. Where
    several
    images share a position, what tells them apart (echo, b-value, time ...) splits them. Images that then
    still form
    no regular grid become a stack without a place in the patient, with the reason in ``problem``.

    Parameters
    ----------
    headers : the instances of one series, with or without pixels; in any order. Instances without an image
        are
        named in a remark.

    Raises
    ------
    GeometryError
        None of the instances is an image that can be shown as slices.
    """
    planes: list[Plane] = []
    refusals: list[GeometryError] = []
    for header in headers:
        try:
            planes += planes_of(header)
        except GeometryError as error:
            refusals.append(error)
    if not planes:
        if refusals:
            raise refusals[0]
        raise GeometryError("The series has no instances.")
    groups = sorted(_alike(planes), key=len, reverse=True)
    plans = []
    for group in groups:
        apart = _differences(group[0], groups[0][0])
        note = f"Its images differ from the others of the series in {apart}." if apart else ""
        for plan in _volumes(group):
            for remark in filter(None, (note, *_rescale_remarks(plan))):
                plan = _remarked(plan, remark)
            plans.append(plan)
    plans.sort(key=lambda plan: (plan.lead.localizer, not plan.spatial, -len(plan.planes), plan.lead.number))
    plans = _named_apart(plans)
    if refusals:
        note = f"{len(refusals)} instances of the series are left out: {refusals[0].reason}"
        plans[0] = _remarked(plans[0], note)
    return plans


def _rescale_remarks(plan: VolumePlan) -> list[str]:
    """Return a sentence for each way in which the values of some images are not those that they should be."""
    formats = [plane.pixels for plane in plan.planes if plane is not None and not plane.pixels.colour]
    remarks = list(dict.fromkeys(one.fault for one in formats if one.fault))
    without = sum(not one.rescaled and not one.fault for one in formats)
    if without and any(one.rescaled and (one.slope, one.intercept) != (1, 0) for one in formats):
        remarks.append(
            f"Images without a Rescale Slope among others that have one: {without} of {len(formats)}; their "
            "values are as stored."
        )
    return remarks


def _remarked(plan: VolumePlan, note: str) -> VolumePlan:
    return replace(plan, remarks=(*plan.remarks, note))


def _named_apart(plans: Sequence[VolumePlan]) -> list[VolumePlan]:
    """Number the volumes whose labels are those of volumes before them."""
    counts: Counter[str] = Counter()
    named = []
    for plan in plans:
        counts[plan.label] += 1
        number = f"volume {counts[plan.label]}"
        label = ", ".join(filter(None, (plan.label, number))) if counts[plan.label] > 1 else plan.label
        named.append(replace(plan, label=label) if label != plan.label else plan)
    return named


def _differences(plane: Plane, other: Plane) -> str:
    """Name what sets two planes apart, of what ``_alike`` asks for; empty for a localizer, which says it."""
    if plane.localizer:
        return ""
    names = {
        "size": (plane.rows, plane.columns) != (other.rows, other.columns),
        "colour": plane.pixels.colour != other.pixels.colour,
        "frame of reference": plane.frame_of_reference != other.frame_of_reference,
        "position, which they do not state": other.placed and not plane.placed,
        "pixel spacing": plane.placed and other.placed and _spacing(plane) != _spacing(other),
        "orientation": plane.placed and other.placed and not same_orientation(plane, other),
    }
    return ", ".join(name for name, differs in names.items() if differs)


def _alike(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Group planes that could lie in one grid."""
    groups: dict[Hashable, list[list[Plane]]] = defaultdict(list)
    for plane in planes:
        key = (
            plane.rows,
            plane.columns,
            plane.pixels.colour,
            plane.localizer,
            plane.frame_of_reference,
            plane.placed,
            _spacing(plane),
        )
        for group in groups[key]:
            if same_orientation(group[0], plane):
                group.append(plane)
                break
        else:
            groups[key].append([plane])
    return [group for found in groups.values() for group in found]


def _spacing(plane: Plane) -> tuple[float, ...] | None:
    """Return the pixel spacing of a plane with a position, up to what rounding makes of it."""
    if not plane.spacing or not plane.placed:
        return None
    return tuple(float(f"{value:.4g}") for value in plane.spacing)


def _volumes(planes: list[Plane]) -> list[VolumePlan]:
    if not planes[0].placed:
        return [_stack(planes)]
    plans = []
    phases = _phases(planes)
    # Repetitions that are all of one size are time points; others are copies, or what should not be there.
    ranks = [len(group) for phase, group in phases if REPETITION in phase]
    note = _SHARED if len(set(ranks)) > 1 else ""
    for phase, group in phases:
        label = ", ".join(words(name, value) for name, value in phase.items())
        found = _spatial(group, label, phase)
        plans += [_remarked(plan, note) for plan in found] if note and REPETITION in phase else found
    return plans


def _stack(planes: Sequence[Plane], problem: GeometryError | None = None, label: str = "") -> VolumePlan:
    """Make a stack without a place in the patient, in the order of instance numbers."""
    ordered = sorted(planes, key=lambda plane: (plane.number, plane.instance, plane.frame))
    lead = ordered[0]
    rows, columns = lead.spacing or (1.0, 1.0)
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = 1.0, rows, columns, 1.0
    geometry = VolumeGeometry((len(ordered), lead.rows, lead.columns), affine)
    remarks = tuple(dict.fromkeys(plane.remark for plane in ordered if plane.remark))
    return VolumePlan(tuple(ordered), geometry, False, label, {}, problem, remarks)


def _spatial(planes: Sequence[Plane], label: str, phase: Mapping[str, object]) -> list[VolumePlan]:
    try:
        return [_regular(planes, label, phase)]
    except GeometryError as error:
        problem = error
    coarse = coarsely_rounded(planes)
    if coarse:
        try:
            return [_regular(coarse, label, phase)]
        except GeometryError:
            pass  # it is not the rounding
    runs = _runs(planes)
    if runs is None:
        return [_stack(planes, problem, label)]
    note = f"{_why_stretches(runs)}; each stretch is a volume of its own."
    return [_remarked(_regular(run, label or f"part {at}", phase), note) for at, run in enumerate(runs, 1)]


def _regular(planes: Sequence[Plane], label: str, phase: Mapping[str, object]) -> VolumePlan:
    report = plane_positions(planes)
    geometry = stack_geometry(planes, report)
    remarks = []
    if report.missing:
        some = "slice is" if len(report.missing) == 1 else "slices are"
        numbers = ", ".join(str(k + 1) for k in report.missing[:10]) + (
            "..." if len(report.missing) > 10 else ""
        )
        remarks.append(
            f"{len(report.missing)} {some} missing from the series: {numbers} of {len(report.order)}."
        )
    if report.tilt > TILT_SHOWN:
        remarks.append(
            f"The gantry was tilted by {report.tilt:.1f} degrees: slices are shifted against each other."
        )
    ordered = tuple(None if at is None else planes[at] for at in report.order)
    return VolumePlan(ordered, geometry, True, label, phase, None, tuple(remarks))


def _why_stretches(runs: Sequence[Sequence[Plane]]) -> str:
    steps = [plane_positions(run).spacing for run in runs]
    if max(steps) - min(steps) > gap_tolerance(min(steps)):
        return "The slice spacing changes within the series"
    return "Slices are missing within the series"


def _runs(planes: Sequence[Plane]) -> list[list[Plane]] | None:
    """Cut a stack where its spacing changes; None where that does not give a few regular stretches."""
    normal = np.array(planes[0].normal)
    depths = np.array([plane.origin for plane in planes]) @ normal
    order = [int(at) for at in np.argsort(depths, kind="stable")]
    runs: list[list[int]] = [[order[0]]]
    slack = 4 * rounded(planes)  # either end of either gap
    for at in order[1:]:
        run = runs[-1]
        gap = depths[at] - depths[run[-1]]
        before = depths[run[-1]] - depths[run[-2]] if len(run) > 1 else None
        if before is not None and abs(gap - before) > gap_tolerance(before) + min(
            slack, 2 * ROUNDING_LIMIT * before
        ):
            runs.append([at])
        else:
            run.append(at)
    if not 1 < len(runs) <= MAX_RUNS or min(map(len, runs)) < MIN_RUN:
        return None
    stretches = [[planes[at] for at in run] for run in runs]
    try:
        for stretch in stretches:
            plane_positions(stretch)
    except GeometryError:
        return None
    return stretches


def _phases(planes: list[Plane]) -> list[tuple[dict[str, object], list[Plane]]]:
    """Split planes that share positions by the split_keys that tell them apart."""
    places = _positions(planes)
    most = _most(planes, places)
    if most == 1:
        return [({}, planes)]
    for name in _stated(planes):
        groups: dict[object, list[Plane]] = defaultdict(list)
        for plane in planes:
            groups[plane.split_keys.get(name)].append(plane)
        # A split key with more values than planes at one place (a clock that runs from slice to slice) would
        # tear slices
        # apart that belong together; one that leaves the crowd as it is tells nothing.
        if 1 < len(groups) <= most and max(_most(group, places) for group in groups.values()) < most:
            found = []
            order = _acquired if name in ACQUIRED else _by_value
            for value in sorted(groups, key=lambda value: order(value, groups[value])):
                for phase, group in _phases(groups[value]):
                    named = {name: value, **phase} if value is not None else phase
                    found.append((named, group))
            return found
    return _by_rank(planes, places)


def _by_value(value: object, _planes: Sequence[Plane]) -> tuple[object, ...]:
    return value is None, _sortable(value)


def _acquired(_value: object, planes: Sequence[Plane]) -> tuple[object, ...]:
    """Order volumes as they were acquired: by time where all state one, then by instance and frame."""
    first = min(planes, key=lambda plane: (plane.number, plane.instance, plane.frame))
    times = [_sortable(first.split_keys.get(name, "")) for name in ("TemporalPosition", "AcquisitionTime")]
    return (*times, first.number, first.instance, first.frame)


def _stated(planes: Sequence[Plane]) -> list[str]:
    """Name the split_keys that any plane states, in the order in which they are tried."""
    stated = {name for plane in planes for name in plane.split_keys}
    return [name for name in NAMES if name in stated]


def _sortable(value: object) -> tuple[int, object]:
    if isinstance(value, (int, float)):
        return (0, value)
    return (1, str(value))


def _positions(planes: Sequence[Plane]) -> dict[tuple[str, int], int]:
    """Number the positions along the normal; planes at the same place get the same number."""
    depths = np.array([plane.origin for plane in planes]) @ np.array(planes[0].normal)
    order = np.argsort(depths, kind="stable")
    steps = np.diff(depths[order], prepend=depths[order[0]]) >= coincidence(planes[0])
    numbers = np.cumsum(steps)
    return {
        (planes[at].instance, planes[at].frame): int(place) for at, place in zip(order, numbers, strict=True)
    }


def _most(planes: Sequence[Plane], places: Mapping[tuple[str, int], int]) -> int:
    crowd: dict[int, int] = defaultdict(int)
    for plane in planes:
        crowd[places[plane.instance, plane.frame]] += 1
    return max(crowd.values())


def _by_rank(
    planes: Sequence[Plane], places: Mapping[tuple[str, int], int]
) -> list[tuple[dict[str, object], list[Plane]]]:
    """Split by who comes first at each position: by trigger time, acquisition time, then instance number."""

    def clock(plane: Plane) -> tuple[object, ...]:
        split_keys = plane.split_keys
        times = [
            _sortable(split_keys.get(name, ""))
            for name in ("TemporalPosition", "TriggerTime", "AcquisitionTime")
        ]
        return (*times, plane.number, plane.instance, plane.frame)

    ranks: dict[int, list[Plane]] = defaultdict(list)
    crowd: dict[int, int] = defaultdict(int)
    for plane in sorted(planes, key=clock):
        place = places[plane.instance, plane.frame]
        ranks[crowd[place]].append(plane)
        crowd[place] += 1
    return [({REPETITION: rank + 1}, group) for rank, group in sorted(ranks.items())]
