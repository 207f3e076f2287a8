"""Target lesions over time points: their diameters, sums, and changes, from measurement reports.

References
----------
Eisenhauer et al. 2009 (RECIST 1.1), Eur J Cancer 45:228-247, §4.3.1: sum of diameters, against the
baseline and the nadir; response of target lesions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dicomdock.imaging.measurements.measurement import LENGTH, LONG_AXIS, SHORT_AXIS, Measurement

DIAMETERS = (LENGTH, LONG_AXIS, SHORT_AXIS)
"""What a target's diameter may be called; the first that a measurement has is taken."""

MILLIMETRES = {"mm": 1.0, "cm": 10.0}
"""Units of lengths, in mm."""


DECREASE, INCREASE = 0.30, 0.20
"""Shares of the sum at baseline and of the nadir: a partial response, and progression."""

LEAST_INCREASE = 5.0
"""mm by which the sum grows from the nadir at least in progression."""

ROUNDING = 1e-6
"""mm that a sum may miss a threshold by and still have reached it: lengths are decimal strings."""


@dataclass(frozen=True)
class TimePoint:
    """What was measured in a study.

    Parameters
    ----------
    study : Study Instance UID.
    date : of the study, as stored (DA); it orders the time points.
    measurements : of its reports, the newest first.
    """

    study: str
    date: str
    measurements: tuple[Measurement, ...]


@dataclass
class Target:
    """One lesion.

    Parameters
    ----------
    label : its name.
    diameters : in mm, for each time point; None where it was not measured.
    """

    label: str
    diameters: list[float | None]
    _uids: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Targets:
    """Lesions over time points.

    Parameters
    ----------
    dates : of the time points, the first is the baseline.
    studies : their Study Instance UIDs.
    lesions : those that were measured.
    remarks : what is missing, one sentence each.
    """

    dates: tuple[str, ...]
    studies: tuple[str, ...]
    lesions: tuple[Target, ...]
    remarks: tuple[str, ...] = ()

    @property
    def sums(self) -> list[float | None]:
        """Sum of the diameters in mm at each time point; None where a lesion was not measured."""
        found: list[float | None] = []
        for at in range(len(self.dates)):
            measured = [one.diameters[at] for one in self.lesions]
            known = [one for one in measured if one is not None]
            found.append(sum(known) if known and len(known) == len(measured) else None)
        return found

    @property
    def from_baseline(self) -> list[float | None]:
        """Change of the sum since the first time point, in percent."""
        sums = self.sums
        return [_change(one, sums[0]) if at else None for at, one in enumerate(sums)]

    @property
    def from_nadir(self) -> list[float | None]:
        """Change of the sum since the smallest one before, the baseline included, in percent.

        None where a sum before is missing: the smallest is not known then.
        """
        sums = self.sums
        found: list[float | None] = []
        for at, now in enumerate(sums):
            known = [one for one in sums[:at] if one is not None]
            found.append(_change(now, min(known)) if at and len(known) == at else None)
        return found

    @property
    def responses(self) -> list[str | None]:
        """Response of the target lesions: ``complete``, ``partial``, ``progressive`` or ``stable``.

        None at the baseline, and where this or an earlier time point lacks a lesion. Lymph nodes are not
        distinguished from other lesions, so that a complete response is a sum of 0 mm. New lesions and those
        that are not targets are not judged.
        """
        sums = self.sums
        return [response(sums[:at], now) if at else None for at, now in enumerate(sums)]


def response(before: Sequence[float | None], now: float | None) -> str | None:
    """Return the response of target lesions by sums of diameters (RECIST 1.1, §4.3.1); None where one lacks.

    Parameters
    ----------
    before : sums in mm at all time points before, the baseline first.
    now : the sum at the time point.
    """
    known = [one for one in before if one is not None]
    if now is None or len(known) < len(before) or not known[0]:
        return None
    nadir = min(known)
    if now <= 0:
        return "complete"
    if now - nadir >= max(LEAST_INCREASE, INCREASE * nadir) - ROUNDING:
        return "progressive"
    return "partial" if known[0] - now >= DECREASE * known[0] - ROUNDING else "stable"


def targets_of(points: Sequence[TimePoint]) -> Targets:
    """Join the diameters of several studies by lesion.

    A lesion is the same one where its Tracking Unique Identifier is, else where its Tracking Identifier is,
    whatever its case. Of several measurements of one lesion in a study the newest counts.

    Parameters
    ----------
    points : in any order; those of one study are one time point.
    """
    ordered = sorted(points, key=lambda one: (one.date, one.study))
    found: list[Target] = []
    for at, point in enumerate(ordered):
        for measurement in point.measurements:
            diameter = diameter_of(measurement)
            if diameter is None:
                continue
            target = _same(found, measurement)
            if target is None:
                target = Target(measurement.label, [None] * len(ordered))
                found.append(target)
            if measurement.tracking_uid:
                target._uids.add(measurement.tracking_uid)
            if target.diameters[at] is None:
                target.diameters[at] = diameter
    remarks = [
        f"{one.label!r} was not measured on {point.date or 'a study without a date'}, so there is no sum."
        for at, point in enumerate(ordered)
        for one in found
        if one.diameters[at] is None
    ]
    if any(not one.date for one in ordered):
        remarks.append("A study states no date; it stands first.")
    return Targets(
        tuple(one.date for one in ordered), tuple(one.study for one in ordered), tuple(found), tuple(remarks)
    )


def diameter_of(measurement: Measurement) -> float | None:
    """Return the diameter of a measurement in mm; None where it has none, or in another unit."""
    for name in DIAMETERS:
        for value in measurement.values:
            if (value.name.value, value.name.scheme_designator) == (name.value, name.scheme_designator):
                factor = MILLIMETRES.get(value.unit.value)
                if factor is not None:
                    return value.number * factor
    return None


def _same(found: Sequence[Target], measurement: Measurement) -> Target | None:
    by_uid = [one for one in found if measurement.tracking_uid in one._uids]
    if by_uid:
        return by_uid[0]
    name = measurement.label.casefold()
    return next((one for one in found if one.label.casefold() == name), None)


def _change(now: float | None, before: float | None) -> float | None:
    return None if now is None or not before else 100 * (now / before - 1)
