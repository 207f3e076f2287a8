"""Up to eight series beside the first, scrolled together where they lie in the same patient space."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dicomdock.imaging.volume import Volume
from dicomdock.viewer.features.compare.planes import place_in
from dicomdock.viewer.features.compare.state import CompareState
from dicomdock.viewer.features.layout.layouts import (
    AXIAL,
    BESIDE,
    COMPARE,
    OTHER,
    SEVERAL,
)
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.loaded import Loaded
from dicomdock.viewer.loading import Events, Loader
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.registrations import Registrations
from dicomdock.viewer.scene import ShownVolume, add_volume, array_of
from dicomdock.viewer.study import Series, Study

SAME_SCALE = 1e-4  # part that two scales may differ by


@dataclass
class _Beside:
    """What a view beside the first one shows.

    Parameters
    ----------
    chosen : the series, with its study; None before there is one.
    loader, loaded : what reads it, and what has been read once all has.
    shown : its volume.
    offset : mm from the first view's slice to this one's, where the user brought them together; else None.
    """

    chosen: tuple[Study, Series] | None = None
    loader: Loader | None = None
    loaded: Loaded | None = None
    shown: ShownVolume | None = None
    offset: float | None = None


class CompareLogic:
    """The series in the views beside the first one."""

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        views: Views,
        registrations: Registrations,
        palette_of: Callable[[str], str],
        notifications: Notifications,
    ) -> None:
        self._palette_of = palette_of  # colours of a series, by its UID
        self.registrations = registrations
        self.app, self.series, self.views, self.notifications = app, series, views, notifications
        self.state = PageState(server.state, CompareState)
        self._beside = {tag: _Beside() for tag in BESIDE}
        self._following = False
        self.on_second: list[Callable[[], None]] = []  # another volume is in the second view

        server.controller.compare = self.open
        series.on_studied.append(self._studied)
        series.on_shown.append(lambda: self._layout_chosen(views.state.data.layout))
        series.on_suv_type.append(self._use_suv_type)
        registrations.on_unsaved.append(lambda: self.follow(AXIAL))
        views.state.bind_changes({views.state.name.layout: self._layout_chosen})
        name = self.state.name
        self.state.bind_changes(
            {
                name.linked: self._linked,
                name.zoomed: lambda _: self.follow(AXIAL),
                name.windowed: self.look_alike,
                name.compare_view: lambda _: self._say_chosen(),
            }
        )

    @property
    def second(self) -> tuple[Study, Series] | None:
        """What was last shown in the second view, with its study; None before there is one."""
        return self._beside[OTHER].chosen

    @property
    def volume(self) -> Volume | None:
        """The volume in the second view; None before there is one."""
        shown = self._beside[OTHER].shown
        return None if shown is None else shown.volume

    def open(self, uid: str, view: str = "") -> None:
        """Show a series of the study beside the first one."""
        study = self.series.study
        series = study.find(uid) if study is not None else None
        if study is not None and series is not None:
            self.show(study, series, view)

    def show(self, study: Study, series: Series, view: str = "") -> None:
        """Show a series of any study of the patient in a view beside the first, else in the chosen one."""
        layout = self.views.state.data.layout
        if layout not in SEVERAL:
            layout = COMPARE
        tag = view or self.state.data.compare_view
        if tag not in SEVERAL[layout]:
            tag = OTHER
        place = self._beside[tag]
        if place.loader is not None:
            place.loader.close()
        place.offset, place.loaded, place.chosen = None, None, (study, series)
        with self.state as data:
            data.compare_view = tag
            self.views.state.data.layout = layout
        self._say_chosen()

        def allocated(loaded: Loaded) -> None:
            before, place.shown = place.shown, add_volume(self.app, loaded.volume, series.name)
            place.shown.alone = loaded.note
            place.shown.set_window(loaded.first_window())
            with self._not_followed():
                self.views.view(tag)
                self.views.show(place.shown, [tag])
            if not loaded.provisional:  # one image has no others to go to
                self.follow(AXIAL)
            self.views.describe(study, series.name, [tag])
            self.look_alike()
            if before is not None:
                before.remove(self.app)
            if tag == OTHER:
                for callback in self.on_second:
                    callback()

        def ended(loaded: Loaded) -> None:
            assert place.shown is not None
            place.loaded = loaded
            if loaded.uptake.volume is not None:
                self._show_displayed(tag)
            place.shown.set_window(loaded.first_window())
            place.shown.changed()
            self.look_alike()
            self.follow(AXIAL)
            self.views.refresh_text()
            self._use_suv_type()  # it may be another by now

        def filled(loaded: Loaded) -> None:
            if place.shown is not None:
                place.shown.changed()
            if place.shown is not None and loaded.provisional:  # the others are here, and being read
                place.shown.alone = loaded.note
                self.views.refresh_text()

        place.loader = Loader(
            self.series.archive,
            series.resource,
            Events(allocated=allocated, filled=filled, ended=ended, failed=self.notifications.error),
            loop=asyncio.get_running_loop(),
            arriving=lambda: self.series.pulling and self._in_study(study),
            suv_type=self.series.suv_type,
        )
        place.loader.start()

    def _say_chosen(self) -> None:
        """Mark in the list the series of the view that others of the list go to."""
        chosen = self._beside[self.state.data.compare_view].chosen
        with self.state as data:
            data.compare_uid = chosen[1].uid if chosen is not None else ""

    def _show_displayed(self, tag: str) -> None:
        """Show in a view what is displayed of its series now."""
        place = self._beside[tag]
        if place.loaded is None or place.chosen is None:
            return
        before, place.shown = place.shown, add_volume(self.app, place.loaded.displayed, place.chosen[1].name)
        with self._not_followed():
            self.views.show(place.shown, [tag], refit=False)
        if before is not None:
            before.remove(self.app)

    def _use_suv_type(self) -> None:
        for tag, place in self._beside.items():
            if place.loaded is not None and place.loaded.uptake.suv_type != self.series.suv_type():
                asyncio.get_running_loop().create_task(self._show_uptake(tag, place.loaded))

    async def _show_uptake(self, tag: str, loaded: Loaded) -> None:
        """Show PET in the values that were chosen."""
        others = await loaded.change_uptake(self.series.suv_type)
        place = self._beside[tag]
        if others and place.loaded is loaded:
            self._show_displayed(tag)
            assert place.shown is not None
            place.shown.set_window(place.shown.volume.window())
            self.look_alike()
            self.views.refresh_text()

    def _in_study(self, study: Study) -> bool:
        return self.series.study is not None and self.series.study.uid == study.uid

    def _studied(self) -> None:
        """Show what has been learned of the patient meanwhile in the other views too."""
        study = self.series.study
        for tag, place in self._beside.items():
            if study is not None and place.chosen is not None and place.chosen[0].uid == study.uid:
                self.views.describe(study, place.chosen[1].name, [tag])

    def _in_view(self, tag: str) -> ShownVolume | None:
        return self.series.shown if tag == AXIAL else self._beside[tag].shown

    @contextmanager
    def _not_followed(self) -> Iterator[None]:
        """Move views without leading the others there, as where a series begins."""
        self._following = True
        try:
            yield
        finally:
            self._following = False

    def follow(self, moved: str) -> None:
        """Bring the other views to where one of them was scrolled."""
        choice = self.state.data
        compared = SEVERAL.get(self.views.state.data.layout, ())
        if self._following or self.views.settling or moved not in compared or self._in_view(moved) is None:
            return
        here = self.views.view(moved)
        with self._not_followed():
            for tag in compared:
                there = self.views.view(tag)
                if tag == moved or self._in_view(tag) is None or here is None or there is None:
                    continue
                if choice.linked:
                    self._scroll(moved, here, tag, there)
                if choice.zoomed:
                    zoom_alike(here.get_view_node(), there.get_view_node())
                there.schedule_render()

    def _transform(self, one: Volume, two: Volume) -> np.ndarray | None:
        """Return the matrix from one volume's space to that of another, in LPS; None where there is none."""
        if one.frame_of_reference and one.frame_of_reference == two.frame_of_reference:
            return np.eye(4)
        return self.registrations.between(two.frame_of_reference, one.frame_of_reference)

    def _scroll(self, moved: str, here: Any, tag: str, there: Any) -> None:
        """Bring a view to where another one is; without a common space, as far along."""
        first, second = self._in_view(moved), self._in_view(tag)
        assert first is not None and second is not None
        one, two = first.volume, second.volume
        offsets = [0.0 if each == AXIAL else self._beside[each].offset for each in (moved, tag)]
        transform = self._transform(one, two)
        if transform is not None:
            plane, other = (array_of(view.get_view_node().GetSliceToRAS()) for view in (here, there))
            point = place_in(plane, other, transform)
            if point is not None:
                there.get_view_node().JumpSliceByOffsetting(*point)
        elif offsets[0] is not None and offsets[1] is not None:
            low, high = there.get_slice_range()
            there.set_slice_value(min(max(here.get_slice_value() + offsets[1] - offsets[0], low), high))
        else:
            low, high = here.get_slice_range()
            share = (here.get_slice_value() - low) / ((high - low) or 1.0)
            low, high = there.get_slice_range()
            step = there.get_slice_step() or 1.0
            there.set_slice_value(low + round(share * (high - low) / step) * step)

    def _linked(self, linked: bool) -> None:
        """Take the slices that were brought together by hand as the same position from now on."""
        here = self.views.view(AXIAL)
        for tag, place in self._beside.items():
            there = self.views.view(tag)
            if linked and place.shown is not None and here is not None and there is not None:
                place.offset = there.get_slice_value() - here.get_slice_value()

    def look_alike(self, *_: Any) -> None:
        """Show the other series in their own colours, or in the window and the colours of the first one."""
        first = self.series.shown
        alike = first if self.state.data.windowed and first is not None and first.grey else None
        for place in self._beside.values():
            other = place.shown
            if other is None or not other.grey or place.chosen is None:
                continue
            window = other.window if alike is None else alike.window
            palette = self._palette_of(place.chosen[1].uid) if alike is None else alike.palette
            inverse = None if alike is None else alike.inverted
            if (window, palette, inverse) != (other.window, other.palette, other.inverse):
                other.palette, other.inverse = palette, inverse
                other.set_window(window)
                self.views.refresh_text()

    def _layout_chosen(self, layout: str) -> None:
        """Fill the empty views of a layout: with series that are not shown, else with those that are."""
        study, first = self.series.study, self.series.series
        if layout not in SEVERAL or study is None or first is None:
            return
        used = {first.uid} | {
            place.chosen[1].uid for place in self._beside.values() if place.chosen is not None
        }
        others = [one for one in study.images() if one.uid not in used]
        others.sort(key=lambda one: max(one.count, one.due) == 1)  # localizers last
        wanted = self.state.data.compare_view
        for tag in SEVERAL[layout][1:]:
            if self._beside[tag].chosen is not None:
                continue
            if others:
                self.show(study, others.pop(0), tag)
            elif tag == OTHER:
                self.show(study, first, tag)
        with self.state as data:
            data.compare_view = wanted if wanted in SEVERAL[layout] else OTHER
        self._say_chosen()


def zoom_alike(here: Any, there: Any) -> None:
    """Set the scale of a slice node to that of another one: as many millimetres a pixel."""
    scale = here.GetFieldOfView()[0] / max(1, here.GetDimensions()[0])
    columns, rows, _ = there.GetDimensions()
    wanted = (columns * scale, rows * scale)
    now = there.GetFieldOfView()
    if scale > 0 and abs(now[0] / wanted[0] - 1) > SAME_SCALE:
        there.SetFieldOfView(*wanted, now[2])
