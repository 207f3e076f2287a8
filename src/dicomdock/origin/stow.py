"""STOW-RS: storing what a client sends, with an answer for each instance.

The request body is read while it arrives: its parts go from the wire into the source, which keeps them.

References
----------
PS3.18 §10.5 (store transaction); Table 10.5.3-1 (status codes), Annex I (store instances response module).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dicomdock.dicomweb.media import MediaType
from dicomdock.dicomweb.multipart import read_parts
from dicomdock.errors import InvalidInput, NotAcceptable, Unreachable, WireError
from dicomdock.origin.accept import DICOM
from dicomdock.origin.context import Origin
from dicomdock.origin.responses import GATHERED, in_thread
from dicomdock.query import Query, text
from dicomdock.resource import Resource, check_uid
from dicomdock.source import DicomJson, DicomSource, JsonValue, Part, StoreResult

MAX_INSTANCES = 100_000  # of one request; more belong into several
LOOKED_UP = 100  # UIDs in one search for what was stored
CANNOT_UNDERSTAND = 0xC000  # PS3.18 Table I.2-2
PROCESSING_FAILURE = 0x0110
Json = dict[str, JsonValue]


async def store(origin: Origin, request: Request) -> Response:
    """Store instances, of one study only where the path names it."""
    content_type = request.headers.get("content-type", "")
    media = MediaType.parse(content_type)
    if media.essence not in ("multipart/related", DICOM) or media.root_type not in (DICOM, ""):
        raise NotAcceptable(
            'Instances are taken as multipart/related; type="application/dicom", one as application/dicom.',
            status=415,
        )
    study = request.path_params.get("study")
    study = check_uid(study, tolerant=True) if study else None
    blocks = _blocks(request.stream())

    def chunks() -> Iterator[bytes]:
        while block := anyio.from_thread.run(anext, blocks, b""):
            yield block

    base = origin.base(request)
    return await in_thread(lambda: _store(origin.source(), chunks(), content_type, study, base))


async def _blocks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gather the body to blocks that are worth a change of threads."""
    held: list[bytes] = []
    length = 0
    try:
        async for chunk in stream:
            held.append(chunk)
            length += len(chunk)
            if length >= GATHERED:
                yield b"".join(held)
                held, length = [], 0
    except ClientDisconnect as error:
        raise Unreachable("The client went away before its request was complete.") from error
    if held:
        yield b"".join(held)


def _store(
    source: DicomSource, chunks: Iterator[bytes], content_type: str, study: str | None, base: str
) -> Response:
    results: list[StoreResult] = []
    seen: list[Part] = []
    broken: WireError | None = None
    try:
        for result in source.store(_counted(read_parts(chunks, content_type), seen), study=study):
            results.append(result)  # noqa: PERF402 - what was stored before the body broke is still told
    except WireError as error:
        broken = error
    if not seen:
        raise InvalidInput(f"There was no instance in the request. {broken or ''}".strip())
    answer = _answer(source, results, study, base)
    if broken is not None:
        _fail(answer, "0008119A", {}, CANNOT_UNDERSTAND)
    return Response(
        json.dumps(answer, ensure_ascii=False), _status(results, broken), media_type="application/dicom+json"
    )


def _counted(parts: Iterator[Part], seen: list[Part]) -> Iterator[Part]:
    for part in parts:
        if len(seen) >= MAX_INSTANCES:
            raise InvalidInput(f"More than {MAX_INSTANCES} instances in one request.")
        seen.append(part)
        yield part


def _status(results: Sequence[StoreResult], broken: WireError | None) -> int:
    """200 when all were stored without a remark, 202 when some were, 409 when none was (Table 10.5.3-1)."""
    failed = sum(result.status in ("failed", "unconfirmed") for result in results)
    if results and failed == len(results):
        return 409
    if not results:
        return 400
    remarks = any(result.status == "warning" for result in results)
    return 202 if failed or remarks or broken is not None else 200


def _answer(source: DicomSource, results: Sequence[StoreResult], study: str | None, base: str) -> Json:
    """Make the data set that tells what became of each instance."""
    answer: Json = {}
    if study is not None:
        answer["00081190"] = {"vr": "UR", "Value": [base + Resource(study).path]}
    places = _places(source, results, study)
    for result in results:
        described = places.get(result.sop_instance_uid, {})
        reference: Json = {
            "00081150": {"vr": "UI", "Value": [text(described, "SOPClassUID")]}
            if described
            else {"vr": "UI"},
            "00081155": {"vr": "UI", "Value": [result.sop_instance_uid]},
        }
        if result.status in ("failed", "unconfirmed"):
            sequence = "00081198" if result.sop_instance_uid else "0008119A"
            _fail(
                answer,
                sequence,
                reference if result.sop_instance_uid else {},
                result.reason_code or PROCESSING_FAILURE,
            )
            continue
        if described:
            reference["00081190"] = {"vr": "UR", "Value": [base + _place(described).path]}
        if result.status == "warning" and result.reason_code:
            reference["00081196"] = {"vr": "US", "Value": [result.reason_code]}
        _append(answer, "00081199", reference)
    return answer


def _fail(answer: Json, sequence: str, item: Json, reason: int) -> None:
    _append(answer, sequence, {**item, "00081197": {"vr": "US", "Value": [reason]}})


def _append(answer: Json, tag: str, item: Json) -> None:
    element = answer.setdefault(tag, {"vr": "SQ", "Value": []})
    assert isinstance(element, dict)
    items = element["Value"]
    assert isinstance(items, list)
    items.append(item)


def _place(attributes: DicomJson) -> Resource:
    return Resource(
        text(attributes, "StudyInstanceUID"),
        text(attributes, "SeriesInstanceUID"),
        text(attributes, "SOPInstanceUID"),
    )


def _places(source: DicomSource, results: Sequence[StoreResult], study: str | None) -> dict[str, DicomJson]:
    """Look up what is there now under the UIDs: the answer names class and place of each instance."""
    uids = [result.sop_instance_uid for result in results if result.sop_instance_uid]
    found: dict[str, DicomJson] = {}
    for start in range(0, len(uids), LOOKED_UP):
        match = {"SOPInstanceUID": ",".join(uids[start : start + LOOKED_UP])}
        if study is not None:
            match["StudyInstanceUID"] = study
        for page in source.search(Query("instances", match)):
            found.update((text(item.attributes, "SOPInstanceUID"), item.attributes) for item in page.matches)
    return found
