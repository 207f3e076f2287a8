"""Texts of measurements, dragged away from what they cover."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from vtkmodules.vtkRenderingCore import vtkTextProperty, vtkTextRenderer

from dicomdock.viewer.features.measure.nodes import Drawn
from dicomdock.viewer.scene import array_of

POINT = 6.0  # pixels around a point that mean the point, not its text
FONT = 5.0  # pixels of the engine's font for each unit of a display node's text scale
DPI = 72  # which the engine writes texts at


def grabbed(
    view: Any, drawn: Iterable[Drawn], at: tuple[float, float]
) -> Callable[[float, float], None] | None:
    """Return what moves the text under the mouse to where the mouse goes; None where there is none.

    Parameters
    ----------
    view : a slice view.
    at : pixels of the view from its lower left, as for what is returned.
    """
    node = view.get_view_node()
    to_ras, to_slice = array_of(node.GetXYToRAS()), np.linalg.inv(array_of(node.GetSliceToRAS()))
    to_xy = np.linalg.inv(to_ras)
    for one in drawn:
        start = one.text_at
        if start is None or not one.shown or abs((to_slice @ [*start, 1.0])[2]) > view.get_slice_step() / 2:
            continue
        right, up = np.subtract(at, (to_xy @ [*start, 1.0])[:2])
        width, height = _size(one)
        if not (POINT <= right <= width and 0 <= up <= height):
            continue

        def move(x: float, y: float, one: Drawn = one, start: np.ndarray = start) -> None:
            one.put_text(start + to_ras[:3, :2] @ np.subtract((x, y), at))

        return move
    return None


def _size(drawn: Drawn) -> tuple[float, float]:
    """Return how far a text reaches to the right of its point and above it, in pixels."""
    font, box = vtkTextProperty(), [0, 0, 0, 0]
    font.SetFontSize(round(FONT * drawn.text_scale))
    font.SetBold(True)
    vtkTextRenderer.GetInstance().GetBoundingBox(font, drawn.text, box, DPI)
    return box[1] - box[0] + POINT, box[3] - box[2] + 2 * POINT
