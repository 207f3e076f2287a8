"""What lies over the volume of a slice view: a second volume, and the overlays of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dicomdock.viewer.features.layout.layouts import BESIDE
from dicomdock.viewer.scene import ShownVolume


class Layers:
    """The layers of the slice views.

    Parameters
    ----------
    app : Slicer's application.
    shown : the volume of each view, by the view's tag.

    Attributes
    ----------
    over : the volume over that of all views but those of series beside it.
    opacity : of this volume, in percent.
    """

    def __init__(self, app: Any, shown: Mapping[str, ShownVolume]) -> None:
        self._app, self._shown = app, shown
        self.over: ShownVolume | None = None
        self.opacity = 0

    def above(self, tag: str) -> ShownVolume | None:
        """Return the second volume of a view."""
        return self.over if tag not in BESIDE else None

    def of(self, tag: str) -> Sequence[ShownVolume]:
        """Return the volumes that a view shows, the one below first."""
        shown = self._shown.get(tag)
        over = self.above(tag)
        return tuple(one for one in (shown, over) if one is not None)

    def lay_over(self, view: Any) -> None:
        """Draw the second volume in a view, or none."""
        over = self.above(view.get_singleton_tag())
        node_id = over.node.GetID() if over is not None else None
        with view.trigger_modified_once():
            if view.get_foreground_volume_id() != node_id:
                view.set_foreground_volume_id(node_id)
            view.set_foreground_opacity(self.opacity / 100 if over is not None else 0.0)

    def set_overlays(self, tag: str, node: Any) -> None:
        """Draw what the images' overlays cover over a slice view; None for nothing."""
        nodes = self._app.scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
        for at in range(nodes.GetNumberOfItems()):
            composite = nodes.GetItemAsObject(at)
            if composite.GetLayoutName() == tag:
                composite.SetLabelVolumeID(node.GetID() if node is not None else None)
