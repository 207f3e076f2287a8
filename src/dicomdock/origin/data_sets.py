"""Data sets in answers, matches of a search and metadata: in the DICOM JSON model or the Native DICOM Model.

References
----------
PS3.18 §8.7.3 (media types), Annex F (DICOM JSON model); PS3.19 §A.1 (Native DICOM Model).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain

from starlette.responses import Response

from dicomdock.dicom.media_types import DICOM_JSON, DICOM_XML
from dicomdock.dicom.xml_model import to_xml
from dicomdock.errors import NotAcceptable
from dicomdock.origin.accept import DataSetForm, data_set_form
from dicomdock.origin.responses import Flow, Multipart, Streamed, gathered
from dicomdock.sources import DicomJson, Part


def wanted_form(accept: str, what: str) -> DataSetForm:
    """Choose how data sets are given.

    Parameters
    ----------
    what : is given, as the beginning of the sentence.

    Raises
    ------
    NotAcceptable
        The client accepts nothing that we have.
    """
    form = data_set_form(accept)
    if form is None:
        raise NotAcceptable(
            f'{what} are available as {DICOM_JSON} and as multipart/related; type="{DICOM_XML}".', status=406
        )
    return form


def answer(
    items: Iterator[DicomJson],
    form: DataSetForm,
    *,
    single: bool = False,
    headers: Mapping[str, str] | None = None,
    flow: Flow | None = None,
) -> Response:
    """Answer with data sets as they come, in the thread that calls this; an XML answer without any is 204.

    Parameters
    ----------
    single : there is one at most, so that it can be the whole body.
    headers : of the answer.
    flow : how much is sent at once.
    """
    if not form.xml:
        return Streamed.started(_json_array(items), form.media_type, headers=headers, flow=flow)
    first = next(items, None)
    if first is None:
        return Response(status_code=204, headers=dict(headers or {}))
    if single and not form.multipart:
        return Response(to_xml(first), headers=dict(headers or {}), media_type=DICOM_XML)
    body = Multipart(_xml_parts(chain((first,), items)), DICOM_XML)
    return Streamed.started(gathered(body.chunks()), body.content_type, headers=headers, flow=flow)


def _json_array(items: Iterable[DicomJson]) -> Iterator[bytes]:
    """Write a JSON array as its items come, in chunks of some size."""

    def pieces() -> Iterator[bytes]:
        before = b"["
        for item in items:
            yield before
            yield json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()
            before = b",\n"
        yield b"]" if before == b",\n" else b"[]"

    return gathered(pieces())


def _xml_parts(items: Iterable[DicomJson]) -> Iterator[Part]:
    for item in items:
        document = to_xml(item)
        yield Part(DICOM_XML, partial(_once, document), length=len(document))


def _once(document: bytes) -> Iterator[bytes]:
    yield document
