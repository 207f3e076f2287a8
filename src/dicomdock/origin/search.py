"""QIDO-RS: searches for studies, series and instances.

References
----------
PS3.18 §10.6 (search transaction), §8.3.4 (query parameters).
"""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.resource import resource_in
from dicomdock.dicom.uid import check_uid
from dicomdock.origin.context import Origin, accept_of
from dicomdock.origin.data_sets import answer, wanted_form
from dicomdock.origin.responses import CHARACTER_SET, UTF_8, in_thread, unread_parameters, warning_header
from dicomdock.sources import DicomJson, Page

RETRIEVE_URL = "00081190"


async def search_studies(origin: Origin, request: Request) -> Response:
    """Search for studies."""
    return await _search(origin, request, "studies")


async def search_series(origin: Origin, request: Request) -> Response:
    """Search for series, of one study where the path names it."""
    return await _search(origin, request, "series")


async def search_instances(origin: Origin, request: Request) -> Response:
    """Search for instances, of one study or series where the path names it."""
    return await _search(origin, request, "instances")


async def _search(origin: Origin, request: Request, level: SearchLevel) -> Response:
    form = wanted_form(accept_of(request), "Matches")
    named = {key: check_uid(uid, tolerant=True) for key, uid in request.path_params.items()}
    query = Query.from_params(level, request.query_params.multi_items(), **named)
    base = origin.base(request)
    unread = unread_parameters(Query.passed_over(request.query_params.multi_items()))

    def answered() -> Response:
        pages, first = _begun(origin, query)
        headers = warning_header((*unread, *first.warnings))
        return answer(_answers(first, pages, base), form, headers=headers, flow=origin.flow)

    return await in_thread(answered)


def _begun(origin: Origin, query: Query) -> tuple[Iterator[Page], Page]:
    """Wait for the first page: it brings the warnings, or the reason why there is none."""
    pages = origin.source().search(query)
    return pages, next(pages)


def _answers(first: Page, rest: Iterator[Page], base: str) -> Iterator[DicomJson]:
    for match in first.matches:
        yield _with_address(match.attributes, base)
    for page in rest:
        for match in page.matches:
            yield _with_address(match.attributes, base)


def _with_address(attributes: DicomJson, base: str) -> DicomJson:
    """Add the address of the match on this server and the character set of the answer (PS3.18 §10.6.3.3)."""
    attributes = {**attributes, CHARACTER_SET: {**UTF_8}}
    resource = resource_in(attributes)
    if resource is None:  # a UID so odd that nothing can be asked for by it
        return attributes
    return {**attributes, RETRIEVE_URL: {"vr": "UR", "Value": [base + resource.path]}}
