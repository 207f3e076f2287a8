"""Presentation states of the study, applied to their images."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError
from dicomdock.imaging.geometry import Plane, Window
from dicomdock.imaging.presentation_state import (
    Area,
    Frame,
    PresentationState,
    area_box,
    captions,
    identity_window,
    outlines,
    read_presentation_state,
    simplified,
    uncovered,
    window_on,
)
from dicomdock.viewer.features.overlays.logic import OverlaysLogic
from dicomdock.viewer.features.presentation.annotations import add_lines, add_texts, places_of
from dicomdock.viewer.features.presentation.state import PresentationPageState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.study import read_instance

OTHER_RESCALE = (
    "The window of the presentation state counts in other values than those of the images; it is not applied."
)
ASKEW = (
    "No view shows the images in their own plane, so only the window of the presentation state is applied."
)


@dataclass
class _Wanted:
    """A presentation state on its way to its images.

    Parameters
    ----------
    state : as read.
    first : the image that it is shown on first.
    remarks : what is known to be missing.
    """

    state: PresentationState
    first: Frame
    remarks: list[str]


class PresentationLogic:
    """Shows images as a presentation state states: window, area, rotation, graphics and texts.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    series, views : what is shown, and where.
    overlays : covers what is behind a shutter.
    archive : where presentation states lie.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        views: Views,
        overlays: OverlaysLogic,
        archive: Archive,
        notifications: Notifications,
    ) -> None:
        self.app, self.state = app, PageState(server.state, PresentationPageState)
        self.series, self.views, self.overlays = series, views, overlays
        self.archive, self.notifications = archive, notifications
        self._wanted: _Wanted | None = None
        self._applied: PresentationState | None = None
        self._window: Window | None = None
        self._view = ""
        self._area: Area | None = None  # that was shown last
        self._nodes: list[Any] = []

        server.controller.show_presentation = self.show
        series.on_shown.append(self._forget)
        series.on_complete.append(self._go)

    def show(self, uid: str) -> None:
        """Apply a presentation state by its SOP Instance UID; the one that is applied is taken away."""
        if uid == self.state.data.presentation_uid:
            self._take_away()
            return
        try:
            wanted = self._read(uid)
        except (DicomdockError, OSError) as error:
            self.notifications.error(f"The presentation state cannot be shown: {error}")
            return
        self._take_away()
        self._wanted = wanted
        if self.series.series is not None and self.series.series.uid == wanted.first.series:
            if self.series.complete:
                self._go()
        else:
            self.series.open_series(wanted.first.series)

    def moved(self, tag: str) -> None:
        """Show window and area of the image that the view has come to, where the state has them for it."""
        loaded = self.series.loaded
        if self._applied is None or tag != self._view or loaded is None:
            return
        at = self.views.slice_at(tag)
        plane = loaded.plan.planes[at] if at is not None else None
        if plane is not None and any(one.holds(plane.instance, plane.frame) for one in self._applied.images):
            if not self._applied.color:
                self._use_window(self._applied, plane)
            if at is not None and plane.tile is None:
                # Later: the view is still on its way here.
                asyncio.get_running_loop().call_soon(self._arrived, tag, self._applied, plane, at)

    def _arrived(self, tag: str, state: PresentationState, plane: Plane, k: int) -> None:
        if state is self._applied and self.views.slice_at(tag) == k:
            self._show_area(tag, state, plane, k)

    def _read(self, uid: str) -> _Wanted:
        study = self.series.study
        for series in study.series if study is not None else ():
            for one in self.archive.instances(series.resource) if series.kind == "presentation" else ():
                if one.resource.instance == uid:
                    return self._wanted_of(read_presentation_state(read_instance(self.archive, one)))
        raise DicomdockError("it is no longer on this computer.")

    def _wanted_of(self, state: PresentationState) -> _Wanted:
        study = self.series.study
        assert study is not None
        named = dict.fromkeys(one.series for one in state.images)
        images = [one for one in study.images() if one.uid in named]
        here = {uid: self.archive.present(Resource(study.uid, uid)) for uid in (one.uid for one in images)}
        found = [one for one in state.images if one.instance in here.get(one.series, ())]
        if not found:
            raise DicomdockError("none of its images is on this computer.")
        remarks = [*state.remarks, *simplified(state)]
        if len(found) < len(state.images):
            lost = len(state.images) - len(found)
            remarks.append(f"{lost} of its {len(state.images)} images are not on this computer.")
        if len(here) > 1:
            remarks.append("It is for images of several series; those of one are shown by it.")
        return _Wanted(state, found[0], remarks)

    def _go(self) -> None:
        wanted, loaded, series = self._wanted, self.series.loaded, self.series.series
        if wanted is None or loaded is None or series is None or series.uid != wanted.first.series:
            return
        places = loaded.plan.places(wanted.first.instance)
        frame = next((one for one in sorted(places) if wanted.first.holds(wanted.first.instance, one)), None)
        if frame is None:
            self._open_volume(wanted)
            return
        self._wanted = None
        self._apply(wanted, places[frame])

    def _open_volume(self, wanted: _Wanted) -> None:
        """Open the volume of the series that holds the image."""
        frame = (wanted.first.frames or (1,))[0]
        volume = self.series.volume_of(wanted.first.instance, frame)
        if volume is not None and volume != self.series.state.data.volume_at:
            self.series.open_series(wanted.first.series, volume)
            return
        self._wanted = None
        self.notifications.error("The presentation state cannot be shown: its image is not in the series.")

    def _apply(self, wanted: _Wanted, k: int) -> None:
        loaded, shown, state = self.series.loaded, self.series.shown, wanted.state
        plane = loaded.plan.planes[k] if loaded is not None else None
        if loaded is None or shown is None or plane is None:
            return
        remarks, geometry = wanted.remarks, loaded.volume.geometry
        self._applied = state
        shown.inverse = state.inverse
        _, rows, columns = geometry.shape
        self.views.look_at(geometry.to_lps((k, rows // 2, columns // 2)))
        if not state.color and not self._use_window(state, plane):
            shown.set_window(shown.window)  # in the state's shades all the same
            remarks.append(OTHER_RESCALE)
        tag = self.views.image_view()
        if tag is None or plane.tile is not None:
            remarks.append(ASKEW)
        else:
            self._arrange(tag, state, plane, k)
            self._draw(tag, state)
        if state.shutter is not None:
            covered = np.zeros(geometry.shape, bool)
            for at, _ in self._planes(state):
                covered[at] = ~uncovered(state.shutter, covered[at].shape)
            self.overlays.cover(covered, state.shutter.rgb if state.color else (state.shutter.grey >> 8,) * 3)
        with self.state as data:
            data.presentation_uid, data.presentation_remarks = state.instance, remarks

    def _arrange(self, tag: str, state: PresentationState, plane: Plane, k: int) -> None:
        assert self.series.loaded is not None
        self._view = tag
        self.views.arrange(tag, (state.rotation, state.flipped))
        self._show_area(tag, state, plane, k)

    def _show_area(self, tag: str, state: PresentationState, plane: Plane, k: int) -> None:
        """Fit the area of an image into the view, unless it is that of the image before."""
        assert self.series.loaded is not None
        area = state.area_of(plane.instance, plane.frame)
        if area is not None and area != self._area:
            self._area = area
            left, right, top, low = area_box(area)
            corners = [(left, top), (right, top), (right, low), (left, low)]
            self.views.zoom_to(tag, places_of(self.series.loaded.volume.geometry, k, corners))

    def _draw(self, tag: str, state: PresentationState) -> None:
        assert self.series.loaded is not None
        geometry, view = self.series.loaded.volume.geometry, self.views.view(tag)
        shown = [*self._planes(state)]
        size = (geometry.shape[2], geometry.shape[1])
        lines = [(k, line) for k, one in shown for line in outlines(state, one.instance, one.frame, size)]
        texts = [(k, text) for k, one in shown for text in captions(state, one.instance, one.frame, size)]
        if lines:
            self._nodes.append(add_lines(self.app, geometry, lines, view))
        if texts:
            self._nodes.append(add_texts(self.app, geometry, texts, view))

    def _planes(self, state: PresentationState) -> Iterator[tuple[int, Plane]]:
        assert self.series.loaded is not None
        for k, plane in enumerate(self.series.loaded.plan.planes):
            if plane is not None and any(one.holds(plane.instance, plane.frame) for one in state.images):
                yield k, plane

    def _use_window(self, state: PresentationState, plane: Plane) -> bool:
        """Apply the window for an image; return False where it counts in other values."""
        loaded, shown = self.series.loaded, self.series.shown
        if loaded is None or shown is None or not shown.grey or loaded.uptake.volume is not None:
            return False
        stated = state.window_of(plane.instance, plane.frame) or identity_window(state, plane.pixels)
        window = window_on(stated, state, plane.pixels)
        if window is not None and window != self._window:
            self._window = window
            self.series.window_touched()
            shown.set_window(window)
        return window is not None

    def _take_away(self) -> None:
        """Show the images as their header states."""
        shown, loaded, applied = self.series.shown, self.series.loaded, self._applied
        self._forget()
        if applied is None or shown is None or loaded is None:
            return
        shown.inverse = None
        shown.set_window(loaded.first_window())

    def _forget(self) -> None:
        """Drop what belongs to images that are not shown any more."""
        for node in self._nodes:
            self.app.scene.RemoveNode(node)
        if self._applied is not None and self._view:
            self.views.arrange(self._view, None)
        self._nodes, self._applied, self._window, self._view, self._area = [], None, None, "", None
        self.overlays.uncover()
        if self._wanted is not None and self.series.state.data.series_uid != self._wanted.first.series:
            self._wanted = None  # the user has chosen another series meanwhile
        with self.state as data:
            data.presentation_uid, data.presentation_remarks = "", []
