"""The Retrieve transactions: instances as stored, and their metadata.

Servers differ most here. The form that is right for an archive (everything, as stored, in one stream) is
asked for first; what a server refuses is asked for in the next form, and what worked is remembered for the
session.

References
----------
PS3.18 §10.4 (Retrieve), §8.7.3 (media types).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dicomdock.dicom import part10
from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.resource import Level, Resource, resource_in
from dicomdock.dicomweb import search
from dicomdock.dicomweb.metadata import request_metadata
from dicomdock.dicomweb.retrieve_response import Parts, parts_of
from dicomdock.dicomweb.session import ABSENT, REFUSED, failure, is_refusal
from dicomdock.dicomweb.uri import retrieve_by_uri
from dicomdock.errors import (
    NotAcceptable,
    RemoteNotFound,
    ServerFault,
    TransactionError,
    UnsupportedByServer,
    WireError,
)
from dicomdock.sources import DicomJson, Part, head_of, with_head
from dicomdock.web.call import MAX_WAIT

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session

BELOW: Final[dict[Level, SearchLevel]] = {"study": "series", "series": "instances"}
FAILED: Final = 500  # of some servers, whose older service gives the same instance
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
    """Fetch every instance of a study or series, or one instance, as stored; see ``DicomSource.retrieve``.

    One stream where the server has one for this level; else what lies below is listed and fetched one after
    the other. An answer that the server itself calls partial (206) raises WireError after its parts.
    """
    if resource.level == "instance":
        yield from _instance(session, resource)
    else:
        yield from _group(session, resource)


def _group(session: Session, resource: Resource) -> Iterator[Part]:
    refusal: TransactionError | None = None
    if _RANK[session.dialect.retrieve_level] <= _RANK[resource.level]:
        try:
            parts = open_parts(session, resource)
        except TransactionError as error:
            if not is_refusal(error):
                raise
            refusal = error
        else:
            yield from parts
            return
    below = children(session, resource)
    if not below:
        raise (
            refusal
            if isinstance(refusal, RemoteNotFound)
            else RemoteNotFound(f"{session.name} has no {resource.level} {resource}.", status=404)
        )
    for child in below:
        for part in retrieve(session, child):
            if refusal is not None:
                level: Level = "series" if resource.level == "study" else "instance"
                if _RANK[session.dialect.retrieve_level] < _RANK[level]:
                    session.learn(retrieve_level=level)
                refusal = None
            yield part


def children(session: Session, resource: Resource) -> list[Resource]:
    """Return the series of a study or the instances of a series, in the server's order."""
    level = BELOW[resource.level]
    match = {"StudyInstanceUID": resource.study}
    if resource.series is not None:
        match["SeriesInstanceUID"] = resource.series
    found = (
        resource_in(match.attributes, within=resource)
        for page in search.search(session, Query(level, match))
        for match in page.matches
    )
    return [child for child in found if child is not None and child.level != resource.level]


def _instance(session: Session, resource: Resource) -> Iterator[Part]:
    try:
        parts = open_parts(session, resource)
    except TransactionError as error:
        if not session.dialect.wado_uri or not (is_refusal(error) or error.status == FAILED):
            raise
        parts = retrieve_by_uri(session, resource, error)
    for part in parts:
        yield replace(part, resource=resource, opener=_checked(part.opener, resource))


def _checked(opener: Callable[[], Iterator[bytes]], expected: Resource) -> Callable[[], Iterator[bytes]]:
    """Refuse a body that begins as another instance than the one requested."""

    def open_checked() -> Iterator[bytes]:
        rest = opener()
        head = head_of(rest, part10.META)
        if part10.media_instance(head) not in ("", expected.instance):
            # Some files carry another UID in their meta information; only the data set decides.
            found = part10.identify(head)
            if found is not None and found.instance != expected.instance:
                raise WireError(
                    f"The server sent instance {found.instance} where {expected.instance} was requested."
                )
        yield from with_head(head, rest)

    return open_checked


def open_parts(session: Session, resource: Resource) -> Parts:
    """Request one form after the other; return the parts of the first that the server has.

    Raises
    ------
    RemoteNotFound, NotAcceptable, TransactionError
        The server refused every form; the first part was not received.
    """
    error: TransactionError | None = None
    known = resource.level in session.forms
    order = _order(session, resource.level)
    for place, index in enumerate(order):
        try:
            return _in_form(session, resource, index, retries=None if known else session.settings.retries)
        except TransactionError as refusal:
            if refusal.status == 404 or (known and refusal.status in ABSENT):
                raise
            error = refusal
            if isinstance(refusal, ServerFault) and refusal.status not in ABSENT:
                if known:
                    raise
                return _after_failure(session, resource, order[place:], refusal)
    raise error or NotAcceptable(f"{session.name} has no form of {resource} that dicomdock can read.")


def _after_failure(session: Session, resource: Resource, forms: Sequence[int], fault: ServerFault) -> Parts:
    """Request the other forms of a server that failed (429, 5xx) at the first of some.

    That may be its way to refuse the form. Where another one works, the first is requested once more: a
    server that was only busy must not get to send instances in a form that lets it rewrite them. Who comes
    meanwhile waits, and a server that failed at all forms is not asked for them all again.
    """
    level = resource.level
    with session.negotiating:
        if level not in session.forms:
            if level in session.failing:
                raise fault
            if (parts := _in_other_form(session, resource, forms, fault)) is not None:
                return parts
            session.failing.add(level)
    if level in session.forms:  # who waited needs the lock no longer
        return open_parts(session, resource)
    if session.patient and fault.retry_after is not None:
        return _in_form(session, resource, forms[0])
    raise fault


def _in_other_form(
    session: Session, resource: Resource, forms: Sequence[int], fault: ServerFault
) -> Parts | None:
    """Request the forms behind the first, which failed; None where the server fails at all of them."""
    again, waited = fault.retry_after or 0.0, 0.0
    for index in forms[1:]:
        waited += again
        if waited > MAX_WAIT:
            break
        try:
            found = _in_form(session, resource, index, retries=0, after=again)
            with contextlib.closing(found):
                next(found)  # what has not begun has nothing to close
        except TransactionError as refusal:
            if refusal.status == 404:
                raise
            again = (refusal.retry_after or 0.0) if isinstance(refusal, ServerFault) else 0.0
            continue
        with contextlib.suppress(TransactionError):
            return _in_form(session, resource, forms[0], retries=0)
        return _in_form(session, resource, index)
    return None


def _in_form(
    session: Session, resource: Resource, index: int, *, retries: int | None = None, after: float = 0.0
) -> Parts:
    """Request one form, and remember it where the server has it; see `Http.request` for the rest."""
    response = session.http.request(
        "GET",
        session.address("retrieve", resource.path),
        accept=FORMS[index].accept,
        allow=REFUSED | ABSENT,
        what=f"the retrieval of {resource.level} {resource}",
        retries=retries,
        after=after,
    )
    if response.status in REFUSED | ABSENT:
        has = "has no" if response.status in ABSENT else "did not give"
        raise failure(response, f"{session.name} {has} {resource.level} {resource}")
    parts = parts_of(session, response, resource)
    try:
        first = next(parts)
    except StopIteration:
        raise RemoteNotFound(
            f"{session.name} answered with no instance for {resource}.",
            status=response.status,
            url=response.url,
        ) from None
    session.forms[resource.level] = index
    return _chain(first, parts)


def _chain(first: Part, rest: Parts) -> Parts:
    try:
        yield first
        yield from rest
    finally:
        rest.close()  # frees the connection


def _order(session: Session, level: Level) -> list[int]:
    """Return the forms to try, the one that worked before first."""
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


def metadata(session: Session, resource: Resource) -> Iterator[DicomJson]:
    """Yield the attributes of every instance of a resource, without its bulk data.

    A study is requested series by series, so that memory stays bounded. Bulk data URIs are kept as the server
    wrote them; ``bulk`` knows how to follow them.

    Raises
    ------
    RemoteNotFound
        Nothing is there.
    UnsupportedByServer
        The server has no metadata.
    """
    if resource.level == "study":
        series = children(session, resource)
        if not series:
            raise RemoteNotFound(f"{session.name} has no study {resource}.", status=404)
        for one in series:
            yield from metadata(session, one)
        return
    if not session.dialect.metadata:
        raise UnsupportedByServer(f"{session.name} gives no metadata.", feature="Retrieve metadata")
    try:
        found = request_metadata(session, resource)
    except TransactionError as error:
        if error.status not in ABSENT:
            raise
        if error.status != 410 and exists(session, resource):
            session.learn(metadata=False)
            raise UnsupportedByServer(
                f"{session.name} gives no metadata.", feature="Retrieve metadata"
            ) from error
        raise
    yield from found


def exists(session: Session, resource: Resource) -> bool:
    """Return whether a search lists a resource."""
    parent = resource.parent
    if parent is None:
        return bool(children(session, resource))
    return any(child == resource for child in children(session, parent))
