"""Bulk data: one large value of an instance, as its metadata point to it.

References
----------
PS3.18 §10.4.1.1.5 (bulk data resources), §F.2.6 (BulkDataURI), §8.7.3.3 (uncompressed bulk data).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.errors import InvalidInput, NotAcceptable
from dicomdock.origin.accept import EXPLICIT_LITTLE, NATIVE, OCTETS, choices, frame_form
from dicomdock.origin.context import Origin, accept_of, instance_on_disk, resource_of
from dicomdock.origin.decoding import decode_frame, frame_count, read_frame, read_value
from dicomdock.origin.responses import Multipart, Streamed, gathered, in_thread
from dicomdock.origin.workers import Workers
from dicomdock.sources import Part

_VALUE_PATH = re.compile(r"[0-9A-Fa-f]{8}(?:[./][0-9]{1,6}[./][0-9A-Fa-f]{8}){0,16}\Z")
_PIXEL_DATA = "7FE00010"


async def retrieve(origin: Origin, request: Request) -> Response:
    """Return the value as it is, or its frames one by one where it is compressed pixel data."""
    resource = resource_of(request)
    path = request.path_params["value"]
    if not _VALUE_PATH.match(path):
        raise InvalidInput(f"{path[:80]!r} is not the path of an attribute: TAG[/ITEM/TAG ...].")
    accept = accept_of(request)

    def answer() -> Response:
        with instance_on_disk(origin.source(), resource) as (file, syntax):
            if path.upper() == _PIXEL_DATA and syntax not in NATIVE:
                return _frames(file, syntax, accept, origin.workers)
            multipart = _multipart(accept)
            value = read_value(file, re.split(r"[./]", path))
        part = Part(f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}", partial(_once, value), length=len(value))
        return _response([part], OCTETS, multipart=multipart)

    return await in_thread(answer)


def _multipart(accept: str) -> bool:
    for choice in choices(accept):
        if choice.covers(OCTETS):
            return choice.multipart or choice.anything
    raise NotAcceptable("This value is available as application/octet-stream.", status=406)


def _frames(file: Path, syntax: str, accept: str, workers: Workers) -> Response:
    count = frame_count(file)
    form = frame_form(accept, syntax, single=count == 1)
    if form is None:
        raise NotAcceptable(f"The pixel data are stored in transfer syntax {syntax}, or decoded.", status=406)
    parts = []
    for number in range(1, count + 1):
        data = workers.call(decode_frame, file, number) if form.decode else read_frame(file, number)
        parts.append(Part(form.media_type, partial(_once, data), length=len(data)))
    return _response(parts, form.media_type.partition(";")[0], multipart=form.multipart)


def _response(parts: Sequence[Part], media_type: str, *, multipart: bool) -> Response:
    if not multipart:
        return Streamed.started(parts[0].chunks(), parts[0].content_type, length=parts[0].length)
    body = Multipart(parts, media_type)
    return Streamed.started(gathered(body.chunks()), body.content_type, length=body.length)


def _once(data: bytes) -> Iterator[bytes]:
    yield data
