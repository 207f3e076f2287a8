"""The URI service (WADO-URI), the older way to retrieve one instance.

References
----------
PS3.18 §9 (URI service).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb.retrieve_response import Parts, parts_of
from dicomdock.dicomweb.session import ABSENT, REFUSED
from dicomdock.errors import NotAcceptable, ServerFault, TransactionError

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session
    from dicomdock.web.transport import Response


def retrieve_by_uri(session: Session, resource: Resource, refusal: TransactionError) -> Parts:
    """Fetch one instance by WADO-URI, the older service, where the server has it.

    References
    ----------
    PS3.18 §9.4.
    """
    try:
        response = uri_request(session, resource, "application/dicom", (("transferSyntax", "*"),))
    except ServerFault as fault:
        if fault.retry_after:
            raise
        response = uri_request(session, resource, "application/dicom", (), retries=0)
    if response.status in (REFUSED | ABSENT) - {404}:
        response.discard()
        response = uri_request(session, resource, "application/dicom", ())
    if response.status in REFUSED | ABSENT:
        response.discard()
        raise refusal
    try:
        yield from parts_of(session, response, resource)
    except NotAcceptable:
        raise refusal from None


def uri_request(
    session: Session,
    resource: Resource,
    kind: str,
    further: Sequence[tuple[str, str]],
    *,
    retries: int | None = None,
) -> Response:
    """Request one instance in one media type by WADO-URI.

    References
    ----------
    PS3.18 §9.4.1.
    """
    query = [
        ("requestType", "WADO"),
        ("studyUID", resource.study),
        ("seriesUID", resource.series or ""),
        ("objectUID", resource.instance or ""),
        ("contentType", kind),
        *further,
    ]
    return session.http.request(
        "GET",
        session.uri_service,
        query=query,
        accept=kind,
        allow=REFUSED | ABSENT,
        what=f"the retrieval of instance {resource} by WADO-URI",
        retries=retries,
    )
