"""WADO-URI: one instance, as DICOM or as a picture, named by query parameters.

References
----------
PS3.18 §9 (URI web service).
"""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.media_types import DICOM
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.dicom.uid import check_uid
from dicomdock.errors import InvalidInput, NotAcceptable, NotFound
from dicomdock.origin.accept import EXPLICIT_LITTLE, InstanceForm, choices, picture_type
from dicomdock.origin.context import Origin
from dicomdock.origin.rendered import one_picture
from dicomdock.origin.responses import in_thread, sentence
from dicomdock.origin.retrieve import instances
from dicomdock.origin.view import DEFAULT_QUALITY, MAX_VIEWPORT, View, Viewport, Window
from dicomdock.sources import DicomSource


async def retrieve_by_uri(origin: Origin, request: Request) -> Response:
    """Return the instance that the parameters name."""
    asked = request.query_params
    if asked.get("requestType", "").upper() != "WADO":
        raise InvalidInput("requestType=WADO is missing.")
    # Who asks for these must not get the whole image, or the patient's name, as if they had been heeded.
    for name in ("anonymize", "region", "presentationUID"):
        if asked.get(name, "no").lower() not in ("", "no"):
            return sentence(f"{name} is not offered here.", 501)
    resource = await in_thread(lambda: _resource(origin.source(), asked))
    content_type = asked.get("contentType", "") or "image/jpeg"
    if any(choice.essence == DICOM for choice in choices(content_type)):
        syntax = asked.get("transferSyntax") or EXPLICIT_LITTLE
        # The standard lets the server fall back to the default where it cannot give the syntax asked for.
        form = InstanceForm(
            multipart=False, transfer_syntaxes=frozenset({syntax, EXPLICIT_LITTLE}), decode=True
        )
        return await in_thread(lambda: instances(origin, resource, form))
    chosen = picture_type(content_type)
    if chosen is None:
        raise NotAcceptable("contentType is application/dicom, image/jpeg or image/png.", status=406)
    view = View(_window(asked), _viewport(asked), chosen[0], _number(asked, "imageQuality", DEFAULT_QUALITY))
    if frame := asked.get("frameNumber"):
        resource = Resource(resource.study, resource.series, resource.instance, frames=(_whole(frame),))
    return await in_thread(lambda: one_picture(origin, resource, view))


def _resource(source: DicomSource, asked: QueryParams) -> Resource:
    """Return the instance that is asked for; study and series may be left out, as many clients do."""
    if not asked.get("objectUID"):
        raise InvalidInput("objectUID must be given.")
    names = {"studyUID": "StudyInstanceUID", "seriesUID": "SeriesInstanceUID", "objectUID": "SOPInstanceUID"}
    match = {
        keyword: check_uid(asked[name], tolerant=True) for name, keyword in names.items() if asked.get(name)
    }
    if len(match) == len(names):
        return Resource(asked["studyUID"], asked["seriesUID"], asked["objectUID"])
    for page in source.search(Query("instances", match, limit=1)):
        for found in page.matches:
            if (resource := resource_in(found.attributes)) is not None:
                return resource
    raise NotFound(f"There is no instance {asked['objectUID']}.")


def _window(asked: QueryParams) -> Window | None:
    centre, width = asked.get("windowCenter"), asked.get("windowWidth")
    if bool(centre) != bool(width):
        raise InvalidInput("windowCenter and windowWidth are given together.")
    return Window.parse(f"{centre},{width}") if centre and width else None


def _viewport(asked: QueryParams) -> Viewport | None:
    rows, columns = asked.get("rows"), asked.get("columns")
    if not (rows or columns):
        return None
    # Only one of both: the other follows from the image's proportions.
    largest = str(MAX_VIEWPORT)
    return Viewport.parse(f"{columns or largest},{rows or largest}")


def _number(asked: QueryParams, name: str, default: int) -> int:
    text = asked.get(name)
    return _whole(text) if text else default


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidInput(f"{text[:60]!r} is not a whole number.")
    return int(text)
