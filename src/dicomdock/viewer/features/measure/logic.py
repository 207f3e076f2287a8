"""Measurements on the shown series: placed by drags and clicks, undone, autosaved, saved as DICOM reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer

from dicomdock.api.tool_points import LabelledPoint
from dicomdock.config.settings import Settings
from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.dicom.uid import new_uid
from dicomdock.errors import DicomdockError
from dicomdock.imaging.formats.csv_text import csv_of
from dicomdock.imaging.measurements import Measurement, Report, read_report, report_to_dicom, unit_text
from dicomdock.viewer.autosave import PlacedMeasurement, UnsavedWork
from dicomdock.viewer.features.measure.kinds import KINDS, POINTS, in_stack, picture_text, placed
from dicomdock.viewer.features.measure.labels import grabbed
from dicomdock.viewer.features.measure.nodes import Drawn
from dicomdock.viewer.features.measure.numbers import Numbers
from dicomdock.viewer.features.measure.state import MeasurementRow, MeasureState, ReportRow
from dicomdock.viewer.features.measure.steps import Step, Steps
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import LPS
from dicomdock.viewer.shell.download import offer
from dicomdock.viewer.study import newest, read_instance

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
        self.server, self.settings = server, settings
        self.state = PageState(server.state, MeasureState)
        self._shown = ""  # the series that all of the following belongs to
        self._other_series: dict[str, _SeriesMeasurements] = {}  # what belongs to the others that were shown
        self._drawn: dict[str, Drawn] = {}
        self._placing: Drawn | None = None
        self._numbers = Numbers(series, saving)
        self._steps = Steps()
        self._unplaced: dict[str, Measurement] = {}  # numbers of a report without coordinates in the images
        self.on_place: list[Callable[[], None]] = []  # called before the user places a measurement
        self.on_moved: list[Callable[[], None]] = []  # called when measurements have changed
        self._report: Report | None = None
        self._saved: list[PlacedMeasurement] = []  # what the report holds
        self._autosaved: list[PlacedMeasurement] | None = []  # what is on disk; None to write it anew
        self._not_on_disk: set[str] = set()  # series whose measurements could not be written

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
        app.scene.AddNode(slicer.vtkMRMLInteractionNode()) if self._interaction() is None else None
        self._interaction().AddObserver(slicer.vtkMRMLInteractionNode.EndPlacementEvent, self._placed)

    def place(self, kind: str) -> None:
        """Let the user place a measurement, by a drag or by clicks."""
        if self.series.volume is None:
            return
        self.stop()
        for callback in self.on_place:
            callback()
        self.series.views.mouse.interaction("place")
        self._placing = self._add(kind)
        with self.state as data:
            data.measuring = kind
        self.series.views.mouse.drag_places(KINDS[kind].drag, self._placing.draw, self.stop)
        self._place(self._placing.nodes[0])

    def stop(self) -> None:
        """End placing; what lacks points is removed."""
        drawn, self._placing = self._placing, None
        self.app.markups_logic.disable_place_mode()
        if drawn is None:
            return
        self.series.views.mouse.drag_places("")
        self.series.views.cross.hide()
        self.series.views.mouse.interaction("window")
        with self.state as data:
            data.measuring = ""
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
        if self._placing is not None and self._placing.points() and not self._placing.complete:
            self.stop()
            return
        self.stop()
        self._show_step(self._steps.undo())

    def redo(self) -> None:
        """Redo the last undone step."""
        self.stop()
        self._show_step(self._steps.redo())

    def values(self) -> list[tuple[str, Measurement]]:
        """Measure what is complete; what cannot be measured has no values."""
        found = [
            (node_id, self._as_reported(drawn, self._numbers.measure(drawn)))
            for node_id, drawn in self._drawn.items()
            if drawn.complete
        ]
        return [*found, *self._unplaced.items()]

    def _as_reported(self, drawn: Drawn, measured: Measurement) -> Measurement:
        """Give a measurement its identity, and what the open report says of it beside numbers."""
        said = measured
        for one in self._report.measurements if self._report is not None else ():
            if one.tracking_uid == drawn.tracking_uid:
                said = one
        return replace(
            measured,
            tracking_uid=drawn.tracking_uid,
            finding=said.finding,
            site=said.site,
            evaluations=said.evaluations,
        )

    async def save(self) -> bool:
        """Write the measurements as a DICOM report into the archive; return whether they are there."""
        series, measured = self.series.series, [one for _, one in self.values() if _says_anything(one)]
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
            made = await asyncio.to_thread(self._write, report, series.uid)
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
        assert self.series.series is not None
        try:
            headers = self.saving.headers(self.series.series.uid)
            archive = self.saving.archive
            stored = newest(archive.instances(series.resource))
            report = read_report(read_instance(archive, stored), headers)
        except (DicomdockError, *READ_ERRORS) as error:
            self.notifications.error(f"{series.name} cannot be opened: {error}")
            return
        arrows = [one for one in self._placed_measurements() if with_arrows and one.kind == "arrow"]
        self._clear()
        identified = [replace(one, tracking_uid=one.tracking_uid or new_uid()) for one in report.measurements]
        self._report = report = replace(report, measurements=tuple(identified))
        for one in report.measurements:
            where = placed(self._from_pixels(one), self.series.volume.geometry)
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
        self._go_to([self._from_pixels(one) for one in report.measurements])

    def _from_pixels(self, one: Measurement) -> Measurement:
        """Return a measurement on an image without a position with points as the stack of images has them."""
        volume = self.series.volume
        if not one.flat:
            return one
        if volume.spatial or one.image not in volume.sources:
            return replace(one, points=(), values=tuple(replace(value, points=()) for value in one.values))
        return in_stack(one, volume.geometry, volume.sources.index(one.image))

    async def autosave(self) -> None:
        """Write to the state folder what is not in a report yet, again and again."""
        while True:
            await asyncio.sleep(AUTOSAVE_SECONDS)
            self._autosave()

    def is_only_in_memory(self) -> bool:
        """Return whether there are measurements that the state folder does not take, after one more try."""
        if self._shown in self._not_on_disk:
            self._autosaved = None
        self._autosave()
        return bool(self._not_on_disk)

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
        autosaved = self._unsaved_work().read_measurements(uid)
        back = self._other_series.pop(uid, None) or _SeriesMeasurements(Step(autosaved, {}), None, [])
        self._unplaced, self._report, self._saved, self._autosaved = (
            back.step.unplaced,
            back.report,
            back.saved,
            autosaved,
        )
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
        if not self._shown or wanted == self._autosaved:
            return
        try:
            self._unsaved_work().write_measurements(self._shown, wanted)
        except OSError as error:
            self._not_on_disk.add(self._shown)
            self.notifications.error(f"What you measured cannot be autosaved ({error.strerror or error}).")
        else:
            self._not_on_disk.discard(self._shown)
        self._autosaved = wanted  # a full disk is reported once for each change

    def _unsaved_work(self) -> UnsavedWork:
        assert self.series.study is not None
        return UnsavedWork(self.settings, self.series.study.uid)

    def _go_to(self, measurements: Sequence[Measurement]) -> None:
        """Show the slices that the first measurement lies on."""
        first = next((one.points[0] for one in measurements if one.points), None)
        if first is not None:
            self.series.views.go_to(np.array(first) * LPS)

    def _write(self, report: Report, series: str) -> Any:
        # Numbers of segments, of a report that was opened, go on to refer to them.
        drawn = self.saving.instances(one.segment[0] for one in report.measurements if one.segment)
        sources = [*self.saving.headers(series), *drawn]
        made = report_to_dicom(replace(report, creator=self.saving.person), sources)
        self.saving.store([made])
        return made

    def _interaction(self) -> Any:
        return self.app.scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")

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
        return None if self._placing is not None else grabbed(view, self._drawn.values(), at)

    def _place(self, node: Any) -> None:
        kind = KINDS[self._placing.kind] if self._placing is not None else None
        several = kind is not None and (kind.open_ended or kind.parts[0] == (POINTS, 2))
        self.app.markups_logic.place_node(node, persistent=several)

    def _placed(self, *_: Any) -> None:
        """Go on when a part has its points, once Slicer has done with the event that says so."""
        if self._placing is not None:
            asyncio.get_running_loop().call_soon(self._go_on, self._placing)

    def _go_on(self, drawn: Drawn) -> None:
        """Place the next part, or end."""
        if self._placing is not drawn:
            return
        if drawn.part_complete and (node := drawn.next_part()) is not None:
            self._place(node)
        else:
            self.stop()

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
        placing = self._placing
        if placing is not None and placing.kind in ("ellipse", "rectangle") and placing.complete:
            asyncio.get_running_loop().call_soon(self._end_if_complete, placing)
        rows = []
        for node_id, one in self.values():
            drawn = self._drawn.get(node_id)
            if drawn is not None:
                drawn.write(picture_text(one))
            words = self._row_words(node_id, one)
            path = one.tracking_uid if _is_path(drawn) else ""
            rows.append(MeasurementRow(node_id, one.label, drawn is not None, words, _is_shown(drawn), path))
        with self.state as data:
            data.measurements = rows
        for callback in self.on_moved:
            callback()

    def _row_words(self, node_id: str, one: Measurement) -> list[str]:
        """Return what is known of a measurement: numbers, or why there are none, and what was judged."""
        lines = self._numbers.words(node_id, one)
        if one.finding is not None and one.finding.meaning != one.label:
            lines.append(f"Finding: {one.finding.meaning}")
        if one.site is not None:
            lines.append(f"Site: {one.site.meaning}")
        return [*lines, *(judged.words for judged in one.evaluations)]

    def _end_if_complete(self, drawn: Drawn) -> None:
        """End the placing of a node that would take more points than it needs."""
        if self._placing is drawn and drawn.complete:
            self.stop()

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


def _says_anything(one: Measurement) -> bool:
    return bool(one.values or one.evaluations or one.finding is not None)
