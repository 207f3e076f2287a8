"""Frames and bulk data: pixels and long values, apart from the instances that hold them.

References
----------
PS3.18 §10.4.1.1.5 (bulk data), §10.4.1.1.6 (pixel data).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import urls
from dicomdock.dicomweb.session import ABSENT, REFUSED, failure, is_refusal
from dicomdock.errors import NotAcceptable, RemoteNotFound, ServerFault, TransactionError
from dicomdock.sources import Part
from dicomdock.web.media_type import MediaType
from dicomdock.web.multipart.reader import read_parts

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session
    from dicomdock.web.transport import Response


def frames(session: Session, resource: Resource, accept: str = "") -> Iterator[Part]:
    """Yield frames in the order requested, each a part with its own media type.

    Servers that take one frame number at a time are asked so.

    References
    ----------
    PS3.18 §10.4.1.1.6.
    """
    wanted = accept or 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    others = () if accept else ('multipart/related; type="application/octet-stream"', "*/*")
    try:
        parts = _open(session, resource.path, (wanted, *others), f"frames of {resource}")
    except TransactionError as error:
        if len(resource.frames) < 2 or not is_refusal(error):
            raise
        for number in resource.frames:
            yield from frames(session, replace(resource, frames=(number,)), accept)
        return
    yield from parts


def bulk(session: Session, uri: str, within: Resource | None = None) -> Iterator[Part]:
    """Yield the bulk data of a BulkDataURI; requested below the profile's own address only.

    Parameters
    ----------
    uri : as it stands in the metadata.
    within : the instance (or series) whose metadata it stands in; needed for relative addresses.

    Raises
    ------
    WireError
        The address leads elsewhere.
    """
    accepts = ('multipart/related; type="application/octet-stream"', "application/octet-stream", "*/*")
    refusal: TransactionError | None = None
    for path in urls.rebuild(uri, session.profile.retrieve_url or session.profile.url, within):
        try:
            parts = _open(session, path, accepts, "bulk data")
        except TransactionError as error:
            if not is_refusal(error):
                raise
            refusal = error
        else:
            yield from parts
            return
    raise refusal or RemoteNotFound(f"{session.name} has no bulk data there.", status=404)


def _open(session: Session, path: str, accepts: Sequence[str], what: str) -> Iterator[Part]:
    """Request frames or bulk data, multipart or single; raise where the server has no form of them."""
    error: TransactionError | None = None
    plain, _, query = path.partition("?")
    for accept in accepts:
        try:
            response = session.http.request(
                "GET",
                session.address("retrieve", plain),
                query=parse_qsl(query, keep_blank_values=True),
                accept=accept,
                allow=REFUSED | ABSENT,
                what=what,
                retries=0 if isinstance(error, ServerFault) else None,
            )
        except ServerFault as fault:
            if fault.retry_after:
                raise
            error = error or fault
            continue
        if response.status == 404:
            raise failure(response, f"{session.name} has no such {what}")
        if response.status not in REFUSED | ABSENT:
            return _any_parts(response)
        refusal = failure(response, f"{session.name} did not give the {what}")  # closes the answer
        error = error or refusal
    raise error or NotAcceptable(f"{session.name} has no form of {what} that dicomdock can read.")


def _any_parts(response: Response) -> Iterator[Part]:
    with response:
        if MediaType.parse(response.content_type).essence.startswith("multipart/"):
            yield from map(Part.received, read_parts(response.chunks(), response.content_type))
        elif response.status != 204:
            yield Part(response.content_type or "application/octet-stream", response.chunks)
