"""Which slice of its volume a view shows, and the way to another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dicomdock.viewer.scene import LPS, ShownVolume, array_of

PARALLEL = 0.999  # cosine from which on a view scrolls along an axis of the volume


class Places:
    """Where slice views are in their volumes.

    Parameters
    ----------
    shown : the volume of each view, by the view's tag.
    """

    def __init__(self, shown: Mapping[str, ShownVolume]) -> None:
        self._shown = shown

    def axis(self, view: Any) -> int | None:
        """Return the axis (k, j, i) of the volume that a view scrolls along; None where it cuts askew."""
        shown = self._shown.get(view.get_singleton_tag())
        if shown is None:
            return None
        normal = array_of(view.get_view_node().GetSliceToRAS())[:3, 2] * LPS
        along = np.abs(normal @ shown.volume.geometry.directions)
        axis = int(np.argmax(along))
        return axis if along[axis] > PARALLEL else None

    def forward(self, view: Any, axis: int) -> bool:
        """Return whether scrolling on goes along an axis of the volume, or against it."""
        normal = array_of(view.get_view_node().GetSliceToRAS())[:3, 2] * LPS
        geometry = self._shown[view.get_singleton_tag()].volume.geometry
        return float(normal @ geometry.directions[:, axis]) > 0

    def centre(self, view: Any) -> tuple[float, float, float] | None:
        """Return the middle of a view, in mm, RAS; None before it is there."""
        node = view.get_view_node()
        if node is None:
            return None
        matrix = array_of(node.GetSliceToRAS())
        return tuple(matrix[:3, 3])

    def place(self, view: Any) -> tuple[int, int]:
        """Return which slice a view shows, from 0 in the sense that it scrolls, and how many there are."""
        axis = self.axis(view)
        if axis is None:
            low, high = view.get_slice_range()
            step = view.get_slice_step() or 1.0
            count = max(1, round((high - low) / step) + 1)
            return int(np.clip(round((view.get_slice_value() - low) / step), 0, count - 1)), count
        geometry = self._shown[view.get_singleton_tag()].volume.geometry
        count = geometry.shape[axis]
        at = round(float(geometry.to_index(np.array(self.centre(view)) * LPS)[axis]))
        if not self.forward(view, axis):
            at = count - 1 - at
        return int(np.clip(at, 0, count - 1)), count

    def jump(self, view: Any, point: Sequence[float] | np.ndarray) -> None:
        """Show the slice through a point, in mm, RAS; who listens to the view hears of it once."""
        with view.trigger_modified_once():
            view.get_view_node().JumpSliceByOffsetting(*point)

    def go(self, view: Any, at: int) -> None:
        """Show another slice, by its number as ``place`` returns it."""
        axis = self.axis(view)
        if axis is None:
            low, _ = view.get_slice_range()
            with view.trigger_modified_once():
                view.set_slice_value(low + at * view.get_slice_step())
            return
        geometry = self._shown[view.get_singleton_tag()].volume.geometry
        index = geometry.to_index(np.array(self.centre(view)) * LPS)
        index[axis] = at if self.forward(view, axis) else geometry.shape[axis] - 1 - at
        self.jump(view, geometry.to_lps(index) * LPS)

    def slice_at(self, view: Any) -> int | None:
        """Return the slice k of the volume that a view shows; None where it cuts across slices."""
        if self.axis(view) != 0:
            return None
        at, count = self.place(view)
        return at if self.forward(view, 0) else count - 1 - at
