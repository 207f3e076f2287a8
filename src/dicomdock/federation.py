"""Federated search: ask several sources side by side, and join what they answer by UID, as it comes.

No source waits for another. One that fails is told by its answer, one that is slow is left behind and told
too; what the others gave stays.

References
----------
PS3.18 §10.6 (Search), done at every source.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.sources import DicomSource, Page

Open = Callable[[], DicomSource]
"""Gives a source; called in the thread that then asks it, because even finding it may block or fail."""

PATIENCE: Final = 10.0  # seconds for each page of a source; people look elsewhere long before
PAGES_AHEAD: Final = 4  # pages that a source may be ahead of who reads them


@dataclass(frozen=True)
class Found:
    """A study, series or instance, and who has it.

    Parameters
    ----------
    resource : what it is.
    attributes : of all sources together; where two differ, the first answer stands.
    sources : names of the sources that listed it so far, in the order of their answers.
    """

    resource: Resource
    attributes: DicomJson
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What one source said, as soon as it said it.

    Parameters
    ----------
    source : its name.
    page : what it said; without matches where it failed.
    found : what is new by this, or known in one more place now, joined with what the others said.
    seconds : since the search began.
    error : why nothing more comes from it, in words; empty where nothing is wrong.
    slow : it was left behind, because it took too long.
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
    """Ask every source at once and give each page when it arrives; see ``DicomSource.search``.

    Limit and offset hold for each source. The search ends when every source has ended, failed or been left
    behind. Closing the generator asks for no more. The sources are the caller's to close, which also ends
    requests that are still on their way.

    Parameters
    ----------
    sources : name -> what gives the source.
    patience : seconds that each page of a source may take.
    """
    join = _Join(query)
    arrived: queue.SimpleQueue[_Said] = queue.SimpleQueue()
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
                    words = f"{late.name} did not answer within {patience:g} seconds and was not waited for."
                    seconds = time.monotonic() - began
                    yield Answer(
                        late.name, Page((), None), seconds=seconds, error=words, slow=True, last=True
                    )
                continue
            if one.name not in waiting:
                continue  # it came after it was left behind
            if isinstance(error, Exception):
                raise error
            one.ahead.release()
            if last:
                del waiting[one.name]
            yield Answer(one.name, page, join.add(one.name, page), time.monotonic() - began, error, last=last)
    finally:
        for one in asked:
            one.leave()


_Said: TypeAlias = "tuple[_Asked, Page, str | Exception, bool]"


@dataclass(eq=False)
class _Asked:
    """One source while it is asked, in a thread of its own."""

    name: str
    give: Open
    arrived: queue.SimpleQueue[_Said]
    ahead: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(PAGES_AHEAD))
    left: threading.Event = field(default_factory=threading.Event)
    since: float | None = field(default_factory=time.monotonic)

    def ask(self, query: Query) -> None:
        """Hand on page after page, the last one marked."""
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
        """Give pages until nobody wants more, and keep the time that each takes."""
        while not self.left.is_set():
            self.since = time.monotonic()
            page = next(pages, None)
            self.since = None
            self.ahead.acquire()
            if page is None or self.left.is_set():
                return
            yield page

    def waits_for(self) -> float:
        """Give the seconds that it has been taking for its next page; 0 while it need not give one."""
        since = self.since
        return 0.0 if since is None else time.monotonic() - since

    def leave(self) -> None:
        """Take no more of it."""
        self.left.set()
        self.ahead.release()


@dataclass
class _Join:
    """What all sources together have found."""

    query: Query
    known: dict[Resource, Found] = field(default_factory=dict)

    def add(self, source: str, page: Page) -> tuple[Found, ...]:
        """Join a page; give what is new or known in one more place."""
        changed: dict[Resource, Found] = {}
        for match in page.matches:
            place = _place(match.attributes, self.query)
            if place is None:
                continue
            known = self.known.get(place)
            if known is None:
                changed[place] = Found(place, match.attributes, (source,))
            elif source not in known.sources:
                own = {tag: item for tag, item in known.attributes.items() if item.get("Value")}  # type: ignore[union-attr]
                changed[place] = Found(place, {**match.attributes, **own}, (*known.sources, source))
        self.known.update(changed)
        return tuple(changed.values())


def _place(attributes: DicomJson, query: Query) -> Resource | None:
    """Give what a match is; UIDs that the answer leaves out are those that were asked for."""
    keywords = UID_KEYWORDS[query.level]
    uids = [text(attributes, keyword) or query.match.get(keyword, "") for keyword in keywords]
    study, series, instance = [*uids, None, None][:3]
    try:
        return Resource(study or "", series, instance)
    except InvalidInput:
        return None
