"""The objects of a study besides images: maps, models, documents, segmentations and reports."""

from __future__ import annotations

import asyncio
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
from dicomdock.imaging.presentation_state import READABLE
from dicomdock.imaging.video import Video, read_video
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
    "presentation": "presentation",
    "other": "not shown",
}
WORDS = {STL: "model", PDF: "PDF", CDA: "CDA"}
TYPES = {".pdf": "application/pdf", ".xml": "text/plain"}  # shown; a browser would run a page of XML
IN_TABS = ("document", "video")
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
        self._video: tuple[str, Video] | None = None  # the last by its digest: browsers ask piece by piece

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
            if one.kind in IN_TABS or one.modality in WAVEFORMS:
                found += self._documents(one)
            elif one.kind == "presentation":
                found += self._presentations(one)
            elif one.kind != "image":
                found.append(ObjectRow(one.uid, one.name, one.kind, LABELS[one.kind]))
        with self.state as data:
            data.others = found

    def _presentations(self, series: Series) -> list[ObjectRow]:
        instances = self.archive.instances(series.resource)
        found = []
        for at, one in enumerate(instances, 1):
            name = series.name if len(instances) == 1 else f"{series.name} ({at})"
            kind = "presentation" if one.sop_class_uid in READABLE else "other"
            found.append(ObjectRow(one.resource.instance or "", name, kind, LABELS[kind]))
        return found

    def _documents(self, series: Series) -> list[ObjectRow]:
        def words(one: ArchivedInstance) -> str:
            if series.kind == "video":
                return "video"
            return (
                "waveform" if one.sop_class_uid.startswith(FAMILY) else WORDS.get(one.sop_class_uid, "file")
            )

        instances = self.archive.instances(series.resource)
        return [
            ObjectRow(
                one.resource.instance or "",
                series.name if len(instances) == 1 else f"{series.name} ({at})",
                "model" if one.sop_class_uid == STL else "document",
                words(one),
                f"{PATH}{one.resource.instance}",
            )
            for at, one in enumerate(instances, 1)
        ]

    def _find(self, uid: str) -> tuple[Series, ArchivedInstance] | None:
        study = self.series.study
        if study is None:
            return None
        for series in study.series:
            for one in self.archive.instances(Resource(study.uid, series.uid)):
                wave = one.sop_class_uid.startswith(FAMILY)
                if one.resource.instance == uid and (series.kind in IN_TABS or wave):
                    return series, one
        return None

    def _model(self, uid: str) -> Any:
        found = self._find(uid)
        if found is None:
            raise DicomdockError("it is no longer on this computer.")
        reader, turn, turned = vtkSTLReader(), vtkTransform(), vtkTransformPolyDataFilter()
        with tempfile.NamedTemporaryFile(suffix=".stl") as file:  # VTK reads STL from files alone
            file.write(read_document(read_instance(self.archive, found[1])).data)
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
        self.series.views.space.add(display)
        return node

    async def _answer(self, request: web.Request) -> web.Response:
        """Send a document or a video to the browser: what it can show to be shown, all else to be saved."""
        found = self._find(request.match_info["uid"])
        if found is None:
            return web.Response(status=404, text="This document is not in the study.")
        series, instance = found
        try:
            if series.kind == "video":
                video = await asyncio.to_thread(self._read_video, instance)
                return _video_answer(request, video, series.name)
            dataset = read_instance(self.archive, instance)
            if is_waveform(dataset):
                drawn, _ = strip(read_waveform(dataset))
                # It may be opened as a page of its own: nothing in it is to run or to be fetched.
                policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
                return web.Response(text=drawn, content_type="image/svg+xml", headers=policy)
            document = read_document(dataset)
        except (DicomdockError, OSError) as error:
            return web.Response(status=422, text=str(error))
        # The type that the object declares is not trusted: a browser would run a page.
        media_type = TYPES.get(document.suffix, "application/octet-stream")
        name, shown = (document.title or "document") + document.suffix, document.suffix in TYPES
        return web.Response(body=document.data, content_type=media_type, headers=_headers(name, shown))

    def _read_video(self, instance: ArchivedInstance) -> Video:
        if self._video is None or self._video[0] != instance.digest:
            self._video = (instance.digest, read_video(read_instance(self.archive, instance)))
        return self._video[1]


def _headers(name: str, shown: bool) -> dict[str, str]:
    disposition = "inline" if shown else "attachment"
    return {
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(name)}",
    }


def _video_answer(request: web.Request, video: Video, name: str) -> web.Response:
    """Send a video, or the piece of it that a browser asks for when a user jumps (RFC 9110 §14)."""
    size, headers = (
        len(video.data),
        {**_headers(name + video.suffix, video.playable), "Accept-Ranges": "bytes"},
    )
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError:  # none that can be read: the whole is as good an answer
        start, stop = 0, size
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
    whole = (start, stop) == (0, size) and "Range" not in request.headers
    if not whole:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return web.Response(
        status=200 if whole else 206,
        body=video.data if whole else video.data[start:stop],
        content_type=video.media_type if video.playable else "application/octet-stream",
        headers=headers,
    )
