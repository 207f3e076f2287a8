"""The values under the mouse, with their units, as text in a corner of the view that it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dicomdock.imaging.numbers import number_text
from dicomdock.viewer.scene import LPS, ShownVolume

BEFORE_SLICER = 1.0  # priority of an observer; Slicer ends an event that it has used


class CursorValues:
    """Sends the page the values under the mouse, when it moves and when another slice comes under it.

    Parameters
    ----------
    layers : returns the volumes that a view shows, by its tag, the one below first.
    send : receives a view's tag and its text.
    """

    def __init__(
        self, layers: Callable[[str], Sequence[ShownVolume]], send: Callable[[str, str], None]
    ) -> None:
        self._layers, self._send = layers, send
        self._at: dict[str, tuple[int, int]] = {}
        self._sent: dict[str, str] = {}

    def watch(self, view: Any) -> None:
        """Follow the mouse in a slice view."""
        view.interactor().AddObserver("MouseMoveEvent", lambda *_: self._moved(view), BEFORE_SLICER)

    def point(self, view: Any) -> np.ndarray:
        """Return the point under the mouse in a view that it is in, in mm, LPS."""
        at = self._at[view.get_singleton_tag()]
        point = view.get_view_node().GetXYToRAS().MultiplyPoint((*at, 0, 1))
        found: np.ndarray = np.array(point[:3]) * LPS
        return found

    def update(self, view: Any) -> None:
        """Send the values where the mouse was last."""
        tag = view.get_singleton_tag()
        if tag not in self._at:
            return
        point = self.point(view)
        text = "  ".join(value_at(one, point) for one in self._layers(tag)).strip()
        if self._sent.get(tag) != text:
            self._sent[tag] = text
            self._send(tag, text)

    def _moved(self, view: Any) -> None:
        self._sent.pop(view.get_singleton_tag(), None)  # the page may be another one
        self._at[view.get_singleton_tag()] = view.interactor().GetEventPosition()
        self.update(view)


def value_at(shown: ShownVolume, point: np.ndarray) -> str:
    """Return the value of the voxel at a point in LPS, with its unit; empty outside the volume."""
    at = np.floor(shown.volume.geometry.to_index(point) + 0.5).astype(int)
    if (at < 0).any() or (at >= shown.volume.geometry.shape).any():
        return ""
    found = shown.volume.array[tuple(at)]
    if shown.volume.colour:
        return "R {} G {} B {}".format(*found)
    return f"{number_text(float(found), 5)} {shown.unit}".rstrip()
