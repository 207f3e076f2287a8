"""How a surface passes a cell of eight voxels, as marching cubes draws it halfway between their centres."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np

CORNERS = tuple(product((0, 1), repeat=3))
"""Offsets (k, j, i) of the voxels of a cell, in the order of the bits of its kind."""

_FACES = tuple((axis, side) for axis in range(3) for side in (0, 1))
_AROUND = ((0, 0), (0, 1), (1, 1), (1, 0))  # the corners of a face in turn


@cache
def loops(cell: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Return the closed lines in which a surface leaves a cell of eight voxels.

    Parameters
    ----------
    cell : a bit for each of ``CORNERS`` that is inside.

    Returns
    -------
    Each a round of middles of edges. Where the inside corners of a face are opposite they are apart.
    """
    inside = {corner for bit, corner in enumerate(CORNERS) if cell >> bit & 1}
    links: dict[tuple[float, ...], list[tuple[float, ...]]] = {}
    for axis, side in _FACES:
        ring = [tuple(np.insert(two, axis, side).tolist()) for two in _AROUND]
        middles = [_middle(one, ring[(at + 1) % 4]) for at, one in enumerate(ring)]
        crossed = [at for at in range(4) if (ring[at] in inside) != (ring[(at + 1) % 4] in inside)]
        pairs = [(crossed[0], crossed[1])] if len(crossed) == 2 else []
        if len(crossed) == 4:
            pairs = [((at - 1) % 4, at) for at in range(4) if ring[at] in inside]
        for a, b in pairs:
            links.setdefault(middles[a], []).append(middles[b])
            links.setdefault(middles[b], []).append(middles[a])
    loops = []
    while links:
        start, ways = next(iter(links.items()))
        loop, last, here = [start], start, ways[0]
        while here != start:
            loop.append(here)
            one, other = links.pop(here)
            last, here = here, other if one == last else one
        links.pop(start)
        loops.append(tuple(loop))
    return tuple(loops)


def _middle(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[float, ...]:
    return tuple((one + other) / 2 for one, other in zip(a, b, strict=True))
