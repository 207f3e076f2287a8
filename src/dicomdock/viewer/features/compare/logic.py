"""A second series beside the first, scrolled together where both lie in the same patient space."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from dicomdock.viewer.features.compare.state import CompareState
from dicomdock.viewer.features.layout.layouts import AXIAL, COMPARE, OTHER
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.loading import Events, Loaded, Loader
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import ShownVolume, add_volume


class CompareLogic:
    """The series in the second view of a comparison."""

    def __init__(
        self, server: Any, app: Any, series: SeriesLogic, views: Views, notifications: Notifications
    ) -> None:
        self.app, self.series, self.views, self.notifications = app, series, views, notifications
        self.state = PageState(server.state, CompareState)
        self._loader: Loader | None = None
        self._shown: ShownVolume | None = None
        self._following = False

        server.controller.compare = self.open
        views.state.bind_changes({views.state.name.layout: self._layout_chosen})

    def open(self, uid: str) -> None:
        """Show a series in the second view."""
        series = self.series.study.find(uid) if self.series.study is not None else None
        if series is None:
            return
        if self._loader is not None:
            self._loader.close()
        with self.state as data:
            data.compare_uid = uid
            self.views.state.data.layout = COMPARE
        loop = asyncio.get_running_loop()

        def later(work: Callable[..., None]) -> Callable[..., None]:
            def call(*facts: Any) -> None:
                loop.call_soon_threadsafe(work, *facts)

            return call

        def allocated(loaded: Loaded) -> None:
            before, self._shown = self._shown, add_volume(self.app, loaded.volume, series.name)
            self._shown.set_window(loaded.volume.window())
            self.views.view(OTHER)
            self.views.show(self._shown, [OTHER])
            assert self.series.study is not None
            self.views.describe(self.series.study, series.name, [OTHER])
            if before is not None:
                before.remove(self.app)

        def ended(loaded: Loaded) -> None:
            assert self._shown is not None
            self._shown.set_window(loaded.volume.window())
            self._shown.changed()
            self.follow(AXIAL)
            self.views.refresh_text()

        def planned(_: Sequence[Any]) -> None: ...

        def filled(_: Loaded) -> None:
            if self._shown is not None:
                self._shown.changed()

        self._loader = Loader(
            self.series.archive,
            series.resource,
            Events(
                later(planned), later(allocated), later(filled), later(ended), later(self.notifications.error)
            ),
            arriving=lambda: self.series.pulling,
        )
        self._loader.start()

    def follow(self, moved: str) -> None:
        """Bring the other view to where one of the two was scrolled."""
        if self._following or not self.state.data.linked or self.views.state.data.layout != COMPARE:
            return
        pair = {AXIAL: OTHER, OTHER: AXIAL}
        if moved not in pair or self._shown is None or self.series.shown is None:
            return
        manager = self.app.view_manager
        here, there = manager.get_view(moved), manager.get_view(pair[moved])
        if here is None or there is None:
            return
        one, two = self.series.shown.volume, self._shown.volume
        self._following = True
        try:
            if one.frame_of_reference and one.frame_of_reference == two.frame_of_reference:
                matrix = here.get_view_node().GetSliceToRAS()
                point = [matrix.GetElement(row, 3) for row in range(3)]
                there.get_view_node().JumpSliceByOffsetting(*point)
            else:
                low, high = here.get_slice_range()
                share = (here.get_slice_value() - low) / ((high - low) or 1.0)
                low, high = there.get_slice_range()
                step = there.get_slice_step() or 1.0
                there.set_slice_value(low + round(share * (high - low) / step) * step)
            there.schedule_render()
        finally:
            self._following = False

    def _layout_chosen(self, layout: str) -> None:
        if layout == COMPARE and not self.state.data.compare_uid and self.series.study is not None:
            shown = self.series.series
            others = [one for one in self.series.study.images() if shown is None or one.uid != shown.uid]
            if others:
                self.open(others[0].uid)
            elif shown is not None:
                self.open(shown.uid)
