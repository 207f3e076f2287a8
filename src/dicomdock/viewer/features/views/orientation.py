"""In which plane each slice view shows its volume, and how the pictures lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dicomdock.viewer.features.layout.layouts import AXIAL, NAMES, PLANES, SEVERAL
from dicomdock.viewer.features.views.planes import arranged, rotation
from dicomdock.viewer.features.views.state import ViewsState
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import LPS, ShownVolume, array_of, matrix_of


class Orientation:
    """The planes of the slice views.

    Parameters
    ----------
    state : the layout, and whether views follow the images' own planes.
    shown : the volume of each view, by the view's tag.
    """

    def __init__(self, state: PageState[ViewsState], shown: Mapping[str, ShownVolume]) -> None:
        self._state, self._shown = state, shown
        self._angles: dict[str, tuple[float, float]] = {}
        self._arranged: dict[str, tuple[int, bool]] = {}

    def name(self, tag: str) -> str:
        """Name the plane of a view: its own, or that of the images where two series are compared."""
        lead = self._shown.get(AXIAL)
        compared = tag in SEVERAL.get(self._state.data.layout, ())
        if compared and lead is not None and lead.volume.spatial:
            return PLANES[int(np.argmax(np.abs(lead.volume.geometry.directions[:, 0])))]
        return NAMES.get(tag, "Axial")

    def angles(self, tag: str) -> tuple[float, float]:
        """Return by how many degrees the plane of a view is turned and tilted."""
        return self._angles.get(tag, (0.0, 0.0))

    def turn(self, tag: str, angles: tuple[float, float]) -> bool:
        """Set the angles of a view; return whether they are other ones."""
        if angles == self.angles(tag):
            return False
        self._angles[tag] = angles
        return True

    def turn_back(self) -> set[str]:
        """Forget the angles of all views; return the tags of those that had any."""
        turned, self._angles = {*self._angles}, {}
        return turned

    def arrange(self, tag: str, arrangement: tuple[int, bool] | None) -> bool:
        """Set how images lie in a view, None for as they lie in the patient; return whether that is new."""
        if self._arranged.get(tag) == arrangement:
            return False
        self._arranged.pop(tag, None)
        if arrangement is not None:
            self._arranged[tag] = arrangement
        return True

    def stored(self, tag: str) -> tuple[int, bool]:
        """Return how images that have no place in the patient are turned and flipped."""
        return self._arranged.get(tag, (0, False))

    def arrangement(self, view: Any) -> tuple[int, bool]:
        """Return how a view shows images in their own plane, as ``arrange`` takes it."""
        tag = view.get_singleton_tag()
        shown = self._shown.get(tag)
        if tag in self._arranged or shown is None:
            return self.stored(tag)
        directions = shown.volume.geometry.directions
        axes = array_of(view.get_view_node().GetSliceToRAS())[:3, :2].T * LPS

        def likeness(how: tuple[int, bool]) -> float:
            right, up = arranged(directions[:, 2], -directions[:, 1], *how, np.negative)
            return float(right @ axes[0] + up @ axes[1])

        return max(
            ((turned, flipped) for turned in (0, 90, 180, 270) for flipped in (False, True)), key=likeness
        )

    def orient(self, view: Any) -> None:
        """Show the volume of a view in its plane, turned and arranged as was asked for."""
        tag = view.get_singleton_tag()
        node, shown = view.get_view_node(), self._shown.get(tag)
        node.SetOrientation(self.name(tag))
        if shown is not None and self._state.data.aligned and shown.volume.spatial:
            node.RotateToVolumePlane(shown.node)
        if shown is not None and tag in self._arranged:
            directions = shown.volume.geometry.directions
            right, up = arranged(directions[:, 2], -directions[:, 1], *self._arranged[tag], np.negative)
            axes = array_of(node.GetSliceToRAS())
            axes[:3, 0], axes[:3, 1] = right * LPS, up * LPS
            node.GetSliceToRAS().DeepCopy(matrix_of(axes))
            node.UpdateMatrices()
        if any(angles := self.angles(tag)):
            turned = array_of(node.GetSliceToRAS())
            turned[:3, :3] = turned[:3, :3] @ rotation(*angles)
            node.GetSliceToRAS().DeepCopy(matrix_of(turned))
            node.UpdateMatrices()
