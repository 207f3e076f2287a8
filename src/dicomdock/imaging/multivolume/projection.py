"""Volumes made of all volumes of a series: mean and maximum over time, and the change since a time point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.pixels import valid


def mean(volumes: Iterable[Volume]) -> Volume:
    """Return the mean of volumes on one grid; a voxel without a value in one of them is left out there.

    Volumes are taken one after the other, so that one is in memory at a time. What has no
    value in any volume is NaN.

    Raises
    ------
    GeometryError
        There is no volume, or grids or units differ.
    """
    total: npt.NDArray[np.float64] | None = None
    counts: npt.NDArray[np.int32] | None = None
    first: Volume | None = None
    for volume in volumes:
        first = alike(first, volume)
        there = valid(volume.array, volume.padding)
        values = np.where(there, volume.array, 0).astype(np.float64)
        total = values if total is None else total + values
        counts = there.astype(np.int32) if counts is None else counts + there
    if first is None or total is None or counts is None:
        raise GeometryError("There is no volume to take the mean of.")
    return _made(first, np.where(counts > 0, total / np.maximum(counts, 1), np.nan), "mean")


def maximum(volumes: Iterable[Volume]) -> Volume:
    """Return the greatest value at each voxel of volumes on one grid; NaN where none has a value.

    Raises
    ------
    GeometryError
        There is no volume, or grids or units differ.
    """
    found: npt.NDArray[np.float64] | None = None
    first: Volume | None = None
    for volume in volumes:
        first = alike(first, volume)
        values = np.where(valid(volume.array, volume.padding), volume.array.astype(np.float64), np.nan)
        found = values if found is None else np.fmax(found, values)
    if first is None or found is None:
        raise GeometryError("There is no volume to take the maximum of.")
    return _made(first, found, "maximum")


def difference(volume: Volume, before: Volume) -> Volume:
    """Return a volume less another one on its grid; NaN where one of them has no value.

    Raises
    ------
    GeometryError
        Grids or units differ.
    """
    alike(before, volume)
    there = valid(volume.array, volume.padding) & valid(before.array, before.padding)
    values = volume.array.astype(np.float64) - before.array.astype(np.float64)
    return _made(volume, np.where(there, values, np.nan), "difference")


def alike(first: Volume | None, volume: Volume) -> Volume:
    """Return the first of some volumes, after a look whether the next one can be computed with.

    Raises
    ------
    GeometryError
        It is in colour, or its grid or unit is another.
    """
    if volume.colour:
        raise GeometryError("Volumes in colour have no values to compute with.")
    if first is None:
        return volume
    if not first.geometry.matches(volume.geometry):
        raise GeometryError("The volumes lie on different grids.")
    if first.units != volume.units:
        raise GeometryError(
            f"The volumes have different units: {first.units or 'none'} and {volume.units or 'none'}."
        )
    return first


def _made(volume: Volume, values: npt.NDArray[np.float64], name: str) -> Volume:
    array = values.astype(np.float32)
    return replace(volume, array=array, padding=None, windows=(), plan=None, name=name, sources=())
