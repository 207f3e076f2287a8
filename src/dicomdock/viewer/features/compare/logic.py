"""A second series beside the first, scrolled together where both lie in the same patient space."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dicomdock.imaging.volume import Volume
from dicomdock.viewer.features.compare.state import CompareState
from dicomdock.viewer.features.layout.layouts import AXIAL, COMPARE, OTHER
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.loading import Events, Loaded, Loader
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.registrations import Registrations
from dicomdock.viewer.scene import ShownVolume, add_volume
from dicomdock.viewer.study import Series, Study

PAIR = {AXIAL: OTHER, OTHER: AXIAL}
SAME_SCALE = 1e-4  # part that two scales may differ by


class CompareLogic:
    """The series in the second view of a comparison."""

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        views: Views,
        registrations: Registrations,
        notifications: Notifications,
    ) -> None:
        self.registrations = registrations
        self.app, self.series, self.views, self.notifications = app, series, views, notifications
        self.state = PageState(server.state, CompareState)
        self._loader: Loader | None = None
        self._shown: ShownVolume | None = None
        self._following = False
        self._named = ("", "")  # the study of the second view, and its series in words
        self.second: tuple[Study, Series] | None = None  # what was last shown in the second view
        self._loaded: tuple[Loaded, str] | None = None  # of the second view, with its name
        self.on_second: list[Callable[[], None]] = []  # another volume is in the second view
        self._offset: float | None = None  # mm between slices that the user brought together

        server.controller.compare = self.open
        series.on_studied.append(self._studied)
        series.on_suv_type.append(self._use_suv_type)
        registrations.on_unsaved.append(lambda: self.follow(AXIAL))
        views.state.bind_changes({views.state.name.layout: self._layout_chosen})
        name = self.state.name
        self.state.bind_changes(
            {
                name.linked: self._linked,
                name.zoomed: lambda _: self.follow(AXIAL),
                name.windowed: self.same_window,
            }
        )

    @property
    def volume(self) -> Volume | None:
        """The volume in the second view; None before there is one."""
        return None if self._shown is None else self._shown.volume

    def open(self, uid: str) -> None:
        """Show a series of the study in the second view."""
        study = self.series.study
        series = study.find(uid) if study is not None else None
        if study is not None and series is not None:
            self.show(study, series)

    def show(self, study: Study, series: Series) -> None:
        """Show a series in the second view, of whichever study of the patient."""
        if self._loader is not None:
            self._loader.close()
        self._offset = self._loaded = None
        self.second = study, series
        with self.state as data:
            data.compare_uid = series.uid
            self.views.state.data.layout = COMPARE

        def allocated(loaded: Loaded) -> None:
            before, self._shown = self._shown, add_volume(self.app, loaded.volume, series.name)
            self._shown.set_window(loaded.volume.window())
            self.views.view(OTHER)
            self.views.show(self._shown, [OTHER])
            self._named = (study.uid, series.name)
            self.views.describe(study, series.name, [OTHER])
            self.same_window()
            if before is not None:
                before.remove(self.app)
            for callback in self.on_second:
                callback()

        def ended(loaded: Loaded) -> None:
            assert self._shown is not None
            self._loaded = loaded, series.name
            if loaded.uptake.volume is not None:
                self._show_displayed()
            self._shown.set_window(self._shown.volume.window())
            self._shown.changed()
            self.same_window()
            self.follow(AXIAL)
            self.views.refresh_text()
            self._use_suv_type()  # it may be another by now

        def filled(_: Loaded) -> None:
            if self._shown is not None:
                self._shown.changed()

        self._loader = Loader(
            self.series.archive,
            series.resource,
            Events(allocated=allocated, filled=filled, ended=ended, failed=self.notifications.error),
            loop=asyncio.get_running_loop(),
            arriving=lambda: self.series.pulling and self._in_study(study),
            suv_type=self.series.suv_type,
        )
        self._loader.start()

    def _show_displayed(self) -> None:
        """Show in the second view what is displayed of its series now."""
        if self._loaded is None:
            return
        (loaded, name), before = self._loaded, self._shown
        self._shown = add_volume(self.app, loaded.displayed, name)
        self.views.show(self._shown, [OTHER], refit=False)
        if before is not None:
            before.remove(self.app)

    def _use_suv_type(self) -> None:
        if self._loaded is not None and self._loaded[0].uptake.suv_type != self.series.suv_type():
            asyncio.get_running_loop().create_task(self._show_uptake(self._loaded[0]))

    async def _show_uptake(self, loaded: Loaded) -> None:
        """Show PET in the values that were chosen."""
        others = await loaded.change_uptake(self.series.suv_type)
        if others and self._loaded is not None and self._loaded[0] is loaded:
            self._show_displayed()
            assert self._shown is not None
            self._shown.set_window(self._shown.volume.window())
            self.same_window()
            self.views.refresh_text()

    def _in_study(self, study: Study) -> bool:
        return self.series.study is not None and self.series.study.uid == study.uid

    def _studied(self) -> None:
        """Show what has been learned of the patient meanwhile beside the second view too."""
        study = self.series.study
        if study is not None and self._named[0] == study.uid:
            self.views.describe(study, self._named[1], [OTHER])

    def follow(self, moved: str) -> None:
        """Bring the other view to where one of the two was scrolled."""
        choice = self.state.data
        if self._following or self.views.state.data.layout != COMPARE:
            return
        if moved not in PAIR or self._shown is None or self.series.shown is None:
            return
        manager = self.app.view_manager
        here, there = manager.get_view(moved), manager.get_view(PAIR[moved])
        if here is None or there is None:
            return
        self._following = True
        try:
            if choice.linked:
                self._scroll(moved, here, there)
            if choice.zoomed:
                zoom_alike(here.get_view_node(), there.get_view_node())
            there.schedule_render()
        finally:
            self._following = False

    def _registered(self, moved: str, here: Any) -> tuple[float, float, float] | None:
        """Return where the middle of a view lies in the other one, in RAS; None without a registration."""
        assert self._shown is not None and self.series.shown is not None
        frames = [one.volume.frame_of_reference for one in (self.series.shown, self._shown)]
        source, target = frames if moved == AXIAL else reversed(frames)
        matrix = self.registrations.between(target, source)
        if matrix is None:
            return None
        at = here.get_view_node().GetSliceToRAS()
        x, y, z = (at.GetElement(row, 3) for row in range(3))
        left, back, head, _ = matrix @ (-x, -y, z, 1)
        return -left, -back, head

    def _scroll(self, moved: str, here: Any, there: Any) -> None:
        """Bring a view to the other one's position; without a common frame of reference as far along."""
        assert self._shown is not None and self.series.shown is not None
        one, two = self.series.shown.volume, self._shown.volume
        if one.frame_of_reference and one.frame_of_reference == two.frame_of_reference:
            matrix = here.get_view_node().GetSliceToRAS()
            there.get_view_node().JumpSliceByOffsetting(*(matrix.GetElement(row, 3) for row in range(3)))
        elif (point := self._registered(moved, here)) is not None:
            there.get_view_node().JumpSliceByOffsetting(*point)
        elif self._offset is not None:
            offset = self._offset if moved == AXIAL else -self._offset
            low, high = there.get_slice_range()
            there.set_slice_value(min(max(here.get_slice_value() + offset, low), high))
        else:
            low, high = here.get_slice_range()
            share = (here.get_slice_value() - low) / ((high - low) or 1.0)
            low, high = there.get_slice_range()
            step = there.get_slice_step() or 1.0
            there.set_slice_value(low + round(share * (high - low) / step) * step)

    def _linked(self, linked: bool) -> None:
        """Take the slices that were brought together by hand as the same position from now on."""
        here, there = (self.app.view_manager.get_view(tag) for tag in (AXIAL, OTHER))
        if linked and here is not None and there is not None:
            self._offset = there.get_slice_value() - here.get_slice_value()

    def same_window(self, *_: Any) -> None:
        """Show the second series by the window of the first one."""
        shown, other = self.series.shown, self._shown
        if not self.state.data.windowed or shown is None or other is None or not (shown.grey and other.grey):
            return
        if other.window != shown.window:
            other.set_window(shown.window)
            self.views.refresh_text()

    def _layout_chosen(self, layout: str) -> None:
        if layout == COMPARE and not self.state.data.compare_uid and self.series.study is not None:
            shown = self.series.series
            others = [one for one in self.series.study.images() if shown is None or one.uid != shown.uid]
            if others:
                self.open(others[0].uid)
            elif shown is not None:
                self.open(shown.uid)


def zoom_alike(here: Any, there: Any) -> None:
    """Give a slice node the scale of another one: as many millimetres a pixel."""
    scale = here.GetFieldOfView()[0] / max(1, here.GetDimensions()[0])
    columns, rows, _ = there.GetDimensions()
    wanted = (columns * scale, rows * scale)
    now = there.GetFieldOfView()
    if scale > 0 and abs(now[0] / wanted[0] - 1) > SAME_SCALE:
        there.SetFieldOfView(*wanted, now[2])
