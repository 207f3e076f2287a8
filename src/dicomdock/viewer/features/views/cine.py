"""Cine: the slices of a volume, or the frames of a loop, one after another."""

from __future__ import annotations

import asyncio
from typing import Any

from dicomdock.viewer.features.compare.state import CompareState
from dicomdock.viewer.features.layout.layouts import AXIAL, BESIDE, SEVERAL
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.features.views.state import USUAL_RATE, CineState
from dicomdock.viewer.page_state import PageState

RATES = (1, 60)  # frames a second that can be asked for
LEAD = ""
"""Stands for the first view of those that are seen, whichever it is."""


class Cine:
    """Plays until it is stopped.

    Views of several series play side by side, each at its own rate, unless they scroll together: then the
    first of those that play leads, and the others follow it.
    """

    def __init__(self, server: Any, series: SeriesLogic, views: Views) -> None:
        self.state, self.series, self.views = PageState(server.state, CineState), series, views
        self._compared = PageState(server.state, CompareState)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.state.bind_changes({self.state.name.playing: self._changed})
        series.on_shown.append(self._shown)

    def toggle(self, tag: str) -> None:
        """Play a view, or stop it; all where views do not play side by side."""
        if tag not in self._side_by_side():
            self.state.toggle(self.state.name.playing)
            return
        if tag in self._tasks:
            self._tasks.pop(tag).cancel()
        else:
            self._start(tag)
        with self.state as data:
            data.playing = bool(self._tasks)

    def _shown(self) -> None:
        with self.state as data:
            data.playing = False
            data.play_rate = self._stated_rate(AXIAL) or USUAL_RATE
            data.rate_words = self._rate_words()

    def _rate_words(self) -> str:
        """Say by which attribute the first view's images are played, or that they state no rate."""
        shown = self.views.shown(AXIAL)
        plan = shown.volume.plan if shown is not None else None
        if plan is None or plan.frame_time is None:
            return f"The images state no rate; {USUAL_RATE} is the usual one."
        stated, played = 1000 / plan.frame_time, self._stated_rate(AXIAL)
        other = "" if round(stated) == played else f", of which {played} are played"
        return f"{plan.lead.frame_time_by} states {stated:.3g} a second{other}."

    def _stated_rate(self, tag: str) -> int | None:
        """Return the images a second that a view's images state; None where they state none."""
        shown = self.views.shown(tag)
        time = shown.volume.plan.frame_time if shown is not None and shown.volume.plan is not None else None
        return round(min(max(1000 / time, RATES[0]), RATES[1])) if time else None

    def _changed(self, playing: bool) -> None:
        if not playing:
            for task in self._tasks.values():
                task.cancel()
            self._tasks.clear()
        elif not self.views.state.data.playable:
            with self.state as data:
                data.playing = False
        elif not self._tasks:
            for tag in self._side_by_side() or [LEAD]:
                self._start(tag)

    def _start(self, tag: str) -> None:
        self._tasks[tag] = asyncio.get_running_loop().create_task(self._play(tag))

    def _side_by_side(self) -> list[str]:
        """Return the views that play each by itself."""
        if self._compared.data.linked:
            return []
        tags = SEVERAL.get(self.views.state.data.layout, ())
        return [tag for tag in tags if self.views.shown(tag) is not None]

    async def _play(self, tag: str) -> None:
        while True:
            stated = self._stated_rate(tag) if tag in BESIDE else None
            rate = stated or self.state.data.play_rate or USUAL_RATE
            await asyncio.sleep(1 / min(max(rate, RATES[0]), RATES[1]))
            shown = [view.get_singleton_tag() for view in self.views.visible() if view in self.views.slices()]
            if self._compared.data.linked and tag != next(iter(self._tasks)):
                continue
            if tag == LEAD:
                lead = AXIAL if AXIAL in shown else next((one for one in shown if one not in BESIDE), LEAD)
                if lead != LEAD:
                    self.views.play_on(lead)
            elif tag in shown:
                self.views.play_on(tag)
