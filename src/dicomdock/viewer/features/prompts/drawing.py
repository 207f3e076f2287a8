"""What the user clicked, as prompts on the grid of the images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.rtstruct.polygons import fill
from dicomdock.tools.nninteractive import Kind, Prompt

LEAST: dict[Kind, int] = {"point": 1, "box": 2, "scribble": 2, "lasso": 3}
"""Points that each kind needs."""
STEP = 0.25  # voxels between two looks along a scribble


def prompt_of(
    kind: Kind, positive: bool, points: Sequence[Sequence[float]], geometry: VolumeGeometry
) -> Prompt:
    """Return what was clicked as a prompt.

    Parameters
    ----------
    points : in mm, LPS.

    Raises
    ------
    GeometryError
        They lie outside of the images, a lasso is not drawn along a slice, or it holds no voxel.
    """
    at = np.asarray(geometry.to_index(np.asarray(points, float)), float)
    whole = np.rint(at).astype(int)
    if (whole < 0).any() or (whole >= geometry.shape).any():
        raise GeometryError("Click within the images.")
    if kind == "point":
        return _drawn(kind, positive, whole[:1])
    if kind == "box":
        low, high = whole.min(axis=0), whole.max(axis=0) + 1
        return Prompt(kind, positive, _index(low), np.ones(high - low, np.bool_))
    if kind == "scribble":
        return _drawn(kind, positive, np.concatenate([_line(a, b) for a, b in pairwise(at)]))
    return _lasso(positive, at, whole, geometry)


def _lasso(
    positive: bool, at: npt.NDArray[np.float64], whole: npt.NDArray[np.int_], geometry: VolumeGeometry
) -> Prompt:
    flat = [axis for axis in range(3) if np.ptp(whole[:, axis]) == 0]
    if not flat:
        raise GeometryError("Draw the lasso in one slice, in a view along the images.")
    axis = flat[0]
    row, column = (one for one in range(3) if one != axis)
    inside = fill([at[:, [row, column]]], (geometry.shape[row], geometry.shape[column]))
    places = np.argwhere(inside)
    if not places.size:
        raise GeometryError("The lasso holds no voxel.")
    return _drawn("lasso", positive, np.insert(places, axis, whole[0, axis], axis=1))


def _line(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.int_]:
    """Return the voxels that a straight line passes through."""
    steps = max(2, int(np.ceil(np.abs(b - a).max() / STEP)) + 1)
    return np.rint(np.linspace(a, b, steps)).astype(int)


def _drawn(kind: Kind, positive: bool, places: npt.NDArray[np.int_]) -> Prompt:
    """Return a prompt of single voxels."""
    low = places.min(axis=0)
    mask = np.zeros(places.max(axis=0) + 1 - low, np.bool_)
    mask[tuple((places - low).T)] = True
    return Prompt(kind, positive, _index(low), mask)


def _index(place: npt.NDArray[np.int_]) -> tuple[int, int, int]:
    k, j, i = (int(one) for one in place)
    return k, j, i
