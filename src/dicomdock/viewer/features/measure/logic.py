"""Measurements: distances, angles and regions with their mean; saved as DICOM reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer

from dicomdock.config.settings import Settings
from dicomdock.dicom.dataset import READ_ERRORS
from dicomdock.errors import DicomdockError, GeometryError
from dicomdock.imaging.measurements import (
    Measurement,
    Report,
    angle,
    distance,
    read_report,
    region,
    report_to_dicom,
)
from dicomdock.viewer.autosave import PlacedMeasurement, UnsavedWork
from dicomdock.viewer.features.measure.state import MeasurementRow, MeasureState, ReportRow
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.study import newest, read_instance

NODES = {
    "distance": ("vtkMRMLMarkupsLineNode", 2, "Distance"),
    "angle": ("vtkMRMLMarkupsAngleNode", 3, "Angle"),
    "region": ("vtkMRMLMarkupsClosedCurveNode", 3, "Region"),
}
LPS = np.array((-1.0, -1.0, 1.0))
AUTOSAVE_SECONDS = 3.0  # between two autosaves


@dataclass(frozen=True)
class _SeriesMeasurements:
    """The measurements of a series that is not shown now."""

    placed: list[PlacedMeasurement]
    unplaced: dict[str, Measurement]
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
        self.settings = settings
        self.state = PageState(server.state, MeasureState)
        self._shown = ""  # the series that all of the following belongs to
        self._other_series: dict[str, _SeriesMeasurements] = {}  # what belongs to the others that were shown
        self._nodes: dict[str, tuple[str, Any]] = {}
        self._unplaced: dict[str, Measurement] = {}  # numbers of a report without coordinates in the images
        self._count = 0
        self._report: Report | None = None
        self._saved: list[PlacedMeasurement] = []  # what the report holds
        self._autosaved: list[PlacedMeasurement] | None = []  # what is on disk; None to write it anew
        self._not_on_disk: set[str] = set()  # series whose measurements could not be written

        control = server.controller
        control.measure = self.place
        control.drop_measurement = self.remove
        control.name_measurement = self.name
        control.save_measurements = self.save
        control.open_report = self.open
        series.on_shown.append(self._series_changed)
        series.on_complete.append(self._update_rows)
        series.on_studied.append(self._update_reports)
        app.scene.AddNode(slicer.vtkMRMLInteractionNode()) if self._interaction() is None else None
        self._interaction().AddObserver(slicer.vtkMRMLInteractionNode.EndPlacementEvent, self._placed)

    def place(self, kind: str) -> None:
        """Let the user click the points of a measurement."""
        if self.series.volume is None or not self.series.volume.spatial:
            self.notifications.info(
                "These images have no position in the patient, so nothing can be measured in mm."
            )
            return
        node = self._add(kind)
        with self.state as data:
            data.measuring = kind
        self.app.markups_logic.place_node(node, persistent=kind == "region")

    def stop(self) -> None:
        """End placing."""
        self.app.markups_logic.disable_place_mode()
        self._placed()

    def name(self, node_id: str, text: str) -> None:
        """Name a measurement."""
        if node_id in self._nodes and text.strip():
            self._nodes[node_id][1].SetName(text.strip())
            self._update_rows()

    def remove(self, node_id: str) -> None:
        """Remove a measurement."""
        self._unplaced.pop(node_id, None)
        _, node = self._nodes.pop(node_id, ("", None))
        if node is not None:
            self.app.scene.RemoveNode(node)
        self._update_rows()

    def values(self) -> list[tuple[str, Measurement]]:
        """Measure what is complete."""
        found = []
        for node_id, (kind, node) in self._nodes.items():
            points = [tuple(point * LPS) for point in _points(node)]
            if len(points) < NODES[kind][1]:
                continue
            try:
                found.append((node_id, self._measure(kind, node.GetName(), points)))
            except GeometryError as error:
                found.append((node_id, Measurement(f"{node.GetName()}: {error}")))
        return [*found, *self._unplaced.items()]

    async def save(self) -> None:
        """Write the measurements as a DICOM report into the archive."""
        series, measured = self.series.series, [one for _, one in self.values() if one.values]
        if series is None or not measured:
            self.notifications.info("There is nothing measured yet.")
            return
        report = replace(self._report or Report(()), measurements=tuple(measured))
        try:
            made = await asyncio.to_thread(self._write, report, series.uid)
        except DicomdockError as error:
            self.notifications.error(f"The measurements were not saved: {error}")
            return
        self._report, self._saved = read_report(made), self._placed_measurements()
        self._autosave()
        self.series.refresh()
        self.notifications.info("Saved in the archive as a DICOM measurement report.")

    def open(self, uid: str) -> None:
        """Show the measurements of a report of the study."""
        series = self.series.study.find(uid) if self.series.study is not None else None
        if series is None or self.series.series is None:
            return
        if self._unsaved():
            self.notifications.info(
                "Save or remove what you measured first: a report is opened in its place."
            )
            return
        try:
            headers = self.saving.headers(self.series.series.uid)
            archive = self.saving.archive
            stored = newest(archive.instances(series.resource))
            report = read_report(read_instance(archive, stored), headers)
        except (DicomdockError, *READ_ERRORS) as error:
            self.notifications.error(f"{series.name} cannot be opened: {error}")
            return
        self._clear()
        self._report = report
        for one in report.measurements:
            kind = {("POLYLINE", 2): "distance", ("POLYLINE", 3): "angle"}.get((one.form, len(one.points)))
            kind = kind or ("region" if one.form == "POLYGON" and len(one.points) > 3 else None)
            if kind is None:
                self._unplaced[f"unplaced {len(self._unplaced)}"] = one
                continue
            points = one.points[:-1] if kind == "region" and one.points[0] == one.points[-1] else one.points
            self._add(kind, one.label, [np.array(point) * LPS for point in points])
        self._saved = self._placed_measurements()
        if not self._nodes:
            self.notifications.info(
                f"{series.name} holds no distances, angles or regions that can be shown here."
            )
        self._update_rows()
        self._go_to(report.measurements)

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
            self._other_series[self._shown] = _SeriesMeasurements(
                self._placed_measurements(), dict(self._unplaced), self._report, self._saved
            )
        self._clear()
        self._shown = uid
        autosaved = self._unsaved_work().read_measurements(uid)
        back = self._other_series.pop(uid, None) or _SeriesMeasurements(autosaved, {}, None, [])
        self._unplaced, self._report, self._saved, self._autosaved = (
            back.unplaced,
            back.report,
            back.saved,
            autosaved,
        )
        for one in back.placed:
            if one.kind not in NODES:
                continue  # of another version of dicomdock
            self._add(one.kind, one.name, one.points)
        self._update_rows()

    def _clear(self) -> None:
        for _, node in self._nodes.values():
            self.app.scene.RemoveNode(node)
        self._nodes.clear()
        self._unplaced = {}
        self._report, self._saved = None, []
        self._update_rows()

    def _placed_measurements(self) -> list[PlacedMeasurement]:
        """Return the measurements that are complete, as they lie."""
        return [
            PlacedMeasurement(kind, node.GetName(), tuple(tuple(map(float, point)) for point in points))
            for kind, node in self._nodes.values()
            if len(points := _points(node)) >= NODES[kind][1]
        ]

    def _unsaved(self) -> bool:
        now = self._placed_measurements()
        return bool(now) and now != self._saved

    def _autosave(self) -> None:
        wanted = self._placed_measurements() if self._unsaved() else []
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
        made = report_to_dicom(report, self.saving.headers(series))
        self.saving.store([made])
        return made

    def _interaction(self) -> Any:
        return self.app.scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")

    def _add(self, kind: str, label: str = "", points: Sequence[Sequence[float]] = ()) -> Any:
        """Add a measurement to the scene; the page gets its numbers when all its points are there."""
        node_class, _, title = NODES[kind]
        self._count += 1
        node = self.app.scene.AddNewNodeByClass(node_class, label or f"{title} {self._count}")
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetTextScale(2.6)
        display.SetGlyphScale(1.6)
        display.SetSelectedColor(1.0, 0.85, 0.35)
        display.SetColor(1.0, 0.85, 0.35)
        display.SetPropertiesLabelVisibility(kind != "region")
        if kind == "region":
            node.SetCurveTypeToLinear()
        for point in points:
            node.AddControlPoint(*point)
        node.AddObserver(slicer.vtkMRMLMarkupsNode.PointModifiedEvent, self._update_rows)
        node.AddObserver(slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent, self._update_rows)
        self._nodes[node.GetID()] = (kind, node)
        return node

    def _measure(self, kind: str, label: str, points: list[Any]) -> Measurement:
        volume = self.series.volume
        if kind == "distance":
            return distance(label, *points[:2], image=self._image(points))
        if kind == "angle":
            return angle(label, *points[:3], image=self._image(points))
        return region(label, points, volume, image=self._image(points))

    def _image(self, points: list[Any]) -> tuple[str, int] | None:
        """Name the image that all points lie on; None where there is none."""
        volume = self.series.volume
        at = volume.geometry.to_index(points)[:, 0]
        k = int(np.round(at.mean()))
        if np.abs(at - k).max() > 0.5 or not 0 <= k < len(volume.sources):
            return None
        found: tuple[str, int] | None = volume.sources[k]
        return found

    def _placed(self, *_: Any) -> None:
        with self.state as data:
            data.measuring = ""
        for node_id, (kind, node) in list(self._nodes.items()):
            if node.GetNumberOfDefinedControlPoints() < NODES[kind][1]:
                self.remove(node_id)

    def _update_rows(self, *_: Any) -> None:
        with self.state as data:
            data.measurements = [
                MeasurementRow(
                    node_id, one.label, node_id in self._nodes, [value.words for value in one.values]
                )
                for node_id, one in self.values()
            ]

    def _update_reports(self) -> None:
        assert self.series.study is not None
        with self.state as data:
            data.reports = [
                ReportRow(one.uid, one.name) for one in self.series.study.series if one.kind == "report"
            ]


def _points(node: Any) -> list[Any]:
    found = []
    for at in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(at) == slicer.vtkMRMLMarkupsNode.PositionDefined:
            point = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(at, point)
            found.append(np.array(point))
    return found
