"""The Retrieve transactions: instances as stored, metadata, frames, bulk data and pictures.

Servers differ most here. The form that is right for an archive (everything, as stored, in one stream) is
asked for first; what a server refuses is asked for in the next form, and what worked is remembered for the
session.

References
----------
PS3.18 §10.4 (Retrieve), §8.7.3 (media types), §9 (URI service).
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from dicomdock.dicomweb import dicomjson, identity, qido, urls
from dicomdock.dicomweb.media import MediaType
from dicomdock.dicomweb.multipart import read_parts
from dicomdock.dicomweb.session import JSON, failure, read_json
from dicomdock.errors import NotAcceptable, NotFound, TransactionError, UnsupportedByServer, WireError
from dicomdock.query import UID_KEYWORD, Query, SearchLevel
from dicomdock.resource import Level, Resource
from dicomdock.source import DicomJson, Part

if TYPE_CHECKING:
    from dicomdock.dicomweb.http import Response
    from dicomdock.dicomweb.session import Session

log = logging.getLogger(__name__)

REFUSED: Final = frozenset({400, 406, 415})  # not in this form
ABSENT: Final = frozenset({404, 405, 410, 501})  # no such object, or no such route
MAX_PICTURE: Final = 64 << 20  # bytes of a rendered answer (videos come as MP4)
_BELOW: Final[dict[Level, SearchLevel]] = {"study": "series", "series": "instances"}
_RANK: Final[dict[Level, int]] = {"study": 0, "series": 1, "instance": 2}


@dataclass(frozen=True)
class Form:
    """One way to ask for instances.

    Parameters
    ----------
    accept : the Accept header.
    any_transfer_syntax : asks for the bytes as stored.
    single : asks for one instance as the whole body.
    """

    accept: str
    any_transfer_syntax: bool = False
    single: bool = False


FORMS: Final = (
    Form('multipart/related; type="application/dicom"; transfer-syntax=*', any_transfer_syntax=True),
    Form("multipart/related; type=application/dicom; transfer-syntax=*", any_transfer_syntax=True),
    Form("application/dicom; transfer-syntax=*", any_transfer_syntax=True, single=True),
    Form('multipart/related; type="application/dicom"'),
    Form("multipart/related; type=application/dicom"),
    Form("application/dicom", single=True),
    Form("*/*"),
)


def retrieve(session: Session, resource: Resource) -> Iterator[Part]:
    """Fetch every instance of a resource, as stored; see ``DicomSource.retrieve``.

    One stream where the server has one for this level; else what lies below is listed and fetched one after
    the other. An answer that the server itself calls partial (206) raises WireError after its parts.
    """
    if resource.level == "frames":
        yield from frames(session, resource)
    elif resource.level == "instance":
        yield from _instance(session, resource)
    else:
        yield from _group(session, resource)


def _group(session: Session, resource: Resource) -> Iterator[Part]:
    refusal: TransactionError | None = None
    if _RANK[session.dialect.retrieve_level] <= _RANK[resource.level]:
        answer = _ask(session, resource)
        if not isinstance(answer, TransactionError):
            yield from answer
            return
        refusal = answer
    below = children(session, resource)
    if not below:
        raise (
            refusal
            if isinstance(refusal, NotFound)
            else NotFound(f"{session.name} has no {resource.level} {resource}.", status=404)
        )
    for place in below:
        for part in retrieve(session, place):
            if refusal is not None:
                session.learn(retrieve_level="series" if resource.level == "study" else "instance")
                refusal = None
            yield part


def children(session: Session, resource: Resource) -> list[Resource]:
    """Give the series of a study or the instances of a series, in the server's order."""
    level = _BELOW[resource.level]
    match = {"StudyInstanceUID": resource.study}
    if resource.series is not None:
        match["SeriesInstanceUID"] = resource.series
    found = (
        dicomjson.place(match.attributes, within=resource)
        for page in qido.search(session, Query(level, match))
        for match in page.matches
    )
    return [place for place in found if place is not None and place.level != resource.level]


def _instance(session: Session, resource: Resource) -> Iterator[Part]:
    answer = _ask(session, resource)
    if isinstance(answer, TransactionError):
        if not session.dialect.wado_uri:
            raise answer
        answer = _by_uri(session, resource, answer)
    for part in answer:
        yield replace(part, resource=resource, opener=identity.checked(part.opener, resource))


def _ask(session: Session, resource: Resource) -> Iterator[Part] | TransactionError:
    """Ask in one form after the other; give the parts, of which the first is known, or the last refusal."""
    error: TransactionError | None = None
    for index in _order(session, resource.level):
        response = session.http.request(
            "GET",
            resource.path,
            accept=FORMS[index].accept,
            allow=REFUSED | ABSENT,
            what=f"{resource.level} {resource}",
        )
        if response.status in REFUSED | ABSENT:
            error = failure(response, f"{session.name} did not give the {resource.level} {resource}")
            if response.status in ABSENT:
                return error
            continue
        parts = _parts(session, response, resource)
        try:
            first = next(parts)
        except StopIteration:
            error = NotFound(
                f"{session.name} answered with no instance for {resource}.",
                status=response.status,
                url=response.url,
            )
            continue
        except NotAcceptable as unreadable:
            error = unreadable
            continue
        session.forms[resource.level] = index
        return _chain(first, parts)
    return error or NotAcceptable(f"{session.name} has no form of {resource} that dicomdock can read.")


def _chain(first: Part, rest: Generator[Part, None, None]) -> Iterator[Part]:
    try:
        yield first
        yield from rest
    finally:
        rest.close()  # frees the connection


def _order(session: Session, level: Level) -> list[int]:
    """Give the forms worth trying, what worked before first."""
    dialect = session.dialect
    usable = [
        index
        for index, form in enumerate(FORMS)
        if (dialect.any_transfer_syntax or not form.any_transfer_syntax)
        and (level == "instance" or not form.single)
    ]
    if dialect.single_part and level == "instance":
        usable.sort(key=lambda index: not FORMS[index].single)
    known = session.forms.get(level)
    return usable if known is None else [known, *(index for index in usable if index != known)]


def _parts(session: Session, response: Response, resource: Resource) -> Generator[Part, None, None]:
    """Take the parts of an answer, whatever its label says, and say at the end when it was only partial."""
    with response:
        if response.status == 204:
            return
        yield from _read(response)
        if warning := response.headers.get("Warning", ""):
            log.info("%s: %s", session.name, warning[:300])
        if response.status == 206:
            raise WireError(
                f"{session.name} gave only part of {resource} (206 Partial Content); "
                "the rest was not available."
            )


def _read(response: Response) -> Iterator[Part]:
    chunks = response.chunks()
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= identity.PREAMBLE:
            break
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
        for index, part in enumerate(read_parts(_again(head, chunks), content_type)):
            if not index and kind == "application/octet-stream":
                part = _dicom_only(part, response)
            yield part
    elif label.essence == "application/dicom" or identity.is_dicom(head):
        length = response.headers.get("Content-Length", "")
        coded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
        yield Part(
            response.content_type or "application/dicom",
            lambda: _again(head, chunks),
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
    """Refuse bulk data that some servers give for ``*/*``; DICOM under a wrong label passes."""
    chunks = part.chunks()
    head = next(chunks, b"")
    if not identity.is_dicom(head):
        raise NotAcceptable(
            "The server answered with bulk data instead of DICOM.", status=response.status, url=response.url
        )
    return replace(part, opener=lambda: _again(head, chunks))


def _again(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def _by_uri(session: Session, resource: Resource, refusal: TransactionError) -> Iterator[Part]:
    """Fetch one instance by WADO-URI, the older service, where the server has it.

    References
    ----------
    PS3.18 §9.4.
    """
    response = _uri_request(session, resource, "application/dicom", (("transferSyntax", "*"),))
    if response.status in REFUSED:
        response.close()
        response = _uri_request(session, resource, "application/dicom", ())
    if response.status in REFUSED | ABSENT:
        response.close()
        raise refusal
    try:
        yield from _parts(session, response, resource)
    except NotAcceptable:
        raise refusal from None


def _uri_request(
    session: Session, resource: Resource, kind: str, further: Sequence[tuple[str, str]]
) -> Response:
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
        what=f"instance {resource} by WADO-URI",
    )


def metadata(session: Session, resource: Resource) -> Iterator[DicomJson]:
    """Give the attributes of every instance of a resource, without its bulk data.

    A study is asked for series by series, so that memory stays bounded. Bulk data URIs are kept as the server
    wrote them; ``bulk`` knows how to follow them.

    Raises
    ------
    NotFound
        Nothing is there.
    UnsupportedByServer
        The server has no metadata.
    """
    if resource.level == "study":
        series = children(session, resource)
        if not series:
            raise NotFound(f"{session.name} has no study {resource}.", status=404)
        for place in series:
            yield from metadata(session, place)
        return
    if not session.dialect.metadata:
        raise UnsupportedByServer(f"{session.name} gives no metadata.", feature="Retrieve metadata")
    what = f"the metadata of {resource.level} {resource}"
    response = session.http.request(
        "GET", f"{resource.path}/metadata", accept=JSON, gzip=True, allow=ABSENT, what=what
    )
    if response.status in ABSENT:
        error = failure(response, f"{session.name} has no metadata of {resource.level} {resource}")
        if response.status != 410 and exists(session, resource):
            session.learn(metadata=False)
            raise UnsupportedByServer(
                f"{session.name} gives no metadata.", feature="Retrieve metadata"
            ) from error
        raise error
    yield from read_json(response, what)


def exists(session: Session, resource: Resource) -> bool:
    """Tell by a search whether the server lists a resource."""
    parent = resource.parent
    if parent is None:
        return bool(children(session, resource))
    return any(place == resource for place in children(session, parent))


def frames(session: Session, resource: Resource, accept: str = "") -> Iterator[Part]:
    """Give frames in the order asked for, each a part with its own media type.

    Servers that take one frame number at a time are asked so.

    References
    ----------
    PS3.18 §10.4.1.1.6.
    """
    wanted = accept or 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    others = () if accept else ('multipart/related; type="application/octet-stream"', "*/*")
    answer = _data(session, resource.path, (wanted, *others), f"frames of {resource}")
    if isinstance(answer, TransactionError):
        if len(resource.frames) < 2 or answer.status not in REFUSED:
            raise answer
        for number in resource.frames:
            yield from frames(session, replace(resource, frames=(number,)), accept)
        return
    yield from answer


def bulk(session: Session, uri: str, within: Resource | None = None) -> Iterator[Part]:
    """Give the bulk data that a BulkDataURI points to; asked for below the profile's own address only.

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
    error: TransactionError | None = None
    for path in urls.rebuild(uri, session.profile.url, within):
        answer = _data(session, path, accepts, "bulk data")
        if not isinstance(answer, TransactionError):
            yield from answer
            return
        error = answer
    raise error or NotFound(f"{session.name} has no bulk data there.", status=404)


def _data(
    session: Session, path: str, accepts: Sequence[str], what: str
) -> Iterator[Part] | TransactionError:
    """Ask for frames or bulk data, multipart or single."""
    error: TransactionError | None = None
    plain, _, query = path.partition("?")
    for accept in accepts:
        response = session.http.request(
            "GET",
            plain,
            query=parse_qsl(query, keep_blank_values=True),
            accept=accept,
            allow=REFUSED | ABSENT,
            what=what,
        )
        if response.status in ABSENT:
            return failure(response, f"{session.name} has no such {what}")
        if response.status not in REFUSED:
            return _any_parts(response)
        error = failure(response, f"{session.name} did not give the {what}")
    return error or NotAcceptable(f"{session.name} has no form of {what} that dicomdock can read.")


def _any_parts(response: Response) -> Iterator[Part]:
    with response:
        if MediaType.parse(response.content_type).essence.startswith("multipart/"):
            yield from read_parts(response.chunks(), response.content_type)
        elif response.status != 204:
            yield Part(response.content_type or "application/octet-stream", response.chunks)


def rendered(
    session: Session,
    resource: Resource,
    *,
    viewport: tuple[int, int] | None = None,
    window: tuple[float, float] | None = None,
    accept: str = "image/jpeg",
) -> tuple[str, bytes]:
    """Give a picture: media type and bytes. Videos and documents come in their own type, so look at it.

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
            return _picture(session, resource, "rendered", query, accept)
        except (NotFound, UnsupportedByServer) as error:
            if resource.level in _BELOW:
                return rendered(
                    session, middle(session, resource), viewport=viewport, window=window, accept=accept
                )
            refusal: Exception = error
    else:
        refusal = UnsupportedByServer(f"{session.name} renders no pictures.", feature="Retrieve rendered")
        if resource.level in _BELOW and session.dialect.wado_uri:
            resource = middle(session, resource)
    if resource.level == "instance" and session.dialect.wado_uri:
        return _uri_picture(session, resource, viewport, window, accept, refusal)
    raise refusal


def thumbnail(
    session: Session, resource: Resource, *, viewport: tuple[int, int] = (128, 128)
) -> tuple[str, bytes]:
    """Give a small picture; where the server makes no thumbnails, a rendered one of that size.

    References
    ----------
    PS3.18 §10.4.1.1.4.
    """
    if session.dialect.thumbnail:
        try:
            return _picture(
                session, resource, "thumbnail", [("viewport", f"{viewport[0]},{viewport[1]}")], "image/jpeg"
            )
        except (NotFound, UnsupportedByServer):
            found = rendered(session, resource, viewport=viewport)
            session.learn(thumbnail=False)  # the object is there, so the route is not
            return found
    return rendered(session, resource, viewport=viewport)


def middle(session: Session, resource: Resource) -> Resource:
    """Give the instance in the middle of a series, or of a study's first series that has any.

    Raises
    ------
    NotFound
        There is none.
    """
    for place in [resource] if resource.level == "series" else children(session, resource):
        if instances := children(session, place):
            return instances[len(instances) // 2]
    raise NotFound(f"{session.name} has no instances of {resource}.", status=404)


def _picture(
    session: Session, resource: Resource, kind: str, query: Sequence[tuple[str, str]], accept: str
) -> tuple[str, bytes]:
    what = f"the {kind} picture of {resource}"
    for form in dict.fromkeys((accept, "*/*")):
        response = session.http.request(
            "GET", f"{resource.path}/{kind}", query=query, accept=form, allow=REFUSED | ABSENT, what=what
        )
        if response.status in REFUSED:
            error = failure(response, f"{session.name} did not give {what}")
            continue
        if response.status in ABSENT:
            error = failure(response, f"{session.name} has not {what}")
            if response.status in (405, 501):
                raise UnsupportedByServer(str(error), feature=f"Retrieve {kind}") from error
            raise error
        return _take_picture(response, what)
    raise error


def _take_picture(response: Response, what: str) -> tuple[str, bytes]:
    with closing(response):
        if MediaType.parse(response.content_type).essence.startswith("multipart/"):
            for part in read_parts(response.chunks(), response.content_type):
                return part.content_type, b"".join(part.chunks())
            raise WireError(f"The server answered with nothing for {what}.")
        body = response.read(MAX_PICTURE)
        return _sniffed(body) or response.content_type, body


def _sniffed(body: bytes) -> str:
    """Give the true type of a picture; Orthanc labels the JPEG of its WADO-URI image/png."""
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
    response = _uri_request(session, resource, accept, further)
    if response.status in REFUSED | ABSENT:
        response.close()
        raise refusal
    content_type, body = _take_picture(response, f"the picture of {resource}")
    if not content_type.startswith(("image/", "video/", "application/pdf")):
        raise refusal
    return content_type, body


def level_keyword(level: Level) -> str:
    """Give the keyword of the UID that tells one of this level from another."""
    return {"study": UID_KEYWORD["studies"], "series": UID_KEYWORD["series"]}.get(
        level, UID_KEYWORD["instances"]
    )
