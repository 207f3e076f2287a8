"""STOW-RS: storing what a client sends, with an answer for each instance.

The request body is read while it arrives: its parts go from the wire into the source, which stores them.

References
----------
PS3.18 §10.5 (store transaction); Table 10.5.3-1 (status codes), Annex I (store instances response module).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.json_model import text
from dicomdock.dicom.media_types import DICOM, DICOM_JSON
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.dicom.uid import check_uid
from dicomdock.dicom.xml_model import to_xml
from dicomdock.errors import (
    InvalidInput,
    MultipartError,
    MultipartProblem,
    NotAcceptable,
    Unreachable,
    WireError,
)
from dicomdock.origin.accept import DataSetForm, data_set_form
from dicomdock.origin.context import Origin, accept_of, check_not_encoded
from dicomdock.origin.responses import CHARACTER_SET, UTF_8, too_many_clients
from dicomdock.sources import DicomSource, JsonValue, Part, StoreResult
from dicomdock.web.media_type import MediaType
from dicomdock.web.multipart.reader import read_parts

MAX_INSTANCES = 100_000  # of one request; more belong into several
LOOKED_UP = 100  # UIDs in one search for what was stored
CANNOT_UNDERSTAND = 0xC000  # PS3.18 Table I.2-2
PROCESSING_FAILURE = 0x0110
Json = dict[str, JsonValue]


async def store(origin: Origin, request: Request) -> Response:
    """Store instances, of one study only where the path names it."""
    content_type = request.headers.get("content-type", "")
    media = MediaType.parse(content_type)
    check_not_encoded(request)
    if media.essence not in ("multipart/related", DICOM) or media.root_type not in (DICOM, ""):
        raise NotAcceptable(
            'Instances are taken as multipart/related; type="application/dicom", one as application/dicom.',
            status=415,
        )
    study = request.path_params.get("study")
    study = check_uid(study, tolerant=True) if study else None
    if not await origin.uploads.admit():
        return too_many_clients()
    base = origin.base(request)
    # What was stored is reported in JSON where the client accepts neither: refusing it would be worse.
    form = data_set_form(accept_of(request)) or DataSetForm(DICOM_JSON)
    return await origin.uploads.store(
        request.stream(), lambda blocks: _store(origin.source(), blocks, content_type, study, base, form)
    )


class _Incoming:
    """The parts of a request. Where the body breaks off they end: what came whole is stored and reported."""

    def __init__(self, parts: Iterator[Part]) -> None:
        self._parts = parts
        self.count = 0
        self.broken = ""

    def __iter__(self) -> Iterator[Part]:
        try:
            for part in self._parts:
                if self.count >= MAX_INSTANCES:
                    self.broken = f"There are more than {MAX_INSTANCES} instances in the request."
                    return
                self.count += 1
                yield part
        except Unreachable as error:
            self.broken = str(error)
        except MultipartError as error:  # its sentence is about the answer of a server
            self.broken = _PROBLEMS[error.problem]
        except WireError as error:
            self.broken = str(error)


_PROBLEMS: Mapping[MultipartProblem, str] = MappingProxyType(
    {
        "empty": "The request's multipart body is empty.",
        "no boundary": "The request's body says multipart, but its boundary is nowhere in it.",
        "headers": "The headers of a part are too long; this is not a multipart request.",
        "length": "A part does not end at its declared length, and cannot be separated from the next.",
        "truncated": "The request's body ended before it was complete; what came whole was stored.",
    }
)


def _store(
    source: DicomSource,
    chunks: Iterator[bytes],
    content_type: str,
    study: str | None,
    base: str,
    form: DataSetForm,
) -> Response:
    incoming = _Incoming(map(Part.received, read_parts(chunks, content_type)))
    results = list(source.store(incoming, study=study))
    if not incoming.count:
        raise InvalidInput(f"There was no instance in the request. {incoming.broken}".strip())
    if incoming.broken and not any(result.sop_instance_uid == "" for result in results):
        results.append(StoreResult("", "failed", CANNOT_UNDERSTAND, incoming.broken))
    answer = _answer(source, results, study, base)
    # What of the body may still come is of no use.
    headers = {"Connection": "close"} if incoming.broken else None
    document = to_xml(answer) if form.xml else json.dumps(answer, ensure_ascii=False)
    return Response(document, _status(results), headers, media_type=form.media_type)


def _status(results: Sequence[StoreResult]) -> int:
    """200 when all were stored without a remark, 202 when some were, 409 when none was (Table 10.5.3-1)."""
    failed = sum(result.status in ("failed", "unconfirmed") for result in results)
    if failed == len(results):
        return 409
    return 202 if failed or any(result.status == "warning" for result in results) else 200


def _answer(source: DicomSource, results: Sequence[StoreResult], study: str | None, base: str) -> Json:
    """Return the data set that states the outcome of each instance."""
    found = {**_found_now(source, results, study), **_reported(results)}
    stored = {
        found[result.sop_instance_uid][0].study
        for result in results
        if result.status not in ("failed", "unconfirmed") and result.sop_instance_uid in found
    }
    # Type 2: empty where the answer is about several studies, or none.
    one = study or (stored.pop() if len(stored) == 1 else None)
    answer: Json = {
        CHARACTER_SET: {**UTF_8},
        "00081190": {"vr": "UR", "Value": [base + Resource(one).path]} if one else {"vr": "UR"},
    }
    for result in results:
        where, sop_class = found.get(result.sop_instance_uid, (None, ""))
        reference: Json = {
            "00081150": {"vr": "UI", "Value": [sop_class]} if sop_class else {"vr": "UI"},
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
        if where is not None:
            reference["00081190"] = {"vr": "UR", "Value": [base + where.path]}
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


Found = dict[str, tuple[Resource, str]]


def _reported(results: Sequence[StoreResult]) -> Found:
    """Return the instances that the source has named with its outcomes, and their classes."""
    return {
        result.sop_instance_uid: (result.resource, result.sop_class_uid)
        for result in results
        if result.resource is not None
    }


def _found_now(source: DicomSource, results: Sequence[StoreResult], study: str | None) -> Found:
    """Search for what is stored now under the other UIDs: the answer names class and address of each."""
    uids = [one.sop_instance_uid for one in results if one.sop_instance_uid and one.resource is None]
    found: Found = {}
    for start in range(0, len(uids), LOOKED_UP):
        match = {"SOPInstanceUID": ",".join(uids[start : start + LOOKED_UP])}
        if study is not None:
            match["StudyInstanceUID"] = study
        for page in source.search(Query("instances", match)):
            for item in page.matches:
                if (where := resource_in(item.attributes)) is not None:
                    described = text(item.attributes, "SOPClassUID")
                    found[text(item.attributes, "SOPInstanceUID")] = (where, described)
    return found
