"""The answer to a Retrieve transaction as parts, whatever its label is."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, TypeAlias

from dicomdock.dicom import part10
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb.search_request import warnings_of
from dicomdock.errors import NotAcceptable, WireError
from dicomdock.sources import Part, head_of, with_head
from dicomdock.web.content_encoding import GZIP_MAGIC, decoded
from dicomdock.web.media_type import MediaType
from dicomdock.web.multipart.reader import read_parts

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session
    from dicomdock.web.transport import Response

log = logging.getLogger(__name__)
Parts: TypeAlias = "Generator[Part, None, None]"


def parts_of(session: Session, response: Response, resource: Resource) -> Parts:
    """Yield the parts of an answer, whatever its label is; raise at the end where it was only partial."""
    with response:
        if response.status == 204:
            return
        yield from _read(response)
        if warning := response.warning:
            log.info("%s: %s", session.name, warning[:300])
        if response.status == 206:
            remarks = "".join(f" {remark}." for remark in warnings_of(warning, session.name))
            raise WireError(
                f"{session.name} gave only part of {resource} (206 Partial Content); "
                f"the rest was not available.{remarks}"
            )


def _read(response: Response) -> Iterator[Part]:
    coded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
    chunks = response.chunks(detect=coded)
    head = head_of(chunks, part10.PREAMBLE)
    if not coded and head.startswith(GZIP_MAGIC):
        coded, chunks = True, decoded(with_head(head, chunks), "gzip")
        head = head_of(chunks, part10.PREAMBLE)
    label = MediaType.parse(response.content_type)
    kind = label.parameters.get("type", "").lower()
    if label.essence.startswith("multipart/") or head.lstrip(b"\r\n").startswith(b"--"):
        if kind not in ("", "application/dicom", "application/octet-stream"):
            raise NotAcceptable(
                f"The server answered with parts of {kind} instead of DICOM.",
                status=response.status,
                url=response.url,
            )
        content_type = (
            response.content_type if label.essence.startswith("multipart/") else "multipart/related"
        )
        # The archive knows by the data set whether it is whole; some servers write no closing delimiter.
        framed = any(name in response.headers for name in ("Content-Length", "Transfer-Encoding"))
        found = read_parts(with_head(head, chunks), content_type, complete=framed)
        for index, part in enumerate(map(Part.received, found)):
            if not index and kind == "application/octet-stream":
                part = _dicom_only(part, response)
            yield part
    elif label.essence == "application/dicom" or part10.has_prefix(head):
        length = response.headers.get("Content-Length", "")
        yield Part(
            response.content_type or "application/dicom",
            lambda: with_head(head, chunks),
            length=int(length) if length.isdecimal() and not coded else None,
        )
    elif head:
        raise NotAcceptable(
            f"The server answered with {label.essence or 'unlabelled data'} instead of DICOM.",
            status=response.status,
            url=response.url,
            body_excerpt=head[:300].decode("utf-8", "replace"),
        )


def _dicom_only(part: Part, response: Response) -> Part:
    """Refuse bulk data that some servers send for ``*/*``; DICOM under a wrong label passes."""
    chunks = part.chunks()
    head = next(chunks, b"")
    if not part10.has_prefix(head):
        raise NotAcceptable(
            "The server answered with bulk data instead of DICOM.", status=response.status, url=response.url
        )
    return part.with_opener(lambda: with_head(head, chunks))
