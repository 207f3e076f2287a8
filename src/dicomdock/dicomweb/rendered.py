"""Images that the server renders, in the size and window requested, and thumbnails.

References
----------
PS3.18 §10.4.1.1.3 (rendered), §10.4.1.1.4 (thumbnails), §8.3.5.1 (viewport, window).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb.retrieve import BELOW, children
from dicomdock.dicomweb.session import ABSENT, REFUSED, failure
from dicomdock.dicomweb.uri import uri_request
from dicomdock.errors import RemoteNotFound, UnsupportedByServer, WireError
from dicomdock.web.media_type import MediaType
from dicomdock.web.multipart.reader import read_parts

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session
    from dicomdock.web.transport import Response

MAX_PICTURE: Final = 64 << 20  # bytes of a rendered answer (videos come as MP4)


def rendered(
    session: Session,
    resource: Resource,
    *,
    viewport: tuple[int, int] | None = None,
    window: tuple[float, float] | None = None,
    accept: str = "image/jpeg",
) -> tuple[str, bytes]:
    """Return a rendered image: media type and bytes. Videos and documents come in their own type.

    Of a study or series that the server does not render as a whole, the middle instance is shown.

    Parameters
    ----------
    viewport : columns, rows of the picture, in pixels.
    window : centre and width, in the modality's units.

    References
    ----------
    PS3.18 §10.4.1.1.3, §8.3.5.1.
    """
    query: list[tuple[str, str]] = []
    if window is not None:
        query.append(("window", f"{window[0]:g},{window[1]:g},linear"))
    if viewport is not None:
        query.append(("viewport", f"{viewport[0]},{viewport[1]}"))
    if session.dialect.rendered:
        try:
            return picture(session, resource, "rendered", query, accept)
        except (RemoteNotFound, UnsupportedByServer) as error:
            if resource.level in BELOW:
                return rendered(
                    session, middle(session, resource), viewport=viewport, window=window, accept=accept
                )
            refusal: Exception = error
    else:
        refusal = UnsupportedByServer(f"{session.name} renders no pictures.", feature="Retrieve rendered")
        if resource.level in BELOW and session.dialect.wado_uri:
            resource = middle(session, resource)
    if resource.level == "instance" and session.dialect.wado_uri:
        return _uri_picture(session, resource, viewport, window, accept, refusal)
    raise refusal


def thumbnail(
    session: Session, resource: Resource, *, viewport: tuple[int, int] = (128, 128)
) -> tuple[str, bytes]:
    """Return a thumbnail; where the server makes none, a rendered image of that size.

    References
    ----------
    PS3.18 §10.4.1.1.4.
    """
    if session.dialect.thumbnail:
        try:
            return picture(
                session, resource, "thumbnail", [("viewport", f"{viewport[0]},{viewport[1]}")], "image/jpeg"
            )
        except (RemoteNotFound, UnsupportedByServer):
            found = rendered(session, resource, viewport=viewport)
            session.learn(thumbnail=False)  # the object is there, so the route is not
            return found
    return rendered(session, resource, viewport=viewport)


def middle(session: Session, resource: Resource) -> Resource:
    """Return the instance in the middle of a series, or of a study's first series that has any.

    Raises
    ------
    RemoteNotFound
        There is none.
    """
    for child in [resource] if resource.level == "series" else children(session, resource):
        if instances := children(session, child):
            return instances[len(instances) // 2]
    raise RemoteNotFound(f"{session.name} has no instances of {resource}.", status=404)


def picture(
    session: Session, resource: Resource, kind: str, query: Sequence[tuple[str, str]], accept: str
) -> tuple[str, bytes]:
    """Request ``rendered`` or ``thumbnail`` of exactly this resource.

    Raises
    ------
    RemoteNotFound
        The object or the route is not there.
    UnsupportedByServer
        The server says that it has no such transaction.
    """
    what = f"{kind} picture of {resource}"
    for form in dict.fromkeys((accept, "*/*")):
        response = session.http.request(
            "GET",
            session.address("retrieve", f"{resource.path}/{kind}"),
            query=query,
            accept=form,
            allow=REFUSED | ABSENT,
            what=f"the {what}",
        )
        if response.status in REFUSED:
            error = failure(response, f"{session.name} did not give the {what}")
            continue
        if response.status in ABSENT:
            error = failure(response, f"{session.name} has no {what}")
            if response.status in (405, 501):
                raise UnsupportedByServer(str(error), feature=f"Retrieve {kind}") from error
            raise error
        return _take_picture(response, what, accept)
    raise error


def _take_picture(response: Response, what: str, accept: str) -> tuple[str, bytes]:
    with response:
        if MediaType.parse(response.content_type).essence.startswith("multipart/"):
            for part in read_parts(response.chunks(), response.content_type):
                return part.content_type, b"".join(part.chunks())
            raise WireError(f"The server answered with nothing for the {what}.")
        if MediaType.parse(response.content_type).essence == "text/html" and "text/" not in accept:
            raise WireError(f"The server answered with an HTML page for the {what}; a login page, perhaps.")
        body = response.read(MAX_PICTURE)
        return _sniffed(body) or response.content_type, body


def _sniffed(body: bytes) -> str:
    """Return the true type of an image; Orthanc labels the JPEG of its WADO-URI image/png."""
    return (
        "image/jpeg"
        if body.startswith(b"\xff\xd8\xff")
        else "image/png"
        if body.startswith(b"\x89PNG")
        else ""
    )


def _uri_picture(
    session: Session,
    resource: Resource,
    viewport: tuple[int, int] | None,
    window: tuple[float, float] | None,
    accept: str,
    refusal: Exception,
) -> tuple[str, bytes]:
    further: list[tuple[str, str]] = []
    if window is not None:
        further += [("windowCenter", f"{window[0]:g}"), ("windowWidth", f"{window[1]:g}")]
    if viewport is not None:
        further += [("columns", str(viewport[0])), ("rows", str(viewport[1]))]
    response = uri_request(session, resource, accept, further)
    if response.status in REFUSED | ABSENT:
        response.discard()
        raise refusal
    content_type, body = _take_picture(response, f"picture of {resource}", accept)
    if not content_type.startswith(("image/", "video/", "application/pdf")):
        raise refusal
    return content_type, body
