"""WADO-RS: instances, their metadata, frames and bulk data.

References
----------
PS3.18 §10.4 (retrieve transaction).
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.media_types import DICOM, in_transfer_syntax
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.errors import NotAcceptable, NotFound
from dicomdock.origin.accept import (
    EXPLICIT_LITTLE,
    NATIVE,
    FrameForm,
    InstanceForm,
    frame_form,
    instance_form,
)
from dicomdock.origin.context import (
    Origin,
    accept_of,
    instance_on_disk,
    known_parts,
    on_disk_each,
    resource_of,
    transfer_syntax,
)
from dicomdock.origin.data_sets import answer, wanted_form
from dicomdock.origin.responses import Multipart, Streamed, gathered, in_thread, warning_header, whole
from dicomdock.origin.workers import Workers
from dicomdock.sources import DicomJson, JsonValue, Part


async def retrieve(origin: Origin, request: Request) -> Response:
    """Return the instances of a study or series, or one instance."""
    resource = resource_of(request)
    form = instance_form(accept_of(request), single=resource.instance is not None)
    if form is None:
        raise NotAcceptable(
            'Instances are available as multipart/related; type="application/dicom", '
            "and a single one also as application/dicom.",
            status=406,
        )
    return await in_thread(lambda: instances(origin, resource, form))


def instances(origin: Origin, resource: Resource, form: InstanceForm) -> Response:
    """Answer with the instances of a resource in the form that was chosen.

    Raises
    ------
    NotFound
        There are none.
    NotAcceptable
        The one that was asked for cannot be given so, or none of a study or series is stored so.
    """
    parts, damaged = known_parts(origin.source(), resource)
    single = resource.instance is not None
    status = 200 if damaged is None else 206  # the others are given, and those that are not are named
    warned = {} if damaged is None else warning_header([str(damaged)])
    outgoing: Sequence[Part] | Iterator[Part]
    if isinstance(parts, Sequence) and all(form.as_stored(transfer_syntax(part)) for part in parts):
        outgoing = [_labelled(part, transfer_syntax(part)) for part in parts]
    elif (
        not single
        and not form.decode
        and isinstance(parts, Sequence)
        and not any(map(form.as_stored, map(transfer_syntax, parts)))
    ):
        raise NotAcceptable(
            f"No instance is stored in transfer syntax {' or '.join(sorted(form.transfer_syntaxes))}.",
            status=406,
        )
    else:
        converted = _converted(parts, form, origin.workers, strict=single)
        outgoing = [_alone(converted)] if single else converted
    if form.multipart:
        body = Multipart(outgoing, DICOM, origin.flow)
        chunks = gathered(body.chunks(), origin.flow)
        return Streamed.started(
            chunks,
            body.content_type,
            length=body.length,
            status=status,
            headers=warned,
            flow=origin.flow,
        )
    part = next(iter(outgoing))
    chunks = whole(part, origin.flow)
    return Streamed.started(chunks, part.content_type, length=part.length, flow=origin.flow)


def _labelled(part: Part, syntax: str) -> Part:
    return replace(part, content_type=in_transfer_syntax(DICOM, syntax), headers={})


def _converted(
    parts: Iterable[Part], form: InstanceForm, workers: Workers, *, strict: bool
) -> Generator[Part]:
    """Return each instance as the client wants it.

    One that cannot be decoded goes out as stored, labelled so, when it is one of many: leaving it out, or the
    rest of the series, would be worse.

    Parameters
    ----------
    strict : refuse what cannot be given as wanted.

    Raises
    ------
    NoInstance
        The one that was asked for is not a DICOM instance.
    """
    for part, path in on_disk_each(parts, strict=strict):
        syntax = transfer_syntax(part, path)
        outgoing = _labelled(Part.from_file(path, resource=part.resource), syntax)
        if not form.as_stored(syntax):
            try:
                outgoing = _decoded(path, syntax, form, workers)
            except NotAcceptable:
                if strict:
                    raise
        yield outgoing


def _decoded(path: Path, syntax: str, form: InstanceForm, workers: Workers) -> Part:
    if not form.decode:
        raise NotAcceptable(
            f"The instance is stored in transfer syntax {syntax}, or decoded on request.", status=406
        )
    return decoded_part(path, syntax, workers)


def _alone(parts: Generator[Part]) -> Part:
    """Return the first part, whose file stays until it was read."""
    first = next(parts)

    def opener() -> Iterator[bytes]:
        yield from first.chunks()
        parts.close()

    return replace(first, opener=opener, path=None)


def decoded_part(path: Path, syntax: str, workers: Workers) -> Part:
    """Return an instance in Explicit VR Little Endian; its file goes when the part has been read.

    Raises
    ------
    NotAcceptable
        It cannot be decoded.
    """
    from dicomdock.origin.decoding import write_explicit

    folder = tempfile.TemporaryDirectory(prefix="dicomdock-")
    made = Path(folder.name) / "decoded.dcm"
    try:
        if syntax in NATIVE:
            write_explicit(path, made)
        else:
            workers.call(write_explicit, path, made)
    except BaseException:
        folder.cleanup()
        raise

    def opener() -> Iterator[bytes]:
        with folder:
            yield from Part.from_file(made).chunks()

    return Part(in_transfer_syntax(DICOM, EXPLICIT_LITTLE), opener, length=made.stat().st_size)


async def metadata(origin: Origin, request: Request) -> Response:
    """Return the attributes of every instance of a resource."""
    resource = resource_of(request)
    form = wanted_form(accept_of(request), "Metadata")
    base = origin.base(request)
    single = resource.instance is not None
    return await in_thread(
        lambda: answer(_described(origin, resource, base), form, single=single, flow=origin.flow)
    )


def _described(origin: Origin, resource: Resource, base: str) -> Iterator[DicomJson]:
    nothing = True
    for attributes in origin.source().metadata(resource):
        where = resource_in(attributes, resource) or resource
        yield with_bulk_addresses(attributes, f"{base}{where.path}/bulk/")
        nothing = False
    if nothing:
        raise NotFound(f"There is nothing at {resource}.")


def with_bulk_addresses(attributes: DicomJson, base: str) -> DicomJson:
    """Point every BulkDataURI to the value on this server, wherever it pointed before.

    Parameters
    ----------
    base : address that the way to the value is appended to: tags, with numbers of items (from 0) between.
    """
    return {tag: _with_bulk_address(element, base + tag) for tag, element in attributes.items()}


def _with_bulk_address(element: JsonValue, address: str) -> JsonValue:
    if not isinstance(element, Mapping):
        return element
    if "BulkDataURI" in element:
        return {**element, "BulkDataURI": address}
    items = element.get("Value")
    if element.get("vr") != "SQ" or not isinstance(items, Sequence):
        return element
    inside: list[JsonValue] = [
        dict(with_bulk_addresses(item, f"{address}/{number}/")) if isinstance(item, Mapping) else item
        for number, item in enumerate(items)
    ]
    return {**element, "Value": inside}


async def frames(origin: Origin, request: Request) -> Response:
    """Return frames of an instance, decoded or as stored."""
    from dicomdock.origin.reading import check_frame, read_header

    resource = resource_of(request)
    accept = accept_of(request)
    base = origin.base(request)

    def answer() -> Response:
        with ExitStack() as stack:
            path, syntax = stack.enter_context(instance_on_disk(origin.source(), resource))
            form = frame_form(accept, syntax, single=len(resource.frames) == 1)
            if form is None:
                raise NotAcceptable(
                    f"The frames are stored in transfer syntax {syntax}, and decoded on request.", status=406
                )
            check_frame(read_header(path), max(resource.frames))  # all or none
            address = base + Resource(resource.study, resource.series, resource.instance).path
            parts = frame_parts(path, resource.frames, form, origin.workers, address)
            first = next(parts)  # a frame that cannot be decoded is an error before anything is sent
            resources = stack.pop_all()
        return frames_response(first, parts, form, resources)

    return await in_thread(answer)


def frame_parts(
    path: Path, numbers: Sequence[int], form: FrameForm, workers: Workers, instance: str
) -> Iterator[Part]:
    """Return frames of an instance, one after the other."""
    from dicomdock.origin.decoding import decode_frame, read_frame

    for number in numbers:
        data = workers.call(decode_frame, path, number) if form.decode else read_frame(path, number)
        location = {"content-location": f"{instance}/frames/{number}"}  # PS3.18 §8.6.1.2
        yield Part(form.media_type, partial(_once, data), length=len(data), headers=location)


def _once(data: bytes) -> Iterator[bytes]:
    yield data


def frames_response(first: Part, rest: Iterator[Part], form: FrameForm, resources: ExitStack) -> Response:
    """Answer with frames, the first of which is known; what they are read from lasts until the end."""
    if not form.multipart:
        resources.close()
        location = {"Content-Location": first.headers["content-location"]}
        return Streamed.started(first.chunks(), form.media_type, length=first.length, headers=location)

    def parts() -> Iterator[Part]:
        with resources:
            yield first
            yield from rest

    body = Multipart(parts(), form.media_type.partition(";")[0])
    return Streamed.started(gathered(body.chunks()), body.content_type)
