"""Push: send instances from the archive or from files to a source, with an answer for every one."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Literal

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import AuthenticationError, DicomdockError, WireError
from dicomdock.sources import DicomSource, Part, StoreResult
from dicomdock.transfer.compare import Comparison, compare
from dicomdock.transfer.files import Selection
from dicomdock.transfer.listing import Unlisted, instances_of
from dicomdock.transfer.outage import wait_when_asked
from dicomdock.transfer.progress import ON_THE_SERVER, Progress, ProgressTracker, PushReport
from dicomdock.transfer.watch import Stop, bounded_map, metered, watch

OnDuplicate = Literal["skip", "send", "fail"]
Ledger = Callable[[Resource, StoreResult], None]

CHECKED_AHEAD = 64  # files compared with their digests before they are taken
FORBIDDEN = 403
MAX_SAID = 20  # remarks of the server that a report holds
DUPLICATE_SOP_INSTANCE = 0x0111  # Failure Reason, PS3.7 §C.5.7


def push(
    parts: Sequence[Part] | Selection,
    target: DicomSource,
    settings: Settings,
    *,
    on_duplicate: OnDuplicate = "skip",
    verify: bool = False,
    ledger: Ledger | None = None,
    on_cancel: Callable[[], None] | None = None,
) -> Generator[Progress, None, PushReport]:
    """Send instances and learn what became of each.

    Closing the generator cancels; what the server has confirmed by then stays in the ledger.

    Parameters
    ----------
    parts : instances that name their ``resource`` and can be opened again and again. Of several of one
        instance the first is sent; the report names the others.
    target : where to.
    settings : how many requests side by side.
    on_duplicate : what to do with an instance that the target lists already: ``skip`` it, ``send`` it all the
        same, or ``fail`` it.
    verify : fetch every stored instance back and compare it: byte by byte, or as a data set where the server
        rewrites.
    ledger : called with every final result as soon as it is known.
    on_cancel : as in ``pull``.

    Yields
    ------
    Progress
        About ten times a second.

    Returns
    -------
    PushReport
        One result per instance, in the order given, then one for each file that is not sent.

    Raises
    ------
    AuthenticationError, Unreachable, StoreError
        Nothing more can be sent.
    """
    wait_when_asked(target)
    selection = parts if isinstance(parts, Selection) else Selection.of(parts)
    job = _Push(selection, target, settings, on_duplicate, ledger)
    yield from watch(lambda stop: job.run(stop, verify=verify), job.tracker, on_cancel)
    return job.report()


class _Push:
    def __init__(
        self,
        selection: Selection,
        target: DicomSource,
        settings: Settings,
        on_duplicate: OnDuplicate,
        ledger: Ledger | None,
    ) -> None:
        self.parts = {_resource_of(part): part for part in selection.parts}
        self.unsent, self.passed_over = selection.unsent, selection.passed_over
        self.target, self.settings = target, settings
        self.on_duplicate, self.ledger = on_duplicate, ledger
        self.results: dict[Resource, StoreResult] = {}
        self.said: dict[str, None] = {}  # what the server remarked of what it stored
        self.sent: set[Resource] = set()
        self.tracker = ProgressTracker()
        for resource in self.parts:
            self.tracker.expect(resource, 1)

    def run(self, stop: Stop, *, verify: bool) -> None:
        there = set() if self.on_duplicate == "send" else self._there(stop)
        wanted = []
        for resource, part in self.parts.items():
            if resource in there:
                self._settle(resource, self._duplicate(resource))
            else:
                wanted.append(part)
        self.tracker.doing = "sending"
        for parts in _rounds(wanted):
            self._send(parts, stop, hold=verify)
        if verify:
            self.tracker.doing = "verifying"
            self._verify(stop)

    def _there(self, stop: Stop) -> set[Resource]:
        """Return the instances that the target lists in our series."""
        there: set[Resource] = set()
        unseen: dict[Resource, str] = {}

        def look(series: Resource) -> None:
            try:
                there.update(instances_of(self.target, series))
            except Unlisted as reason:
                unseen[series] = str(reason)
            except AuthenticationError as error:
                if error.status != FORBIDDEN:
                    raise
                # A login that may store need not be allowed to search.
                unseen[series] = str(error)

        series = dict.fromkeys(Resource(resource.study, resource.series) for resource in self.parts)
        workers = self.settings.store_workers
        with ThreadPoolExecutor(workers, "listing") as pool:
            bounded_map(pool, workers, look, series, stop)
        if reasons := [unseen[one] for one in series if one in unseen]:
            more = f" ({len(reasons)} series)" if len(reasons) > 1 else ""
            self.tracker.warn(f"Duplicates cannot be seen beforehand{more}: {reasons[0]}")
        return there

    def _readable(self, parts: Sequence[Part], stop: Stop) -> Generator[Part, None, None]:
        """Return the parts whose files are there as they were stored; what is damaged fails by itself.

        Files are compared with their digests a little ahead of what takes the parts.
        """
        workers = self.settings.store_workers
        ahead: deque[tuple[Part, Future[str]]] = deque()
        pool = ThreadPoolExecutor(workers, "checking")
        waiting = iter(parts)
        try:
            while True:
                for part in islice(waiting, CHECKED_AHEAD - len(ahead)):
                    ahead.append((part, pool.submit(_fault_of, part)))
                if not ahead:
                    return
                part, fault = ahead.popleft()
                stop.check()
                if reason := fault.result():
                    resource = _resource_of(part)
                    self._settle(resource, StoreResult(resource.instance or "", "failed", None, reason))
                else:
                    yield part
        finally:
            pool.shutdown(cancel_futures=True)

    def _duplicate(self, resource: Resource) -> StoreResult:
        uid, name = resource.instance or "", self.target.name
        if self.on_duplicate == "fail":
            return StoreResult(uid, "failed", DUPLICATE_SOP_INSTANCE, f"{name} holds this instance already")
        return StoreResult(uid, "duplicate", None, f"{name} holds this instance already; it was not sent")

    def _send(self, parts: Sequence[Part], stop: Stop, *, hold: bool) -> None:
        """Send instances with distinct UIDs; with ``hold`` a good result waits for the verification."""
        stop.check()
        by_uid = {_resource_of(part).instance: _resource_of(part) for part in parts}
        readable = self._readable(parts, stop)
        results = self.target.store(self._noted(metered(part, self.tracker, stop)) for part in readable)
        try:
            for result in results:
                resource = by_uid.get(result.sop_instance_uid)
                if resource is None:
                    self.tracker.warn(f"{self.target.name} answered for an instance that was not sent.")
                elif hold and result.status in ON_THE_SERVER:
                    self.results[resource] = result
                else:
                    self._settle(resource, result)
        finally:
            if isinstance(results, Generator):
                results.close()
            readable.close()
        for resource in by_uid.values():
            if resource not in self.results:
                uid = resource.instance or ""
                self._settle(
                    resource, StoreResult(uid, "unconfirmed", None, "the server's answer does not mention it")
                )

    def _noted(self, part: Part) -> Part:
        """Return the part; once its last byte is taken, it counts as sent.

        A file that was changed after it was compared with its digest is not sent.
        """

        def opener() -> Iterator[bytes]:
            if part.intact is not None and not part.intact():
                raise WireError(_damaged(part))
            yield from part.chunks()
            self.sent.add(_resource_of(part))

        return part.with_opener(opener)

    def _verify(self, stop: Stop) -> None:
        def check(resource: Resource) -> None:
            self._settle(resource, self._read_back(resource, self.results[resource]))

        wanted = [resource for resource, result in self.results.items() if result.status in ON_THE_SERVER]
        workers = self.settings.instance_workers
        with ThreadPoolExecutor(workers, "verify") as pool:
            bounded_map(pool, workers, check, wanted, stop)

    def _read_back(self, resource: Resource, result: StoreResult) -> StoreResult:
        uid = resource.instance or ""
        try:
            outcome = compare(self.parts[resource], self.target.retrieve(resource))
        except AuthenticationError:
            raise
        except DicomdockError as error:
            return StoreResult(uid, "failed", None, f"it was stored, but cannot be read back: {error}")
        if outcome is Comparison.SAME_BYTES:
            return result
        if outcome is Comparison.SAME_DATA_SET:
            return StoreResult(
                uid, result.status, result.reason_code, "same data set, rewritten by the server"
            )
        if outcome is Comparison.SAME_AND_MORE:
            return StoreResult(
                uid, result.status, result.reason_code, "same bytes, with others behind them from the server"
            )
        reason = f"{self.target.name} holds other content under this UID; send it under a new UID"
        return StoreResult(uid, "failed", result.reason_code, reason)

    def _settle(self, resource: Resource, result: StoreResult) -> None:
        self.results[resource] = result
        if result.status in ("failed", "unconfirmed"):
            self.tracker.fail(resource, result.reason)
        elif result.status == "duplicate":
            self.tracker.skip(resource)
        else:
            self.tracker.arrived(resource)
        if result.status == "stored" and len(self.said) < MAX_SAID:
            self.said |= dict.fromkeys(result.comments)
        if self.ledger is not None:
            self.ledger(resource, result)

    def report(self) -> PushReport:
        return PushReport(
            server=self.target.name,
            sent=len(self.sent),
            results=(
                *(self.results[resource] for resource in self.parts if resource in self.results),
                *(one.result for one in self.unsent),
            ),
            bytes=self.tracker.bytes,
            seconds=self.tracker.seconds,
            warnings=(*self.tracker.warnings, *(f"{comment}." for comment in self.said)),
            instances=len(self.parts),
            unsendable=sum(one.result.status == "failed" for one in self.unsent),
            passed_over=self.passed_over,
        )


def _fault_of(part: Part) -> str:
    """Return why the file of a part cannot be sent, empty where it can."""
    if part.intact is not None and not part.intact():
        return _damaged(part)
    if part.path is not None and not os.access(part.path, os.R_OK):
        return f"{part.path} is gone or cannot be read"
    return ""


def _damaged(part: Part) -> str:
    return f"{part.resource or part.path} is damaged or missing; retrieve it again"


def _rounds(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Return the parts so that no round holds a SOP Instance UID twice.

    An answer to a store names instances by that UID alone, and real archives hold it in two series at once.
    """
    same: defaultdict[str | None, list[Part]] = defaultdict(list)
    for part in parts:
        same[_resource_of(part).instance].append(part)
    for turn in range(max(map(len, same.values()), default=0)):
        yield [group[turn] for group in same.values() if len(group) > turn]


def _resource_of(part: Part) -> Resource:
    if part.resource is None or part.resource.instance is None:
        raise ValueError("A part to be pushed must name its instance.")
    return part.resource
