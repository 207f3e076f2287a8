"""Deleting a study, series or instance, where the server does that by DICOMweb.

References
----------
PS3.18 §10 does not name it; most servers follow ``DELETE`` on the resource's path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dicomdock.dicomweb import retrieve
from dicomdock.dicomweb.session import failure
from dicomdock.errors import UnsupportedByServer, WireError
from dicomdock.web.media_type import MediaType

if TYPE_CHECKING:
    from dicomdock.dicom.resource import Resource
    from dicomdock.dicomweb.session import Session

_NO_ROUTE: Final = frozenset({404, 405, 501})
_NOT_YET: Final = frozenset({403, 409})  # what must be rejected before it may be deleted


def delete(session: Session, resource: Resource) -> None:
    """Delete a resource; see ``DicomSource.delete``.

    Where the server's way is to reject (dcm4chee), what it does not delete is rejected: it is hidden at once
    and deleted when the server's rules say so. A server may go on deleting after its answer (Google does for
    studies).
    """
    dialect = session.dialect
    if resource.level in dialect.delete_levels:
        _delete(session, resource)
    elif dialect.rejection:
        _reject(session, resource)
    else:
        raise UnsupportedByServer(f"{_sentence(session, resource)}.", feature="Delete")


def _sentence(session: Session, resource: Resource) -> str:
    article = "an" if resource.level == "instance" else "a"
    return f"{session.name} does not delete {article} {resource.level} by DICOMweb"


def _delete(session: Session, resource: Resource) -> None:
    what = f"the deletion of {resource.level} {resource}"
    allowed = _NO_ROUTE | (_NOT_YET if session.dialect.rejection else frozenset())
    response = session.http.request("DELETE", resource.path, allow=allowed, what=what)
    if response.status in _NOT_YET:
        response.discard()
        _reject(session, resource)
        return
    if response.status not in _NO_ROUTE:
        page = MediaType.parse(response.content_type).essence == "text/html"
        response.discard()
        if page:
            raise WireError(
                f"{session.name} answered {what} with an HTML page; nothing is known to be deleted."
            )
        return
    error = failure(response, f"{session.name} has no {resource.level} {resource} to delete")
    if response.status == 404 and not retrieve.exists(session, resource):
        raise error
    levels = tuple(level for level in session.dialect.delete_levels if level != resource.level)
    session.learn(delete_levels=levels)
    raise UnsupportedByServer(
        f"{_sentence(session, resource)} (HTTP {error.status}).", feature="Delete"
    ) from error


def _reject(session: Session, resource: Resource) -> None:
    path = f"{resource.path}/reject/{quote(session.dialect.rejection)}"
    what = f"the rejection of {resource.level} {resource}"
    session.http.request("POST", path, what=what).discard()
