"""Studies as the pages list them: a federated search, with what the archive has and what it remembers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from dicomdock import federation
from dicomdock.config.dialects import STANDARD
from dicomdock.dicom.json_model import DicomJson, text, texts, value
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.sources import LOCAL, Sources
from dicomdock.errors import ArchiveError, InvalidInput, ProfileError
from dicomdock.sources import DicomSource, Match

if TYPE_CHECKING:
    from dicomdock.archive import Archive

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
    attributes : as the first source returned them.
    counts : source name -> instances there; None where that source does not count.
    """

    uid: str
    attributes: DicomJson
    counts: Mapping[str, int | None] = field(default_factory=dict)

    @classmethod
    def of(cls, found: federation.Found) -> Found:
        """Return what a federated search found, for the pages."""
        resource = found.resource
        return cls(resource.series or resource.study, found.attributes, found.counts)

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that have it."""
        return tuple(source for source in self.counts if source != LOCAL)

    @property
    def is_here(self) -> bool:
        """Whether the archive has some of it."""
        return LOCAL in self.counts

    @property
    def instances(self) -> int | None:
        """How many instances it has, where it has most; None where nobody counts."""
        return max((count for count in self.counts.values() if count is not None), default=None)

    def state(self, coming: Iterable[str] = ()) -> State:
        """Return its state; ``coming`` are the UIDs that are being downloaded."""
        if self.uid in coming:
            return "coming"
        if not self.is_here:
            return "remote"
        if not self.servers:
            return "here"
        here, there = self.counts[LOCAL], [self.counts[name] or 0 for name in self.servers]
        return "partly" if here is not None and here < max(there) else "both"


@dataclass
class Stream(federation.Stream):
    """One source's answer to one search, preceded by what it answered the last time.

    Parameters
    ----------
    unconfirmed : the studies of an earlier answer that the source has not listed again yet.
    age : seconds since that answer; None when what is shown comes from this search.
    begun : the first page of this search has arrived.
    """

    unconfirmed: frozenset[Resource] = frozenset()
    age: float | None = None
    begun: bool = False


class StudyFinder:
    """Searches for studies and series in the archive and on servers.

    Parameters
    ----------
    local : has the archive, which also remembers what servers answered.
    servers : whose logins distinguish such answers.
    sources : both.
    """

    def __init__(self, local: LocalArchive, servers: Servers, sources: Sources) -> None:
        self._local = local
        self._servers = servers
        self._sources = sources

    @property
    def archive(self) -> Archive:
        """The archive."""
        return self._local.archive

    def source(self, name: str) -> DicomSource:
        """Return the archive or a server."""
        return self._sources.get(name)

    def sorter(self, name: str) -> Callable[[Sequence[str]], bool]:
        """Return a check of whether a source sorts what it finds so: the archive, or a server known to."""
        if name == LOCAL:
            return bool
        profiles = self._servers.profiles()
        return (profiles.get(name).dialect if name in profiles.names else STANDARD).sorts

    def login(self, server: str) -> str:
        """Return the login that a server is searched with, without its secret.

        Raises
        ------
        ProfileError
            There is no such server.
        """
        return str(self._servers.profiles().get(server).login)

    def studies(self, match: Mapping[str, str], sources: Sequence[str], order: Sequence[str] = ()) -> Listing:
        """Begin a search for studies in these sources; one alone sorts as in ``Query.order`` if it can."""
        return Listing(self, match, sources, order)

    def study(self, uid: str, source: str) -> Found | None:
        """Look up one study of a source; None where the source has none or does not answer."""
        listing = self.studies({"StudyInstanceUID": uid}, [source])
        listing.take(listing.streams[0])
        return listing.found.get(uid)

    def series(self, study: Found) -> tuple[list[Found], dict[str, str]]:
        """Look up the series of a study in every source that has it, joined, in the order of their numbers.

        Returns
        -------
        The series, and source name -> why it did not answer.
        """
        query = Query("series", {"StudyInstanceUID": study.uid}, SERIES_FIELDS)
        sources = {name: partial(self._sources.get, name) for name in study.counts}
        found: dict[Resource, Found] = {}
        errors: dict[str, str] = {}
        for answer in federation.search(sources, query):
            found.update({one.resource: Found.of(one) for one in answer.found})
            if answer.error:
                errors[answer.source] = answer.error
        return sorted(found.values(), key=_series_order), errors


class Listing:
    """A search for studies in one or more sources, merged.

    Methods block: they are for worker threads, one at a time for each stream.

    Parameters
    ----------
    finder : of the dock.
    match : what to look for.
    sources : names of the sources.
    order : as in ``Query.order``; asked of one source alone that sorts, as the orders of several differ.
    """

    def __init__(
        self,
        finder: StudyFinder,
        match: Mapping[str, str],
        sources: Sequence[str],
        order: Sequence[str] = (),
    ) -> None:
        self._finder = finder
        self.sources = tuple(sources)
        self._sorts = finder.sorter(self.sources[0]) if len(self.sources) == 1 else None
        sorted_by = tuple(order) if self.sorts(order) else ()
        self.query = Query("studies", dict(match), STUDY_FIELDS, typed=True, order=sorted_by)
        self._join = federation.Join(self.query)
        self.streams = [
            Stream(name, federation.pages_of(partial(finder.source, name), self.query)) for name in sources
        ]

    def sorts(self, order: Sequence[str]) -> bool:
        """Return whether a search of the same source can give all its studies in this order."""
        return bool(order) and self._sorts is not None and self._sorts(order)

    @property
    def found(self) -> Mapping[str, Found]:
        """Study Instance UID -> what was found; as it is when it is looked at."""
        return _FoundStudies(self._join)

    def take(self, stream: Stream) -> list[Found]:
        """Add one page of one source, and return what is new or changed by it."""
        page = stream.take()
        changed = self._add(stream.source, page.matches)
        if stream.error or stream.begun:
            return changed
        stream.begun, stream.age = True, None
        listed = {resource for match in page.matches if (resource := _study(match.attributes))}
        stale, stream.unconfirmed = stream.unconfirmed - listed, frozenset()
        if stream.source != LOCAL:
            with contextlib.suppress(ArchiveError, ProfileError):  # it can be shown all the same
                login = self._login(stream)
                self._finder.archive.query_cache.put(
                    stream.source, login, self.query, page.matches, page.more
                )
        return [*changed, *self._without(stream.source, stale)]

    def recall(self, stream: Stream) -> list[Found]:
        """Return what a server answered to the same search before, to be shown while it is asked again."""
        if stream.source == LOCAL:
            return []
        try:
            answer = self._finder.archive.query_cache.get(stream.source, self._login(stream), self.query)
        except ProfileError:
            return []  # searching it will report why
        if answer is None:
            return []
        found = self._add(stream.source, answer.matches)
        stream.unconfirmed = frozenset(Resource(item.uid) for item in found)
        stream.age = answer.age
        return found

    def _login(self, stream: Stream) -> str:
        return self._finder.login(stream.source)

    def _add(self, source: str, matches: Sequence[Match]) -> list[Found]:
        changed = self._join.add(source, matches)
        if source != LOCAL and LOCAL not in self.sources:
            changed = self._with_local(changed)
        return [Found.of(item) for item in changed]

    def _without(self, source: str, resources: Iterable[Resource]) -> list[Found]:
        """Remove a source from studies that it has no longer; one without any source is gone."""
        changed = []
        for left in self._join.remove(source, resources):
            if not left.counts.keys() - {LOCAL} and LOCAL not in self.sources:
                left = replace(left, counts={})  # in the archive, which was not searched
                self._join.put(left)
            changed.append(Found.of(left))
        return changed

    def refresh(self, uids: Iterable[str]) -> list[Found]:
        """Look up again how much of these studies the archive has; return those that changed.

        One that came to the archive meanwhile is found; one that no source has any more has no counts.
        """
        uids = list(uids)
        wanted = [found for uid in uids if (found := self._join.get(Resource(uid)))]
        before = {one.resource: one for one in wanted}
        stripped = [
            replace(one, counts={name: count for name, count in one.counts.items() if name != LOCAL})
            for one in wanted
        ]
        changed = []
        for after in self._with_local(stripped):
            self._join.put(after)
            if before[after.resource].counts != after.counts:
                changed.append(Found.of(after))
        known = {one.study for one in before}
        return [*changed, *self._arrived([uid for uid in uids if uid not in known])]

    def _arrived(self, uids: Sequence[str]) -> list[Found]:
        """Find studies that came to the archive after it was searched."""
        if LOCAL not in self.sources or "StudyInstanceUID" in self.query.match:
            return []
        arrived: list[Found] = []
        for uid in uids:
            query = replace(self.query, match={**self.query.match, "StudyInstanceUID": uid})
            for page in self._finder.archive.search(query):
                arrived += [Found.of(one) for one in self._join.add(LOCAL, page.matches)]
        return arrived

    def _with_local(self, items: Sequence[federation.Found]) -> tuple[federation.Found, ...]:
        """Add what the archive has of these studies."""
        if not items:
            return ()
        match = {"StudyInstanceUID": ",".join(item.resource.study for item in items)}
        counts: dict[str, int | None] = {}
        for page in self._finder.archive.search(Query("studies", match, STUDY_FIELDS)):
            for answer in page.matches:
                uid = text(answer.attributes, "StudyInstanceUID")
                counts[uid] = _count(answer.attributes, "NumberOfStudyRelatedInstances")
        known = []
        for item in items:
            uid = item.resource.study
            if uid in counts:
                item = replace(item, counts={**item.counts, LOCAL: counts[uid]})
                self._join.put(item)
            known.append(item)
        return tuple(known)

    @property
    def more(self) -> bool:
        """Whether some source has, or may have, further matches."""
        return any(not stream.ended for stream in self.streams)

    @property
    def total(self) -> int | None:
        """The number of all matches; None until all have arrived, unless the only source counts them."""
        if not self.more:
            return len(self._join)
        return self.streams[0].total if len(self.streams) == 1 else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user must know about the answers."""
        return tuple(dict.fromkeys(warning for stream in self.streams for warning in stream.warnings))

    @property
    def errors(self) -> Mapping[str, str]:
        """Source name -> why it did not answer."""
        return {stream.source: _error_text(stream) for stream in self.streams if stream.error}

    @property
    def age(self) -> float | None:
        """Seconds since the oldest answer that is shown; None when all are from this search."""
        return max((stream.age for stream in self.streams if stream.age is not None), default=None)

    def close(self) -> None:
        """Ask no source for more."""
        for stream in self.streams:
            stream.ended = True


class _FoundStudies(Mapping[str, Found]):
    """The studies of a join by their UIDs; each is made when it is asked for: there may be very many."""

    def __init__(self, join: federation.Join) -> None:
        self._join = join

    def __getitem__(self, uid: str) -> Found:
        try:
            found = self._join.get(Resource(uid))
        except InvalidInput:
            found = None
        if found is None:
            raise KeyError(uid)
        return Found.of(found)

    def __iter__(self) -> Iterator[str]:
        return (one.resource.study for one in self._join)

    def __len__(self) -> int:
        return len(self._join)


def _error_text(stream: Stream) -> str:
    if stream.age is None:
        return stream.error
    return f"{stream.error} Shown is its answer of {formatting.ago(stream.age)}."


def _series_order(series: Found) -> tuple[float, str]:
    number = value(series.attributes, "SeriesNumber")
    try:
        return float(str(number)), series.uid
    except ValueError:
        return float("inf"), series.uid


def _study(attributes: DicomJson) -> Resource | None:
    try:
        return Resource(text(attributes, "StudyInstanceUID"))
    except InvalidInput:
        return None


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
    """Return the resource of a study or of a series of it."""
    return Resource(study.uid, series.uid if series is not None else None)
