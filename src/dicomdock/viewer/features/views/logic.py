"""The views: how slices lie in the patient, and the text around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from slicer import vtkMRMLCrosshairNode, vtkMRMLInteractionNode, vtkMRMLWindowLevelWidget
from trame_slicer.core import LayoutManager

from dicomdock.imaging.geometry import Plane, Window
from dicomdock.imaging.geometry.projection import opposite
from dicomdock.imaging.presentation import curve_of
from dicomdock.viewer.engine import leave_out_other_slices, remote_views
from dicomdock.viewer.features.layout.layouts import (
    AXIAL,
    BACKGROUND,
    BESIDE,
    CORONAL,
    NAMES,
    PLANES,
    SAGITTAL,
    SEVERAL,
    definitions,
)
from dicomdock.viewer.features.views.cursor_values import CursorValues
from dicomdock.viewer.features.views.patient_space import PatientSpace
from dicomdock.viewer.features.views.places import Places
from dicomdock.viewer.features.views.planes import arranged, letters, plane_shown, rotation
from dicomdock.viewer.features.views.state import SliceViewState, ViewsState
from dicomdock.viewer.features.views.ui import slice_overlay, threed_overlay
from dicomdock.viewer.page_state import A_TURN, PageState
from dicomdock.viewer.palettes import gradient
from dicomdock.viewer.scene import LPS, ShownVolume, array_of, matrix_of
from dicomdock.viewer.study import Study

WINDOW_MODE = vtkMRMLWindowLevelWidget.GetInteractionNodeAdjustWindowLevelModeAttributeName()
WARM_SIZE = (600, 400)  # pixels, about what a view will have
LEAST_DRAG = 2.0  # pixels of a drag for one slice
SAME_SCALE = 0.01  # part that the size of a fitted picture may differ by and still be the fitted one


class Views:
    """The views of the one scene.

    Parameters
    ----------
    server : trame's.
    app : Slicer's application.
    """

    def __init__(self, server: Any, app: Any) -> None:
        self.server, self.app = server, app
        self.state = PageState(server.state, ViewsState)
        self._slices: dict[str, PageState[SliceViewState]] = {}
        self._series_text: dict[str, str] = {}
        self._study_text: dict[str, str] = {}
        self._fitted: dict[str, float] = {}
        self.on_slice: Callable[[str], None] | None = None
        self._shown: dict[str, ShownVolume] = {}
        self._places = Places(self._shown)
        self._over: ShownVolume | None = None
        self._opacity = 0
        self._angles: dict[str, tuple[float, float]] = {}
        self._arranged: dict[str, tuple[int, bool]] = {}

        self._interaction = "window"
        self.space = PatientSpace(app, self._shown)

        server.controller.fit_view = self.fit
        self._remote = remote_views(server, app.view_manager, self._slice_ui, self._threed_ui)
        self._values = CursorValues(self._layers, self._remote.show_value)
        # All that a page has sent before it asks is done when it has the answer.
        server.controller.trigger("scene_states")(self._scene_states)
        self.layouts = LayoutManager(app.scene, app.view_manager, server)
        # All views are there before the segment editor's effects, which look for them when they are made.
        self.layouts.register_layout_dict(definitions())
        leave_out_other_slices(self.slices())
        name = self.state.name
        self.state.bind_changes(
            {
                name.layout: self._layout_chosen,
                name.crosshair: self._crosshair_chosen,
                (name.slab, name.slab_kind): self._slab_chosen,
                name.aligned: lambda _: self.align(),
                name.left: self._left_chosen,
                name.lines: self._lines_chosen,
            }
        )

    def build(self, layout: Any) -> None:
        """Put the views into the page."""
        self.layouts.initialize_layout_grid(layout)
        self.layouts.set_layout(self.state.data.layout)

    def warm(self) -> None:
        """Draw every view once, before a study is opened: its GL context takes long to make."""
        for view in self.app.view_manager.get_views():
            view.render_window().SetSize(*WARM_SIZE)
            view.render_window().Render()

    def show(self, shown: ShownVolume, views: Iterable[str] | None = None, *, refit: bool = True) -> None:
        """Show a volume in slice views; None for all but those of series beside it."""
        wanted = set(views or (AXIAL, SAGITTAL, CORONAL))
        for view in self.slices():
            tag = view.get_singleton_tag()
            if tag not in wanted:
                continue
            self._shown[tag] = shown
            with view.trigger_modified_once():
                view.set_background_volume_id(shown.node.GetID())
                if refit:
                    self._arranged.pop(tag, None)
                    self._orient(view)
                    view.fit_view_to_content()
                    self._fitted[tag] = self._scale(view)
        for tag in wanted:
            self._shown[tag] = shown
        self.space.refresh()

    def set_overlays(self, tag: str, node: Any) -> None:
        """Draw what the images' overlays cover over a slice view; None for nothing."""
        nodes = self.app.scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
        for at in range(nodes.GetNumberOfItems()):
            composite = nodes.GetItemAsObject(at)
            if composite.GetLayoutName() == tag:
                composite.SetLabelVolumeID(node.GetID() if node is not None else None)

    def show_over(self, over: ShownVolume | None, opacity: int) -> None:
        """Show a volume over that of all views but those of series beside it; None for nothing.

        Parameters
        ----------
        opacity : in percent.
        """
        self._over, self._opacity = over, opacity
        for view in self.slices():
            self._lay_over(view)
        self.refresh_text()

    def _lay_over(self, view: Any) -> None:
        over = self._over if view.get_singleton_tag() not in BESIDE else None
        node_id = over.node.GetID() if over is not None else None
        with view.trigger_modified_once():
            if view.get_foreground_volume_id() != node_id:
                view.set_foreground_volume_id(node_id)
            view.set_foreground_opacity(self._opacity / 100 if over is not None else 0.0)

    def shown(self, tag: str = AXIAL) -> ShownVolume | None:
        """Return the volume that a view shows."""
        return self._shown.get(tag)

    def slices(self) -> list[Any]:
        """Return the slice views that exist."""
        return list(self.app.view_manager.get_slice_views())

    def visible(self) -> list[Any]:
        """Return the views that the layout shows."""
        manager = self.app.view_manager
        return list(manager.filter_visible_views(manager.get_views()))

    def view(self, tag: str) -> Any:
        """Return a view by its tag."""
        return self.app.view_manager.get_view(tag)

    def describe(self, study: Study, series: str, tags: Iterable[str]) -> None:
        """Show the patient and the series in the corners."""
        for tag in tags:
            self._study_text[tag] = "\n".join(study.patient_lines)
            self._series_text[tag] = series
        self.refresh_text()

    def refresh_text(self) -> None:
        """Update the text around all views."""
        for view in self.slices():
            self._update_text(view)

    def redraw(self) -> None:
        """Draw all visible views."""
        for view in self.visible():
            view.schedule_render()

    def fit(self, tag: str = "") -> None:
        """Fit the picture into a view, or into all; the slice stays."""
        for view in self.app.view_manager.get_views():
            if tag not in ("", view.get_singleton_tag()):
                continue
            if view in self.slices():
                self._fit_slice(view)
            else:
                view.fit_view_to_content()
            view.schedule_render()

    def align(self) -> None:
        """Turn slice views onto the images' own planes, or onto the patient's axes."""
        for view in self.slices():
            self._reorient(view)

    def _reorient(self, view: Any) -> None:
        with view.trigger_modified_once():
            at = self._places.centre(view)
            self._orient(view)
            if at is not None:
                view.get_view_node().JumpSliceByOffsetting(*at)
        view.schedule_render()

    def angles(self, tag: str) -> tuple[float, float]:
        """Return by how many degrees the plane of a view is turned and tilted."""
        return self._angles.get(tag, (0.0, 0.0))

    def turn(self, tag: str, turn: float, tilt: float) -> None:
        """Show a plane that is turned from a view's usual one, through the same point.

        Parameters
        ----------
        turn, tilt : degrees about the vertical and the horizontal of the picture, by which its right edge and
            its upper edge move away from the user.
        """
        if (turn, tilt) == self.angles(tag):
            return
        self._angles[tag] = (turn, tilt)
        view = self.view(tag)
        if view is not None:
            self._reorient(view)

    def turn_back(self) -> None:
        """Show all views in their usual planes."""
        turned, self._angles = [*self._angles], {}
        for view in self.slices():
            if view.get_singleton_tag() in turned:
                self._reorient(view)

    def image_view(self) -> str | None:
        """Return the first view that shows the images in their own plane; None where there is none."""
        tags = (AXIAL, SAGITTAL, CORONAL)
        return next((tag for tag in tags if self.slice_at(tag) is not None), None)

    def arrange(self, tag: str, arrangement: tuple[int, bool] | None) -> None:
        """Show images in a view as they are stored, turned and flipped; None for as they lie in the patient.

        Parameters
        ----------
        arrangement : clockwise rotation in degrees, a multiple of 90, and whether left and right are
            exchanged after it.
        """
        if self._arranged.get(tag) == arrangement:
            return
        self._arranged.pop(tag, None)
        if arrangement is not None:
            self._arranged[tag] = arrangement
        self.fit(tag)

    def arrangement(self, tag: str) -> tuple[int, bool]:
        """Return how a view shows images in their own plane, as ``arrange`` takes it."""
        view, shown = self.view(tag), self._shown.get(tag)
        if tag in self._arranged or view is None or shown is None:
            return self._arranged.get(tag, (0, False))
        directions = shown.volume.geometry.directions
        axes = array_of(view.get_view_node().GetSliceToRAS())[:3, :2].T * LPS

        def likeness(how: tuple[int, bool]) -> float:
            right, up = arranged(directions[:, 2], -directions[:, 1], *how, np.negative)
            return float(right @ axes[0] + up @ axes[1])

        return max(
            ((turned, flipped) for turned in (0, 90, 180, 270) for flipped in (False, True)), key=likeness
        )

    def zoom_to(self, tag: str, corners: np.ndarray) -> None:
        """Fit a rectangle of a slice into a view that shows this slice.

        Parameters
        ----------
        corners : (n, 3), in mm, LPS.
        """
        view = self.view(tag)
        if view is None:
            return
        node = view.get_view_node()
        with view.trigger_modified_once():
            turned = array_of(node.GetSliceToRAS())[:3, :2]
            width, height = np.ptp(corners * LPS @ turned, axis=0)
            columns, rows = (max(1, int(one)) for one in node.GetDimensions()[:2])
            scale = max(width / columns, height / rows)  # mm a pixel
            node.SetFieldOfView(columns * scale, rows * scale, node.GetFieldOfView()[2])
            node.JumpSliceByCentering(*(corners.mean(axis=0) * LPS))
        view.schedule_render()

    def go_to(self, point: Any) -> None:
        """Show the slices through a point in RAS, in all views."""
        for view in self.slices():
            view.get_view_node().JumpSliceByOffsetting(*point)

    def step(self, tag: str, steps: int) -> None:
        """Go some slices on."""
        view = self.app.view_manager.get_view(tag)
        if view is not None:
            at, count = self._places.place(view)
            self._places.go(view, min(max(at + steps, 0), count - 1))

    def _scroll(self, tag: str, up: float) -> float:
        """Go as many slices on as a drag of so many pixels asks for; return how many of these it took.

        A drag over the whole height of a view goes from the first slice to the last one.
        """
        view = self.view(tag)
        _, count = self._places.place(view)
        each = max(LEAST_DRAG, float(view.get_view_node().GetDimensions()[1]) / count)  # pixels a slice
        steps = int(up / each)
        if steps:
            self.step(tag, steps)
        return steps * each

    def play_on(self, tag: str) -> None:
        """Go one slice on, and from the last one to the first."""
        view = self.app.view_manager.get_view(tag)
        if view is not None:
            at, count = self._places.place(view)
            self._places.go(view, (at + 1) % count)

    def slice_at(self, tag: str = AXIAL) -> int | None:
        """Return the slice k of the volume that a view shows; None where it cuts across slices."""
        view = self.app.view_manager.get_view(tag)
        return None if view is None else self._places.slice_at(view)

    def look_at(self, point: Sequence[float] | np.ndarray) -> None:
        """Go to the slices through a point in LPS, in mm."""
        for view in self.slices():
            view.get_view_node().JumpSliceByOffsetting(*(np.asarray(point) * LPS))

    def centre(self, tag: str = AXIAL) -> tuple[float, float, float] | None:
        """Return the point in the middle of a view, in mm, LPS; None before it is there."""
        view = self.app.view_manager.get_view(tag)
        at = self._places.centre(view) if view is not None else None
        return None if at is None else (-at[0], -at[1], at[2])

    def drag_places(self, how: Literal["", "ends", "path"], ended: Callable[[], None]) -> None:
        """Let a drag with the left button place points of a measurement: at its ends, or along its path."""
        self._remote.drag_places(how, ended)

    def take_clicks(self, clicked: Callable[[str, np.ndarray], None] | None) -> None:
        """Call a function with the tag of the slice view that is clicked and the point, in mm, LPS.

        Clicks do nothing else then. None: they do what they usually do.
        """

        def click(tag: str) -> None:
            if clicked is not None and self.view(tag) in self.slices():
                clicked(tag, self._values.point(self.view(tag)))

        self._remote.take_clicks(None if clicked is None else click)

    def interaction(self, mode: str) -> None:
        """Set what dragging with the left button does.

        Parameters
        ----------
        mode : ``place`` a measurement; ``none``; ``window`` for what the user has chosen that it does.
        """
        self._interaction = mode
        does = self.state.data.left if mode == "window" else mode
        node = self.app.scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        modes = {
            "window": vtkMRMLInteractionNode.AdjustWindowLevel,
            "region": vtkMRMLInteractionNode.AdjustWindowLevel,
            "place": vtkMRMLInteractionNode.Place,
        }
        node.SetAttribute(WINDOW_MODE, "Rectangle" if does == "region" else "Adjust")
        node.SetCurrentInteractionMode(modes.get(does, vtkMRMLInteractionNode.ViewTransform))
        self._remote.drag_picture(does, self.slices(), self._scroll if does == "scroll" else None)

    def _left_chosen(self, _: str) -> None:
        if self._interaction == "window":
            self.interaction("window")

    def zoom(self, tag: str, factor: float) -> None:
        """Enlarge the picture of a slice view by a factor, about its middle."""
        view = self.view(tag)
        if view in self.slices():
            wide, high, deep = view.get_view_node().GetFieldOfView()
            view.get_view_node().SetFieldOfView(wide / factor, high / factor, deep)
            view.schedule_render()

    def _lines_chosen(self, on: bool) -> None:
        """Draw in each slice view where the others cut it."""
        logic = self.app.app_logic
        logic.SetIntersectingSlicesEnabled(logic.IntersectingSlicesVisibility, on)
        self.redraw()

    def _slice_ui(self, server: Any, view_id: str, view: Any) -> None:
        view.render_window().SetMultiSamples(0)
        view.set_background_color_from_string(BACKGROUND)
        page = self._slices[view_id] = PageState(server.state, SliceViewState, view_id)
        slice_overlay(server, view_id, view)
        view.modified.connect(self._moved)
        self._values.watch(view)
        page.bind_changes({page.name.at: lambda at: self._slider_moved(view_id, at)})
        view.interactor().AddObserver("WindowResizeEvent", lambda *_: self._resized(view_id))
        if (
            shown := self._shown.get(view_id) or self._shown.get(AXIAL)
        ) is not None and view_id not in BESIDE:
            self._shown[view_id] = shown
            view.set_background_volume_id(shown.node.GetID())
            self._lay_over(view)

    def _threed_ui(self, server: Any, view_id: str, view: Any) -> None:
        view.render_window().SetMultiSamples(0)
        # With CPU ray casting, peeling volumes together with translucent surfaces draws garbage.
        view.renderer().SetUseDepthPeelingForVolumes(False)
        threed_overlay(server, view_id, view)

    def _resized(self, tag: str) -> None:
        """Fit the picture to the view's new size, unless the user chose how large it is."""
        view = self.app.view_manager.get_view(tag)
        if view is not None and tag in self._shown:
            fitted = self._fitted.get(tag)
            if fitted is None or abs(self._scale(view) / fitted - 1) < SAME_SCALE:
                self.fit(tag)

    def _fit_slice(self, view: Any) -> None:
        tag = view.get_singleton_tag()
        # On its way the view shows the middle of the volume: no user asked for it, and no page is sent it.
        with view.trigger_modified_once():
            at = self._places.centre(view)
            self._orient(view)
            view.fit_view_to_content()
            if at is not None and tag in self._shown:
                view.get_view_node().JumpSliceByOffsetting(*at)
                self._fitted[tag] = self._scale(view)

    def _scale(self, view: Any) -> float:
        node = view.get_view_node()
        return float(node.GetFieldOfView()[0] or 1.0) / max(1, int(node.GetDimensions()[0]))  # mm a pixel

    def _plane(self, tag: str) -> str:
        """Name the plane of a view: its own, or that of the images where two series are compared."""
        lead = self._shown.get(AXIAL)
        compared = tag in SEVERAL.get(self.state.data.layout, ())
        if compared and lead is not None and lead.volume.spatial:
            return PLANES[int(np.argmax(np.abs(lead.volume.geometry.directions[:, 0])))]
        return NAMES.get(tag, "Axial")

    def _orient(self, view: Any) -> None:
        tag = view.get_singleton_tag()
        node, shown = view.get_view_node(), self._shown.get(tag)
        node.SetOrientation(self._plane(tag))
        if shown is not None and self.state.data.aligned and shown.volume.spatial:
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

    def _moved(self, view: Any) -> None:
        self._update_text(view)
        if self.on_slice is not None:
            self.on_slice(view.get_singleton_tag())

    def _slider_moved(self, tag: str, wanted: int) -> None:
        view = self.app.view_manager.get_view(tag)
        if view is not None and wanted != self._places.place(view)[0]:
            self._places.go(view, wanted)

    async def _scene_states(self) -> dict[str, int]:
        """Return the number of each view's current state; its text is sent with that number."""
        await asyncio.sleep(A_TURN)
        states = self._remote.states()
        for view in self.slices():
            tag = view.get_singleton_tag()
            self._update_text(view)
            with self._slices[tag] as now:
                now.written = states[tag]
        return states

    def _layers(self, tag: str) -> Sequence[ShownVolume]:
        """Return the volumes that a view shows, the one below first."""
        shown = self._shown.get(tag)
        over = self._over if tag not in BESIDE else None
        return tuple(one for one in (shown, over) if one is not None)

    def _frame(self, view: Any) -> Plane | None:
        """Return the frame that a view shows; None where it cuts across frames."""
        tag = view.get_singleton_tag()
        shown, k = self._shown.get(tag), self.slice_at(tag)
        if shown is None or k is None or shown.volume.plan is None:
            return None
        return shown.volume.plan.planes[k]

    def _update_text(self, view: Any) -> None:
        tag = view.get_singleton_tag()
        shown = self._shown.get(tag)
        at, count = self._places.place(view)
        with self._slices[tag] as now:
            text = SliceViewState(at, count, now.arrival, written=now.written)
            if shown is not None:
                spatial = shown.volume.spatial
                text.tr = self._study_text.get(tag, "")
                matrix = array_of(view.get_view_node().GetSliceToRAS())
                plane = plane_shown(matrix[:3, 2], self._plane(tag)) if spatial else ""
                if spatial and any(self.angles(tag)):
                    plane += ", turned {:g}°, tilted {:g}°".format(*self.angles(tag))
                series = self._series_text.get(tag, "")
                seen = self._frame(view)
                side = seen.side if seen is not None else ""
                over = self._over if tag not in BESIDE else None
                above = f"{over.node.GetName()}, {self._opacity} %" if over is not None else ""
                text.tl = "\n".join(line for line in (plane, series, shown.alone, above, side) if line)
                number = "" if shown.alone else f"{at + 1} / {count}"
                text.bl = f"{number}\n{view.get_slice_value():.1f} mm".lstrip() if spatial else number
                text.br = "\n".join(
                    window_text(one.window, one.unit) for one in self._layers(tag) if one.grey
                )
                if shown.palette:
                    curve = curve_of(shown.window)
                    text.palette = gradient(shown.palette)
                    text.highest, text.lowest = (
                        f"{value:.4g} {shown.unit}".rstrip() for value in (curve.high, curve.low)
                    )
                if spatial:
                    across, up = matrix[:3, 0], matrix[:3, 1]
                    text.right, text.left = letters(across), letters(-across)
                    text.top, text.bottom = letters(up), letters(-up)
                elif seen is not None and seen.orientation is not None:
                    rows, columns = seen.orientation  # where they lead
                    how = self._arranged.get(tag, (0, False))
                    text.right, text.top = arranged(rows, opposite(columns), *how, opposite)
                    text.left, text.bottom = opposite(text.right), opposite(text.top)
            for name, value in asdict(text).items():
                if getattr(now, name) != value:
                    setattr(now, name, value)
        self._values.update(view)

    def _layout_chosen(self, layout: str) -> None:
        before = self.layouts.layout_id
        self.layouts.set_layout(layout)
        if before in SEVERAL or layout in SEVERAL:
            for tag in (AXIAL, *BESIDE):
                self.fit(tag)
        for view in self.slices():
            self._update_text(view)

    def _crosshair_chosen(self, on: bool) -> None:
        node = self.app.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        node.SetCrosshairMode(vtkMRMLCrosshairNode.ShowBasic if on else vtkMRMLCrosshairNode.NoCrosshair)
        node.SetCrosshairBehavior(vtkMRMLCrosshairNode.OffsetJumpSlice)
        self.redraw()

    def _slab_chosen(self, slab: float, kind: str) -> None:
        from trame_slicer.app.ui import SlabType

        kinds = {"max": SlabType.MAX, "min": SlabType.MIN, "mean": SlabType.AVERAGE}
        thickness = slab or 0.0
        for view in self.slices():
            view.set_slab_type(kinds[kind].value)
            view.set_slab_thickness(thickness)
            view.set_slab_enabled(thickness > 0)
            view.schedule_render()

    def show_arrival(self, tag: str, css: str) -> None:
        """Mark on a slice slider which slices have arrived; empty when all have."""
        page = self._slices[tag]
        if page.data.arrival != css:
            page.data.arrival = css


def window_text(window: Window, unit: str = "") -> str:
    """Return a window as the corner of a view states it, with the unit of its values."""
    stated = f"W {window.width:.5g}  C {window.center:.5g}  {unit}".rstrip()
    if window.table is not None:
        return f"{window.name}\n{stated}"
    return f"{stated}  sigmoid" if window.function == "SIGMOID" else stated
