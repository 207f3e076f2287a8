"""RT Dose over its plan's images: colour wash, isodose lines, and histograms of structures."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from dicomdock.api import archive as api
from dicomdock.api.dose import Dose, DoseHistograms
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, GeometryError
from dicomdock.imaging.geometry import Window
from dicomdock.imaging.numbers import number_text
from dicomdock.imaging.terminology import RGB
from dicomdock.viewer.features.dose.plot import curves, table
from dicomdock.viewer.features.dose.state import DoseRow, DoseState, IsodoseLevel
from dicomdock.viewer.features.fusion.logic import FusionLogic, different_frames, same_space
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.isodose import Colour, add_isodoses, surfaces
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.palettes import RAINBOW, rainbow
from dicomdock.viewer.scene import ShownVolume
from dicomdock.viewer.shell.download import offer
from dicomdock.viewer.study import newest

MODALITY = "RTDOSE"
SHARES = (0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
"""Of the greatest dose, at which isodose lines are drawn unless the user types others."""
MOST_LEVELS = 12


class DoseLogic:
    """The dose over the shown images.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    series, fusion : the images, and what shows the dose over them.
    archive, settings : where doses and structures are.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        fusion: FusionLogic,
        archive: Archive,
        settings: Settings,
        notifications: Notifications,
    ) -> None:
        self.server, self.app, self.state = server, app, PageState(server.state, DoseState)
        self.series, self.fusion, self.notifications = series, fusion, notifications
        self._archive = api.Archive(archive, settings)
        self._dose: Dose | None = None
        self._nodes: list[Any] = []
        self._drawing: asyncio.Task[None] | None = None
        self._levels: list[tuple[float, Colour]] = []
        self._found: DoseHistograms | None = None

        control = server.controller
        control.show_dose = self.show
        control.set_isodoses = self.set_levels
        control.dose_histograms = self.histograms
        control.save_histograms = self.save
        self.state.bind_changes({self.state.name.dose_lines: lambda _: self._draw()})
        fusion.on_drawn.append(self._draw)
        series.on_studied.append(self._list)

    async def show(self, uid: str) -> None:
        """Show a dose, by its SOP Instance UID, over the images; the one that is shown is taken away."""
        resource = self._resource(uid)
        if uid == self.state.data.dose_uid or resource is None:
            self.fusion.remove()
            return
        with self.state as data:
            data.dose_words = ""
        try:
            dose = await asyncio.to_thread(self._archive.dose, resource)
            self._check(dose, uid)
        except DicomdockError as error:
            with self.state as data:
                data.dose_words = error.reason if isinstance(error, GeometryError) else str(error)
            return
        most = float(dose.volume.array.max())
        levels = sorted({round(share * most, 1) for share in SHARES} - {0.0}, reverse=True)
        window = Window(most / 2, max(most, 1e-6), function="LINEAR_EXACT")
        lowest = levels[-1] if levels else 0.0
        self.fusion.put(uid, self._name(uid), dose.volume, window, RAINBOW, above=lowest)
        self._dose = dose
        with self.state as data:
            data.dose_uid, data.dose_unit = uid, "Gy" if dose.units == "GY" else "relative"
            data.dose_words = " ".join(dose.remarks)
        self._set(levels)
        self._draw()

    def set_levels(self, typed: str) -> None:
        """Draw isodose lines at the doses that were typed."""
        found = {float(one) for one in re.findall(r"\d+(?:\.\d+)?", typed.replace(";", " "))} - {0.0}
        self._set(sorted(found, reverse=True)[:MOST_LEVELS])
        self._draw()

    async def histograms(self, uid: str) -> None:
        """Compute the dose-volume histograms of the structures of a series."""
        series = self.series.study.find(uid) if self.series.study is not None else None
        dose = self._dose
        if series is None or dose is None or self.state.data.dvh_busy:
            return
        with self.state as data:
            data.dvh_busy = True
        try:
            found, colours = await asyncio.to_thread(self._compute, dose, self._newest(series.resource))
        except DicomdockError as error:
            self._forget_histograms()
            with self.state as data:
                data.dvh_remarks = [error.reason if isinstance(error, GeometryError) else str(error)]
            return
        finally:
            with self.state as data:
                data.dvh_busy = False
        if dose is self._dose:
            self._found = found
            most, drawn = curves(found, colours)
            with self.state as data:
                data.dvh_uid, data.dvh_remarks = uid, [*found.remarks]
                data.dvh_titles, data.dvh_rows = table(found)
                data.dvh_most, data.dvh_curves = f"{number_text(most)} {found.unit}", drawn

    def save(self) -> None:
        """Offer the histograms as CSV."""
        if self._found is not None:
            offer(self.server, "dvh.csv", self._found.csv().encode(), "text/csv")

    def _check(self, dose: Dose, uid: str) -> None:
        """Refuse a dose that does not lie in the space of the shown images."""
        below = self.series.volume
        if below is None or not below.spatial:
            raise GeometryError(
                "A dose is shown over images with a position in the patient; open some first."
            )
        if not same_space(below.frame_of_reference, dose.volume.frame_of_reference):
            raise GeometryError(different_frames(self._name(uid), dose.volume.frame_of_reference))

    def _compute(self, dose: Dose, structures: Resource) -> tuple[DoseHistograms, list[RGB]]:
        drawn = self._archive.segmentation(structures)
        return dose.histograms(drawn), [one.colour for one in drawn.segments]

    def _newest(self, series: Resource) -> Resource:
        return newest(self._archive.instances(series)).resource

    def _set(self, doses: list[float]) -> None:
        most = float(self._dose.volume.array.max()) if self._dose is not None else 0.0
        self._levels = [(dose, rainbow(dose / (most or 1.0))) for dose in doses]
        with self.state as data:
            data.dose_typed = ", ".join(f"{dose:g}" for dose in doses)
            data.dose_levels = [
                IsodoseLevel(
                    f"{dose:g} {data.dose_unit}",
                    "rgb({:.0f}, {:.0f}, {:.0f})".format(*(255 * part for part in colour)),
                )
                for dose, colour in self._levels
            ]

    def _draw(self) -> None:
        """Draw the lines where the dose is shown, and only there."""
        if self._drawing is not None:
            self._drawing.cancel()
            self._drawing = None
        for node in self._nodes:
            self.app.scene.RemoveNode(node)
        self._nodes = []
        shown, data = self.fusion.drawn, self.state.data
        if self._dose is not None and self.fusion.state.data.fusion_uid != data.dose_uid:
            self._forget()
        if self._dose is not None and shown is not None and data.dose_lines:
            self._drawing = asyncio.get_running_loop().create_task(self._draw_lines(shown, self._levels))

    async def _draw_lines(self, shown: ShownVolume, levels: list[tuple[float, Colour]]) -> None:
        found = await surfaces(shown, [value for value, _ in levels])
        self._nodes = add_isodoses(self.app, zip(found, (colour for _, colour in levels), strict=True))
        for node in self._nodes:
            self.series.views.space.add(node.GetDisplayNode())

    def _forget(self) -> None:
        self._dose = None
        self._forget_histograms()
        with self.state as data:
            data.dose_uid = data.dose_typed = data.dose_words = ""
            data.dose_levels = []

    def _forget_histograms(self) -> None:
        self._found = None
        with self.state as data:
            data.dvh_uid = data.dvh_most = ""
            data.dvh_titles, data.dvh_rows, data.dvh_curves, data.dvh_remarks = [], [], [], []

    def _list(self) -> None:
        study = self.series.study
        assert study is not None
        doses = []
        for series in study.series:
            if series.modality == MODALITY:
                found = self._archive.instances(series.resource)
                for at, one in enumerate(found, 1):
                    name = series.name if len(found) == 1 else f"{series.name} ({at})"
                    doses.append(DoseRow(str(one.resource.instance), name))
        with self.state as data:
            data.doses = doses
            data.dose_structures = [
                DoseRow(one.uid, one.name)
                for one in study.series
                if one.kind in ("structures", "segmentation") and one.count
            ]

    def _resource(self, uid: str) -> Resource | None:
        study = self.series.study
        for series in study.series if study is not None else ():
            for one in self._archive.instances(series.resource) if series.modality == MODALITY else ():
                if one.resource.instance == uid:
                    return one.resource
        return None

    def _name(self, uid: str) -> str:
        return next((one.name for one in self.state.data.doses if one.uid == uid), "The dose")
