"""Autosave of what is measured and in no report yet."""

from __future__ import annotations

from dicomdock.config.settings import Settings
from dicomdock.viewer.autosave import PlacedMeasurement, UnsavedWork
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications


class MeasurementAutosave:
    """The measurements of a study in the state folder, by their series."""

    def __init__(self, series: SeriesLogic, settings: Settings, notifications: Notifications) -> None:
        self._series, self._settings, self._notifications = series, settings, notifications
        self._shown = ""  # the series that the following belongs to
        self._on_disk: list[PlacedMeasurement] | None = []  # None to write it anew
        self._failed: set[str] = set()  # series whose measurements could not be written

    @property
    def failed(self) -> bool:
        """Whether there are measurements that the state folder does not take."""
        return bool(self._failed)

    def show(self, uid: str) -> list[PlacedMeasurement]:
        """Return what is on disk of a series, which is the one that is written from now on."""
        self._shown, self._on_disk = uid, self._work().read_measurements(uid)
        return self._on_disk

    def retry(self) -> None:
        """Write the next time what could not be written the last time."""
        if self._shown in self._failed:
            self._on_disk = None

    def write(self, measurements: list[PlacedMeasurement]) -> None:
        """Write the measurements of the shown series where they are others than those on disk."""
        if not self._shown or measurements == self._on_disk:
            return
        try:
            self._work().write_measurements(self._shown, measurements)
        except OSError as error:
            self._failed.add(self._shown)
            self._notifications.error(f"What you measured cannot be autosaved ({error.strerror or error}).")
        else:
            self._failed.discard(self._shown)
        self._on_disk = measurements  # a full disk is reported once for each change

    def _work(self) -> UnsavedWork:
        assert self._series.study is not None
        return UnsavedWork(self._settings, self._series.study.uid)
