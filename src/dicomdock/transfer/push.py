"""Push: send instances from the archive or from files to a source, with an answer for every one."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import AuthenticationError, DicomdockError
from dicomdock.sources import DicomSource, Part, StoreResult
from dicomdock.transfer.compare import Comparison, compare
from dicomdock.transfer.listing import Unlisted, instances_of
from dicomdock.transfer.progress import Progress, PushReport, Tally
from dicomdock.transfer.watch import Stop, in_turns, metered, watch

OnDuplicate = Literal["skip", "send", "fail"]
Ledger = Callable[[Resource, StoreResult], None]

FORBIDDEN = 403
DUPLICATE_SOP_INSTANCE = 0x0111  # Failure Reason, PS3.7 §C.5.7
ON_THE_SERVER = ("stored", "warning", "duplicate")


def push(
    parts: Sequence[Part],
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
    parts : instances that name their ``resource`` and can be opened again and again.
    target : where to.
    settings : how many requests side by side.
    on_duplicate : what to do with an instance that the target lists already: ``skip`` it, ``send`` it all the
        same, or ``fail`` it.
    verify : fetch every stored instance back and compare it: byte by byte, or as a data set where the server
        rewrites.
    ledger : told every final result as soon as it is known.
    on_cancel : as in ``pull``.

    Yields
    ------
    Progress
        About ten times a second.

    Returns
    -------
    PushReport
        One result per instance, in the order given.

    Raises
    ------
    AuthenticationError, Unreachable, StoreError
        Nothing more can be sent.
    """
    job = _Push(parts, target, settings, on_duplicate, ledger)
    yield from watch(lambda stop: job.run(stop, verify=verify), job.tally, on_cancel)
    return job.report()


class _Push:
    def __init__(
        self,
        parts: Sequence[Part],
        target: DicomSource,
        settings: Settings,
        on_duplicate: OnDuplicate,
        ledger: Ledger | None,
    ) -> None:
        self.parts = {_place(part): part for part in parts}
        self.target, self.settings = target, settings
        self.on_duplicate, self.ledger = on_duplicate, ledger
        self.results: dict[Resource, StoreResult] = {}
        self.sent: set[Resource] = set()
        self.tally = Tally()
        for place in self.parts:
            self.tally.expect(place, 1)

    def run(self, stop: Stop, *, verify: bool) -> None:
        there = set() if self.on_duplicate == "send" else self._there(stop)
        wanted = []
        for place, part in self.parts.items():
            if place in there:
                self._settle(place, self._duplicate(place))
            elif part.path is not None and not os.access(part.path, os.R_OK):
                reason = f"{part.path} is gone or cannot be read"
                self._settle(place, StoreResult(place.instance or "", "failed", None, reason))
            else:
                wanted.append(part)
        self.tally.doing = "sending"
        for parts in _rounds(wanted):
            self._send(parts, stop, hold=verify)
        if verify:
            self.tally.doing = "verifying"
            self._verify(stop)

    def _there(self, stop: Stop) -> set[Resource]:
        """Give the instances that the target lists in our series."""
        there: set[Resource] = set()

        def look(series: Resource) -> None:
            try:
                there.update(instances_of(self.target, series))
            except Unlisted as reason:
                self.tally.warn(f"Duplicates cannot be seen beforehand: {reason}")
            except AuthenticationError as error:
                if error.status != FORBIDDEN:
                    raise
                # A login that may store need not be allowed to search.
                self.tally.warn(f"Duplicates cannot be seen beforehand: {error}")

        series = dict.fromkeys(Resource(place.study, place.series) for place in self.parts)
        workers = self.settings.store_workers
        with ThreadPoolExecutor(workers, "listing") as pool:
            in_turns(pool, workers, look, series, stop)
        return there

    def _duplicate(self, place: Resource) -> StoreResult:
        uid, name = place.instance or "", self.target.name
        if self.on_duplicate == "fail":
            return StoreResult(uid, "failed", DUPLICATE_SOP_INSTANCE, f"{name} holds this instance already")
        return StoreResult(uid, "duplicate", None, f"{name} holds this instance already; it was not sent")

    def _send(self, parts: Sequence[Part], stop: Stop, *, hold: bool) -> None:
        """Send instances with distinct UIDs; with ``hold`` a good result waits for the verification."""
        stop.check()
        places = {_place(part).instance: _place(part) for part in parts}
        results = self.target.store([self._noted(metered(part, self.tally, stop)) for part in parts])
        try:
            for result in results:
                place = places.get(result.sop_instance_uid)
                if place is None:
                    self.tally.warn(f"{self.target.name} answered for an instance that was not sent.")
                elif hold and result.status in ON_THE_SERVER:
                    self.results[place] = result
                else:
                    self._settle(place, result)
        finally:
            if isinstance(results, Generator):
                results.close()
        for place in places.values():
            if place not in self.results:
                uid = place.instance or ""
                self._settle(
                    place, StoreResult(uid, "unconfirmed", None, "the server's answer does not mention it")
                )

    def _noted(self, part: Part) -> Part:
        """Give the part; once its last byte is taken, it counts as sent."""

        def opener() -> Iterator[bytes]:
            yield from part.chunks()
            self.sent.add(_place(part))

        return replace(part, opener=opener)

    def _verify(self, stop: Stop) -> None:
        def check(place: Resource) -> None:
            self._settle(place, self._read_back(place, self.results[place]))

        wanted = [place for place, result in self.results.items() if result.status in ON_THE_SERVER]
        workers = self.settings.instance_workers
        with ThreadPoolExecutor(workers, "verify") as pool:
            in_turns(pool, workers, check, wanted, stop)

    def _read_back(self, place: Resource, result: StoreResult) -> StoreResult:
        uid = place.instance or ""
        try:
            outcome = compare(self.parts[place], self.target.retrieve(place))
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
        reason = f"{self.target.name} holds other content under this UID; send it under a new UID"
        return StoreResult(uid, "failed", result.reason_code, reason)

    def _settle(self, place: Resource, result: StoreResult) -> None:
        self.results[place] = result
        if result.status in ("failed", "unconfirmed"):
            self.tally.fail(place, result.reason)
        elif result.status == "duplicate":
            self.tally.skipped.add(place)
        else:
            self.tally.arrived(place)
        if self.ledger is not None:
            self.ledger(place, result)

    def report(self) -> PushReport:
        return PushReport(
            server=self.target.name,
            sent=len(self.sent),
            results=tuple(self.results[place] for place in self.parts if place in self.results),
            bytes=self.tally.bytes,
            seconds=self.tally.seconds,
            warnings=tuple(self.tally.warnings),
        )


def _rounds(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Give the parts so that no round holds a SOP Instance UID twice.

    An answer to a store names instances by that UID alone, and real archives hold it in two series at once.
    """
    same: defaultdict[str | None, list[Part]] = defaultdict(list)
    for part in parts:
        same[_place(part).instance].append(part)
    for turn in range(max(map(len, same.values()), default=0)):
        yield [group[turn] for group in same.values() if len(group) > turn]


def _place(part: Part) -> Resource:
    if part.resource is None or part.resource.instance is None:
        raise ValueError("A part to be pushed must name its instance.")
    return part.resource
