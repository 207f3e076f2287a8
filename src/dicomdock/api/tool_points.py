"""Points that a person gives to an interactive model: in mm of the patient, sent as voxels of the image.

References
----------
github.com/Project-MONAI/MONAILabel, version 0.8: ``plugins/slicer/MONAILabel`` (``onClickDeepgrow``: what is
sent of the points, and that they are voxel indices of the image), ``sample-apps/radiology``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dicomdock.config.tools import Tool
from dicomdock.errors import InvalidInput
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.sources import JsonValue

BACKGROUND = "background"
"""The name of points that are part of no label."""
MOST_POINTS = 1000


@dataclass(frozen=True)
class LabelledPoint:
    """A point in a label, or outside of all.

    Parameters
    ----------
    label : its name, or ``background``.
    position : mm, LPS.
    """

    label: str
    position: tuple[float, float, float]

    @classmethod
    def parse(cls, text: str) -> LabelledPoint:
        """Read ``LABEL=X,Y,Z``.

        Raises
        ------
        InvalidInput
            It is not of that form.
        """
        label, equals, written = text.rpartition("=")
        try:
            numbers = [float(one) for one in written.split(",")]
        except ValueError:
            numbers = []
        if not (equals and label.strip() and len(numbers) == 3 and all(map(math.isfinite, numbers))):
            raise InvalidInput(
                f"{text[:80]!r} is not a point; write LABEL=X,Y,Z in mm, LPS: liver=-31.5,12,140."
            )
        x, y, z = numbers
        return cls(label.strip(), (x, y, z))


def check(tool: Tool, points: Sequence[LabelledPoint]) -> None:
    """Refuse points that a tool cannot use, and a run without those that it needs.

    Raises
    ------
    InvalidInput
        The tool takes no points, has no such label, or takes those of one label at a time.
    """
    inside = {one.label for one in points} - {BACKGROUND}
    if points and not tool.points:
        raise InvalidInput(f"The tool {tool.name} takes no points.")
    if len(points) > MOST_POINTS:
        raise InvalidInput(f"A tool is given at most {MOST_POINTS} points.")
    names = [label.name for label in tool.named.values()]
    if unknown := sorted(inside.difference(names)):
        raise InvalidInput(
            f"The tool {tool.name} has no label {unknown[0]!r}; points are named {', '.join(names)}, or"
            f" {BACKGROUND}."
        )
    if tool.points == "foreground" and len(inside) != 1:
        raise InvalidInput(
            f"The tool {tool.name} segments what points lie in: give it one or more of one label."
        )


def parameters(
    tool: Tool, points: Sequence[LabelledPoint], geometry: VolumeGeometry
) -> Mapping[str, JsonValue]:
    """Return what an interactive model of MONAI Label is sent of points.

    Parameters
    ----------
    geometry : of the image that is sent.

    Raises
    ------
    InvalidInput
        A point lies outside of the image.
    """
    if not tool.points:
        return {}
    voxels: dict[str, list[JsonValue]] = {}
    for name in (*(label.name for label in tool.named.values()), BACKGROUND):
        voxels[name] = []
    for one in points:
        voxels[one.label].append(_voxel(one, geometry))
    given = next((one.label for one in points if one.label != BACKGROUND), next(iter(voxels)))
    if tool.points == "labels":
        return {**voxels, "label": given}
    return {"label": given, "foreground": voxels[given], BACKGROUND: voxels[BACKGROUND]}


def _voxel(point: LabelledPoint, geometry: VolumeGeometry) -> list[JsonValue]:
    """Return the (i, j, k) of the voxel that a point lies in."""
    nearest = np.rint(geometry.to_index([point.position])[0]).astype(int)
    if (nearest < 0).any() or (nearest >= geometry.shape).any():
        where = ", ".join(f"{one:g}" for one in point.position)
        raise InvalidInput(f"The point ({where}) of {point.label} lies outside of the images.")
    k, j, i = nearest.tolist()
    return [i, j, k]
