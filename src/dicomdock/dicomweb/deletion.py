"""Deleting a study, series or instance, where the server does that by DICOMweb.

References
----------
PS3.18 §10 does not name it; most servers follow ``DELETE`` on the resource's path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicomdock.dicomweb import wado
from dicomdock.dicomweb.media import MediaType
from dicomdock.dicomweb.session import failure
from dicomdock.errors import UnsupportedByServer, WireError

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session
    from dicomdock.resource import Resource

_NO_ROUTE: Final = frozenset({404, 405, 501})


def delete(session: Session, resource: Resource) -> None:
    """Delete a resource; see ``DicomSource.delete``.

    A server may go on deleting after its answer (Google does for studies).
    """
    sentence = f"{session.name} does not delete a {resource.level} by DICOMweb"
    if resource.level not in session.dialect.delete_levels:
        raise UnsupportedByServer(f"{sentence}.", feature="Delete")
    what = f"the deletion of {resource.level} {resource}"
    response = session.http.request("DELETE", resource.path, allow=_NO_ROUTE, what=what)
    if response.status not in _NO_ROUTE:
        page = MediaType.parse(response.content_type).essence == "text/html"
        response.discard()
        if page:
            raise WireError(
                f"{session.name} answered {what} with an HTML page; nothing is known to be deleted."
            )
        return
    error = failure(response, f"{session.name} has no {resource.level} {resource} to delete")
    if response.status == 404 and not wado.exists(session, resource):
        raise error
    levels = tuple(level for level in session.dialect.delete_levels if level != resource.level)
    session.learn(delete_levels=levels)
    raise UnsupportedByServer(f"{sentence} (HTTP {error.status}).", feature="Delete") from error
