"""DICOM reports of what is measured on the shown series."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset

from dicomdock.dicom.uid import new_uid
from dicomdock.imaging.measurements import Measurement, Report, read_report, report_to_dicom
from dicomdock.viewer.features.measure.kinds import in_stack
from dicomdock.viewer.features.measure.nodes import Drawn
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.study import newest, read_instance


class Reports:
    """Reads reports of the study, and writes what is measured on the shown series."""

    def __init__(self, series: SeriesLogic, saving: SavingLogic) -> None:
        self._series, self._saving = series, saving

    def read(self, listed: Any) -> Report:
        """Return the newest report of a series of reports, each of its measurements with a Tracking UID.

        Raises
        ------
        DicomdockError, READ_ERRORS
            It cannot be read.
        """
        assert self._series.series is not None
        headers = self._saving.headers(self._series.series.uid)
        archive = self._saving.archive
        stored = newest(archive.instances(listed.resource))
        report = read_report(read_instance(archive, stored), headers)
        identified = [replace(one, tracking_uid=one.tracking_uid or new_uid()) for one in report.measurements]
        return replace(report, measurements=tuple(identified))

    def write(self, report: Report, series: str) -> Dataset:
        """Write a report on the images of a series into the archive, and return it."""
        # Numbers of segments, of a report that was opened, go on to refer to them.
        drawn = self._saving.instances(one.segment[0] for one in report.measurements if one.segment)
        sources = [*self._saving.headers(series), *drawn]
        made = report_to_dicom(replace(report, creator=self._saving.person), sources)
        self._saving.store([made])
        return made

    def in_space(self, one: Measurement) -> Measurement:
        """Return a measurement on an image without a position with points as the stack of images has them."""
        volume = self._series.volume
        if not one.flat:
            return one
        if volume.spatial or one.image not in volume.sources:
            return replace(one, points=(), values=tuple(replace(value, points=()) for value in one.values))
        return in_stack(one, volume.geometry, volume.sources.index(one.image))


def as_reported(report: Report | None, drawn: Drawn, measured: Measurement) -> Measurement:
    """Return a measurement with its identity, and what the open report says of it beside numbers."""
    said = measured
    for one in report.measurements if report is not None else ():
        if one.tracking_uid == drawn.tracking_uid:
            said = one
    return replace(
        measured,
        tracking_uid=drawn.tracking_uid,
        finding=said.finding,
        site=said.site,
        evaluations=said.evaluations,
    )


def says_anything(one: Measurement) -> bool:
    """Return whether a report can hold a measurement: it has a number, or something was judged."""
    return bool(one.values or one.evaluations or one.finding is not None)
