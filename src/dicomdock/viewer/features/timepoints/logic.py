"""The volumes of a series as time: played one after the other, and values over them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dicomdock.api.instances import headers_of, paths_of
from dicomdock.api.multivolume import Curves
from dicomdock.api.volume import fill
from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.multivolume import members_of, region_curve, voxel_curve
from dicomdock.imaging.numbers import number_text
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.viewer.features.segments.logic import SegmentsLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.timepoints.plot import lines
from dicomdock.viewer.features.timepoints.state import USUAL_RATE, TimePointsState
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.shell.download import offer

RATES = (0.2, 30.0)  # volumes a second that can be asked for


class TimePointsLogic:
    """Plays volumes until it is stopped, and computes values over them beside the event loop.

    Parameters
    ----------
    server : trame's.
    series, segments, views : what is shown, what is drawn on it, and where.
    archive : where the images are.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        segments: SegmentsLogic,
        views: Views,
        archive: Archive,
        notifications: Notifications,
    ) -> None:
        self.server, self.state = server, PageState(server.state, TimePointsState)
        self.series, self.segments, self.views = series, segments, views
        self.archive, self.notifications = archive, notifications
        self._task: asyncio.Task[None] | None = None
        self._complete = asyncio.Event()
        self._of = ""
        self._found: Curves | None = None
        self.state.bind_changes({self.state.name.volumes_playing: self._changed})
        server.controller.measure_over_volumes = self.measure
        server.controller.save_curves = self.save
        series.on_shown.append(self._shown)
        series.on_complete.append(self._complete.set)

    async def measure(self) -> None:
        """Compute values over the volumes: in the segments, else at the point in the middle of the views."""
        series, point = self.series.series, self.views.centre()
        if series is None or self.state.data.curves_busy:
            return
        current = self.segments.current
        drawn = current.read() if current is not None else None
        if drawn is not None and not any(one.mask.array.size for one in drawn.segments):
            drawn = None
        with self.state as data:
            data.curves_busy = True
        try:
            found = await asyncio.to_thread(self._measure, series.resource, drawn, point)
        except DicomdockError as error:
            self.notifications.error(str(error))
            return
        finally:
            with self.state as data:
                data.curves_busy = False
        if self.series.series is not None and self.series.series.uid == series.uid:
            self._show(found, drawn)

    def save(self) -> None:
        """Offer the values as CSV."""
        if self._found is not None:
            offer(self.server, "values.csv", self._found.csv().encode(), "text/csv")

    def _measure(self, series: Resource, drawn: Segmentation | None, point: Sequence[float] | None) -> Curves:
        paths = paths_of(self.archive, series)
        headers = headers_of(paths)
        found = members_of(split_series(headers))
        volumes = (fill(plan, paths, headers) for plan in found.plans)
        samples = region_curve(volumes, drawn) if drawn else voxel_curve(volumes, point or (0, 0, 0))
        return Curves(found.axis, tuple(samples), found.plans[0].units, series, found.remarks)

    def _show(self, found: Curves, drawn: Segmentation | None) -> None:
        self._found = found
        colours = {one.label: one.colour for one in drawn.segments} if drawn else {}
        low, high, curves = lines(found, colours)
        axis = found.axis
        with self.state as data:
            data.curves = curves
            data.curves_first, data.curves_last = axis.label(0), axis.label(len(axis.values) - 1)
            data.curves_low, data.curves_high = number_text(low), f"{number_text(high)} {found.unit}".rstrip()
            data.curves_remarks = [*found.remarks]

    def _shown(self) -> None:
        uid = self.series.series.uid if self.series.series is not None else ""
        if uid == self._of:
            return
        self._of, self._found = uid, None
        with self.state as data:
            data.volumes_playing, data.curves, data.curves_remarks = False, [], []

    def _changed(self, playing: bool) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if not playing:
            return
        current = self.segments.current
        if current is not None and current.unsaved:
            self.notifications.info("Save the segments first: they belong to the volume that is shown.")
            with self.state as data:
                data.volumes_playing = False
            return
        self._task = asyncio.get_running_loop().create_task(self._play())

    async def _play(self) -> None:
        while (count := len(self.series.state.data.volumes)) > 1 and self.series.series is not None:
            rate = min(max(self.state.data.volumes_rate or USUAL_RATE, RATES[0]), RATES[1])
            self._complete.clear()
            at = (self.series.state.data.volume_at + 1) % count
            with self.state:
                self.series.open_series(self.series.series.uid, at)
            await asyncio.gather(self._complete.wait(), asyncio.sleep(1 / rate))
