"""The Search transaction: pages of matches, complete and filtered whatever the server leaves out.

References
----------
PS3.18 §10.6 (Search), §8.3.4 (query parameters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from dicomdock.dicomweb import dicomjson
from dicomdock.dicomweb.session import JSON, failure, read_json
from dicomdock.dictionary import tag_of
from dicomdock.errors import InvalidInput, TransactionError, UnsupportedByServer
from dicomdock.query import Query, SearchLevel
from dicomdock.resource import Resource
from dicomdock.source import DicomJson, Match, Page

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
_UIDS: Final[Mapping[SearchLevel, tuple[str, ...]]] = {
    "studies": ("0020000D",),
    "series": ("0020000D", "0020000E"),
    "instances": ("0020000D", "0020000E", "00080018"),
}
_NO_SUCH_LIST: Final = frozenset({404, 405, 501})
_WARNING = re.compile(r'299\s+\S+\s+"?(?:Warning:\s*299\s+\S+:?\s*)?([^"]*)')
_SPECIAL: Final = frozenset("*?,\\&#%+")  # letters that servers read in their own ways
_SAFE_LIMIT: Final = 100  # matches; the smallest page that every known server allows


class _NoSuchList(Exception):
    """The server has no such list (or nothing in it)."""

    def __init__(self, error: TransactionError) -> None:
        super().__init__(str(error))
        self.error = error


def search(session: Session, query: Query) -> Iterator[Page]:
    """Find studies, series or instances; see ``DicomSource.search``.

    The search goes below the study (and series) when the query names one. Where the server has no list of all
    series or instances, its studies are walked. The last page tells by ``more`` whether matches were left
    out.
    """
    assert query.criteria is not None  # a key that cannot be right is refused before anything is asked
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
        except _NoSuchList:
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
    listing = _Listing(session, query, path, frozenset(in_path))
    try:
        pages = listing.pages()
        first = next(pages)
        if not listing.seen and (key := listing.uid_list):
            yield from _window(query, _one_by_one(session, query, key))
            return
        if listing.is_wild and not listing.seen and _wildcards_work(session) is False:
            session.learn(wildcard=False)
            yield from _Listing(session, query, path, frozenset(in_path)).pages()
            return
        yield first
        yield from pages
    except _NoSuchList as missing:
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


def _wildcards_work(session: Session) -> bool | None:
    """Find out, once a session, whether an empty answer to a wildcard means that there is none, or no wildcards.

    Several servers compare a pattern as if it were a value. A study that is there is asked for by the
    beginning of its Patient ID or name. None where that cannot be tried; built-in dialects are trusted.
    """
    if session.wildcards_work is None and session.dialect.name == "standard":
        sample = next(_Listing(session, Query(limit=1), "/studies", frozenset()).pages())
        for keyword in ("PatientID", "PatientName"):
            for match in sample.matches:
                value = dicomjson.first_text(match.attributes, tag_of(keyword))
                if len(value) > 1 and value.isascii() and not set(value) & _SPECIAL:
                    query = Query(match={keyword: f"{value[:-1]}*"}, limit=1)
                    found = next(_Listing(session, query, "/studies", frozenset()).pages())
                    session.wildcards_work = bool(found.matches)
                    return session.wildcards_work
    return session.wildcards_work


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
            uids = (dicomjson.first_text(match.attributes, tag) for tag in _UIDS[upper])
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


@dataclass
class _Answer:
    """One page as the server gave it."""

    rows: list[DicomJson]
    total: int | None
    warnings: tuple[str, ...]


@dataclass
class _Listing:
    """One search of one list, page after page.

    ``here`` are the keys that the server is not asked for and that are filtered here; as soon as there are
    any, limit and offset are counted here too.
    """

    session: Session
    query: Query
    path: str
    in_path: frozenset[str]
    here: set[str] = field(default_factory=set)
    fields: tuple[str, ...] = ()
    most: int = 0
    unlimited: bool = False
    seen: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        dialect = self.session.dialect
        for key, value in self.query.match.items():
            wild = not dialect.wildcard and ("*" in value or "?" in value)
            if (
                value
                and key not in self.in_path
                and (wild or (dialect.match_keys and key not in dialect.match_keys))
            ):
                self.here.add(key)
        empty = (key for key, value in self.query.match.items() if not value)
        self.fields = tuple(dict.fromkeys((*empty, *self.query.fields)))
        self.most = dialect.page_limit.get(self.query.level, _SAFE_LIMIT)

    def pages(self) -> Iterator[Page]:
        left, rows_taken = self.query.limit, 0
        skip = self.query.offset if self.counts_here else 0
        position = 0 if self.counts_here else self.query.offset
        while True:
            counted_here = self.counts_here
            count = self.count(left, skip)
            answer = self.ask(position, count)
            fresh = self.fresh(answer.rows)
            matches = [row for row in fresh if self.matches(row)]
            if self.counts_here and not counted_here and not rows_taken and position:
                # The server turned out to ignore a filter, so its offset counted other rows than ours.
                position, skip = 0, self.query.offset
                self.seen.clear()
                continue
            position += len(answer.rows)
            rows_taken += len(answer.rows)
            passed = min(skip, len(matches))
            skip, matches = skip - passed, matches[passed:]
            if answer.rows and not fresh and self.widen(count, rows_taken):
                position = 0
                continue
            last = self.is_last(answer, fresh, count, position)
            more = False if last else True if answer.total is not None and answer.total > position else None
            if left is not None and len(matches) >= left:
                more = True if len(matches) > left else more
                last, matches = True, matches[:left]
            left = None if left is None else left - len(matches)
            total = None if self.here else answer.total
            yield Page(tuple(map(Match, matches)), more, total, self.words(answer, count, last=last))
            if last:
                return

    @property
    def is_wild(self) -> bool:
        """A pattern is sent to the server."""
        sent = (value for key, value in self.query.match.items() if self._is_sent(key, value))
        return any("*" in value or "?" in value for value in sent)

    @property
    def uid_list(self) -> str:
        """The first key that asks for any of several UIDs; empty where there is none."""
        lists = (key for key, value in self.query.match.items() if key.endswith("UID") and "," in value)
        return next(lists, "")

    @property
    def counts_here(self) -> bool:
        return bool(self.here) or not self.session.dialect.offset

    def count(self, left: int | None, skip: int) -> int | None:
        """How many to ask for; one more than wanted tells whether there are more. None for all there are."""
        if not self.session.dialect.offset:
            return None if left is None or self.here or self.unlimited else skip + left + 1
        return self.most if left is None or self.here else min(self.most, left + 1)

    def fresh(self, rows: list[DicomJson]) -> list[DicomJson]:
        found = []
        for row in rows:
            uids = [dicomjson.first_text(row, tag) for tag in _UIDS[self.query.level]]
            key = "/".join(uids)
            if uids[-1] and key not in self.seen:
                self.seen.add(key)
                found.append(row)
        return found

    def is_last(self, answer: _Answer, fresh: list[DicomJson], count: int | None, position: int) -> bool:
        if not fresh or not self.session.dialect.offset:
            return True
        if answer.total is not None:
            return position >= answer.total
        short = count is not None and len(answer.rows) < count
        return short and self.session.dialect.short_page_ends and not answer.warnings

    def widen(self, count: int | None, rows_taken: int) -> bool:
        """Ask once for everything on a page that only repeats (offset ignored), if the first was full."""
        if not self.session.dialect.offset or self.unlimited:
            return False
        self.session.learn(offset=False)
        self.unlimited = True
        return count is None or rows_taken >= 2 * count

    def matches(self, row: DicomJson) -> bool:
        """Filter again what the server should have filtered, by what the row shows."""
        shown: set[str] = set()
        for key, value in self.query.match.items():
            if (
                not value
                or key in self.in_path
                or (self.query.fuzzy and self.session.dialect.fuzzy and key.endswith("Name"))
            ):
                continue
            if tag_of(key.split(".")[0]) in row:
                shown.add(key)
            elif key in self.here or self.session.dialect.match_keys:
                self.told.add(
                    f"{self.session.name} does not show {key}, "
                    "so that its filter could not be applied to every match."
                )
        if self.query.matches(row, keys=shown):
            return True
        for key in shown - self.here:
            if not self.query.matches(row, keys={key}):
                self.here.add(key)
                self.told.add(
                    f"{self.session.name} did not apply the filter on {key} as asked; "
                    "its answers were filtered here."
                )
        return False

    def words(self, answer: _Answer, count: int | None, *, last: bool) -> tuple[str, ...]:
        """What the user must know about this page; nothing is said twice in one search."""
        said = [*answer.warnings]
        if self.query.fuzzy and not self.session.dialect.fuzzy:
            said.append(f"{self.session.name} does not match names fuzzily; they were compared as written.")
        full = len(answer.rows) >= self.most
        if last and not self.session.dialect.offset and full and (count is None or self.unlimited):
            said.append(
                f"{self.session.name} gives one page only ({len(answer.rows)} matches); there may be more."
            )
        fresh = tuple(dict.fromkeys(words for words in (*said, *sorted(self.told)) if words not in self.said))
        self.said.update(fresh)
        return fresh

    def ask(self, position: int, count: int | None) -> _Answer:
        """Ask for one page; on 400 leave out what the server may not know, most harmless first."""
        answer = self.request(position, count, self.wanted())
        if not isinstance(answer, TransactionError):
            return answer
        error = answer
        if self.wanted():
            answer = self.request(position, count, ())
            if not isinstance(answer, TransactionError):
                refused = frozenset(self.refused(self.wanted()))
                self.session.refuse_fields(refused)
                again = self.request(position, count, self.wanted()) if self.wanted() else answer
                return answer if isinstance(again, TransactionError) else again
        if count is not None and count > _SAFE_LIMIT:
            answer = self.request(position, _SAFE_LIMIT, ())
            if not isinstance(answer, TransactionError):
                self.most = _SAFE_LIMIT
                limits = {**self.session.dialect.page_limit, self.query.level: _SAFE_LIMIT}
                self.session.learn(page_limit=limits, short_page_ends=False)
                return answer
        droppable = {
            key for key, value in self.query.match.items() if value and not key.endswith("UID")
        } - self.here
        if droppable and not position:
            self.here |= droppable
            answer = self.request(0, min(self.most, _SAFE_LIMIT), ())
            if not isinstance(answer, TransactionError):
                self.told.add(
                    f"{self.session.name} refused the filter on {', '.join(sorted(droppable))}; "
                    "its answers were filtered here."
                )
                return answer
        raise error

    def wanted(self) -> tuple[str, ...]:
        if self.session.dialect.fields == "never":
            return ()
        return tuple(name for name in self.fields if name not in self.session.refused_fields)

    def refused(self, names: tuple[str, ...]) -> Iterator[str]:
        """Find by halves which fields the server answers with 400; asked for one match, once a session."""
        if not isinstance(self.request(0, 1, names), TransactionError):
            return
        if len(names) == 1:
            yield names[0]
            return
        half = len(names) // 2
        yield from self.refused(names[:half])
        yield from self.refused(names[half:])

    def request(self, position: int, count: int | None, names: Sequence[str]) -> _Answer | TransactionError:
        """Send one request; a 400 is given back as the error that it is."""
        what = f"the search for {self.query.level}"
        response = self.session.http.request(
            "GET",
            self.path,
            query=self.parameters(position, count, names),
            accept=JSON,
            gzip=True,
            allow=_NO_SUCH_LIST | {400},
            what=what,
        )
        if response.status == 400:
            return failure(response, f"{self.session.name} refused {what}")
        if response.status in _NO_SUCH_LIST:
            raise _NoSuchList(
                failure(response, f"{self.session.name} has no list of {self.query.level} at {self.path}")
            )
        total = response.headers.get("X-Total-Count", "")
        warnings = warnings_of(response.headers, self.session.name)
        rows = read_json(response, what)
        return _Answer(rows, int(total) if total.isdecimal() else None, warnings)

    def parameters(self, position: int, count: int | None, names: Sequence[str]) -> list[tuple[str, str]]:
        dialect = self.session.dialect
        written = _tags if dialect.key_style == "tag" else str
        sent = [(written(key), value) for key, value in self.query.match.items() if self._is_sent(key, value)]
        if names:
            each = [written(name) for name in names]
            sent += (
                [("includefield", ",".join(each))]
                if dialect.fields == "comma"
                else [("includefield", one) for one in each]
            )
        if self.query.fuzzy and dialect.fuzzy:
            sent.append(("fuzzymatching", "true"))
        if count is not None and not self.unlimited:
            sent.append(("limit", str(count)))
        if position and dialect.offset:
            sent.append(("offset", str(position)))
        return sent

    def _is_sent(self, key: str, value: str) -> bool:
        return bool(value) and key not in self.in_path and key not in self.here


def _tags(key: str) -> str:
    return key if key == "all" else ".".join(map(tag_of, key.split(".")))


def warnings_of(headers: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Give the texts of ``Warning: 299`` headers; read leniently, because servers write them in many ways.

    References
    ----------
    PS3.18 §8.3.4.2, §8.3.4.4; RFC 7234 §5.5.
    """
    header = headers.get("Warning", "")
    texts = [text.strip()[:300] for text in _WARNING.findall(header)]
    return tuple(f"{name} says: {text}" for text in dict.fromkeys(texts) if text)
