"""What is drawn in the patient's space, in the views of this space alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dicomdock.viewer.features.layout.layouts import AXIAL, BESIDE
from dicomdock.viewer.scene import ShownVolume


class PatientSpace:
    """The patient space of the first view.

    Parameters
    ----------
    app : Slicer's application.
    shown : the volume of each view, by the view's tag.
    """

    def __init__(self, app: Any, shown: Mapping[str, ShownVolume]) -> None:
        self._app, self._shown = app, shown
        self._displays: list[Any] = []

    def add(self, display: Any) -> None:
        """Draw what lies in the patient space of the first view in the views of this space alone.

        Parameters
        ----------
        display : node of a measurement, of segments or of a surface. Another series beside the first can
            have another frame of reference, where the same millimetres are another place.
        """
        self._displays = [one for one in self._displays if one.GetScene() is not None]
        self._displays.append(display)
        display.SetViewNodeIDs(self._views())

    def refresh(self) -> None:
        """Draw it where it belongs, after a view shows another volume."""
        views = self._views()
        for display in self._displays:
            display.SetViewNodeIDs(views)

    def _views(self) -> tuple[str, ...]:
        first = self._shown.get(AXIAL)
        frame = first.volume.frame_of_reference if first is not None else ""

        def shares(tag: str) -> bool:
            other = self._shown.get(tag)
            return other is not None and bool(frame) and other.volume.frame_of_reference == frame

        return tuple(
            view.get_view_node().GetID()
            for view in self._app.view_manager.get_views()
            if (tag := view.get_singleton_tag()) not in BESIDE or shares(tag)
        )
