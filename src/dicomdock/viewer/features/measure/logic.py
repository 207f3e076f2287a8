"""Measurements on the shown series: placed by drags and clicks, undone, autosaved, saved as DICOM reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dicomdock.api.tool_points import LabelledPoint
from dicomdock.config.settings import Settings
from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.dicom.uid import new_uid
from dicomdock.errors import DicomdockError
from dicomdock.imaging.formats.csv_text import csv_of
from dicomdock.imaging.measurements import Measurement, Report, read_report, unit_text
from dicomdock.viewer.autosave import PlacedMeasurement
from dicomdock.viewer.features.measure.autosave import MeasurementAutosave
from dicomdock.viewer.features.measure.kinds import KINDS, picture_text, placed
from dicomdock.viewer.features.measure.labels import grabbed
from dicomdock.viewer.features.measure.nodes import Drawn
from dicomdock.viewer.features.measure.numbers import Numbers
from dicomdock.viewer.features.measure.placing import Placing
from dicomdock.viewer.features.measure.reports import Reports, as_reported, says_anything
from dicomdock.viewer.features.measure.state import MeasurementRow, MeasureState, ReportRow
from dicomdock.viewer.features.measure.steps import Step, Steps
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import LPS
from dicomdock.viewer.shell.download import offer

AUTOSAVE_SECONDS = 3.0  # between two autosaves


@dataclass(frozen=True)
class _SeriesMeasurements:
    """The measurements of a series that is not shown now."""

    step: Step
    report: Report | None
    saved: list[PlacedMeasurement]


class MeasuringLogic:
    """The measurements on the shown series."""

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        saving: SavingLogic,
        settings: Settings,
        notifications: Notifications,
    ) -> None:
        self.app, self.series, self.saving, self.notifications = app, series, saving, notifications
        self.server = server
        self.state = PageState(server.state, MeasureState)
        self._shown = ""  # the series that all of the following belongs to
        self._other_series: dict[str, _SeriesMeasurements] = {}  # what belongs to the others that were shown
        self._drawn: dict[str, Drawn] = {}
        self._placing = Placing(app, series.views, self.state, self._add, self._end_placing)
        self._numbers = Numbers(series, saving)
        self._reports = Reports(series, saving)
        self._autosaved = MeasurementAutosave(series, settings, notifications)
        self._steps = Steps()
        self._unplaced: dict[str, Measurement] = {}  # numbers of a report without coordinates in the images
        self.on_place: list[Callable[[], None]] = []  # called before the user places a measurement
        self.on_moved: list[Callable[[], None]] = []  # called when measurements have changed
        self._report: Report | None = None
        self._saved: list[PlacedMeasurement] = []  # what the report holds

        control = server.controller
        control.measure = self.place
        control.drop_measurement = self.remove
        control.drop_measurements = self.remove_all
        control.name_measurement = self.name
        control.save_measurements = self.save
        control.go_to_measurement = self.go_to
        control.show_measurement = self.show
        control.measurements_as_csv = self.save_csv
        control.open_report = self.open
        control.leave_measurements = self.leave
        series.on_shown.append(self._series_changed)
        series.on_complete.append(self._update_rows)
        series.on_studied.append(self._update_reports)
        series.views.mouse.take_drags(self._grabbed, self._changed)

    def place(self, kind: str) -> None:
        """Let the user place a measurement, by a drag or by clicks."""
        if self.series.volume is None:
            return
        self.stop()
        for callback in self.on_place:
            callback()
        self._placing.begin(kind)

    def stop(self) -> None:
        """End placing; what lacks points is removed."""
        self._placing.stop()

    def _end_placing(self, drawn: Drawn) -> None:
        if drawn.complete:
            self._changed()
        else:
            self.remove(drawn.id)

    def name(self, node_id: str, text: str) -> None:
        """Name a measurement."""
        if node_id in self._drawn and text.strip():
            self._drawn[node_id].rename(text.strip())
            self._changed()

    def remove(self, node_id: str) -> None:
        """Remove a measurement."""
        self._unplaced.pop(node_id, None)
        self._numbers.forget(node_id)
        if node_id in self._drawn:
            self._drawn.pop(node_id).remove()
        self._changed()

    def remove_all(self) -> None:
        """Remove all measurements, as one step."""
        self.stop()
        self._unplaced = {}
        self._numbers.forget_all()
        for one in self._drawn.values():
            one.remove()
        self._drawn.clear()
        self._changed()

    def go_to(self, node_id: str) -> None:
        """Show the slice that a measurement was made on, and the measurement."""
        if node_id in self._drawn:
            self.series.views.go_to(self._drawn[node_id].points()[0])
            self.show(node_id, True)

    def show(self, node_id: str, shown: bool) -> None:
        """Draw a measurement, or leave it out."""
        if node_id in self._drawn:
            self._drawn[node_id].show(shown)
            self._update_rows()

    def save_csv(self) -> None:
        """Offer all numbers as a file, one in each line."""
        columns = ("measurement", "quantity", "value", "unit", "sop_instance_uid", "frame")
        rows = [
            (one.label, value.quantity, value.number, unit_text(value.unit), *(one.image or ("", "")))
            for _, one in self.values()
            for value in one.values
        ]
        content = csv_of(columns, (dict(zip(columns, row, strict=True)) for row in rows))
        offer(self.server, "measurements.csv", content.encode(), "text/csv")

    def undo(self) -> None:
        """Undo the last step; where a measurement is being placed, that is its points."""
        half_done = self._placing.half_done
        self.stop()
        if not half_done:
            self._show_step(self._steps.undo())

    def redo(self) -> None:
        """Redo the last undone step."""
        self.stop()
        self._show_step(self._steps.redo())

    def values(self) -> list[tuple[str, Measurement]]:
        """Measure what is complete; what cannot be measured has no values."""
        found = [
            (node_id, as_reported(self._report, drawn, self._numbers.measure(drawn)))
            for node_id, drawn in self._drawn.items()
            if drawn.complete
        ]
        return [*found, *self._unplaced.items()]

    async def save(self) -> bool:
        """Write the measurements as a DICOM report into the archive; return whether they are there."""
        series, measured = self.series.series, [one for _, one in self.values() if says_anything(one)]
        if series is None or not measured:
            drawn = self._drawn or self._unplaced
            said = (
                "None of these has a number that a report could hold."
                if drawn
                else "There is nothing measured yet."
            )
            self.notifications.info(said)
            return False
        report = replace(self._report or Report(()), measurements=tuple(measured))
        try:
            made = await asyncio.to_thread(self._reports.write, report, series.uid)
        except DicomdockError as error:
            self.notifications.error(f"The measurements were not saved: {error}")
            return False
        self._report, self._saved = read_report(made), self._placed_measurements()
        self._autosave()
        self.series.refresh()
        self.notifications.info("Saved in the archive as a DICOM measurement report.")
        return True

    def open(self, uid: str) -> None:
        """Show the measurements of a report of the study."""
        series = self.series.study.find(uid) if self.series.study is not None else None
        if series is None or self.series.series is None:
            return
        if self._unsaved():
            with self.state as data:
                data.report_asked = uid
            return
        self._open(series)

    async def leave(self, answer: str) -> None:
        """Open the report that was asked for: ``save`` or ``drop`` the measurements first, or ``stay``."""
        with self.state as data:
            uid, data.report_asked = data.report_asked, ""
        if not uid or answer == "stay" or (answer == "save" and not await self.save()):
            return
        series = self.series.study.find(uid) if self.series.study is not None else None
        if series is not None and self.series.series is not None:
            self._open(series, with_arrows=answer == "save")

    def _open(self, series: Any, *, with_arrows: bool = True) -> None:
        """Show the measurements of a report in place of those that are there; arrows stay, none has them."""
        try:
            report = self._reports.read(series)
        except (DicomdockError, *READ_ERRORS) as error:
            self.notifications.error(f"{series.name} cannot be opened: {error}")
            return
        arrows = [one for one in self._placed_measurements() if with_arrows and one.kind == "arrow"]
        self._clear()
        self._report = report
        for one in report.measurements:
            where = placed(self._reports.in_space(one), self.series.volume.geometry)
            if where is None:
                self._unplaced[f"unplaced {len(self._unplaced)}"] = one
                continue
            self._add(where[0], one.label, [point * LPS for point in where[1]], one.tracking_uid)
        empty = not self._drawn
        for arrow in arrows:
            self._add_placed(arrow)
        self._saved = self._placed_measurements()
        self._steps.begin(self._step())
        if not report.measurements:
            self.notifications.info(f"{series.name} holds no measurements.")
        elif empty and not all(one.segment for one in report.measurements):  # segments are their places
            self.notifications.info(f"{series.name} names no places in these images; its numbers are listed.")
        self._update_rows()
        self._go_to([self._reports.in_space(one) for one in report.measurements])

    async def autosave(self) -> None:
        """Write to the state folder what is not in a report yet, again and again."""
        while True:
            await asyncio.sleep(AUTOSAVE_SECONDS)
            self._autosave()

    def is_only_in_memory(self) -> bool:
        """Return whether there are measurements that the state folder does not take, after one more try."""
        self._autosaved.retry()
        self._autosave()
        return self._autosaved.failed

    def close(self) -> None:
        """Write to the state folder what is not in a report yet."""
        self._autosave()

    def _series_changed(self) -> None:
        """Remove the measurements of the series before from the scene, and restore those of this one."""
        uid = self.series.series.uid if self.series.series is not None else ""
        if uid == self._shown:
            return
        self._autosave()
        if self._shown:
            self._other_series[self._shown] = _SeriesMeasurements(self._step(), self._report, self._saved)
        self._clear()
        self._shown = uid
        autosaved = self._autosaved.show(uid)
        back = self._other_series.pop(uid, None) or _SeriesMeasurements(Step(autosaved, {}), None, [])
        self._unplaced, self._report, self._saved = back.step.unplaced, back.report, back.saved
        for one in back.step.placed:
            if one.kind in KINDS:  # else of another version of dicomdock
                self._add_placed(one)
        self._steps.begin(self._step())
        self._update_rows()

    def _clear(self) -> None:
        for one in self._drawn.values():
            one.remove()
        self._drawn.clear()
        self._numbers.forget_all()
        self._unplaced = {}
        self._report, self._saved = None, []
        self._update_rows()

    def labelled_points(self) -> list[LabelledPoint]:
        """Return the measured points by their names, in LPS."""
        found = [one for one in self._drawn.values() if one.kind == "point" and one.complete]
        labelled = []
        for one in found:
            for point in one.points():
                x, y, z = map(float, point * LPS)
                labelled.append(LabelledPoint(one.name.strip(), (x, y, z)))
        return labelled

    def path(self, tracking_uid: str) -> tuple[str, list[Any]] | None:
        """Return name and points, in mm, LPS, of a path; None where there is none."""
        for one in self._drawn.values():
            if one.tracking_uid == tracking_uid and _is_path(one) and one.complete:
                return one.name, [point * LPS for point in one.points()]
        return None

    def _placed_measurements(self) -> list[PlacedMeasurement]:
        """Return the measurements that are complete, as they lie."""
        return [_placement(one) for one in self._drawn.values() if one.complete]

    def _unsaved(self) -> bool:
        now = self._placed_measurements()
        return bool(now) and now != self._saved

    def _autosave(self) -> None:
        wanted = self._placed_measurements()
        if not self._unsaved():  # the report has all but arrows, which have no numbers
            wanted = [one for one in wanted if one.kind == "arrow"]
        self._autosaved.write(wanted)

    def _go_to(self, measurements: Sequence[Measurement]) -> None:
        """Show the slices that the first measurement lies on."""
        first = next((one.points[0] for one in measurements if one.points), None)
        if first is not None:
            self.series.views.go_to(np.array(first) * LPS)

    def _add(
        self, kind: str, label: str = "", points: Sequence[Sequence[float]] = (), tracking_uid: str = ""
    ) -> Drawn:
        """Add a measurement to the scene; the page gets its numbers when all its points are there."""
        drawn = Drawn(
            self.app.scene,
            kind,
            label or f"{KINDS[kind].title} {self._next_number()}",
            self.series.volume.geometry,
            self._update_rows,
            self._changed,
            self.series.views.space.add,
            tracking_uid or new_uid(),
        )
        drawn.put(points)
        self._drawn[drawn.id] = drawn
        return drawn

    def _add_placed(self, one: PlacedMeasurement) -> None:
        """Add a measurement as it lay."""
        drawn = self._add(one.kind, one.name, one.points, one.tracking_uid)
        if len(one.text_at) == 3:
            drawn.put_text(one.text_at)

    def _next_number(self) -> int:
        """Return one more than the greatest number that is the name of a measurement."""
        names = (one.name.removeprefix(KINDS[one.kind].title).strip() for one in self._drawn.values())
        return 1 + max((int(name) for name in names if name.isdecimal()), default=0)

    def _grabbed(self, view: Any, at: tuple[float, float]) -> Callable[[float, float], None] | None:
        """Return what moves the text of a measurement that is under the mouse; None where there is none."""
        return None if self._placing else grabbed(view, self._drawn.values(), at)

    def _changed(self) -> None:
        """Show the numbers, and remember a step that can be undone."""
        self._update_rows()
        self._steps.add(self._step())

    def _step(self) -> Step:
        return Step(self._placed_measurements(), dict(self._unplaced))

    def _show_step(self, step: Step | None) -> None:
        """Draw what there was at a step, where there is one.

        What lay there already stays drawn, or hidden: the nodes of one take a tenth of a second to make.
        """
        if step is None:
            return
        there = {replace(_placement(one), name=""): one for one in self._drawn.values()}
        self._drawn.clear()
        self._unplaced = dict(step.unplaced)
        for one in step.placed:
            drawn = there.pop(replace(one, name=""), None)
            if drawn is None:
                self._add_placed(one)
            else:
                drawn.rename(one.name)
                self._drawn[drawn.id] = drawn
        for drawn in there.values():
            drawn.remove()
            self._numbers.forget(drawn.id)
        self._update_rows()

    def _update_rows(self, *_: Any) -> None:
        self._placing.end_when_complete()
        rows = []
        for node_id, one in self.values():
            drawn = self._drawn.get(node_id)
            if drawn is not None:
                drawn.write(picture_text(one))
            words = self._numbers.words(node_id, one)
            path = one.tracking_uid if _is_path(drawn) else ""
            rows.append(MeasurementRow(node_id, one.label, drawn is not None, words, _is_shown(drawn), path))
        with self.state as data:
            data.measurements = rows
        for callback in self.on_moved:
            callback()

    def _update_reports(self) -> None:
        assert self.series.study is not None
        with self.state as data:
            data.reports = [
                ReportRow(one.uid, one.name) for one in self.series.study.series if one.kind == "report"
            ]


def _placement(drawn: Drawn) -> PlacedMeasurement:
    points = tuple(tuple(map(float, point)) for point in drawn.points())
    return PlacedMeasurement(drawn.kind, drawn.name, points, drawn.tracking_uid, drawn.text_put)


def _is_shown(drawn: Drawn | None) -> bool:
    return drawn is not None and drawn.shown


def _is_path(drawn: Drawn | None) -> bool:
    return drawn is not None and drawn.kind == "path"
