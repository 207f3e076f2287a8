"""The Search transaction: every match once, found below a study or over all, whatever the server can do.

References
----------
PS3.18 §10.6 (Search), §8.3.4 (query parameters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

from dicomdock.dicom import json_model
from dicomdock.dicom.dictionary import keyword_of, tag_of
from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.dicomweb.key_checks import SAMPLE, kind_of
from dicomdock.dicomweb.listing import Listing
from dicomdock.dicomweb.metadata import request_metadata
from dicomdock.dicomweb.search_request import ListRequests, NoSuchList, list_values
from dicomdock.dicomweb.typed_names import as_standard, search_typed, typed_keys
from dicomdock.errors import InvalidInput, ServerFault, TransactionError, UnsupportedByServer, WireError
from dicomdock.sources import DicomJson, Match, Page

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session

# Which level an attribute belongs to, for servers that must be walked level by level (PS3.18 §10.6.1.2).
STUDY_KEYS: Final = frozenset(
    {
        *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyInstanceUID", "StudyDescription"),
        *("ModalitiesInStudy", "SOPClassesInStudy", "ReferringPhysicianName", "TimezoneOffsetFromUTC"),
        *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
        *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    }
)
SERIES_KEYS: Final = frozenset(
    {
        *("Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime"),
        *("BodyPartExamined", "Laterality", "ProtocolName", "NumberOfSeriesRelatedInstances"),
        *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "RequestAttributesSequence"),
    }
)
INSTANCE_KEYS: Final = frozenset({"SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "Columns"})
_HIERARCHY: Final = frozenset(UID_KEYWORDS["instances"])
_MOST_ASKED: Final = 50  # rows of a key check; among them one that matches must be


def search(session: Session, query: Query) -> Iterator[Page]:
    """Find studies, series or instances; see ``DicomSource.search``.

    The search goes below the study (and series) when the query names one. Where the server has no list of all
    series or instances, its studies are walked; where it does not list the instances of a series, they are
    taken from the metadata. The last page reports by ``more`` whether matches were left out.
    """
    _ = query.criteria  # a key that cannot be right is refused before anything is sent
    study, series = _one_uid(query, "StudyInstanceUID"), _one_uid(query, "SeriesInstanceUID")
    if typed_keys(query):
        yield from _window(query, search_typed(session, query, search))
        return
    query = as_standard(query)
    if query.level == "studies":
        yield from _list_or_nothing(session, query, "/studies")
    elif study is not None and query.level == "instances" and series is not None:
        yield from _below(session, query, Resource(study, series))
    elif study is not None and query.level == "series":
        yield from _below(session, query, Resource(study))
    elif study is not None and session.dialect.study_instances:
        try:
            yield from _list(session, query, f"{Resource(study).path}/instances", ("StudyInstanceUID",))
        except NoSuchList:
            yield from _learning(session, _window(query, _walk(session, query)), study_instances=False)
    elif study is None and query.level in session.dialect.root_levels:
        try:
            yield from _list(session, query, f"/{query.level}")
        except NoSuchList:
            levels = tuple(level for level in session.dialect.root_levels if level != query.level)
            yield from _learning(session, _window(query, _walk(session, query)), root_levels=levels)
    else:
        yield from _window(query, _walk(session, query))


def _learning(session: Session, pages: Iterator[Page], **capabilities: object) -> Iterator[Page]:
    """Yield pages, and learn by their first match what the server cannot do."""
    learned = False
    for page in pages:
        if page.matches and not learned:
            session.learn(**capabilities)
            learned = True
        yield page


def _list_or_nothing(session: Session, query: Query, path: str) -> Iterator[Page]:
    """Search one list; one that is not there is empty, since some servers answer so."""
    try:
        yield from _list(session, query, path)
    except NoSuchList as missing:
        yield _nothing(session, query, missing.error, hint=True)


def _nothing(session: Session, query: Query, error: TransactionError, *, hint: bool = False) -> Page:
    """Return the page of a search that found no list; raise where the server does not search."""
    if error.status not in (200, 404):
        raise UnsupportedByServer(
            f"{session.name} does not search {query.level}: {error}", feature="Search"
        ) from None
    warning = f"{session.name} answered 404 to the search; if data are expected, check its address."
    return Page((), more=False, warnings=(warning,) if hint else ())


def _below(session: Session, query: Query, resource: Resource) -> Iterator[Page]:
    """Search the series of a study or the instances of a series, elsewhere where the server lists none there.

    That is in the metadata of what they belong to, and in the list over all studies.
    """
    keys = ("StudyInstanceUID", "SeriesInstanceUID")[: 1 if resource.series is None else 2]
    failed: ServerFault | None = None
    try:
        yield from _list(session, query, f"{resource.path}/{query.level}", keys)
        return
    except NoSuchList as missing:
        error = missing.error
    except ServerFault as fault:
        if fault.status not in (500, 501):
            raise
        error = failed = fault
    try:
        rows = request_metadata(session, resource) if session.dialect.metadata else []
    except (TransactionError, WireError):
        rows = []
    rows = rows if query.level == "instances" else _series_of(rows)
    if not rows and query.level in session.dialect.root_levels:
        uids = dict(zip(keys, filter(None, (resource.study, resource.series)), strict=True))
        over_all = replace(query, match=uids)
        if _rows(session, replace(over_all, limit=1), f"/{query.level}"):
            with suppress(NoSuchList):  # a server that answers otherwise than a moment ago
                yield from _list(session, query, f"/{query.level}")
                return
    if not rows:
        if failed is not None:
            raise failed
        yield _nothing(session, query, error)
        return
    found = tuple(Match(row) for row in rows if query.matches(row, keys=query.match.keys() - set(keys)))
    yield from _window(query, iter([Page(found)]))


def _series_of(instances: Sequence[DicomJson]) -> list[DicomJson]:
    """Return the rows of the series to which instances belong, each with the number of them."""
    series: dict[str, list[DicomJson]] = {}
    for row in instances:
        series.setdefault(json_model.text(row, "SeriesInstanceUID"), []).append(row)
    series.pop("", None)
    return [
        {
            **{tag: one for tag, one in rows[0].items() if keyword_of(tag) in STUDY_KEYS | SERIES_KEYS},
            tag_of("NumberOfSeriesRelatedInstances"): {"vr": "IS", "Value": [len(rows)]},
        }
        for rows in series.values()
    ]


def _one_uid(query: Query, keyword: str) -> str | None:
    value = query.match.get(keyword, "")
    if not value or set(value) & set("*?,\\"):
        return None
    try:
        Resource(value)
    except InvalidInput:
        return None
    return value


def _list(session: Session, query: Query, path: str, in_path: Sequence[str] = ()) -> Iterator[Page]:
    """Search one list: as a whole, then by whatever the server understands where it finds nothing.

    Raises
    ------
    NoSuchList
        The server has no such list.
    """
    listing = Listing(ListRequests(session, query, path, frozenset(in_path)))
    if (key := listing.value_list) and not _takes_lists(session, key):
        yield from _window(query, _one_by_one(session, query, key))
        return
    pages = listing.pages()
    try:
        first = next(pages)
    except TransactionError as error:
        if error.status != 400 or not key:
            raise
        yield from _window(query, _one_by_one(session, query, key))
        return
    if listing.seen:
        yield first
        yield from _completed(session, listing, pages, first)
    elif key:
        yield from _window(query, _one_by_one(session, query, key))
    elif wider := _wider(session, listing):
        yield from wider
    elif misread := _misread(session, listing):
        local = Listing(ListRequests(session, query, path, frozenset(in_path), local=misread))
        pages = local.pages()
        first = next(pages)
        if not local.seen and query.level != "studies":
            raise _empty(session, query, path)
        yield from _reported(session, chain((first,), pages), misread)
    elif query.level != "studies" and (
        not listing.requests.sent or not _lists_all(session, query.level, path, in_path)
    ):
        raise _empty(session, query, path)
    else:
        yield first
        yield from pages


def _wider(session: Session, listing: Listing) -> Iterator[Page] | None:
    """Return what a server finds where a wildcard stands for what is percent-encoded; None for nothing.

    Some servers do not decode a value, or decode it in another way, and find nothing. A row that
    holds the key letter by letter proves it; another only shows that the server compares more strictly.
    """
    requests = listing.requests
    encoded = [key for key in requests.sent if requests.is_encoded(key)]
    if not requests.encoded or not encoded:
        return None
    wider = Listing(ListRequests(session, listing.query, requests.path, requests.in_path, encoded=False))
    if not wider.requests.widened.issuperset(encoded):
        return None  # nothing is left to ask for: that would be the whole list
    pages = wider.pages()
    first = next((page for page in pages if page.matches), Page(()))
    keys = {key: listing.query.match[key] for key in encoded}
    if not any(_holds(match.attributes, key, keys[key]) for match in first.matches for key in keys):
        return None
    session.learn(encoded_characters=False)
    return chain((first,), pages)


def _holds(row: DicomJson, key: str, value: str) -> bool:
    pieces = [normalize("NFC", piece) for piece in re.split(r"[*?^=\\]", value) if piece]
    texts = (normalize("NFC", text) for text in json_model.texts(row, key))
    return any(all(piece in text for piece in pieces) for text in texts)


def _empty(session: Session, query: Query, path: str) -> NoSuchList:
    """Return the error of a list that is empty, so that what it should list is looked for elsewhere."""
    return NoSuchList(
        TransactionError(f"{session.name} lists no {query.level} at {path}.", status=200, url=path)
    )


def _lists_all(session: Session, level: SearchLevel, path: str, in_path: Sequence[str]) -> bool:
    """Return whether a list over all studies has anything where there are studies; asked once a session."""
    if in_path or session.dialect.name != "standard":
        return True
    if level not in session.root_lists:
        rows = _rows(session, Query(level, limit=1), path)
        session.root_lists[level] = bool(rows) or not _rows(session, Query("studies", limit=1), "/studies")
    return session.root_lists[level]


def _reported(session: Session, pages: Iterator[Page], misread: set[str]) -> Iterator[Page]:
    """Yield pages that were filtered locally, and report it with the first match that the server hid."""
    warning = (
        f"{session.name} did not apply the filter on {', '.join(sorted(misread))} as asked; "
        "its answers were filtered locally."
    )
    for page in pages:
        yield replace(page, warnings=(*page.warnings, warning)) if page.matches and warning else page
        warning = "" if page.matches else warning


def _takes_lists(session: Session, key: str) -> bool:
    """Return whether a list of several values may be sent in one key."""
    dialect = session.dialect
    known = dialect.uid_lists if key.endswith("UID") else dialect.value_lists != "none"
    return known and session.lists.get(key, True)


def _one_by_one(session: Session, query: Query, key: str) -> Iterator[Page]:
    """Search for each value of a list alone, because the server takes the list for one value."""
    values = list_values(query.match[key], key)
    yield from _singly(session, query, key, values, set())


def _singly(
    session: Session, query: Query, key: str, values: Sequence[str], seen: set[tuple[str, ...]]
) -> Iterator[Page]:
    single = replace(query, limit=None, offset=0)
    for value in values:
        count = 0
        for page in search(session, replace(single, match={**query.match, key: value})):
            fresh = tuple(match for match in page.matches if not _known(match, query.level, seen))
            count += len(fresh)
            yield replace(page, matches=fresh)
        if count:
            session.lists[key] = False


def _known(match: Match, level: SearchLevel, seen: set[tuple[str, ...]]) -> bool:
    """Return whether a match was found by another value already."""
    uids = tuple(json_model.text(match.attributes, keyword) for keyword in UID_KEYWORDS[level])
    if uids in seen:
        return True
    seen.add(uids)
    return False


def _completed(session: Session, listing: Listing, pages: Iterator[Page], first: Page) -> Iterator[Page]:
    """Yield the further pages, and what a server left out that applied one value of a list alone."""
    key, query = listing.value_list, listing.query
    seen: set[tuple[str, ...]] = set()
    last = first
    for match in first.matches if key else ():
        _known(match, query.level, seen)
    for page in pages:
        for match in page.matches if key else ():
            _known(match, query.level, seen)
        last = page
        yield page
    if not key or last.more is True or query.limit is not None or key in session.lists:
        return
    missing = tuple(listing.missing)
    if not missing or len(missing) == len(list_values(query.match[key], key)):
        session.lists[key] = session.lists.get(key, True)
        return
    found = [page for page in _singly(session, query, key, missing[:1], seen) if page.matches]
    yield from found
    session.lists[key] = not found
    if found:
        yield from _singly(session, query, key, missing[1:], seen)
        session.lists[key] = False


def _misread(session: Session, listing: Listing) -> set[str]:
    """Return the keys for which an empty answer means that the server does not apply them as asked.

    Below a study the whole list is short: every key is filtered locally then. Over all studies, each kind of
    key is checked once a session by a study that the server has listed; built-in dialects are trusted.
    """
    query = listing.query
    keys = {key for key in listing.requests.sent if query.level == "studies" or key not in _HIERARCHY}
    if not keys or listing.requests.local:
        return set()
    if listing.requests.in_path:
        return keys
    if session.dialect.name != "standard":
        return set()
    kinds = {key: kind for key in keys if "." not in key and (kind := kind_of(query.criteria[key]))}
    unknown = [key for key, kind in kinds.items() if (query.level, key, kind) not in session.key_checks.known]
    rows = (
        _rows(session, Query(query.level, fields=tuple(unknown), limit=SAMPLE), listing.requests.path)
        if unknown
        else []
    )

    def ask(keyword: str, value: str) -> Sequence[DicomJson]:
        return _rows(session, Query(query.level, {keyword: value}, limit=_MOST_ASKED), listing.requests.path)

    misread = {
        key: kind
        for key, kind in kinds.items()
        if session.key_checks.check(query.level, key, kind, rows, ask) is False
    }
    for kind in misread.values():
        if kind in ("wildcard", "question mark"):
            session.learn(**{"wildcard" if kind == "wildcard" else "question_mark": False})
    return set(misread)


def _rows(session: Session, query: Query, path: str) -> list[DicomJson]:
    """Return the rows of the first page of a list; none where the server refuses it."""
    try:
        page = next(Listing(ListRequests(session, query, path)).pages())
    except (TransactionError, NoSuchList):
        return []
    return [match.attributes for match in page.matches]


def _walk(session: Session, query: Query) -> Iterator[Page]:
    """Search the level above, then below each of its matches, without limit and offset."""
    upper: SearchLevel = "studies" if query.level == "series" else "series"
    above = STUDY_KEYS if upper == "studies" else STUDY_KEYS | SERIES_KEYS
    keys = {key: value for key, value in query.match.items() if key.split(".")[0] in above}
    below = {key: value for key, value in query.match.items() if key not in keys}
    for page in search(session, Query(upper, keys, fuzzy=query.fuzzy)):
        if page.warnings:
            yield Page((), warnings=page.warnings)
        for match in page.matches:
            uids = (json_model.text(match.attributes, tag) for tag in UID_KEYWORDS[upper])
            above_uids = dict(zip(("StudyInstanceUID", "SeriesInstanceUID"), uids, strict=False))
            lower = replace(query, match={**below, **above_uids}, limit=None, offset=0)
            for found in search(session, lower):
                whole = (Match({**match.attributes, **one.attributes}) for one in found.matches)
                yield Page(tuple(whole), warnings=found.warnings)


def _window(query: Query, pages: Iterator[Page]) -> Iterator[Page]:
    """Apply limit and offset to pages that were made without them; report nothing twice."""
    left, skip = query.limit, query.offset
    reported: set[str] = set()
    for page in pages:
        passed = min(skip, len(page.matches))
        skip, found = skip - passed, page.matches[passed:]
        warnings = tuple(warning for warning in page.warnings if warning not in reported)
        reported.update(warnings)
        if left is not None and len(found) > left:
            yield Page(found[:left], more=True, warnings=warnings)
            return
        left = None if left is None else left - len(found)
        if found or warnings:
            yield Page(found, warnings=warnings)
    yield Page((), more=False)
