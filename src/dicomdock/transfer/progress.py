"""Progress of a transfer while it runs, and its report at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from dicomdock.dicom.resource import Resource
from dicomdock.sources import JsonValue, StoreResult

ON_THE_SERVER = ("stored", "warning", "duplicate")  # outcomes after which the server has the instance
MAX_REMARKS = 20  # sentences about single instances in one report

Result = TypeVar("Result")


def finish(work: Generator[object, None, Result]) -> Result:
    """Run work to its end whatever it reports on the way, and return its result."""
    with closing(work):
        while True:
            try:
                next(work)
            except StopIteration as end:
                result: Result = end.value
                return result


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is.

    Parameters
    ----------
    done : instances that need no further work (arrived, stored, or there already).
    expected : instances in all; None while the server is still being asked.
    failed : instances given up so far.
    bytes : bytes moved.
    seconds : time since the start.
    doing : what happens now, as a short phrase.
    unsendable : of the failed ones, at the end, files that cannot be sent as they are.
    """

    done: int = 0
    expected: int | None = None
    failed: int = 0
    bytes: int = 0
    seconds: float = 0.0
    doing: str = ""
    unsendable: int = 0

    @property
    def rate(self) -> float:
        """Bytes per second since the start."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """An instance that could not be transferred, and why."""

    resource: Resource
    reason: str


@dataclass(frozen=True)
class PullReport:
    """What a pull brought.

    Parameters
    ----------
    server : the source's name.
    expected : instances that the server lists.
    received : instances that arrived now.
    skipped : instances that were in the archive already.
    failures : instances that arrived broken or in conflict with the archive.
    missing : instances that the server lists but did not give, and what it does not know of several things
        asked for.
    bytes : bytes received.
    seconds : duration.
    complete : every instance that the server lists is in the archive; False also where it does not list them.
    warnings : what else the user must know, a sentence each.
    """

    worth_resuming: ClassVar[bool] = True

    server: str
    expected: int
    received: int
    skipped: int
    failures: tuple[Failure, ...]
    missing: tuple[Failure, ...]
    bytes: int
    seconds: float
    complete: bool
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """Return the report as the command line's contract has it."""
        return {
            "server": self.server,
            "instances": {
                "expected": self.expected,
                "received": self.received,
                "skipped": self.skipped,
                "failed": len(self.failures),
                "missing": [_uid(failure.resource) for failure in self.missing],
            },
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "complete": self.complete,
            "failures": [
                {"sop_instance_uid": _uid(failure.resource), "reason": failure.reason}
                for failure in self.failures
            ],
            "missing": [
                {"resource": str(failure.resource), "reason": failure.reason} for failure in self.missing
            ],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class PushReport:
    """What became of the instances of a push.

    Parameters
    ----------
    server : the target's name.
    sent : instances that went over the wire.
    results : the outcome of every instance and file, those included that were not sent.
    bytes : bytes sent.
    seconds : duration.
    warnings : what else the user must know, a sentence each.
    instances : distinct instances among the results; several files can hold one, or none.
    unsendable : failed files that no server was offered, since they cannot be sent as they are.
    passed_over : files of folders that are not DICOM.
    deidentification : what became of them where copies were sent, as its report in JSON.
    """

    server: str
    sent: int
    results: tuple[StoreResult, ...]
    bytes: int
    seconds: float
    warnings: tuple[str, ...] = ()
    instances: int = 0
    unsendable: int = 0
    passed_over: int = 0
    deidentification: Mapping[str, JsonValue] | None = None

    def count(self, *statuses: str) -> int:
        """Count the instances with one of these outcomes."""
        return sum(result.status in statuses for result in self.results)

    @property
    def complete(self) -> bool:
        """Every instance is on the server."""
        return self.count("failed", "unconfirmed") == 0

    @property
    def worth_resuming(self) -> bool:
        """Another try may bring more to the server: not all that failed are files that cannot be sent."""
        return self.count("failed", "unconfirmed") > self.unsendable

    def to_json(self) -> dict[str, JsonValue]:
        """Return the report as the command line's contract has it."""
        return {
            "server": self.server,
            "instances": {
                "sent": self.sent,
                "stored": self.count("stored", "warning"),
                "duplicate": self.count("duplicate"),
                "failed": self.count("failed"),
                "unconfirmed": self.count("unconfirmed"),
            },
            "passed_over": self.passed_over,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "complete": self.complete,
            "results": [
                {
                    "sop_instance_uid": result.sop_instance_uid,
                    "status": result.status,
                    "reason_code": result.reason_code,
                    "reason": result.reason,
                    "comments": list(result.comments),
                    "attributes": list(result.attributes),
                }
                for result in self.results
            ],
            "warnings": list(self.warnings),
            **({"deidentification": {**self.deidentification}} if self.deidentification else {}),
        }


@dataclass
class ProgressTracker:
    """The running count of a transfer, written by its worker threads."""

    expected: dict[Resource, int] = field(default_factory=dict)
    # By series and as UIDs: a study of 100,000 instances is counted in little memory, a series at once.
    received: dict[Resource, set[str]] = field(default_factory=dict)
    skipped: dict[Resource, set[str]] = field(default_factory=dict)
    failed: dict[Resource, str] = field(default_factory=dict)
    missing: dict[Resource, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    bytes: int = 0
    proven: bool = True
    doing: str = "asking what is there"
    started: float = field(default_factory=time.perf_counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _remarks: int = 0
    _first_remarks: list[str] = field(default_factory=list)

    def moved(self, count: int) -> None:
        """Add bytes that went over the wire."""
        with self.lock:
            self.bytes += count

    def expect(self, resource: Resource, count: int) -> None:
        """Record how many instances a resource has; a later count replaces an earlier one."""
        with self.lock:
            self.expected[resource] = count

    def arrived(self, resource: Resource) -> None:
        """Record that an instance is stored; clear what went wrong with it before."""
        series, uid = _divided(resource)
        with self.lock:
            self.received.setdefault(series, set()).add(uid)
            self.failed.pop(resource, None)
            self.missing.pop(resource, None)

    def found(self, resource: Resource, *, counted: bool) -> None:
        """Record that an instance was in the archive already: before, or stored by another process meanwhile.

        Parameters
        ----------
        counted : what this transfer has recorded as arrived stays so; a source can send an instance twice.
        """
        series, uid = _divided(resource)
        with self.lock:
            received = self.received.get(series, set())
            if counted and uid in received:
                return
            received.discard(uid)
            self.skipped.setdefault(series, set()).add(uid)
            self.missing.pop(resource, None)

    def skip(self, resource: Resource) -> None:
        """Record that an instance needs no transfer."""
        self.found(resource, counted=False)

    def fail(self, resource: Resource, reason: str) -> None:
        """Record that an instance came and could not be stored, or was refused."""
        series, uid = _divided(resource)
        with self.lock:
            self.received.get(series, set()).discard(uid)
            self.failed[resource] = reason

    def came(self, series: Resource) -> set[str]:
        """Return the UIDs of the instances known of a series: arrived, failed, or in the archive already."""
        with self.lock:
            failed = {one.instance or "" for one in self.failed if one.parent == series}
            return self.received.get(series, set()) | self.skipped.get(series, set()) | failed

    def came_of(self, study: str) -> int:
        """Return the number of instances known of a study."""
        with self.lock:
            series = {one for one in (*self.received, *self.skipped) if one.study == study}
            series |= {one.parent for one in self.failed if one.study == study and one.parent is not None}
        return sum(len(self.came(one)) for one in series)

    def arrivals_of(self, study: str) -> int:
        """Return the number of instances of a study that arrived."""
        with self.lock:
            return sum(len(uids) for series, uids in self.received.items() if series.study == study)

    @property
    def skips(self) -> int:
        """The number of instances that need no transfer."""
        return sum(map(len, self.skipped.values()))

    @property
    def arrivals(self) -> int:
        """The number of instances that are safe."""
        return sum(map(len, self.received.values()))

    def remark(self, sentence: str) -> None:
        """Add a sentence about one instance; of very many the first are reported, and how many there are."""
        with self.lock:
            self._remarks += 1
            if self._remarks <= MAX_REMARKS:
                self._first_remarks.append(sentence)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The remarks, as many as are shown."""
        more = self._remarks - len(self._first_remarks)
        return (*self._first_remarks, *((f"There are {more:,} more remarks like these.",) if more else ()))

    def warn(self, sentence: str) -> None:
        """Add a sentence for the report, once."""
        with self.lock:
            if sentence not in self.warnings:
                self.warnings.append(sentence)

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self.started

    def progress(self) -> Progress:
        """Return the present state as a value."""
        with self.lock:
            return Progress(
                done=self.arrivals + self.skips,
                expected=sum(self.expected.values()) if self.expected else None,
                failed=len(self.failed) + len(self.missing),
                bytes=self.bytes,
                seconds=self.seconds,
                doing=self.doing,
            )


def _divided(instance: Resource) -> tuple[Resource, str]:
    assert instance.instance is not None
    return Resource(instance.study, instance.series), instance.instance


def _uid(resource: Resource) -> str:
    return resource.instance or str(resource)
