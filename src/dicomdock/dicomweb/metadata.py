"""The metadata of a series or instance, as one request.

References
----------
PS3.18 §10.4.1.1.2 (metadata resources).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomdock.dicomweb.session import ABSENT, JSON, failure, read_json

if TYPE_CHECKING:
    from dicomdock.dicom.resource import Resource
    from dicomdock.dicomweb.session import Session
    from dicomdock.sources import DicomJson


def request_metadata(session: Session, resource: Resource) -> list[DicomJson]:
    """Return the attributes of every instance of a series, or of one instance.

    Raises
    ------
    TransactionError
        The server has no such metadata.
    """
    return session.asking_gzip(lambda gzip: _request(session, resource, gzip))


def _request(session: Session, resource: Resource, gzip: bool) -> list[DicomJson]:
    what = f"the metadata of {resource.level} {resource}"
    response = session.http.request(
        "GET",
        session.address("retrieve", f"{resource.path}/metadata"),
        accept=JSON,
        gzip=gzip,
        allow=ABSENT,
        what=what,
    )
    if response.status in ABSENT:
        raise failure(response, f"{session.name} has no metadata of {resource.level} {resource}")
    return [row for row in read_json(response, what) if row]
