"""What is drawn in the patient's space, in the views of this space alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dicomdock.viewer.features.layout.layouts import AXIAL, BESIDE, THREED
from dicomdock.viewer.scene import ShownVolume


@dataclass(frozen=True)
class _Display:
    node: Any
    slices: bool
    threed: bool


class PatientSpace:
    """The patient space of the first view.

    Parameters
    ----------
    app : Slicer's application.
    shown : the volume of each view, by the view's tag.
    """

    def __init__(self, app: Any, shown: Mapping[str, ShownVolume]) -> None:
        self._app, self._shown = app, shown
        self._displays: list[_Display] = []

    def add(self, display: Any, *, slices: bool = True, threed: bool = True) -> None:
        """Draw what lies in the patient space of the first view in the views of this space alone.

        Parameters
        ----------
        display : node of a measurement, of segments or of a surface. Another series beside the first can
            have another frame of reference, where the same millimetres are another place.
        slices, threed : draw it on slices, in 3D.
        """
        self._displays = [one for one in self._displays if one.node.GetScene() is not None]
        self._displays.append(_Display(display, slices, threed))
        self._put(self._displays[-1:])

    def refresh(self) -> None:
        """Draw it where it belongs, after a view shows another volume."""
        self._put(self._displays)

    def _put(self, displays: Iterable[_Display]) -> None:
        threed, slices = self._views()
        for one in displays:
            one.node.SetViewNodeIDs([*(slices if one.slices else ()), *(threed if one.threed else ())])

    def _views(self) -> tuple[list[str], list[str]]:
        """Return the 3D views and the slice views of this space."""
        first = self._shown.get(AXIAL)
        frame = first.volume.frame_of_reference if first is not None else ""

        def shares(tag: str) -> bool:
            other = self._shown.get(tag)
            return other is not None and bool(frame) and other.volume.frame_of_reference == frame

        found: tuple[list[str], list[str]] = ([], [])
        for view in self._app.view_manager.get_views():
            if (tag := view.get_singleton_tag()) not in BESIDE or shares(tag):
                found[tag != THREED].append(view.get_view_node().GetID())
        return found
