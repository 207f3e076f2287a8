"""Bulk data: one large value of an instance, as its metadata point to it.

References
----------
PS3.18 §10.4.1.1.5 (bulk data resources), §F.2.6 (BulkDataURI), §8.7.3.3 (uncompressed bulk data).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.media_types import OCTETS, in_transfer_syntax
from dicomdock.errors import InvalidInput, NotAcceptable
from dicomdock.origin.accept import EXPLICIT_LITTLE, NATIVE, FrameForm, choices, frame_form
from dicomdock.origin.context import Origin, accept_of, instance_on_disk, resource_of
from dicomdock.origin.responses import Flow, Multipart, Streamed, gathered, in_thread, whole
from dicomdock.origin.retrieve import frame_parts, frames_response
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
    base = origin.base(request)

    def answer() -> Response:
        with ExitStack() as stack:
            file, syntax = stack.enter_context(instance_on_disk(origin.source(), resource))
            if path.upper() == _PIXEL_DATA and syntax not in NATIVE:
                form, numbers = _frames(file, syntax, accept)
                parts = frame_parts(file, numbers, form, origin.workers, base + resource.path)
                first = next(parts)
                return frames_response(first, parts, form, stack.pop_all())
            multipart = _multipart(accept)
            return _value(file, re.split(r"[./]", path), stack.pop_all(), multipart=multipart)

    return await in_thread(answer)


def _multipart(accept: str) -> bool:
    for choice in choices(accept):
        if choice.covers(OCTETS):
            return choice.multipart or choice.anything
    raise NotAcceptable("This value is available as application/octet-stream.", status=406)


def _frames(file: Path, syntax: str, accept: str) -> tuple[FrameForm, Sequence[int]]:
    """Return the form of the frames of compressed pixel data, and their numbers."""
    from dicomdock.origin.decoding import frame_count

    count = frame_count(file)
    form = frame_form(accept, syntax, single=count == 1)
    if form is None:
        raise NotAcceptable(f"The pixel data are stored in transfer syntax {syntax}, or decoded.", status=406)
    return form, range(1, count + 1)


def _value(file: Path, path: Sequence[str], resources: ExitStack, *, multipart: bool) -> Response:
    """Answer with a value, from its file as long as it lasts."""
    from dicomdock.origin.decoding import read_range, read_value, value_range

    media_type = in_transfer_syntax(OCTETS, EXPLICIT_LITTLE)
    with ExitStack() as stack:
        stack.push(resources)
        if place := value_range(file, path):
            part = Part(media_type, partial(read_range, file, *place), length=place[1])
            lasting = stack.pop_all()
        else:
            value = read_value(file, path)
            part = Part(media_type, partial(_once, value), length=len(value))
            lasting = ExitStack()
    if not multipart:
        return Streamed.started(_while(lasting, whole(part, Flow())), media_type, length=part.length)
    body = Multipart([part], OCTETS)
    chunks = _while(lasting, gathered(body.chunks()))
    return Streamed.started(chunks, body.content_type, length=body.length)


def _while(resources: ExitStack, chunks: Iterator[bytes]) -> Iterator[bytes]:
    with resources:
        yield from chunks


def _once(data: bytes) -> Iterator[bytes]:
    yield data
