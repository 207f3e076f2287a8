"""Slabs, the crosshair, and the lines and handles of planes: what makes sense for volumes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from slicer import vtkMRMLCrosshairNode

from dicomdock.viewer.features.layout.layouts import AXIAL
from dicomdock.viewer.features.views.state import ViewsState
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import ShownVolume


class PlaneAids:
    """Draws what the user has chosen of them, except on images without a position in the patient.

    Parameters
    ----------
    app : Slicer's application.
    state : what is chosen.
    shown : the volume of each view, by the view's tag.
    redraw : draws all views.
    """

    def __init__(
        self,
        app: Any,
        state: PageState[ViewsState],
        shown: Mapping[str, ShownVolume],
        redraw: Callable[[], None],
    ) -> None:
        self._app, self._state, self._shown, self._redraw = app, state, shown, redraw
        name = state.name
        state.bind_changes(
            {(name.crosshair, name.slab, name.slab_kind, name.lines, name.handles): self._chosen}
        )

    def refresh(self) -> None:
        """Draw them where they make sense, after a view shows another volume."""
        from trame_slicer.app.ui import SlabType

        chosen = self._state.data
        spatial = self._is_spatial(AXIAL)
        handles = chosen.handles and spatial
        logic = self._app.app_logic
        logic.SetIntersectingSlicesEnabled(
            logic.IntersectingSlicesVisibility, (chosen.lines and spatial) or handles
        )
        logic.SetIntersectingSlicesEnabled(logic.IntersectingSlicesInteractive, handles)
        slices = logic.GetSliceLogics()
        for at in range(slices.GetNumberOfItems()):
            display = slices.GetItemAsObject(at).GetSliceDisplayNode()
            display.SetIntersectingSlicesInteractiveHandlesVisibilityMode(display.AlwaysVisible)
        crosshair = self._app.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        crosshair.SetCrosshairMode(
            vtkMRMLCrosshairNode.ShowBasic
            if chosen.crosshair and spatial
            else vtkMRMLCrosshairNode.NoCrosshair
        )
        crosshair.SetCrosshairBehavior(vtkMRMLCrosshairNode.OffsetJumpSlice)
        kinds = {"max": SlabType.MAX, "min": SlabType.MIN, "mean": SlabType.AVERAGE}
        for view in self._app.view_manager.get_slice_views():
            thickness = (chosen.slab or 0.0) if self._is_spatial(view.get_singleton_tag()) else 0.0
            view.set_slab_type(kinds[chosen.slab_kind].value)
            view.set_slab_thickness(thickness)
            view.set_slab_enabled(thickness > 0)

    @contextmanager
    def without_handles(self) -> Iterator[None]:
        """Draw the planes' handles as if they were not chosen, for the time of a picture to keep."""
        logic = self._app.app_logic
        drawn = logic.GetIntersectingSlicesEnabled(logic.IntersectingSlicesInteractive)
        logic.SetIntersectingSlicesEnabled(logic.IntersectingSlicesInteractive, False)
        try:
            yield
        finally:
            logic.SetIntersectingSlicesEnabled(logic.IntersectingSlicesInteractive, drawn)

    def _chosen(self, *_: object) -> None:
        self.refresh()
        self._redraw()

    def _is_spatial(self, tag: str) -> bool:
        shown = self._shown.get(tag)
        return shown is None or shown.volume.spatial
