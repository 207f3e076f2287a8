"""Federated search: several sources side by side, their answers joined by UID as they arrive.

``search`` asks every source at once and follows all of them to the end; a ``Stream`` is one source's answer,
taken a page at a time by whoever turns the pages. Both join by a ``Join``. No source waits for another, and
one that fails is reported by its own answer, beside those of the others.

References
----------
PS3.18 §10.6 (Search), done at every source.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from dicomdock.dicom.json_model import DicomJson, text, value
from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.sources import DicomSource, Match, Page

Open = Callable[[], DicomSource]
"""Opens a source; called in the thread that then searches it, because opening may block or fail."""

PATIENCE: Final = 10.0  # seconds for each page of a source
PAGES_AHEAD: Final = 4  # pages that a source may be ahead of who reads them


_COUNTS: Final[Mapping[SearchLevel, str]] = {
    "studies": "NumberOfStudyRelatedInstances",
    "series": "NumberOfSeriesRelatedInstances",
}


@dataclass(frozen=True)
class Found:
    """A study, series or instance, and the sources that have it.

    Parameters
    ----------
    resource : what it is.
    attributes : of all sources together; where two differ, the first answer stands.
    counts : source -> number of its instances there, None where that source does not count; in the order of
        their answers.
    """

    resource: Resource
    attributes: DicomJson
    counts: Mapping[str, int | None]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that listed it so far, in the order of their answers."""
        return tuple(self.counts)


@dataclass(frozen=True)
class Answer:
    """A page of one source's answer, or why there is none.

    Parameters
    ----------
    source : its name.
    page : its matches; none where it failed.
    found : what is new by this page, or now known of one more source, joined with the other answers.
    seconds : since the search began.
    error : why nothing more comes from it, as a sentence; empty where nothing is wrong.
    slow : it took too long and is no longer waited for.
    last : nothing more comes from it.
    """

    source: str
    page: Page
    found: tuple[Found, ...] = ()
    seconds: float = 0.0
    error: str = ""
    slow: bool = False
    last: bool = False


def search(sources: Mapping[str, Open], query: Query, *, patience: float = PATIENCE) -> Iterator[Answer]:
    """Search every source at once and yield each page when it arrives; see ``DicomSource.search``.

    Limit and offset hold for each source. The search ends when every source has ended, failed or taken too
    long. Closing the generator requests no more. The caller closes the sources, which also ends requests in
    flight.

    Parameters
    ----------
    sources : name -> what opens the source.
    patience : seconds that each page of a source may take.
    """
    join = Join(query)
    arrived: queue.SimpleQueue[_Event] = queue.SimpleQueue()
    asked = [_Asked(name, give, arrived) for name, give in sources.items()]
    began = time.monotonic()
    waiting = {one.name: one for one in asked}
    for one in asked:
        threading.Thread(target=one.ask, args=(query,), name=f"ask {one.name}", daemon=True).start()
    try:
        while waiting:
            try:
                left = min(patience - one.waits_for() for one in waiting.values())
                one, page, error, last = arrived.get(timeout=max(0.0, left))
            except queue.Empty:
                for late in [one for one in waiting.values() if one.waits_for() >= patience]:
                    waiting.pop(late.name).leave()
                    error = f"{late.name} did not answer within {patience:g} seconds and was not waited for."
                    seconds = time.monotonic() - began
                    yield Answer(
                        late.name, Page((), None), seconds=seconds, error=error, slow=True, last=True
                    )
                continue
            if one.name not in waiting:
                continue  # it arrived after the time was over
            if isinstance(error, Exception):
                raise error
            one.ahead.release()
            if last:
                del waiting[one.name]
            yield Answer(
                one.name, page, join.add(one.name, page.matches), time.monotonic() - began, error, last=last
            )
    finally:
        for one in asked:
            one.leave()


_Event: TypeAlias = "tuple[_Asked, Page, str | Exception, bool]"


@dataclass(eq=False)
class _Asked:
    """One source while it is asked, in a thread of its own."""

    name: str
    give: Open
    arrived: queue.SimpleQueue[_Event]
    ahead: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(PAGES_AHEAD))
    left: threading.Event = field(default_factory=threading.Event)
    since: float | None = field(default_factory=time.monotonic)

    def ask(self, query: Query) -> None:
        """Pass on page after page, the last one marked as such."""
        last = Page((), more=False)
        error: str | Exception = ""
        try:
            pages = self.give().search(query)
            for page in self._in_time(pages):
                last = Page((), page.more, page.total)
                self.arrived.put((self, page, "", False))
            if close := getattr(pages, "close", None):
                close()
        except DicomdockError as problem:
            error = str(problem)
        except Exception as problem:  # noqa: BLE001 - raised again where the answers are read
            error = problem
        self.arrived.put((self, last, error, True))

    def _in_time(self, pages: Iterator[Page]) -> Iterator[Page]:
        """Yield pages until nobody wants more, and measure the time that each takes."""
        while not self.left.is_set():
            self.since = time.monotonic()
            page = next(pages, None)
            self.since = None
            self.ahead.acquire()
            if page is None or self.left.is_set():
                return
            yield page

    def waits_for(self) -> float:
        """Return the seconds spent on its next page; 0 while none is requested."""
        since = self.since
        return 0.0 if since is None else time.monotonic() - since

    def leave(self) -> None:
        """Request no more of it."""
        self.left.set()
        self.ahead.release()


@dataclass
class Stream:
    """One source's answer to a search, taken a page at a time.

    Methods block: they are for worker threads, one at a time for each stream.

    Parameters
    ----------
    source : its name.
    pages : the pages still to come.
    more : whether there are more, as far as known.
    total : the number of all matches, where the source reports it.
    warnings : what the user must know about the answer.
    error : why it ended early, as a sentence; empty where nothing is wrong.
    ended : no further page follows.
    """

    source: str
    pages: Iterator[Page]
    more: bool | None = None
    total: int | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""
    ended: bool = False

    def take(self) -> Page:
        """Return the next page; an empty one when the answer has ended or the source has failed."""
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
        """Request no more pages."""
        self.ended = True
        if close := getattr(self.pages, "close", None):
            close()


def pages_of(give: Open, query: Query) -> Iterator[Page]:
    """Yield the pages of a source, which is opened when the first page is requested."""
    yield from give().search(query)


class Join:
    """The matches of several sources, joined by UID. Safe to use from several threads at once.

    Parameters
    ----------
    query : what the sources were asked.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self._lock = threading.Lock()
        self._found: dict[Resource, Found] = {}

    def __iter__(self) -> Iterator[Found]:
        with self._lock:
            return iter(tuple(self._found.values()))

    def __len__(self) -> int:
        return len(self._found)

    def get(self, resource: Resource) -> Found | None:
        """Return what is known of a resource; None where no source listed it."""
        return self._found.get(resource)

    def add(self, source: str, matches: Iterable[Match]) -> tuple[Found, ...]:
        """Join the matches of a source; return those that are new or changed."""
        changed: dict[Resource, Found] = {}
        with self._lock:
            for match in matches:
                resource = _resource(match.attributes, self._query)
                if resource is None:
                    continue
                known = self._found.get(resource)
                joined = _joined(known, resource, match.attributes, source, self._count(match.attributes))
                if joined != known:
                    changed[resource] = self._found[resource] = joined
        return tuple(changed.values())

    def put(self, found: Found) -> None:
        """Replace what is known of a resource; one without any source is removed."""
        with self._lock:
            if found.counts:
                self._found[found.resource] = found
            else:
                self._found.pop(found.resource, None)

    def remove(self, source: str, resources: Iterable[Resource]) -> tuple[Found, ...]:
        """Remove a source from resources that it no longer lists; return them as they are now."""
        changed = []
        for known in [self._found[one] for one in resources if one in self._found]:
            counts = {name: count for name, count in known.counts.items() if name != source}
            changed.append(replace(known, counts=counts))
            self.put(changed[-1])
        return tuple(changed)

    def _count(self, attributes: DicomJson) -> int | None:
        keyword = _COUNTS.get(self._query.level)
        try:
            return int(str(value(attributes, keyword))) if keyword else None
        except ValueError:
            return None


def _joined(
    known: Found | None, resource: Resource, attributes: DicomJson, source: str, count: int | None
) -> Found:
    if known is None:
        return Found(resource, attributes, {source: count})
    counts = {**known.counts, source: count}
    if known.sources == (source,):
        return Found(resource, {**known.attributes, **attributes}, counts)
    own = {tag: item for tag, item in known.attributes.items() if item.get("Value")}  # type: ignore[union-attr]
    return Found(resource, {**attributes, **own}, counts)


def _resource(attributes: DicomJson, query: Query) -> Resource | None:
    """Return the resource of a match; UIDs that the answer leaves out are those of the query."""
    uids = [
        text(attributes, keyword) or query.match.get(keyword, "") for keyword in UID_KEYWORDS[query.level]
    ]
    study, series, instance = [*uids, None, None][:3]
    try:
        return Resource(study or "", series, instance)
    except InvalidInput:
        return None
