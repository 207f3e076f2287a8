"""The Store transaction: streamed batches side by side, and the outcome of each instance.

What the server says is read for every status; what it does not say is looked up by a search; what a failed
batch left open is sent again one by one, because part of the batch may have been stored.

References
----------
PS3.18 §10.5 (Store).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomdock.config.home import private
from dicomdock.config.process_folders import work_folder
from dicomdock.dicom.part10 import identify_file
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.dicom.uid import check_uid
from dicomdock.dicomweb import search, store_response
from dicomdock.dicomweb.search_request import warnings_of
from dicomdock.dicomweb.session import JSON
from dicomdock.dicomweb.store_response import Outcome
from dicomdock.errors import (
    AuthenticationError,
    DicomdockError,
    RemoteNotFound,
    ServerFault,
    TransactionError,
    Unreachable,
    UnsupportedByServer,
    WireError,
)
from dicomdock.sources import Part, StoreResult
from dicomdock.web.content_encoding import DOCUMENT
from dicomdock.web.multipart.writer import MultipartBody

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session
    from dicomdock.web.response import Response

# JSON alone first: Azure takes no list. The second is for servers that answer with nothing but XML or text.
ACCEPTED: Final = (JSON, "application/dicom+xml, */*;q=0.1")
MAX_ANSWER: Final = 64 << 20  # bytes; a batch of 10,000 small instances answers with about 5 MB
ONCE: Final = (0.0,)
LOOKS: Final = (0.0, 0.25, 1.0)  # seconds waited before each look; some servers index a moment later
# Part of the batch may be stored. 429 and 503 say that nothing was begun: Http asks again.
_ANSWERED: Final = frozenset({400, 409, 413, 422, 500, 502, 504})


@dataclass(frozen=True)
class _Item:
    """One instance to send: replayable, with its resource and size."""

    part: Part
    resource: Resource
    size: int
    spooled: Path | None = None

    @property
    def uid(self) -> str:
        return self.resource.instance or ""

    def drop(self) -> None:
        if self.spooled is not None:
            self.spooled.unlink(missing_ok=True)


@dataclass
class _Batch:
    items: list[_Item] = field(default_factory=list)
    size: int = 0


def store(session: Session, parts: Iterable[Part], *, study: str | None = None) -> Iterator[StoreResult]:
    """Store instances and yield the outcome of each, as batches end; see ``DicomSource.store``.

    Results come in the order in which batches end. Closing the generator lets the batches on their way end
    and sends no more. Some servers (Orthanc, dcm4chee) answer a duplicate like a success and keep their first
    copy; the answer does not show that, so a caller that needs to know searches beforehand.

    Raises
    ------
    UnsupportedByServer
        The server stores nothing.
    AuthenticationError
        The login may not store; results known until then were given.
    """
    if not session.dialect.store:
        raise UnsupportedByServer(f"{session.name} does not take uploads.", feature="Store")
    path = "/studies" if study is None else Resource(check_uid(study, tolerant=True)).path
    workers = min(session.settings.store_workers, session.dialect.parallel or session.settings.store_workers)
    sender = _Sender(session, path)
    with (
        work_folder(session.settings.state, "store-") as spool,
        ThreadPoolExecutor(max_workers=workers, thread_name_prefix="store") as pool,
    ):
        try:
            running: set[Future[list[StoreResult]]] = set()
            for batch in _batches(session, parts, study, spool):
                if isinstance(batch, StoreResult):
                    yield batch
                    continue
                running.add(pool.submit(sender.send, batch.items))
                yield from _collected(running, workers - 1)
            yield from _collected(running, 0)
        finally:
            sender.stopped.set()
            pool.shutdown(cancel_futures=True)


def _collected(running: set[Future[list[StoreResult]]], most: int) -> Iterator[StoreResult]:
    """Yield results until at most so many batches are in flight; after an error yield all, then raise it."""
    failure: DicomdockError | None = None
    while len(running) > most or (failure is not None and running):
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        running -= done
        for future in done:
            try:
                yield from future.result()
            except DicomdockError as error:
                failure = failure or error
    if failure is not None:
        raise failure


def _batches(
    session: Session, parts: Iterable[Part], study: str | None, spool: Path
) -> Iterator[_Batch | StoreResult]:
    """Group parts to batches bounded by bytes; what cannot be sent at all is reported at once.

    A batch never holds a UID twice, because answers name instances by it.
    """
    limit = session.dialect.store_batch or session.settings.store_batch
    batch, uids = _Batch(), set[str]()
    for number, part in enumerate(parts):
        item = _item(part, spool / f"{number}.dcm")
        if isinstance(item, StoreResult):
            yield item
            continue
        if study is not None and item.resource.study != study:
            item.drop()
            yield StoreResult(
                item.uid, "failed", 43265, f"it belongs to study {item.resource.study}, not to {study}"
            )
            continue
        if batch.items and (batch.size + item.size > limit or item.uid in uids):
            yield batch
            batch, uids = _Batch(), set()
        batch.items.append(item)
        batch.size += item.size
        uids.add(item.uid)
    if batch.items:
        yield batch


def _item(part: Part, spool: Path) -> _Item | StoreResult:
    """Return a part that can be sent again, with its resource."""
    spooled = None
    resource = part.resource
    if not part.replayable:
        try:
            with open(spool, "xb", opener=private) as file:
                for chunk in part.chunks():
                    file.write(chunk)
        except WireError as error:
            spool.unlink()
            if resource is None or resource.instance is None:
                raise
            return StoreResult(resource.instance, "failed", None, str(error))
        spooled = spool
        part = Part.from_file(spool, resource=resource, content_type=part.content_type)
    if resource is None or resource.instance is None:
        assert part.path is not None  # replayable means that there is a file
        with part.path.open("rb") as file:
            resource = identify_file(file)
    if resource is None or resource.instance is None:
        if spooled is not None:
            spooled.unlink(missing_ok=True)
        name = part.path.name if part.path is not None and spooled is None else "a part"
        return StoreResult("", "failed", None, f"{name} is not a DICOM instance with its UIDs")
    size = part.length if part.length is not None else part.path.stat().st_size if part.path else 0
    return _Item(part, resource, size, spooled)


@dataclass
class _Sender:
    """Sends batches and finds out what became of them; used by several threads at once."""

    session: Session
    path: str
    stopped: threading.Event = field(default_factory=threading.Event)
    gone: str = ""

    def send(self, items: Sequence[_Item]) -> list[StoreResult]:
        try:
            return self.sent(items)
        finally:
            for item in items:
                item.drop()

    def sent(self, items: Sequence[_Item], *, again: bool = True) -> list[StoreResult]:
        """Send a batch and return the outcome of each instance.

        Parameters
        ----------
        again : a single instance whose upload or answer was cut is sent once more, where the server was asked
            and does not list it.
        """
        if self.gone or self.stopped.is_set():
            return [StoreResult(item.uid, "failed", None, self.gone or "stopped") for item in items]
        outcome = self.post(items)
        results = [outcome.results[item.uid] for item in items if item.uid in outcome.results]
        open_items = [item for item in items if item.uid not in outcome.results]
        if outcome.status == 413 and len(items) > 1:
            half = len(items) // 2
            return self.sent(items[:half]) + self.sent(items[half:])
        if outcome.accepted:
            results += self.looked_up(open_items, outcome)
        elif len(items) > 1:
            for item in open_items:
                results += self.sent([item])
        else:
            for item in open_items:
                failure = self.single_failure(item, outcome)
                cut = failure.status == "failed" and isinstance(outcome.cause, Unreachable | WireError)
                if cut and again and not self.gone and not self.stopped.is_set():
                    results += self.sent([item], again=False)
                else:
                    results.append(failure)
        return self.with_duplicates(items, results)

    def post(self, items: Sequence[_Item]) -> Outcome:
        """Send one batch and read its answer; a batch that ended in a fault is an outcome without results."""
        what = "the upload of " + ("an instance" if len(items) == 1 else f"{len(items)} instances")
        body = MultipartBody([_bare(item.part) for item in items])
        try:
            for accept in ACCEPTED:
                refusable = {406} if accept == JSON else set()
                response = self.session.http.request(
                    "POST",
                    self.session.address("store", self.path),
                    accept=accept,
                    body=body,
                    allow=_ANSWERED | {404, 405, 501} | refusable,
                    what=what,
                )
                if response.status != 406:
                    break
                response.discard()
        except (Unreachable, ServerFault, WireError) as error:
            return Outcome(0, {}, str(error), cause=error)
        with response:
            if response.status in (405, 501):
                raise UnsupportedByServer(
                    f"{self.session.name} does not take uploads (HTTP {response.status}).{_says(response)}",
                    feature="Store",
                )
            if response.status == 404:
                raise RemoteNotFound(
                    f"{self.session.name} has no store service at {self.path} (HTTP 404): "
                    f"check its address and the login's rights.{_says(response)}",
                    status=404,
                    url=response.url,
                )
            try:
                content = response.read(MAX_ANSWER, DOCUMENT, detect=True)
            except (Unreachable, WireError) as error:
                return Outcome(0, {}, str(error), cause=error)
            return store_response.read(
                response.status,
                response.content_type,
                content,
                self.session.name,
                redact=response.redact,
                remarks=warnings_of(response.warning, self.session.name),
            )

    def looked_up(self, items: Sequence[_Item], outcome: Outcome) -> list[StoreResult]:
        """Search for what a successful answer does not mention."""
        found = self.present(items, ONCE if outcome.results else LOOKS)
        if found is None:
            why = "the answer does not mention it, and the search for it failed"
            return [StoreResult(item.uid, "unconfirmed", None, why) for item in items]
        if outcome.other is not None:
            missing = outcome.other
        elif outcome.results:
            why = "the answer does not mention it, and the server does not list it"
            missing = StoreResult("", "failed", None, why)
        else:
            why = "the answer names no instance, and the server does not list it yet"
            why += f"; it says: {outcome.said}" if outcome.said else ""
            missing = StoreResult("", "unconfirmed", None, why)
        return [
            StoreResult(item.uid, "stored", comments=outcome.remarks)
            if item.uid in found
            else replace(missing, sop_instance_uid=item.uid)
            for item in items
        ]

    def single_failure(self, item: _Item, outcome: Outcome) -> StoreResult:
        """Return what became of an instance that was sent alone and failed without a reason."""
        if outcome.other is not None:
            return replace(outcome.other, sop_instance_uid=item.uid)
        certain = outcome.status in (400, 413, 422)
        found = None if certain else self.present([item], ONCE if outcome.status == 409 else LOOKS)
        if found and outcome.status == 409:
            return StoreResult(item.uid, "duplicate", None, "an instance with this UID is there already")
        if found:
            return StoreResult(item.uid, "stored", None, "the answer was lost; the server lists it")
        if found is None and isinstance(outcome.cause, Unreachable):
            self.gone = str(outcome.cause)  # neither takes nor finds anything: the rest need not wait for it
        return StoreResult(item.uid, "failed", None, outcome.reason)

    def with_duplicates(self, items: Sequence[_Item], results: list[StoreResult]) -> list[StoreResult]:
        """Return the results with general failures that only mean "stored already" (Google) as duplicates."""
        by_uid = {item.uid: item for item in items}
        doubtful = [by_uid[one.sop_instance_uid] for one in results if store_response.may_be_duplicate(one)]
        found = (self.present(doubtful, ONCE) if doubtful else None) or frozenset()
        return [
            replace(one, status="duplicate")
            if store_response.may_be_duplicate(one) and one.sop_instance_uid in found
            else one
            for one in results
        ]

    def present(self, items: Sequence[_Item], looks: Sequence[float]) -> frozenset[str] | None:
        """Search which instances the server lists; None where it cannot be searched."""
        missing = {item.uid: item.resource for item in items}
        found: set[str] = set()
        for pause in looks:
            if not missing or (pause and self.stopped.wait(pause)):
                break
            for series in {Resource(resource.study, resource.series) for resource in missing.values()}:
                listed = self.listed(
                    series, {uid for uid, resource in missing.items() if series.contains(resource)}
                )
                if listed is None:
                    return None
                found |= listed
            missing = {uid: resource for uid, resource in missing.items() if uid not in found}
        return frozenset(found)

    def listed(self, series: Resource, wanted: set[str]) -> set[str] | None:
        match = {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.series or ""}
        if len(wanted) == 1:
            match["SOPInstanceUID"] = next(iter(wanted))
        try:
            listed = {
                resource.instance
                for page in search.search(self.session, Query("instances", match))
                for one in page.matches
                if (resource := resource_in(one.attributes, series))
            }
        except (AuthenticationError, TransactionError, Unreachable, WireError, UnsupportedByServer):
            return None  # also a login that may write but not read
        return {uid for uid in wanted if uid in listed}


def _bare(part: Part) -> Part:
    """Send the media type without what a foreign server may stumble over."""
    return replace(part, content_type="application/dicom", headers={})


def _says(response: Response) -> str:
    """Return the sentence with the server's own words; empty where it says nothing."""
    words = response.excerpt()
    return f" It says: {words}" if words else ""
