"""Graphics, texts and displayed areas of a presentation state in pixels of the image that they are for.

References
----------
PS3.3 §C.10.4 (Displayed Area), §C.10.5 (Graphic Annotation), §C.10.6 (Spatial Transformation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.geometry import Window
from dicomdock.imaging.geometry.plane import PixelFormat
from dicomdock.imaging.presentation_state.state import Area, Graphic, Point, PresentationState

STEPS = 72  # straight pieces of a circle or an ellipse
MARK = 3.0  # pixels from a point to the ends of its mark

Points = npt.NDArray[np.float64]


def window_on(window: Window, state: PresentationState, pixels: PixelFormat) -> Window | None:
    """Return a window of a state for values of an image that were rescaled as the image states.

    None where there is none: the image has a lookup table in place of a rescale, or both
    rescales differ and the window is a table, or one of them turns low into high values.
    """
    if pixels.lut or not state.slope or not pixels.slope:
        return None
    factor = pixels.slope / state.slope
    if factor == 1 and pixels.intercept == state.intercept:
        return window
    if window.table is not None or factor < 0:
        return None
    centre, width, function = window.center, window.width, window.function
    if function == "LINEAR" and factor != 1:  # its half and whole steps are of the state's own values
        centre, width, function = centre - 0.5, max(width - 1, 1e-6), "LINEAR_EXACT"
    moved = (centre - state.intercept) * factor + pixels.intercept
    return replace(window, center=moved, width=width * factor, function=function)


def identity_window(state: PresentationState, pixels: PixelFormat) -> Window:
    """Return the window that spans every value that can be stored: no VOI LUT is the identity.

    It counts in what the state's rescale makes of the stored numbers.
    """
    low = -(1 << (pixels.bits_stored - 1)) if pixels.signed else 0
    ends = sorted(
        state.slope * value + state.intercept for value in (low, low + (1 << pixels.bits_stored) - 1)
    )
    return Window((ends[0] + ends[1]) / 2, ends[1] - ends[0] or 1.0, function="LINEAR_EXACT")


def area_box(area: Area) -> tuple[float, float, float, float]:
    """Return the left, right, upper and lower edge of an area, as annotations count pixels."""
    (left, top), (right, low) = area.top_left, area.bottom_right
    return min(left, right) - 1.0, float(max(left, right)), min(top, low) - 1.0, float(max(top, low))


def in_pixels(point: Point, state: PresentationState, area: Area) -> Point:
    """Take shares of the displayed area to column and row of the image, before it is turned and flipped."""
    across, down = point
    if state.flipped:
        across = 1 - across
    for _ in range(state.rotation // 90):
        across, down = down, 1 - across
    left, right, top, low = area_box(area)
    return left + across * (right - left), top + down * (low - top)


def outlines(state: PresentationState, instance: str, frame: int, size: tuple[int, int]) -> list[Points]:
    """Return the lines of what is drawn on a frame, each (n, 2) column and row of the image.

    A point is a cross of two lines; an interpolated curve is straight between its points. Graphics that are
    no lines, or whose numbers are not finite, are left out.

    Parameters
    ----------
    size : columns and rows of the image.
    """
    area = state.area_of(instance, frame) or Area((1, 1), size)
    found: list[Points] = []
    for graphic in state.graphics_of(instance, frame):
        points = [in_pixels(one, state, area) if graphic.display else one for one in graphic.points]
        lines = _lines(graphic, np.array(points, np.float64))
        found += [one for one in lines if len(one) > 1 and np.isfinite(one).all()]
    return found


def captions(
    state: PresentationState, instance: str, frame: int, size: tuple[int, int]
) -> list[tuple[str, Point]]:
    """Return the texts on a frame, each with its column and row of the image."""
    area = state.area_of(instance, frame) or Area((1, 1), size)
    found = []
    for note in state.notes_of(instance, frame):
        at = in_pixels(note.point, state, area) if note.display else note.point
        if note.text and np.isfinite(at).all():
            found.append((note.text, at))
    return found


def simplified(state: PresentationState) -> Sequence[str]:
    """Return what ``outlines`` shows otherwise than the state has it, one sentence each."""
    found = []
    if any(one.form == "INTERPOLATED" for one in state.graphics):
        found.append("An interpolated curve is drawn straight between its points.")
    if any(one.filled for one in state.graphics):
        found.append("What is filled is drawn as an outline.")
    if any(one.mode != "SCALE TO FIT" for one in state.areas):
        found.append(
            "The displayed area is fitted into the view, not shown at its true size or magnification."
        )
    return found


def _lines(graphic: Graphic, points: Points) -> list[Points]:
    angles = np.linspace(0, 2 * np.pi, STEPS + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if graphic.form in ("POLYLINE", "INTERPOLATED"):
        return [points]
    if graphic.form == "POINT":
        across, down = np.array([[MARK, 0]]), np.array([[0, MARK]])
        centre = points[:1]
        return [np.concatenate([centre - one, centre + one]) for one in (across, down)]
    if graphic.form == "CIRCLE" and len(points) == 2:
        return [points[0] + np.hypot(*(points[1] - points[0])) * circle]
    if graphic.form == "ELLIPSE" and len(points) == 4:
        first, second = (points[1] - points[0]) / 2, (points[3] - points[2]) / 2
        centre = (points[0] + points[1]) / 2
        return [centre + circle[:, :1] * first + circle[:, 1:] * second]
    return []
