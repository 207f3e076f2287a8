"""Split a series into the volumes that it holds, before any of its pixels are there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry.frame_planes import planes_of
from dicomdock.imaging.geometry.grid import VolumeGeometry
from dicomdock.imaging.geometry.phases import REPETITION, phases_of
from dicomdock.imaging.geometry.plane import Plane
from dicomdock.imaging.geometry.split_keys import words
from dicomdock.imaging.geometry.stack import (
    ROUNDING_LIMIT,
    coarsely_rounded,
    gap_tolerance,
    plane_positions,
    rounded,
    same_orientation,
    stack_geometry,
)
from dicomdock.imaging.geometry.volume_plan import VolumePlan

MAX_RUNS = 4
"""Stretches of one spacing each that a series is split into; more than that is not a scan with zones but a
jumble."""

MIN_RUN = 3  # slices: two always have one spacing, three that have it are a stretch


_SHARED = "Some of its images share a position, and nothing but their order tells which belong together."

TILT_SHOWN = 0.1  # degrees; a smaller tilt is rounding


def split_series(headers: Iterable[Dataset]) -> list[VolumePlan]:
    """Split a series into volumes, the largest first.

    Images that differ in size, kind, orientation or frame of reference are set apart, localizers too. Where
    several images share a position, what distinguishes them (echo, b-value ...) splits them. Images that
    then still form no regular grid become a stack without a place in the patient, with the reason in
    ``problem``.

    Parameters
    ----------
    headers : the instances of one series, with or without pixels; in any order. Instances without an image
        are named in a remark.

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
    phases = phases_of(planes)
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
    shape = (len(ordered), lead.rows, lead.columns)
    geometry = VolumeGeometry.of_stack(shape, *(lead.spacing or (1.0, 1.0)))
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
