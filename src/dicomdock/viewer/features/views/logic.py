"""The views: how slices lie in the patient, and the text around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from trame_slicer.core import LayoutManager

from dicomdock.viewer.engine import leave_out_other_slices, remote_views
from dicomdock.viewer.features.layout.layouts import (
    AXIAL,
    BACKGROUND,
    BESIDE,
    CORONAL,
    SAGITTAL,
    SEVERAL,
    definitions,
)
from dicomdock.viewer.features.views.corner_text import CornerText
from dicomdock.viewer.features.views.cross import Cross
from dicomdock.viewer.features.views.cursor_values import CursorValues
from dicomdock.viewer.features.views.layers import Layers
from dicomdock.viewer.features.views.mouse import Mouse
from dicomdock.viewer.features.views.orientation import Orientation
from dicomdock.viewer.features.views.patient_space import PatientSpace
from dicomdock.viewer.features.views.places import Places
from dicomdock.viewer.features.views.plane_aids import PlaneAids
from dicomdock.viewer.features.views.state import SliceViewState, ViewsState
from dicomdock.viewer.features.views.ui import slice_overlay, threed_overlay
from dicomdock.viewer.page_state import A_TURN, PageState
from dicomdock.viewer.scene import LPS, ShownVolume, array_of
from dicomdock.viewer.study import Study

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
        self._fitted: dict[str, float] = {}
        self.on_slice: Callable[[str], None] | None = None
        self.settling = False  # views are being arranged, not scrolled
        self._shown: dict[str, ShownVolume] = {}
        self._places = Places(self._shown)
        self.layers = Layers(app, self._shown)
        self._orientation = Orientation(self.state, self._shown)
        self._text = CornerText(self._shown, self._places, self._orientation, self.layers)
        self.space = PatientSpace(app, self._shown)

        server.controller.fit_view = self.fit
        self._remote = remote_views(server, app.view_manager, self._slice_ui, self._threed_ui)
        self._values = CursorValues(self.layers.of, self._remote.show_value)
        self.mouse = Mouse(app, self.state, self._remote, self._values, self._scroll)
        self.cross = Cross(self.state, self._remote)
        # All that a page has sent before it asks is done when it has the answer.
        server.controller.trigger("scene_states")(self._scene_states)
        self.layouts = LayoutManager(app.scene, app.view_manager, server)
        # All views are there before the segment editor's effects, which look for them when they are made.
        self.layouts.register_layout_dict(definitions())
        leave_out_other_slices(self.slices())
        self.aids = PlaneAids(app, self.state, self._shown, self.redraw)
        name = self.state.name
        self.state.bind_changes(
            {
                name.layout: self._layout_chosen,
                name.aligned: lambda _: self.align(),
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
                    self._orientation.arrange(tag, None)
                    self._orientation.orient(view)
                    view.fit_view_to_content()
                    self._fitted[tag] = self._scale(view)
        for tag in wanted:
            self._shown[tag] = shown
        self.space.refresh()
        self.aids.refresh()

    def show_over(self, over: ShownVolume | None, opacity: int) -> None:
        """Show a volume over that of all views but those of series beside it; None for nothing.

        Parameters
        ----------
        opacity : in percent.
        """
        self.layers.over, self.layers.opacity = over, opacity
        for view in self.slices():
            self.layers.lay_over(view)
        self.refresh_text()

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

    def visible_at(self, tag: str) -> Any:
        """Return a view by its tag, or the first one where the layout does not show it."""
        return next((one for one in self.visible() if one.get_singleton_tag() == tag), self.visible()[0])

    def view(self, tag: str) -> Any:
        """Return a view by its tag."""
        return self.app.view_manager.get_view(tag)

    def describe(self, study: Study, series: str, tags: Iterable[str]) -> None:
        """Show the patient and the series in the corners."""
        self._text.describe(study, series, tags)
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
            self._orientation.orient(view)
            if at is not None:
                view.get_view_node().JumpSliceByOffsetting(*at)
        view.schedule_render()

    def angles(self, tag: str) -> tuple[float, float]:
        """Return by how many degrees the plane of a view is turned and tilted."""
        return self._orientation.angles(tag)

    def turn(self, tag: str, turn: float, tilt: float) -> None:
        """Show a plane that is turned from a view's usual one, through the same point.

        Parameters
        ----------
        turn, tilt : degrees about the vertical and the horizontal of the picture, by which its right edge and
            its upper edge move away from the user.
        """
        view = self.view(tag)
        if self._orientation.turn(tag, (turn, tilt)) and view is not None:
            self._reorient(view)

    def turn_back(self) -> None:
        """Show all views in their usual planes."""
        turned = self._orientation.turn_back()
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
        if self._orientation.arrange(tag, arrangement):
            self.fit(tag)

    def arrangement(self, tag: str) -> tuple[int, bool]:
        """Return how a view shows images in their own plane, as ``arrange`` takes it."""
        return self._orientation.arrangement(self.view(tag))

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
            self._places.jump(view, point)

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
        self.go_to(np.asarray(point) * LPS)

    def centre(self, tag: str = AXIAL) -> tuple[float, float, float] | None:
        """Return the point in the middle of a view, in mm, LPS; None before it is there."""
        view = self.app.view_manager.get_view(tag)
        at = self._places.centre(view) if view is not None else None
        return None if at is None else (-at[0], -at[1], at[2])

    def zoom(self, tag: str, factor: float) -> None:
        """Enlarge the picture of a slice view by a factor, about its middle."""
        view = self.view(tag)
        if view in self.slices():
            wide, high, deep = view.get_view_node().GetFieldOfView()
            view.get_view_node().SetFieldOfView(wide / factor, high / factor, deep)
            view.schedule_render()

    def _slice_ui(self, server: Any, view_id: str, view: Any) -> None:
        view.render_window().SetMultiSamples(0)
        view.set_background_color_from_string(BACKGROUND)
        page = self._text.pages[view_id] = PageState(server.state, SliceViewState, view_id)
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
            self.layers.lay_over(view)

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
                with self._settling():
                    self.fit(tag)

    def _fit_slice(self, view: Any) -> None:
        tag = view.get_singleton_tag()
        # On its way the view shows the middle of the volume: no user asked for it, and no page is sent it.
        with view.trigger_modified_once():
            at = self._places.centre(view)
            self._orientation.orient(view)
            view.fit_view_to_content()
            if at is not None and tag in self._shown:
                view.get_view_node().JumpSliceByOffsetting(*at)
                self._fitted[tag] = self._scale(view)

    def _scale(self, view: Any) -> float:
        node = view.get_view_node()
        return float(node.GetFieldOfView()[0] or 1.0) / max(1, int(node.GetDimensions()[0]))  # mm a pixel

    def _update_text(self, view: Any) -> None:
        self._text.update(view)
        self._values.update(view)
        pages, seen = self._text.pages, self.app.view_manager.get_current_view_ids()
        playable = any(tag in pages and pages[tag].data.count > 1 for tag in seen)
        if self.state.data.playable != playable:
            with self.state as data:
                data.playable = playable

    def _moved(self, view: Any) -> None:
        self._update_text(view)
        if self.on_slice is not None:
            self.on_slice(view.get_singleton_tag())

    @contextmanager
    def _settling(self) -> Iterator[None]:
        """Change views otherwise than by a user: none leads the others away from the first one's slice."""
        self.settling = True
        try:
            yield
        finally:
            self.settling = False
        if self.on_slice is not None:
            self.on_slice(AXIAL)

    def _slider_moved(self, tag: str, wanted: int) -> None:
        view = self.app.view_manager.get_view(tag)
        if view is not None and wanted != self._places.place(view)[0]:
            self._places.go(view, wanted)

    async def _scene_states(self) -> dict[str, int]:
        """Return the number of each view's current state; the text of those that are seen has it too."""
        await asyncio.sleep(A_TURN)
        states, seen = self._remote.states(), self.app.view_manager.get_current_view_ids()
        for view in self.slices():
            tag = view.get_singleton_tag()
            if tag not in seen:
                continue
            self._update_text(view)
            with self._text.pages[tag] as now:
                now.written = states[tag]
        return states

    def _layout_chosen(self, layout: str) -> None:
        before = self.layouts.layout_id
        with self._settling():
            self.layouts.set_layout(layout)
            if before in SEVERAL or layout in SEVERAL:
                for tag in (AXIAL, *BESIDE):
                    self.fit(tag)
        for view in self.slices():
            self._update_text(view)

    def show_arrival(self, tag: str, css: str) -> None:
        """Mark on a slice slider which slices have arrived; empty when all have."""
        page = self._text.pages[tag]
        if page.data.arrival != css:
            page.data.arrival = css
