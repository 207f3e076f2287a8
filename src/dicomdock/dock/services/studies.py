"""Studies as the pages list them: found in several places, merged by UID, a page at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from dicomdock.dicom.json_model import DicomJson, text, texts, value
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting
from dicomdock.dock.service import LOCAL
from dicomdock.errors import ArchiveError, DicomdockError, ProfileError
from dicomdock.sources import Match, Page

if TYPE_CHECKING:
    from dicomdock.dock.service import Dock

State = Literal["remote", "here", "both", "partly", "coming"]

STUDY_FIELDS = (
    "StudyDescription",
    "ModalitiesInStudy",
    "PatientBirthDate",
    "PatientSex",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
SERIES_FIELDS = ("SeriesDescription", "NumberOfSeriesRelatedInstances", "BodyPartExamined")
FIRST_PAGE = 100  # matches; more than a screen holds, few enough to come at once


@dataclass(frozen=True)
class Found:
    """A study or series, and where it was found.

    Parameters
    ----------
    uid : its own UID.
    attributes : as the first source told them.
    places : source name -> instances there; None where that source does not count.
    """

    uid: str
    attributes: DicomJson
    places: Mapping[str, int | None] = field(default_factory=dict)

    def merged(self, other: Found) -> Found:
        """Join what two sources told; the earlier attributes win, gaps are filled."""
        attributes = {**other.attributes, **{tag: item for tag, item in self.attributes.items() if item}}
        return replace(self, attributes=attributes, places={**self.places, **other.places})

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that have it."""
        return tuple(place for place in self.places if place != LOCAL)

    @property
    def is_here(self) -> bool:
        """The archive has some of it."""
        return LOCAL in self.places

    @property
    def instances(self) -> int | None:
        """How many instances it has, where it has most; None where nobody counts."""
        return max((count for count in self.places.values() if count is not None), default=None)

    def state(self, coming: Iterable[str] = ()) -> State:
        """Tell its mark; ``coming`` are the UIDs that are being downloaded."""
        if self.uid in coming:
            return "coming"
        if not self.is_here:
            return "remote"
        if not self.servers:
            return "here"
        here, there = self.places[LOCAL], [self.places[name] or 0 for name in self.servers]
        return "partly" if here is not None and here < max(there) else "both"


@dataclass
class Stream:
    """One source's answer to one search, taken a page at a time.

    Parameters
    ----------
    source : its name.
    pages : what is still to come.
    more : whether there is more, as far as known.
    total : all matches, where the source tells.
    warnings : what the user must know about the answer.
    error : why it ended early, in words.
    kept : UIDs of the studies of an earlier answer that the source has not told again yet.
    age : seconds since that answer; None when what is shown was told just now.
    """

    source: str
    pages: Iterator[Page]
    more: bool | None = None
    total: int | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""
    ended: bool = False
    kept: frozenset[str] = frozenset()
    age: float | None = None
    begun: bool = False

    def take(self) -> Page:
        """Take the next page; an empty one when the answer has ended or the source has failed."""
        if self.ended:
            return Page(())
        try:
            page = next(self.pages)
        except StopIteration:
            page = Page((), more=False, total=self.total)
        except DicomdockError as error:
            self.error = str(error)
            page = Page((), more=False)
        self.more, self.total = page.more, page.total if page.total is not None else self.total
        self.warnings = tuple(dict.fromkeys((*self.warnings, *page.warnings)))
        self.ended = page.more is False
        return page

    def close(self) -> None:
        """Ask for no more."""
        self.ended = True
        if close := getattr(self.pages, "close", None):
            close()


class Listing:
    """A search for studies in one or more places, merged.

    Methods block: they are for worker threads, one at a time for each stream.

    Parameters
    ----------
    dock : gives the sources.
    match : what to look for.
    sources : names of the places.
    """

    def __init__(self, dock: Dock, match: Mapping[str, str], sources: Sequence[str]) -> None:
        self._dock = dock
        self._lock = threading.Lock()
        self.sources = tuple(sources)
        self.found: dict[str, Found] = {}
        self.query = Query("studies", dict(match), STUDY_FIELDS)
        self.streams = [Stream(name, self._search(name)) for name in sources]

    def _search(self, name: str) -> Iterator[Page]:
        # A generator of its own: even finding the source may fail or block, and must do so in the worker.
        yield from self._dock.source(name).search(self.query)

    def take(self, stream: Stream) -> list[Found]:
        """Take one page of one place and give what is new or changed by it."""
        page = stream.take()
        changed = self._add(stream, page.matches)
        if stream.error or stream.begun:
            return changed
        stream.begun, stream.age = True, None
        told = {item.uid for item in changed}
        stale, stream.kept = stream.kept - told, frozenset()
        if stream.source != LOCAL:
            with contextlib.suppress(ArchiveError, ProfileError):  # it is there to be shown all the same
                login = self._login(stream)
                self._dock.archive.remember(stream.source, login, self.query, page.matches, page.more)
        return [*changed, *self._without(stream, stale)]

    def recall(self, stream: Stream) -> list[Found]:
        """Give what a server said to the same search before, to be shown while it is asked again."""
        if stream.source == LOCAL:
            return []
        try:
            answer = self._dock.archive.recall(stream.source, self._login(stream), self.query)
        except ProfileError:
            return []  # asking it will say why
        if answer is None:
            return []
        found = self._add(stream, answer.matches)
        stream.kept, stream.age = frozenset(item.uid for item in found), answer.age
        return found

    def _login(self, stream: Stream) -> str:
        return str(self._dock.profiles().get(stream.source).login)

    def _add(self, stream: Stream, matches: Sequence[Match]) -> list[Found]:
        fresh = [_found(match.attributes, "StudyInstanceUID", stream.source) for match in matches]
        fresh = [item for item in fresh if item.uid]
        if stream.source != LOCAL and LOCAL not in self.sources:
            fresh = self._with_local(fresh)
        changed = []
        with self._lock:
            for item in fresh:
                known = self.found.get(item.uid)
                self.found[item.uid] = merged = item if known is None else known.merged(item)
                changed.append(merged)
        return changed

    def _without(self, stream: Stream, uids: Iterable[str]) -> list[Found]:
        """Take a place away from studies that are there no more; one without any place is gone."""
        changed = []
        with self._lock:
            for item in [self.found[uid] for uid in uids if uid in self.found]:
                places = {name: count for name, count in item.places.items() if name != stream.source}
                left = replace(item, places=places)
                if not places.keys() - {LOCAL} and LOCAL not in self.sources:
                    left = replace(item, places={})  # here, but here is not where was looked
                changed.append(left)
                if left.places:
                    self.found[item.uid] = left
                else:
                    del self.found[item.uid]
        return changed

    def refresh(self, uids: Iterable[str]) -> list[Found]:
        """Look up again how much of these studies is here; give those that changed.

        One that came to the archive meanwhile is found, one that is nowhere any more has no places.
        """
        uids = list(uids)
        wanted = [self.found[uid] for uid in uids if uid in self.found]
        stripped = [
            replace(item, places={name: count for name, count in item.places.items() if name != LOCAL})
            for item in wanted
        ]
        changed = []
        for before, after in zip(wanted, self._with_local(stripped), strict=True):
            if before.places != after.places:
                self.found[after.uid] = after
                changed.append(after)
            if not after.places:
                del self.found[after.uid]
        known = {item.uid for item in wanted}
        return [*changed, *self._arrived([uid for uid in uids if uid not in known])]

    def _arrived(self, uids: Sequence[str]) -> list[Found]:
        """Find studies that came to the archive after it was asked."""
        if LOCAL not in self.sources or "StudyInstanceUID" in self.query.match:
            return []
        arrived = []
        for uid in uids:
            query = replace(self.query, match={**self.query.match, "StudyInstanceUID": uid})
            for page in self._dock.archive.search(query):
                for match in page.matches:
                    self.found[uid] = _found(match.attributes, "StudyInstanceUID", LOCAL)
                    arrived.append(self.found[uid])
        return arrived

    def _with_local(self, items: list[Found]) -> list[Found]:
        """Add what the archive has of these studies."""
        if not items:
            return items
        match = {"StudyInstanceUID": ",".join(item.uid for item in items)}
        counts: dict[str, int | None] = {}
        for page in self._dock.archive.search(Query("studies", match, STUDY_FIELDS)):
            for answer in page.matches:
                uid = text(answer.attributes, "StudyInstanceUID")
                counts[uid] = _count(answer.attributes, "NumberOfStudyRelatedInstances")
        return [
            replace(item, places={**item.places, LOCAL: counts[item.uid]}) if item.uid in counts else item
            for item in items
        ]

    @property
    def more(self) -> bool:
        """True while some place has, or may have, further matches."""
        return any(not stream.ended for stream in self.streams)

    @property
    def total(self) -> int | None:
        """All matches, where it is known: of one place that tells, or when everything is here."""
        if not self.more:
            return len(self.found)
        return self.streams[0].total if len(self.streams) == 1 else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user must know about the answers."""
        return tuple(dict.fromkeys(warning for stream in self.streams for warning in stream.warnings))

    @property
    def errors(self) -> Mapping[str, str]:
        """Source name -> why it did not answer."""
        return {stream.source: _words(stream) for stream in self.streams if stream.error}

    @property
    def age(self) -> float | None:
        """Seconds since the oldest answer that is shown; None when all were told just now."""
        return max((stream.age for stream in self.streams if stream.age is not None), default=None)

    def close(self) -> None:
        """Ask no source for more."""
        for stream in self.streams:
            stream.ended = True


def _words(stream: Stream) -> str:
    if stream.age is None:
        return stream.error
    return f"{stream.error} Shown is what it said {formatting.ago(stream.age)}."


def series_of(dock: Dock, study: Found) -> tuple[list[Found], dict[str, str]]:
    """Look up the series of a study in every place that has it, merged, in the order of their numbers.

    Returns
    -------
    The series, and source name -> why it did not answer.
    """
    found: dict[str, Found] = {}
    errors: dict[str, str] = {}
    for name in study.places:
        query = Query("series", {"StudyInstanceUID": study.uid}, SERIES_FIELDS)
        try:
            for page in dock.source(name).search(query):
                for match in page.matches:
                    item = _found(match.attributes, "SeriesInstanceUID", name)
                    known = found.get(item.uid)
                    found[item.uid] = item if known is None else known.merged(item)
        except DicomdockError as error:
            errors[name] = str(error)
    return sorted(found.values(), key=_series_order), errors


def _series_order(series: Found) -> tuple[float, str]:
    number = value(series.attributes, "SeriesNumber")
    try:
        return float(str(number)), series.uid
    except ValueError:
        return float("inf"), series.uid


def _found(attributes: DicomJson, uid_keyword: str, source: str) -> Found:
    counter = {
        "StudyInstanceUID": "NumberOfStudyRelatedInstances",
        "SeriesInstanceUID": "NumberOfSeriesRelatedInstances",
    }[uid_keyword]
    return Found(text(attributes, uid_keyword), attributes, {source: _count(attributes, counter)})


def _count(attributes: DicomJson, keyword: str) -> int | None:
    number = value(attributes, keyword)
    try:
        return int(str(number))
    except ValueError:
        return None


def modalities(study: Found) -> str:
    """Write the modalities of a study or series, a blank between them."""
    return " ".join(texts(study.attributes, "ModalitiesInStudy") or texts(study.attributes, "Modality"))


def resource_in(study: Found, series: Found | None = None) -> Resource:
    """Give the resource of a study or of a series of it."""
    return Resource(study.uid, series.uid if series is not None else None)
