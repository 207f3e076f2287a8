"""What the volumes of a series differ in, as numbers with a unit: seconds, echo times, b-values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumePlan
from dicomdock.imaging.numbers import number_text

_STATED = (
    ("DiffusionBValue", "b-value", "s/mm2"),
    ("EchoTime", "echo time", "ms"),
    ("InversionTime", "inversion time", "ms"),
    ("TriggerTime", "trigger time", "ms"),
    ("CardiacPhase", "cardiac phase", "%"),
)
"""Split keys that are numbers with a unit of the standard's, each with its name and unit (UCUM)."""

_TIMES = ("%Y%m%d%H%M%S.%f", "%Y%m%d%H%M%S", "%H%M%S.%f", "%H%M%S")
"""Forms of DT without an offset, and of TM (PS3.5 §6.2)."""


@dataclass(frozen=True)
class Axis:
    """What distinguishes volumes.

    Parameters
    ----------
    name : in words, ``time``.
    unit : of the values, in UCUM; empty where they only count.
    values : one for each volume, in ascending order.
    """

    name: str
    unit: str
    values: tuple[float, ...]

    def label(self, at: int) -> str:
        """Return the value of a volume in words, counted from 0: ``time 12.5 s``."""
        return f"{self.name} {number_text(self.values[at], 6)}{' ' if self.unit else ''}{self.unit}"


@dataclass(frozen=True, eq=False)
class Members:
    """The volumes of a series that lie on one grid.

    Parameters
    ----------
    plans : of the volumes, in the order of the axis.
    axis : what they differ in.
    remarks : what the user should know, one sentence each.
    """

    plans: tuple[VolumePlan, ...]
    axis: Axis
    remarks: tuple[str, ...] = ()


def members_of(plans: Sequence[VolumePlan]) -> Members:
    """Find the volumes of a series that are one measurement repeated: the most that share a grid.

    They are ordered by b-value, echo, inversion or trigger time or phase where they state different ones,
    else by the time of acquisition where it ascends, else by number.

    Raises
    ------
    GeometryError
        No two volumes share a grid.
    """
    groups: list[list[VolumePlan]] = []
    for plan in plans:
        if plan.problem is not None or not plan.spatial or plan.colour:
            continue
        for group in groups:
            if group[0].geometry.matches(plan.geometry) and group[0].units == plan.units:
                group.append(plan)
                break
        else:
            groups.append([plan])
    chosen = max(groups, key=len, default=[])
    if len(chosen) < 2:
        raise GeometryError("The series does not hold several volumes on one grid.")
    left = len(plans) - len(chosen)
    remarks = [] if not left else [f"{left} volumes of the series lie on another grid and are left out."]
    found = _stated(chosen) or _timed(chosen)
    if found is None:
        found = [float(at + 1) for at in range(len(chosen))], "number", ""
    values, name, unit = found
    order = sorted(range(len(chosen)), key=lambda at: values[at])
    axis = Axis(name, unit, tuple(values[at] for at in order))
    return Members(tuple(chosen[at] for at in order), axis, tuple(remarks))


def _stated(plans: Sequence[VolumePlan]) -> tuple[list[float], str, str] | None:
    for key, name, unit in _STATED:
        values = [plan.lead.split_keys.get(key) for plan in plans]
        if key == "DiffusionBValue" and any(value is not None for value in values):
            values = [0.0 if value is None else value for value in values]  # some scanners leave out b 0
        numbers = [float(value) for value in values if isinstance(value, (int, float))]
        if len(numbers) == len(plans) and len(set(numbers)) > 1:
            return numbers, name, unit
    return None


def _timed(plans: Sequence[VolumePlan]) -> tuple[list[float], str, str] | None:
    """Return seconds since the first volume; None where one is missing or they do not ascend."""
    starts = [_start(plan) for plan in plans]
    times = [start for start in starts if start is not None]
    if len(times) < len(plans) or any(b <= a for a, b in pairwise(times)):
        return None
    return [time - times[0] for time in times], "time", "s"


def _start(plan: VolumePlan) -> float | None:
    """Return when the earliest image of a volume was acquired, in seconds; None for not stated."""
    found = [
        time
        for plane in plan.planes
        if plane is not None and (time := _seconds(plane.split_keys.get("AcquisitionTime"))) is not None
    ]
    return min(found, default=None)


def _seconds(stated: object) -> float | None:
    text = str(stated or "").replace(":", "")
    for form in _TIMES:
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            continue
        seconds = (moment - datetime(1900, 1, 1)).total_seconds()
        return seconds if math.isfinite(seconds) else None
    return None
