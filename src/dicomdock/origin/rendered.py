"""Rendered resources: pictures and thumbnails of studies, series, instances and frames.

A study or series is shown by one instance from its middle; all instances of it only where the client asks for
parts of a multipart body.

References
----------
PS3.18 §10.4.1.1.3 (rendered resources), §10.4.1.1.4 (thumbnails), §8.3.5 (parameters).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.json_model import text, value
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotAcceptable, NotFound
from dicomdock.origin.accept import NATIVE, PictureType, picture_type
from dicomdock.origin.context import (
    Origin,
    accept_of,
    instance_on_disk,
    on_disk_each,
    resource_of,
    transfer_syntax,
)
from dicomdock.origin.responses import (
    Multipart,
    Streamed,
    gathered,
    in_thread,
    unread_parameters,
    warning_header,
)
from dicomdock.origin.view import DEFAULT_QUALITY, View, Viewport, Window
from dicomdock.origin.workers import Workers
from dicomdock.sources import DicomJson, DicomSource, Part

_PARAMETERS = frozenset({"viewport", "window", "quality"})
THUMBNAIL = Viewport(128, 128)
# What shows a person or specimen comes before what was drawn or written about it.
_WITHOUT_PICTURE = frozenset(
    {"SR", "KO", "PR", "RTSTRUCT", "RTPLAN", "RTRECORD", "DOC", "ECG", "REG", "FID", "RWV", "AU"}
)
_MADE = frozenset({"SEG", "RTDOSE", "OT"})


async def rendered(origin: Origin, request: Request) -> Response:
    """Return the picture of a resource."""
    return await _picture(origin, request, None)


async def thumbnail(origin: Origin, request: Request) -> Response:
    """Return a small picture of a resource."""
    return await _picture(origin, request, THUMBNAIL)


async def _picture(origin: Origin, request: Request, viewport: Viewport | None) -> Response:
    resource = resource_of(request)
    chosen = picture_type(accept_of(request))
    if chosen is None:
        raise NotAcceptable("Pictures are available as image/jpeg or image/png.", status=406)
    media_type, multipart = chosen
    view = view_of(request.query_params, media_type, viewport)
    shown = _all_pictures if multipart else one_picture
    response = await in_thread(lambda: shown(origin, resource, view))
    unread = unread_parameters(name for name in request.query_params if name not in _PARAMETERS)
    response.headers.update(warning_header(unread))
    return response


def view_of(parameters: QueryParams, media_type: PictureType, viewport: Viewport | None = None) -> View:
    """Read how a picture is wanted.

    Raises
    ------
    InvalidInput
        A parameter is not what it should be.
    """
    if asked := parameters.get("viewport"):
        viewport = Viewport.parse(asked)
    window = Window.parse(parameters["window"]) if parameters.get("window") else None
    quality = parameters.get("quality") or str(DEFAULT_QUALITY)
    if not (quality.isascii() and quality.isdigit() and len(quality) < 4):
        raise InvalidInput(f"quality={quality[:60]!r} is not a number from 1 to 100.")
    return View(window, viewport, media_type, int(quality))


def one_picture(origin: Origin, resource: Resource, view: View) -> Response:
    """Return one picture, of the first frame asked for or one that stands for the resource."""
    source = origin.source()
    instance = resource if resource.instance is not None else representative(source, resource)
    with instance_on_disk(source, instance) as (path, syntax):
        number = instance.frames[0] if instance.frames else 1
        picture = _rendered(path, syntax, number, view, origin.workers)
    return Response(picture, media_type=view.media_type)


def _rendered(path: Path, syntax: str, frame: int, view: View, workers: Workers) -> bytes:
    from dicomdock.origin.rendering import render

    if syntax in NATIVE:
        return render(path, frame, view)
    return workers.call(render, path, frame, view)


def _all_pictures(origin: Origin, resource: Resource, view: View) -> Response:
    source = origin.source()

    def parts() -> Iterator[Part]:
        shown = 0
        strict = resource.instance is not None
        found = source.retrieve(Resource(resource.study, resource.series, resource.instance))
        for part, path in on_disk_each(found, strict=strict):
            for number in resource.frames or (1,):
                try:
                    picture = _rendered(path, transfer_syntax(part, path), number, view, origin.workers)
                except NotAcceptable:
                    if strict:
                        raise
                    continue  # a document among the images
                yield Part(view.media_type, partial(_once, picture), length=len(picture))
                shown += 1
        if not shown:
            raise NotFound(f"There is nothing to see at {resource}.")

    pictures = parts()
    first = next(pictures)
    body = Multipart(_chained(first, pictures), view.media_type)
    return Streamed.started(gathered(body.chunks()), body.content_type)


def _once(data: bytes) -> Iterator[bytes]:
    yield data


def _chained(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest


def representative(source: DicomSource, resource: Resource) -> Resource:
    """Choose the instance that stands for a study or series: from the middle of the first series with images.

    Raises
    ------
    NotFound
        The resource is not there.
    NotAcceptable
        There is no image in it.
    """
    series = resource.series or _shown_series(source, resource.study)
    instances = _found(
        source, Query("instances", {"StudyInstanceUID": resource.study, "SeriesInstanceUID": series})
    )
    if not instances:
        raise NotFound(f"There is nothing at {resource}.")
    instances.sort(
        key=lambda attributes: (_number(attributes, "InstanceNumber"), text(attributes, "SOPInstanceUID"))
    )
    middle = instances[len(instances) // 2]
    return Resource(resource.study, series, text(middle, "SOPInstanceUID"))


def _shown_series(source: DicomSource, study: str) -> str:
    found = _found(source, Query("series", {"StudyInstanceUID": study}))
    if not found:
        raise NotFound(f"There is no study {study}.")
    found.sort(key=lambda attributes: (_rank(attributes), _number(attributes, "SeriesNumber")))
    if _rank(found[0]) == 2:
        raise NotAcceptable("There is no image in this study.", status=406)
    return text(found[0], "SeriesInstanceUID")


def _rank(attributes: DicomJson) -> int:
    modality = text(attributes, "Modality")
    return 2 if modality in _WITHOUT_PICTURE else 1 if modality in _MADE else 0


def _found(source: DicomSource, query: Query) -> list[DicomJson]:
    return [match.attributes for page in source.search(query) for match in page.matches]


def _number(attributes: DicomJson, keyword: str) -> float:
    number = value(attributes, keyword)
    try:
        return float(number) if isinstance(number, (int, float, str)) else 0.0
    except ValueError:
        return 0.0
