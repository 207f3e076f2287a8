"""The text around the slice views: patient, series, slice and window, and where the edges lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from dicomdock.imaging.geometry import Plane, Window
from dicomdock.imaging.geometry.projection import opposite
from dicomdock.imaging.numbers import number_text
from dicomdock.imaging.presentation import curve_of
from dicomdock.viewer.features.views.layers import Layers
from dicomdock.viewer.features.views.orientation import Orientation
from dicomdock.viewer.features.views.places import Places
from dicomdock.viewer.features.views.planes import arranged, letters, plane_shown
from dicomdock.viewer.features.views.state import SliceViewState
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.palettes import gradient
from dicomdock.viewer.scene import ShownVolume, array_of
from dicomdock.viewer.study import Study


class CornerText:
    """Writes the text around slice views into the page.

    Parameters
    ----------
    shown : the volume of each view, by the view's tag.
    places : which slices the views show.
    orientation : in which planes.
    layers : what lies over the volumes.

    Attributes
    ----------
    pages : the text of each view, by the view's tag.
    """

    def __init__(
        self, shown: Mapping[str, ShownVolume], places: Places, orientation: Orientation, layers: Layers
    ) -> None:
        self._shown, self._places = shown, places
        self._orientation, self._layers = orientation, layers
        self._series_text: dict[str, str] = {}
        self._study_text: dict[str, str] = {}
        self.pages: dict[str, PageState[SliceViewState]] = {}

    def describe(self, study: Study, series: str, tags: Iterable[str]) -> None:
        """Set the patient and the series in the corners of views."""
        for tag in tags:
            self._study_text[tag] = "\n".join(study.patient_lines)
            self._series_text[tag] = series

    def update(self, view: Any) -> None:
        """Write what has changed of the text around a view."""
        tag = view.get_singleton_tag()
        at, count = self._places.place(view)
        with self.pages[tag] as now:
            text = SliceViewState(at, count, now.arrival, written=now.written)
            if (shown := self._shown.get(tag)) is not None:
                seen = self._frame(view)
                matrix = array_of(view.get_view_node().GetSliceToRAS())
                self._write_corners(text, view, shown, seen, matrix)
                self._write_palette(text, shown)
                self._write_edges(text, tag, shown, seen, matrix)
            for name, value in asdict(text).items():
                if getattr(now, name) != value:
                    setattr(now, name, value)

    def _frame(self, view: Any) -> Plane | None:
        """Return the frame that a view shows; None where it cuts across frames."""
        shown, k = self._shown.get(view.get_singleton_tag()), self._places.slice_at(view)
        if shown is None or k is None or shown.volume.plan is None:
            return None
        return shown.volume.plan.planes[k]

    def _write_corners(
        self, text: SliceViewState, view: Any, shown: ShownVolume, seen: Plane | None, matrix: np.ndarray
    ) -> None:
        tag, spatial = view.get_singleton_tag(), shown.volume.spatial
        plane = plane_shown(matrix[:3, 2], self._orientation.name(tag)) if spatial else ""
        if spatial and any(angles := self._orientation.angles(tag)):
            plane += ", turned {:g}°, tilted {:g}°".format(*angles)
        series = self._series_text.get(tag, "")
        side = seen.side if seen is not None else ""
        over = self._layers.above(tag)
        above = f"{over.node.GetName()}, {self._layers.opacity} %" if over is not None else ""
        number = "" if shown.alone else f"{text.at + 1} / {text.count}"
        text.tl = "\n".join(line for line in (plane, series, shown.alone, above, side) if line)
        text.tr = self._study_text.get(tag, "")
        text.bl = f"{number}\n{view.get_slice_value():.1f} mm".lstrip() if spatial else number
        text.br = "\n".join(window_text(one.window, one.unit) for one in self._layers.of(tag) if one.grey)

    def _write_palette(self, text: SliceViewState, shown: ShownVolume) -> None:
        if shown.palette:
            curve = curve_of(shown.window)
            text.palette = gradient(shown.palette)
            text.highest, text.lowest = (
                f"{number_text(value)} {shown.unit}".rstrip() for value in (curve.high, curve.low)
            )

    def _write_edges(
        self, text: SliceViewState, tag: str, shown: ShownVolume, seen: Plane | None, matrix: np.ndarray
    ) -> None:
        if shown.volume.spatial:
            across, up = matrix[:3, 0], matrix[:3, 1]
            text.right, text.left = letters(across), letters(-across)
            text.top, text.bottom = letters(up), letters(-up)
        elif seen is not None and seen.orientation is not None:
            rows, columns = seen.orientation  # where they lead
            how = self._orientation.stored(tag)
            text.right, text.top = arranged(rows, opposite(columns), *how, opposite)
            text.left, text.bottom = opposite(text.right), opposite(text.top)


def window_text(window: Window, unit: str = "") -> str:
    """Return a window as the corner of a view states it, with the unit of its values."""
    stated = f"W {number_text(window.width, 5)}  C {number_text(window.center, 5)}  {unit}".rstrip()
    if window.table is not None:
        return f"{window.name}\n{stated}"
    return f"{stated}  sigmoid" if window.function == "SIGMOID" else stated
