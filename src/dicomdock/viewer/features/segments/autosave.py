"""Autosave of segments that are not in the archive yet."""

from __future__ import annotations

import asyncio

from dicomdock.config.settings import Settings
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.volume import Volume
from dicomdock.viewer.autosave import UnsavedWork
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.segmentation_nodes import SegmentationNode


class SegmentationAutosave:
    """The unsaved segmentations of a study in the state folder; in memory while it does not take them."""

    def __init__(self, series: SeriesLogic, settings: Settings, notifications: Notifications) -> None:
        self._series, self._settings, self._notifications = series, settings, notifications
        self._not_on_disk: dict[str, list[Segmentation]] = {}  # what could not be written, by series
        self._failed = False

    async def write(self, current: SegmentationNode) -> None:
        """Write what has changed, while the user goes on."""
        if current.changes in (current.autosaved, current.saved):
            return
        changes, value = current.changes, current.read()
        try:
            await asyncio.to_thread(self._work().write_segmentation, current.series, value)
        except OSError as error:
            self._report(error)
        else:
            current.autosaved, self._failed = changes, False
            if not current.unsaved:  # it was saved while this was written
                self.remove(current.series, current.base)

    def write_now(self, current: SegmentationNode) -> None:
        """Write unsaved work before it leaves the scene."""
        if not current.unsaved or current.autosaved == current.changes:
            return
        value = current.read()
        if not self._is_written(current.series, value):
            before = self._not_on_disk.get(current.series, ())
            others = (one for one in before if not one.shares_grid(value))
            self._not_on_disk[current.series] = [value, *others]

    def is_only_in_memory(self, current: SegmentationNode | None) -> bool:
        """Return whether there is unsaved work that the state folder does not take, after one more try."""
        if current is not None and current.unsaved and current.autosaved != current.changes:
            changes = current.changes
            if not self._is_written(current.series, current.read()):
                return True
            current.autosaved = changes
        return any(self._not_on_disk.values())

    def read(self, series: str) -> list[Segmentation]:
        """Return the unsaved segmentations of a series."""
        return [*self._not_on_disk.get(series, ()), *self._work().read_segmentations(series)]

    def restored(self, current: SegmentationNode, before: Segmentation, volume: Volume) -> None:
        """Note that an unsaved segmentation is open again, maybe on the grid of more images than before."""
        in_memory = self._not_on_disk.get(current.series, [])
        if any(one is before for one in in_memory):
            self._not_on_disk[current.series] = [one for one in in_memory if one is not before]
        elif before.lies_on(volume):
            current.autosaved = current.changes
        else:
            self.write_now(current)
            if not self._not_on_disk.get(current.series):
                current.autosaved = current.changes
                self.remove(current.series, before)

    def remove(self, series: str, base: Segmentation) -> None:
        """Remove what is on disk of a segmentation."""
        self._work().remove_segmentation(series, base)

    def _is_written(self, series: str, value: Segmentation) -> bool:
        """Write unsaved work to the state folder; a failure is reported, and returned as False."""
        try:
            self._work().write_segmentation(series, value)
        except OSError as error:
            self._report(error)
            return False
        return True

    def _report(self, error: OSError) -> None:
        """Report a failed autosave once, until one has worked again."""
        if not self._failed:
            self._failed = True
            self._notifications.error(
                f"What you draw cannot be autosaved ({error.strerror or error}); it would be lost if the"
                " viewer crashed. Free some space, or save it now."
            )

    def _work(self) -> UnsavedWork:
        assert self._series.study is not None
        return UnsavedWork(self._settings, self._series.study.uid)
