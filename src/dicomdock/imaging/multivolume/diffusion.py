"""Maps of diffusion series: the apparent diffusion coefficient, and trace-weighted images.

References
----------
PS3.3 §C.8.13.5.9 (MR Diffusion); Stejskal and Tanner, S = S0 exp(-b ADC).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumePlan
from dicomdock.imaging.multivolume.axis import Axis
from dicomdock.imaging.multivolume.projection import alike
from dicomdock.imaging.parametric import ParametricMap
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.pixels import valid

COEFFICIENT = Code("113041", "DCM", "Apparent Diffusion Coefficient")
WEIGHTED = Code("113043", "DCM", "Diffusion weighted")
SQUARE_MICROMETRES = Code("um2/s", "UCUM", "um2/s")
NO_UNITS = Code("1", "UCUM", "no units")

_PER_MM2 = 1e6  # um2 in a mm2; b-values are in s/mm2
_FLAT = 0.01  # singular value of unit directions below which they lie in a plane


def apparent_diffusion(
    volumes: Iterable[Volume], axis: Axis, plans: Sequence[VolumePlan]
) -> tuple[ParametricMap, tuple[str, ...]]:
    """Fit the apparent diffusion coefficient at each voxel, by least squares of log S over b.

    A voxel that is 0, negative or padding in any volume has no logarithm and becomes NaN. All volumes weigh
    the same, so that directions are averaged.

    Parameters
    ----------
    volumes : in the order of the axis; taken one after the other, so that one is in memory at a time.
    axis : b-values.
    plans : of the volumes, which state the directions.

    Returns
    -------
    The map, in um2/s, and what the user should know of it, one sentence each.

    Raises
    ------
    GeometryError
        The volumes do not state two different b-values.
    """
    _require_b_values(axis)
    b_values = np.array(axis.values)
    weights = (b_values - b_values.mean()) / float(((b_values - b_values.mean()) ** 2).sum())
    slope: npt.NDArray[np.float64] | None = None
    first: Volume | None = None
    for weight, volume in zip(weights, volumes, strict=True):
        first = alike(first, volume)
        part = weight * _logarithm(volume)
        slope = part if slope is None else slope + part
    assert first is not None and slope is not None, "an axis has values"
    array = (-slope * _PER_MM2).astype(np.float32)
    sampled = sorted(set(axis.values))
    name = f"ADC of b {', '.join(f'{one:g}' for one in sampled)} s/mm2"
    remarks = []
    weighted = [plan for plan, b in zip(plans, axis.values, strict=True) if b > 0]
    directions = _directions(weighted)
    if directions and not _spans(directions):
        remarks.append(
            f"The gradient directions that the images state ({len(directions)}) do not span space: the"
            " coefficient is one along them, not the mean over space."
        )
    return _map(first, array, name, COEFFICIENT, SQUARE_MICROMETRES, plans), tuple(remarks)


def trace_weighted(
    volumes: Iterable[Volume], axis: Axis, plans: Sequence[VolumePlan], b_value: float
) -> ParametricMap:
    """Return the trace-weighted image of a b-value: the geometric mean over its gradient directions.

    Raises
    ------
    GeometryError
        No volume has that b-value, or its directions are not stated or do not span space.
    """
    _require_b_values(axis)
    at = [number for number, value in enumerate(axis.values) if value == b_value]
    if not at or b_value <= 0:
        there = ", ".join(f"{value:g}" for value in sorted(set(axis.values)) if value > 0)
        raise GeometryError(f"No volume was weighted with b {b_value:g}; there are {there} s/mm2.")
    if not _spans(_directions([plans[number] for number in at])):
        raise GeometryError(
            f"The images of b {b_value:g} do not state three gradient directions that span space; a"
            " trace-weighted image is the mean over such directions."
        )
    total: npt.NDArray[np.float64] | None = None
    first: Volume | None = None
    for number, volume in enumerate(volumes):
        if number in at:
            first = alike(first, volume)
            part = _logarithm(volume) / len(at)
            total = part if total is None else total + part
    assert first is not None and total is not None, "a volume has that b-value"
    chosen = [plans[number] for number in at]
    array = np.exp(total).astype(np.float32)
    return _map(first, array, f"Trace-weighted, b {b_value:g} s/mm2", WEIGHTED, NO_UNITS, chosen)


def _require_b_values(axis: Axis) -> None:
    if axis.unit != "s/mm2":
        raise GeometryError("The images do not state two different b-values.")


def _logarithm(volume: Volume) -> npt.NDArray[np.float64]:
    there = valid(volume.array, volume.padding) & (volume.array > 0)
    found: npt.NDArray[np.float64] = np.full(volume.array.shape, np.nan)
    np.log(volume.array, out=found, where=there)
    return found


def _directions(plans: Sequence[VolumePlan]) -> list[tuple[float, ...]]:
    stated = (plan.lead.split_keys.get("DiffusionGradientOrientation") for plan in plans)
    found = {
        one if one > (0.0, 0.0, 0.0) else tuple(-value for value in one)
        for one in stated
        if isinstance(one, tuple) and any(one)
    }
    return sorted(found)


def _spans(directions: Sequence[tuple[float, ...]]) -> bool:
    if len(directions) < 3:
        return False
    return float(np.linalg.svd(np.array(directions), compute_uv=False)[2]) > _FLAT


def _map(
    volume: Volume,
    array: npt.NDArray[np.float32],
    name: str,
    quantity: Code,
    unit: Code,
    plans: Sequence[VolumePlan],
) -> ParametricMap:
    values = replace(
        volume, array=array, padding=None, windows=(), plan=None, units=unit.value, name=name, sources=()
    )
    instances = dict.fromkeys(uid for plan in plans for uid in plan.instances)
    return ParametricMap(values, unit, quantity, name, source_instances=tuple(instances))
