"""Receive what a source sends into the archive: whole series as streams, and instances one by one."""

from __future__ import annotations

from collections.abc import Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from dicomdock.config.dialects import Dialect
from dicomdock.dicom.resource import Resource
from dicomdock.errors import (
    AuthenticationError,
    DicomdockError,
    NotFound,
    TransactionError,
    Unreachable,
    WireError,
)
from dicomdock.sources import DicomSource, Part
from dicomdock.transfer.outage import Failures, is_local
from dicomdock.transfer.progress import ProgressTracker
from dicomdock.transfer.watch import Stop, bounded_map, metered
from dicomdock.transfer.write_behind import WriteBehind, identified

if TYPE_CHECKING:
    from dicomdock.archive.writer import ArchiveWriter

BACK_OFF = 0.2  # seconds before the second attempt at an instance, doubled for each further one
CONFLICT = "the archive holds it with other bytes; the first copy was kept (--replace overwrites it)"


class Receiver:
    """Retrieves from a source and writes what comes, which the tracker counts.

    Parameters
    ----------
    source : where from.
    writer : of the archive.
    replace : other bytes under the same UID replace what is in the archive.
    pool, workers : run the requests for single instances, so many side by side.
    tracker : what came, and what did not.
    stop : ends everything between two chunks.
    """

    def __init__(
        self,
        source: DicomSource,
        writer: ArchiveWriter,
        *,
        replace: bool,
        pool: ThreadPoolExecutor,
        workers: int,
        tracker: ProgressTracker,
        stop: Stop,
    ) -> None:
        self._source, self._writer, self._replace = source, writer, replace
        self._pool, self._workers, self._tracker, self._stop = pool, workers, tracker, stop
        self.refused: set[Resource] = set()
        """What the source answered that it does not give, though it may give more of the study at once."""

    def stream(
        self,
        series: Resource,
        present: Container[str] = (),
        *,
        discard: Container[str] = (),
        only: Container[Resource | None] | None = None,
    ) -> DicomdockError | None:
        """Retrieve a series or study in one answer; return what ended it too early.

        Parameters
        ----------
        present : instances that were in the archive before, and are not counted as received.
        discard : instances that are not written. A source that turns out to send the series one by one is
            not asked for the rest then.
        only : instances, or series whose instances, are written; None for all.
        """
        from dicomdock.archive.writer import UnexpectedInstance

        def store(part: Part) -> None:
            if discard or only is not None:
                part, instance = identified(part)
                known = instance is not None and instance.parent == series and instance.instance in discard
                chosen = only is None or (
                    instance is not None and (instance in only or instance.parent in only)
                )
                if known or not chosen:
                    for _ in part.chunks():
                        pass
                    return
            try:
                self._store(part, series, present)
            except UnexpectedInstance:
                self._tracker.warn(
                    f"{self._source.name} sent instances of another {series.level} than "
                    f"{series.series or series.study}; they were not stored."
                )

        self._tracker.doing = "receiving"
        parts = self._source.retrieve(series)
        try:
            with WriteBehind(store) as behind:
                for part in parts:
                    self._stop.check()
                    if discard and not streams_series(self._source):
                        break
                    behind.put(metered(part, self._tracker, self._stop))
        except (WireError, Unreachable, TransactionError, NotFound) as error:
            return error
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return None

    def one_by_one(self, wanted: Sequence[Resource]) -> None:
        """Retrieve instances, several side by side; what does not come is missing."""
        lost = Failures()
        workers = min(len(wanted), self._workers)
        bounded_map(self._pool, workers, lambda one: self._single(one, lost), wanted, self._stop)

    def _store(self, part: Part, expected: Resource, present: Container[str] = ()) -> None:
        """Write one part; the archive discards it without trace when its bytes end too early."""
        result = self._writer.add(part, expected)
        if result.status in ("stored", "replaced"):
            for remark in result.remarks:
                self._tracker.remark(f"{result.resource} is stored. {remark}")
        if result.status == "conflict":
            self._tracker.fail(result.resource, CONFLICT)
        elif result.status == "identical" and not self._replace:  # before the pull, or by another process
            self._tracker.found(result.resource, counted=result.resource.instance not in present)
        else:
            self._tracker.arrived(result.resource)

    def _single(self, resource: Resource, lost: Failures) -> None:
        if lost.cause is not None:
            self._tracker.missing[resource] = str(lost.cause)
            return
        attempts = lost.attempts
        for attempt in range(attempts):
            if attempt and self._stop.wait(BACK_OFF * 2 ** (attempt - 1)):
                self._stop.check()
            started = self._tracker.bytes
            try:
                for part in self._source.retrieve(resource):
                    self._store(metered(part, self._tracker, self._stop), resource)
            except AuthenticationError:
                raise
            except (WireError, TransactionError, NotFound, Unreachable) as error:
                self._tracker.missing[resource] = str(error)
                if is_local(error):
                    self.refused.add(resource)
                cut = isinstance(error, WireError) or (
                    isinstance(error, Unreachable) and self._tracker.bytes > started
                )
                if cut and attempt + 1 < attempts:
                    continue
                lost.note(error)
                return
            break
        lost.note(None)
        if resource.instance not in self._tracker.came(Resource(resource.study, resource.series)):
            self._tracker.missing[resource] = "the server lists it but sent something else"


def streams_series(source: DicomSource) -> bool:
    """Return whether a series comes in one answer; a client learns it from its server, as a dialect."""
    dialect: Dialect | None = getattr(source, "dialect", None)
    return dialect is None or (dialect.retrieve_level != "instance" and not dialect.whole_studies)


def gives_whole_studies(source: DicomSource) -> bool:
    """Return whether a source is known to give neither a series nor an instance by itself."""
    dialect: Dialect | None = getattr(source, "dialect", None)
    return dialect is not None and dialect.whole_studies
