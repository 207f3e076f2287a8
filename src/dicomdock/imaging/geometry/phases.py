"""Phases: what distinguishes images that share a position, such as echo, b-value or time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from dicomdock.imaging.geometry.plane import Plane
from dicomdock.imaging.geometry.split_keys import NAMES
from dicomdock.imaging.geometry.stack import coincidence

ACQUIRED = ("DiffusionBValue", "DiffusionGradientOrientation")
"""Split keys that distinguish volumes and say nothing of their order."""

REPETITION = "Repetition"
"""Split key of images that share a position and state nothing that distinguishes them."""


def phases_of(planes: list[Plane]) -> list[tuple[dict[str, object], list[Plane]]]:
    """Split planes that share positions by the split keys that distinguish them.

    Returns
    -------
    list : for each group the values that are its own, by split key, and its planes; in the order of the
        values, or as acquired where values say nothing of an order.
    """
    places = _positions(planes)
    most = _most(planes, places)
    if most == 1:
        return [({}, planes)]
    for name in _stated(planes):
        groups: dict[object, list[Plane]] = defaultdict(list)
        for plane in planes:
            groups[plane.split_keys.get(name)].append(plane)
        # A split key with more values than planes at one place (a clock that runs from slice to slice) would
        # tear slices apart that belong together; one that leaves the crowd as it is says nothing.
        if 1 < len(groups) <= most and max(_most(group, places) for group in groups.values()) < most:
            found = []
            for value in sorted(groups, key=_by_value):
                for phase, group in phases_of(groups[value]):
                    named = {name: value, **phase} if value is not None else phase
                    found.append((named, group))
            # Only now: volumes of one b-value or direction need not have been acquired one after the other.
            return sorted(found, key=lambda one: _acquired(one[1])) if name in ACQUIRED else found
    return _by_rank(planes, places)


def _by_value(value: object) -> tuple[object, ...]:
    return value is None, _sortable(value)


def _acquired(planes: Sequence[Plane]) -> tuple[object, ...]:
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
