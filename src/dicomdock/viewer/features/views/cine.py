"""Play the slices or frames of a view, one after the other."""

from __future__ import annotations

import asyncio
from typing import Any

from dicomdock.viewer.features.layout.layouts import AXIAL, BESIDE
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.features.views.state import USUAL_RATE, CineState
from dicomdock.viewer.page_state import PageState

RATES = (1, 60)  # frames a second that can be asked for


class Cine:
    """Plays until it is stopped."""

    def __init__(self, server: Any, series: SeriesLogic, views: Views) -> None:
        self.state, self.series, self.views = PageState(server.state, CineState), series, views
        self._task: asyncio.Task[None] | None = None
        self.state.bind_changes({self.state.name.playing: self._changed})
        series.on_shown.append(self._shown)

    def _shown(self) -> None:
        assert self.series.loaded is not None
        planes = self.series.loaded.plan.planes
        time = planes[0].frame_time if planes and planes[0] is not None else None
        with self.state as data:
            data.playing = False
            data.play_rate = round(min(max(1000 / time, RATES[0]), RATES[1])) if time else USUAL_RATE

    def _changed(self, playing: bool) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if playing:
            self._task = asyncio.get_running_loop().create_task(self._play())

    async def _play(self) -> None:
        while True:
            rate = min(max(self.state.data.play_rate or USUAL_RATE, RATES[0]), RATES[1])
            await asyncio.sleep(1 / rate)
            shown = [view.get_singleton_tag() for view in self.views.visible() if view in self.views.slices()]
            tag = AXIAL if AXIAL in shown else next((one for one in shown if one not in BESIDE), "")
            if tag:
                self.views.play_on(tag)
