"""The Search transaction: every match once, found below a study or over all, whatever the server can do.

References
----------
PS3.18 §10.6 (Search), §8.3.4 (query parameters).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dicomdock.dicom import json_model
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.dicomweb.listing import Listing, NoSuchList
from dicomdock.errors import InvalidInput, UnsupportedByServer
from dicomdock.sources import Match, Page

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
_SPECIAL: Final = frozenset("*?,\\&#%+")  # letters that servers read in their own ways


def search(session: Session, query: Query) -> Iterator[Page]:
    """Find studies, series or instances; see ``DicomSource.search``.

    The search goes below the study (and series) when the query names one. Where the server has no list of all
    series or instances, its studies are walked. The last page tells by ``more`` whether matches were left
    out.
    """
    _ = query.criteria  # a key that cannot be right is refused before anything is asked
    study, series = _one_uid(query, "StudyInstanceUID"), _one_uid(query, "SeriesInstanceUID")
    if query.level == "studies":
        yield from _list(session, query, "/studies", missing_is_empty=True)
        return
    if study is not None and query.level == "instances" and series is not None:
        path = f"{Resource(study, series).path}/instances"
        yield from _list(
            session, query, path, ("StudyInstanceUID", "SeriesInstanceUID"), missing_is_empty=True
        )
        return
    if study is not None and query.level == "series":
        path = f"{Resource(study).path}/series"
        yield from _list(session, query, path, ("StudyInstanceUID",), missing_is_empty=True)
        return
    if study is not None or query.level in session.dialect.root_levels:
        path = f"/{query.level}" if study is None else f"{Resource(study).path}/instances"
        try:
            yield from _list(session, query, path, () if study is None else ("StudyInstanceUID",))
            return
        except NoSuchList:
            if study is None:
                session.learn(
                    root_levels=tuple(level for level in session.dialect.root_levels if level != query.level)
                )
    yield from _window(query, _walk(session, query))


def _one_uid(query: Query, keyword: str) -> str | None:
    value = query.match.get(keyword, "")
    if not value or set(value) & set("*?,\\"):
        return None
    try:
        Resource(value)
    except InvalidInput:
        return None
    return value


def _list(
    session: Session, query: Query, path: str, in_path: Sequence[str] = (), *, missing_is_empty: bool = False
) -> Iterator[Page]:
    listing = Listing(session, query, path, frozenset(in_path))
    try:
        pages = listing.pages()
        first = next(pages)
        if not listing.seen and (key := listing.uid_list):
            yield from _window(query, _one_by_one(session, query, key))
            return
        if not listing.seen and _misread(session, listing.patterns):
            yield from Listing(session, query, path, frozenset(in_path)).pages()
            return
        yield first
        yield from pages
    except NoSuchList as missing:
        if not missing_is_empty:
            raise
        if missing.error.status != 404:
            raise UnsupportedByServer(
                f"{session.name} does not search {query.level}: {missing.error}", feature="Search"
            ) from None
        hint = (
            ""
            if in_path
            else f"{session.name} answered 404 to the search; if data are expected, check its address."
        )
        yield Page((), more=False, warnings=(hint,) if hint else ())


def _misread(session: Session, patterns: str) -> bool:
    """Find out, once a session, whether an empty answer to a wildcard means no match or no wildcards.

    Several servers compare a pattern as if it were a value, and one knows ``*`` but not ``?``. A study that
    is there is asked for by all but the end of its Patient ID or name; built-in dialects are trusted.
    """
    for letter in patterns if session.dialect.name == "standard" else "":
        if letter not in session.patterns:
            _try_pattern(session, letter)
        if session.patterns.get(letter) is False:
            session.learn(**{"wildcard" if letter == "*" else "question_mark": False})
            return True
    return False


def _try_pattern(session: Session, letter: str) -> None:
    sample = next(Listing(session, Query(limit=1), "/studies", frozenset()).pages())
    for keyword in ("PatientID", "PatientName"):
        for match in sample.matches:
            value = json_model.text(match.attributes, tag_of(keyword))
            if len(value) > 1 and value.isascii() and not set(value) & _SPECIAL:
                query = Query(match={keyword: f"{value[:-1]}{letter}"}, limit=1)
                found = next(Listing(session, query, "/studies", frozenset()).pages())
                session.patterns[letter] = bool(found.matches)
                return


def _one_by_one(session: Session, query: Query, key: str) -> Iterator[Page]:
    """Search for each UID of a list alone, because the server takes the list for one UID."""
    single = replace(query, limit=None, offset=0)
    for uid in dict.fromkeys(filter(None, query.match[key].split(","))):
        yield from search(session, replace(single, match={**query.match, key: uid}))


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
            places = dict(zip(("StudyInstanceUID", "SeriesInstanceUID"), uids, strict=False))
            lower = replace(query, match={**below, **places}, limit=None, offset=0)
            for found in search(session, lower):
                whole = (Match({**match.attributes, **one.attributes}) for one in found.matches)
                yield Page(tuple(whole), warnings=found.warnings)


def _window(query: Query, pages: Iterator[Page]) -> Iterator[Page]:
    """Count limit and offset over pages that were made without them; say nothing twice."""
    left, skip = query.limit, query.offset
    told: set[str] = set()
    for page in pages:
        passed = min(skip, len(page.matches))
        skip, found = skip - passed, page.matches[passed:]
        warnings = tuple(words for words in page.warnings if words not in told)
        told.update(warnings)
        if left is not None and len(found) > left:
            yield Page(found[:left], more=True, warnings=warnings)
            return
        left = None if left is None else left - len(found)
        if found or warnings:
            yield Page(found, warnings=warnings)
    yield Page((), more=False)
