"""The objects of a study besides images: maps, models, documents, segmentations and reports."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter
from vtkmodules.vtkIOGeometry import vtkSTLReader

from dicomdock.archive import Archive, ArchivedInstance
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError
from dicomdock.imaging.documents import CDA, PDF, STL, read_document
from dicomdock.imaging.waveforms import FAMILY, is_waveform, read_waveform, strip
from dicomdock.viewer.features.key_images.logic import KeyImagesLogic
from dicomdock.viewer.features.layout.layouts import THREED
from dicomdock.viewer.features.measure.logic import MeasuringLogic
from dicomdock.viewer.features.objects.state import ObjectRow, ObjectsState
from dicomdock.viewer.features.segments.logic import SegmentsLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.shell.state import ShellState
from dicomdock.viewer.study import Series, read_instance

PATH = "/documents/"  # before the SOP Instance UID
LABELS: Mapping[str, str] = {
    "parametric map": "map",
    "segmentation": "segmentation",
    "structures": "structures",
    "report": "report",
    "key images": "key images",
    "presentation": "not shown",
    "other": "not shown",
}
WORDS = {STL: "model", PDF: "PDF", CDA: "CDA"}
TYPES = {".pdf": "application/pdf", ".xml": "text/plain"}  # shown; a browser would run a page of XML
WAVEFORMS = ("ECG", "EEG", "EMG", "EOG", "HD")
MODEL_COLOUR = (0.93, 0.78, 0.55)


class OthersLogic:
    """Lists the objects that are not images, and opens them.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    series, segments, measuring, key_images : show maps, segmentations, reports and selections.
    archive : where documents lie.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        segments: SegmentsLogic,
        measuring: MeasuringLogic,
        key_images: KeyImagesLogic,
        archive: Archive,
        notifications: Notifications,
    ) -> None:
        self.app, self.series, self.archive, self.notifications = app, series, archive, notifications
        self.state, self._shell = PageState(server.state, ObjectsState), PageState(server.state, ShellState)
        self._openers = {
            "parametric map": ("series", series.open_series),
            "segmentation": ("segment", segments.open),
            "structures": ("segment", segments.open),
            "report": ("measure", measuring.open),
            "key images": ("series", key_images.open),
        }
        self._models: dict[str, Any] = {}

        server.controller.open_other = self.open
        server.controller.show_model = self.show_model
        server.controller.on_server_bind.add(
            lambda bound: bound.app.router.add_get(PATH + "{uid}", self._answer)
        )
        series.on_studied.append(self._list)

    def open(self, uid: str) -> None:
        """Open a series in the panel that is made for it."""
        series = self.series.study.find(uid) if self.series.study is not None else None
        if series is None or series.kind not in self._openers:
            return
        tool, work = self._openers[series.kind]
        with self._shell as data:
            data.tool = tool
        work(uid)

    def show_model(self, uid: str) -> None:
        """Show an STL model in 3D and its outline on the slices, or put it away."""
        node = self._models.pop(uid, None)
        if node is not None:
            self.app.scene.RemoveNode(node)
        else:
            try:
                self._models[uid] = self._model(uid)
                self.series.views.fit(THREED)
            except (DicomdockError, OSError) as error:
                self.notifications.error(f"The model cannot be shown: {error}")
        with self.state as data:
            data.models_shown = list(self._models)

    def _list(self) -> None:
        study = self.series.study
        assert study is not None
        found: list[ObjectRow] = []
        for one in study.series:
            if one.kind == "document" or one.modality in WAVEFORMS:
                found += self._documents(one)
            elif one.kind != "image":
                found.append(ObjectRow(one.uid, one.name, one.kind, LABELS[one.kind]))
        with self.state as data:
            data.others = found

    def _documents(self, series: Series) -> list[ObjectRow]:
        instances = self.archive.instances(series.resource)
        return [
            ObjectRow(
                one.resource.instance or "",
                series.name if len(instances) == 1 else f"{series.name} ({at})",
                "model" if one.sop_class_uid == STL else "document",
                "waveform" if one.sop_class_uid.startswith(FAMILY) else WORDS.get(one.sop_class_uid, "file"),
                f"{PATH}{one.resource.instance}",
            )
            for at, one in enumerate(instances, 1)
        ]

    def _instance(self, uid: str) -> ArchivedInstance | None:
        study = self.series.study
        if study is None:
            return None
        for series in study.series:
            for one in self.archive.instances(Resource(study.uid, series.uid)):
                wave = one.sop_class_uid.startswith(FAMILY)
                if one.resource.instance == uid and (series.kind == "document" or wave):
                    return one
        return None

    def _model(self, uid: str) -> Any:
        instance = self._instance(uid)
        if instance is None:
            raise DicomdockError("it is no longer on this computer.")
        reader, turn, turned = vtkSTLReader(), vtkTransform(), vtkTransformPolyDataFilter()
        with tempfile.NamedTemporaryFile(suffix=".stl") as file:  # VTK reads STL from files alone
            file.write(read_document(read_instance(self.archive, instance)).data)
            file.flush()
            reader.SetFileName(file.name)
            reader.Update()
        if not reader.GetOutput().GetNumberOfPoints():
            raise DicomdockError("it holds no surface.")
        turn.Scale(-1, -1, 1)  # DICOM's models are in LPS, the scene is in RAS
        turned.SetTransform(turn)
        turned.SetInputData(reader.GetOutput())
        turned.Update()
        node = self.app.scene.AddNewNodeByClass("vtkMRMLModelNode", "Model")
        node.SetAndObservePolyData(turned.GetOutput())
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*MODEL_COLOUR)
        display.SetVisibility2D(True)
        display.SetSliceIntersectionThickness(2)
        return node

    async def _answer(self, request: web.Request) -> web.Response:
        """Send a document to the browser: PDF to be shown, all else to be saved."""
        instance = self._instance(request.match_info["uid"])
        if instance is None:
            return web.Response(status=404, text="This document is not in the study.")
        try:
            dataset = read_instance(self.archive, instance)
            if is_waveform(dataset):
                drawn, _ = strip(read_waveform(dataset))
                # It may be opened as a page of its own: nothing in it is to run or to be fetched.
                policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
                return web.Response(text=drawn, content_type="image/svg+xml", headers=policy)
            document = read_document(dataset)
        except (DicomdockError, OSError) as error:
            return web.Response(status=422, text=str(error))
        name = quote((document.title or "document") + document.suffix)
        shown = document.suffix in TYPES
        return web.Response(
            body=document.data,
            # The type that the object declares is not trusted: a browser would run a page.
            content_type=TYPES.get(document.suffix, "application/octet-stream"),
            headers={
                "X-Content-Type-Options": "nosniff",
                "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{name}",
            },
        )
