"""The numbers and the surfaces of the segments that are drawn, over the images that they lie on."""

from __future__ import annotations

import asyncio
from typing import Any

from dicomdock.api.files import MeshFormat, mesh_archive
from dicomdock.api.instances import headers_of, paths_of
from dicomdock.api.statistics import Statistics, measure_over, report_of
from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, GeometryError
from dicomdock.imaging.measurements import unit_text
from dicomdock.imaging.mesh import meshes_of
from dicomdock.imaging.numbers import cell_text
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.volume import Volume
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.segments.logic import SegmentsLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.statistics.state import StatisticsState
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.shell.download import offer
from dicomdock.viewer.study import read_instance

SHOWN = (
    ("label", "Segment"),
    ("volume_ml", "ml"),
    ("mean", "Mean"),
    ("standard_deviation", "SD"),
    ("minimum", "Min"),
    ("median", "Median"),
    ("maximum", "Max"),
    ("diameter_mm", "Longest mm"),
    ("surface_mm2", "Surface mm²"),
)
ON_IMAGES = (
    ("label", "Segment"),
    ("image", "Image"),
    ("area_mm2", "Area mm²"),
    ("slice_diameter_mm", "Longest mm"),
    ("voxels", "Area px²"),
    *(one for one in SHOWN if one[1] in ("Mean", "SD", "Min", "Median", "Max")),
)
"""On images without a position in the patient, a row for each image."""
UPTAKE = (
    ("suv_peak", "SUVpeak"),
    ("metabolic_volume_ml", "MTV ml"),
    ("total_lesion_glycolysis_g", "TLG g"),
)


class StatisticsLogic:
    """Computes the table beside the event loop, and offers it as a file.

    Parameters
    ----------
    server : trame's.
    series, segments : the images, and what is drawn on them.
    saving : stores reports.
    archive : where the headers of the images are.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        segments: SegmentsLogic,
        saving: SavingLogic,
        archive: Archive,
        notifications: Notifications,
    ) -> None:
        self.server, self.state = server, PageState(server.state, StatisticsState)
        self.series, self.segments, self.notifications = series, segments, notifications
        self.saving, self._archive = saving, archive
        self._found: Statistics | None = None
        self._reported: Statistics | None = None
        server.controller.measure_segments = self.measure
        server.controller.save_statistics = self.save
        server.controller.report_statistics = self.report
        server.controller.save_meshes = self.save_meshes
        segments.editor.segmentation_modified.connect(self._modified)
        segments.on_opened.append(self._forget)
        series.on_suv_type.append(self._modified)

    async def measure(self) -> None:
        """Compute the numbers of all segments as they are now."""
        current, scanned, series = self.segments.current, self.series.scanned, self.series.series
        if current is None or scanned is None or series is None or self.state.data.statistics_busy:
            return
        with self.state as data:
            data.statistics_busy, data.statistics_stale = True, False
        try:
            found = await asyncio.to_thread(self._measure, current.read(), scanned, series.resource)
        except DicomdockError as error:
            self.notifications.error(str(error))
            return
        finally:
            with self.state as data:
                data.statistics_busy = False
        if self.segments.current is current:
            self._show(found, spatial=current.base.spatial)

    def save(self, kind: str) -> None:
        """Offer the table, with all of its numbers, as a file: ``csv`` or ``parquet``."""
        if self._found is None:
            return
        try:
            content = self._found.csv().encode() if kind == "csv" else self._found.parquet()
        except DicomdockError as error:
            self.notifications.error(str(error))
            return
        media_type = "text/csv" if kind == "csv" else "application/vnd.apache.parquet"
        offer(self.server, f"segments.{kind}", content, media_type)

    async def report(self) -> None:
        """Store the numbers as a report that refers to the segments, which are saved first."""
        current, data = self.segments.current, self.state.data
        if current is None or data.statistics_busy:
            return
        saved = not current.unsaved and current.base.origin is not None
        if not saved and await self.saving.save() != "saved":
            return
        if self._found is None or data.statistics_stale:
            await self.measure()
        found, origin = self._found, current.base.origin
        if found is None or origin is None or self.segments.current is not current:
            return
        if found is self._reported:
            self.notifications.info("These numbers are in a report already.")
            return
        place = Resource(found.images.study, origin.series, origin.instance)
        try:
            await asyncio.to_thread(self._report, found, place)
        except DicomdockError as error:
            self.notifications.error(str(error))
            return
        self._reported = found
        self.series.refresh()
        self.notifications.info("The numbers are saved as a report that refers to the segments.")

    async def save_meshes(self, form: MeshFormat) -> None:
        """Offer the surfaces of the segments as a file, in mm, LPS: ``stl``, ``obj`` or ``gltf``."""
        current = self.segments.current
        if current is None:
            return
        with self.state as data:
            data.meshing = True
        value = current.read()
        try:
            value.require_spatial()
            meshes = await asyncio.to_thread(lambda: list(meshes_of(value)))
            name, content = await asyncio.to_thread(mesh_archive, meshes, form)
        except GeometryError as error:
            self.notifications.info(error.reason)
            return
        finally:
            with self.state:
                data.meshing = False
        if not meshes:
            self.notifications.info("The segments are empty, so they have no surface.")
            return
        media_type = "model/gltf-binary" if form == "gltf" else "application/zip"
        offer(self.server, name, content, media_type)

    def _report(self, found: Statistics, segmentation: Resource) -> None:
        (drawn,) = self._archive.instances(segmentation)
        headers = self.saving.headers(found.images.series or "")
        dataset = read_instance(self._archive, drawn, pixels=False)
        self.saving.store([report_of(found, dataset, headers, creator=self.saving.person)])

    def _measure(self, value: Segmentation, scanned: Volume, series: Resource) -> Statistics:
        stated = scanned.modality == "PT" or not scanned.spatial
        headers = headers_of(paths_of(self._archive, series)) if stated else ()
        return measure_over(value.onto(scanned.geometry), scanned, series, headers, self.series.suv_type())

    def _show(self, found: Statistics, *, spatial: bool) -> None:
        self._found, rows = found, found.rows()
        uptake = any(row["suv_peak"] is not None for row in rows)
        columns = [*SHOWN, *(UPTAKE if uptake else ())]
        if not spatial:  # what no image has: millimetres without calibration, values of colours
            columns = [one for one in ON_IMAGES if any(row[one[0]] is not None for row in rows)]
        units = {unit_text(one.unit) for one in found.segments} - {""}
        unit = f" ({', '.join(sorted(units))})" if units else ""
        with self.state as data:
            data.statistics_titles = [
                f"{title}{unit}" if name == "mean" else title for name, title in columns
            ]
            data.statistics_rows = [[cell_text(row[name]) for name, _ in columns] for row in rows]
            data.statistics_remarks = [*found.remarks]

    def _modified(self) -> None:
        if self._found is not None and not self.state.data.statistics_stale:
            with self.state as data:
                data.statistics_stale = True

    def _forget(self) -> None:
        self._found = None
        with self.state as data:
            data.statistics_rows, data.statistics_remarks, data.statistics_stale = [], [], False
