"""Mesh: the closed surface of a segment.

It passes halfway between the centres of voxels in and out of the segment and has the area of its statistics.
Every edge belongs to two triangles. Smoothing takes the steps of the voxels away, and keeps the size.

References
----------
Taubin 1995, A signal processing approach to fair surface design.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.mesh.cells import CORNERS, loops
from dicomdock.imaging.segmentation.mask import Mask
from dicomdock.imaging.segmentation.segmentation import Segmentation
from dicomdock.imaging.terminology import RGB

Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SMOOTHING = 20
"""Rounds of smoothing after which the steps of voxels are gone."""

_ROUND = (0.5, -0.53)  # Taubin's lambda and mu: a pass band of 0.11


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed surface.

    Parameters
    ----------
    label, colour : of the segment; red, green, blue, 0 to 255.
    points : (n, 3), mm, LPS.
    triangles : (m, 3), indices of points, anticlockwise as seen from outside.
    """

    label: str
    colour: RGB
    points: Points
    triangles: Indices


def meshes_of(segmentation: Segmentation, smoothing: int = SMOOTHING) -> Iterator[Mesh]:
    """Yield the mesh of each segment that has voxels.

    Parameters
    ----------
    smoothing : rounds; 0 for the surface between the voxels.
    """
    for segment in segmentation.segments:
        if segment.mask.array.size:
            points, triangles = surface_of(segment.mask, segmentation.geometry)
            yield Mesh(segment.label, segment.colour, _smoothed(points, triangles, smoothing), triangles)


def surface_of(mask: Mask, geometry: VolumeGeometry) -> tuple[Points, Indices]:
    """Return the points in mm, LPS, and the triangles of the surface of a mask on a grid."""
    padded = np.pad(mask.array, 1)
    kinds = np.zeros(tuple(length - 1 for length in padded.shape), np.uint8)
    for bit, corner in enumerate(CORNERS):
        part = tuple(slice(at, at + length) for at, length in zip(corner, kinds.shape, strict=True))
        kinds |= padded[part].astype(np.uint8) << bit
    cells = np.argwhere((kinds != 0) & (kinds != 255))
    of_cell = kinds[tuple(cells.T)]
    order = np.argsort(of_cell, kind="stable")
    cells, of_cell = cells[order], of_cell[order]
    cuts = np.searchsorted(of_cell, np.arange(257))

    sizes = 2 * np.array(padded.shape)  # vertices lie at halves of indices
    middles: list[Points] = []  # of rounds of more than three vertices
    count = int(np.prod(sizes))  # their numbers begin after those of all halves
    triangles: list[Indices] = []
    for kind in np.unique(of_cell).tolist():
        there = 2 * cells[cuts[kind] : cuts[kind + 1], None, :]
        for corners in _oriented(kind):
            halves = there + corners
            numbers = (halves[..., 0] * sizes[1] + halves[..., 1]) * sizes[2] + halves[..., 2]
            if len(corners) == 3:
                triangles.append(numbers)
                continue
            middle = np.broadcast_to(np.arange(count, count + len(numbers))[:, None], numbers.shape)
            count += len(numbers)
            middles.append(halves.mean(axis=1))
            fan = np.stack([numbers, np.roll(numbers, -1, axis=1), middle], axis=2)
            triangles.append(fan.reshape(-1, 3))
    if not triangles:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    used, found = np.unique(np.concatenate(triangles), return_inverse=True)
    edges = used[used < np.prod(sizes)]
    at = np.stack([edges // (sizes[1] * sizes[2]), edges // sizes[2] % sizes[1], edges % sizes[2]], axis=1)
    halves = np.concatenate([at, *middles])
    points = geometry.to_lps(halves / 2 - 1 + np.array(mask.start))
    faces = found.reshape(-1, 3).astype(np.int64)
    if np.linalg.det(geometry.affine[:3, :3]) < 0:
        faces = faces[:, ::-1]
    return points, faces


@cache
def _oriented(kind: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the rounds of vertices of a kind of cell in halves of its edges, anticlockwise from outside.

    Indices k, j, i are taken for the axes of a right-handed system.
    """
    inside = [np.array(corner) for bit, corner in enumerate(CORNERS) if kind >> bit & 1]
    rounds = []
    for loop in loops(kind):
        at = np.rint(2 * np.array(loop)).astype(np.int64)
        outwards = np.zeros(3)
        for vertex in at:
            near = [one for one in inside if np.abs(2 * one - vertex).sum() == 1]
            outwards += vertex - 2 * near[0]
        spokes = at - at.mean(axis=0)
        normal = np.cross(spokes, np.roll(spokes, -1, axis=0)).sum(axis=0)
        rounds.append(at if normal @ outwards > 0 else at[::-1])
    return tuple(rounds)


def _smoothed(points: Points, triangles: Indices, rounds: int) -> Points:
    """Move each point towards the mean of its neighbours and a little more back, so that nothing shrinks."""
    if not len(points):
        return points
    begin = triangles.reshape(-1)  # every edge is there once in each sense
    end = np.roll(triangles, -1, axis=1).reshape(-1)
    neighbours = np.bincount(begin, minlength=len(points))
    points = points.copy()
    for step in _ROUND * rounds:
        for axis in range(3):
            sums = np.bincount(begin, points[end, axis], minlength=len(points))
            points[:, axis] += step * (sums / neighbours - points[:, axis])
    return points
