"""Polygons and pixels: fill contours, and trace the outline of what is filled.

Coordinates are pixel indices (row, column); the centre of a pixel has whole numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.geometry.grid import SNAP

Points: TypeAlias = npt.NDArray[Any]


def fill(contours: Iterable[Points], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Fill closed polygons by the even-odd rule: what an inner polygon encloses is a hole.

    A pixel belongs to the inside when its centre does. A centre exactly on an outline counts as inside at
    the upper and left side only, so that polygons that share a side share no pixel.

    Parameters
    ----------
    contours : each (n, 2) rows and columns; the last point is joined to the first.
    shape : rows, columns.
    """
    crossings = np.zeros((shape[0], shape[1] + 1), np.int32)
    for contour in contours:
        start = np.round(contour, SNAP)
        end = np.roll(start, -1, axis=0)
        for (y0, x0), (y1, x1) in zip(start.tolist(), end.tolist(), strict=True):
            if y0 == y1:
                continue
            low, high = max(0, int(np.ceil(min(y0, y1)))), min(shape[0], int(np.ceil(max(y0, y1))))
            if high <= low:
                continue
            rows = np.arange(low, high)
            columns = np.ceil(np.round(x0 + (rows - y0) * ((x1 - x0) / (y1 - y0)), SNAP)).astype(np.int64)
            np.add.at(crossings, (rows, np.clip(columns, 0, shape[1])), 1)
    inside: npt.NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return inside


def trace(pixels: npt.NDArray[np.bool_]) -> list[Points]:
    """Return the outlines of pixels, along their edges, so that filling them gives the same pixels again.

    Outer outlines and holes are separate polygons. Pixels that touch only at a corner are apart.

    Parameters
    ----------
    pixels : (rows, columns).
    """
    padded = np.pad(pixels, 1).astype(np.int8)
    # An edge runs with its pixel on the right: right along the top, down the right, left along the bottom.
    nexts: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    down = np.diff(padded, axis=0)
    for row, column in zip(*np.nonzero(down), strict=True):
        r, c = int(row), int(column)
        begin, end = ((r, c - 1), (r, c)) if down[r, c] > 0 else ((r, c), (r, c - 1))
        nexts[begin].append(end)
    across = np.diff(padded, axis=1)
    for row, column in zip(*np.nonzero(across), strict=True):
        r, c = int(row), int(column)
        begin, end = ((r, c), (r - 1, c)) if across[r, c] > 0 else ((r - 1, c), (r, c))
        nexts[begin].append(end)
    loops = []
    while nexts:
        loops.append(_loop(nexts))
    return loops


def keyholes(loops: Sequence[Points]) -> list[Points]:
    """Join each hole to the outline around it by a keyhole, so that every polygon stands for itself.

    The bridge leads along the edges of pixels, to the hole and back on the same line.

    Parameters
    ----------
    loops : of ``trace``.
    """
    corners: list[tuple[float, float]] = []
    nexts: list[int] = []
    outlines: list[int] = []  # a node of each
    holes: list[int] = []  # the topmost node of the leftmost edge of each
    edges: dict[float, list[tuple[float, int]]] = defaultdict(list)
    for loop in loops:
        first = len(corners)
        corners += _unit_steps(loop)
        nodes = range(first, len(corners))
        nexts += [*nodes[1:], first]
        if signed_area(loop) > 0:
            outlines.append(first)
        else:
            holes.append(min(nodes, key=lambda node: (corners[node][1], corners[node][0])))
        for node in nodes:
            (row, column), (to_row, to_column) = corners[node], corners[nexts[node]]
            if column == to_column:
                edges[min(row, to_row)].append((column, node if row < to_row else nexts[node]))
    for row_edges in edges.values():
        row_edges.sort()
    for hole in holes:
        row, column = corners[hole]
        at = bisect_left(edges[row], (column, -1)) - 1
        outline = edges[row][at][1]
        # outline -> hole -> round the hole -> hole -> outline, with a second node at either end of the bridge
        inner, outer = len(corners), len(corners) + 1
        corners += [corners[hole], corners[outline]]
        nexts += [nexts[hole], nexts[outline]]
        nexts[hole], nexts[outline] = outer, inner
    return [_cycle(first, corners, nexts) for first in outlines]


def _unit_steps(loop: Points) -> list[tuple[float, float]]:
    """Return the points of a loop along pixel edges at every corner of a pixel."""
    points: list[tuple[float, float]] = []
    for (row, column), (to_row, to_column) in zip(
        loop.tolist(), np.roll(loop, -1, axis=0).tolist(), strict=True
    ):
        count = int(abs(to_row - row) + abs(to_column - column))
        down, across = (to_row - row) / count, (to_column - column) / count
        points += [(row + down * step, column + across * step) for step in range(count)]
    return points


def _cycle(first: int, corners: Sequence[tuple[float, float]], nexts: Sequence[int]) -> Points:
    """Return the points from a node round to it again, without those on a straight line."""
    nodes = [first]
    while (node := nexts[nodes[-1]]) != first:
        nodes.append(node)
    points = np.array([corners[node] for node in nodes], dtype=np.float64)
    coming = np.sign(points - np.roll(points, 1, axis=0))
    going = np.sign(np.roll(points, -1, axis=0) - points)
    turning: Points = points[(coming != going).any(axis=1)]
    return turning


def signed_area(loop: Points) -> float:
    """Return the area of a loop of ``trace``: positive for outlines, negative for holes."""
    rows, columns = loop[:, 0], loop[:, 1]
    return float(columns @ np.roll(rows, -1) - rows @ np.roll(columns, -1)) / 2


def _loop(nexts: dict[tuple[int, int], list[tuple[int, int]]]) -> Points:
    """Follow edges until they close, take them away, and keep the corners."""
    first = at = next(iter(nexts))
    heading = (0, 0)
    corners: list[tuple[int, int]] = []
    while True:
        choices = nexts[at]
        # Where two pixels touch at a corner, turning right keeps them apart.
        right = (heading[1], -heading[0])
        to = next((one for one in choices if (one[0] - at[0], one[1] - at[1]) == right), choices[0])
        choices.remove(to)
        if not choices:
            del nexts[at]
        step = (to[0] - at[0], to[1] - at[1])
        if step != heading:
            corners.append(at)
        heading, at = step, to
        if at == first:
            break
    # Corners are numbered by the pixel behind them in the padded image: half a pixel before its own index.
    return np.array(corners, dtype=np.float64) - 0.5
