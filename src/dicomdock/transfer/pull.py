"""Pull: bring studies, series and instances from a source into the archive, and prove that all of it came.

One stream a series, several series side by side. The source's own count of a series' instances is the proof;
where it gives none, or another, its list is asked for, and what the stream did not bring is fetched singly.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from dicomdock.errors import (
    AuthenticationError,
    DicomdockError,
    NotFound,
    TransactionError,
    Unreachable,
    UnsupportedByServer,
    WireError,
)
from dicomdock.profile import Dialect
from dicomdock.resource import Resource
from dicomdock.settings import Settings
from dicomdock.source import DicomSource, Part
from dicomdock.transfer.listing import Unlisted, instances_of, series_of
from dicomdock.transfer.progress import Failure, Progress, PullReport, Tally
from dicomdock.transfer.watch import Stop, metered, watch

if TYPE_CHECKING:
    from dicomdock.archive import Archive  # its database library is slow to import

# A source that cannot be reached so many times in a row is gone; waiting for every instance would take hours.
GONE_AFTER = 3


def pull(
    source: DicomSource,
    archive: Archive,
    resources: Sequence[Resource],
    settings: Settings,
    *,
    replace: bool = False,
) -> Generator[Progress, None, PullReport]:
    """Bring resources into the archive; what is here already is not fetched again.

    Closing the generator cancels; whatever arrived whole is kept, and the same pull goes on from there.

    Parameters
    ----------
    source : where from.
    archive : where to.
    resources : studies, series or instances.
    settings : how many requests side by side.
    replace : fetch everything, and let other bytes under the same UID replace what is here.

    Yields
    ------
    Progress
        About ten times a second.

    Returns
    -------
    PullReport
        What came, what was here, what failed and what never arrived.

    Raises
    ------
    NotFound
        The source knows a resource not at all.
    AuthenticationError, Unreachable, NoSpace
        Nothing more can come; what arrived is kept.
    """
    job = _Pull(source, archive, settings, replace=replace)
    yield from watch(lambda stop: job.run(resources, stop), job.tally)
    return job.report()


class _Pull:
    def __init__(self, source: DicomSource, archive: Archive, settings: Settings, *, replace: bool) -> None:
        self.source, self.archive, self.settings = source, archive, settings
        self.replace = replace
        self.counts: dict[Resource, int | None] = {}
        self.tally = Tally()

    def run(self, resources: Sequence[Resource], stop: Stop) -> None:
        self.stop = stop
        workers = self.settings.series_workers
        with (
            self.archive.writer(origin=self.source.name, replace=self.replace) as self.writer,
            ThreadPoolExecutor(self.settings.instance_workers, "instance") as self.single,
            ThreadPoolExecutor(workers, "listing") as self.listing,
            ThreadPoolExecutor(workers, "series") as many,
        ):
            try:
                self._all(many, self._job, self._divided(resources))
            except BaseException:
                stop.request()
                raise

    def _divided(self, resources: Sequence[Resource]) -> Iterable[Resource]:
        """Give series and instances; a study is divided into what the source lists in it."""
        for resource in dict.fromkeys(resources):
            if resource.series is not None:
                yield resource
                continue
            found = series_of(self.source, resource.study)
            if not found:
                raise NotFound(f"{self.source.name} has no study {resource.study}.", status=404)
            self.counts.update(found)
            yield from found

    def _all(
        self, pool: ThreadPoolExecutor, job: Callable[[Resource], None], items: Iterable[Resource]
    ) -> None:
        """Do the job for every item; the first error that ends the pull stops the rest."""
        futures = [pool.submit(job, item) for item in items]
        try:
            for future in futures:
                future.result()
        except BaseException:
            self.stop.request()
            for future in futures:
                future.cancel()
            wait(futures)
            raise

    def _job(self, resource: Resource) -> None:
        self.stop.check()
        here = set() if self.replace else self.archive.present(resource)
        if resource.instance is not None:
            self.tally.expect(resource, 1)
            self._fetch_missing([resource], here)
        elif here or not _streams_series(self.source):
            self._complete(resource, here, None)
        else:
            count = self.listing.submit(self._count, resource)
            broken = self._stream(resource)
            # Distinct instances of this series, as many as the source counts: there can be no other.
            if broken is not None or len(self._arrived(resource)) != count.result():
                self._complete(resource, here, broken)

    def _count(self, series: Resource) -> int | None:
        """Give the number of instances that the source states for a series; None where it does not."""
        if series not in self.counts:
            try:
                self.counts.update(series_of(self.source, series.study, series.series or ""))
            except (Unlisted, UnsupportedByServer, TransactionError, WireError):
                return None
        count = self.counts.get(series)
        if count is not None:
            self.tally.expect(series, count)
        return count

    def _complete(self, series: Resource, here: set[str], broken: DicomdockError | None) -> None:
        """Ask for the list of instances and fetch one by one what is not here."""
        try:
            listed = instances_of(self.source, series)
        except Unlisted as reason:
            if broken is not None:
                raise broken from None
            self.tally.expect(series, len(self._arrived(series)) + len(here))
            self.tally.proven = False
            self.tally.warn(f"Series {series.series} cannot be proved complete: {reason}")
            return
        arrived = self._arrived(series)
        if not listed and not arrived:
            raise broken or NotFound(f"{self.source.name} has no series {series}.", status=404)
        self.tally.expect(series, len(arrived.union(listed)))
        self._fetch_missing(listed, here)

    def _arrived(self, series: Resource) -> set[Resource]:
        """Give what came of a series, failures included."""
        with self.tally.lock:
            return {one for one in (*self.tally.received, *self.tally.failed) if series.contains(one)}

    def _stream(self, series: Resource) -> DicomdockError | None:
        """Take a series in one answer; give back what ended it too early."""
        self.tally.doing = "receiving"
        parts = self.source.retrieve(series)
        try:
            for part in parts:
                self.stop.check()
                self._keep(part, None)
        except (WireError, Unreachable, TransactionError) as error:
            return error
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return None

    def _keep(self, part: Part, expected: Resource | None) -> None:
        """Write one part; the archive discards it without trace when its bytes end too early."""
        result = self.writer.add(metered(part, self.tally, self.stop), expected)
        if result.status == "conflict":
            self.tally.failed[result.resource] = (
                "the archive holds it with other bytes; the first copy was kept (--replace overwrites it)"
            )
        else:
            self.tally.arrived(result.resource)

    def _fetch_missing(self, listed: Sequence[Resource], here: set[str]) -> None:
        wanted = []
        for resource in listed:
            if resource.instance in here:
                self.tally.skipped.add(resource)
            elif resource not in self.tally.received and resource not in self.tally.failed:
                wanted.append(resource)
        if wanted:
            self.tally.doing = "fetching single instances"
            lost = _Lost()
            self._all(self.single, lambda resource: self._single(resource, lost), wanted)

    def _single(self, resource: Resource, lost: _Lost) -> None:
        self.stop.check()
        if lost.cause is not None:
            self.tally.missing[resource] = str(lost.cause)
            return
        try:
            for part in self.source.retrieve(resource):
                self._keep(part, resource)
        except AuthenticationError:
            raise
        except (WireError, TransactionError, Unreachable) as error:
            self.tally.missing[resource] = str(error)
            lost.note(error)
            return
        lost.note(None)
        if resource not in self.tally.received and resource not in self.tally.failed:
            self.tally.missing[resource] = "the server lists it but sent something else"

    def report(self) -> PullReport:
        tally = self.tally
        failures = tuple(Failure(resource, reason) for resource, reason in tally.failed.items())
        missing = tuple(Failure(resource, reason) for resource, reason in tally.missing.items())
        return PullReport(
            server=self.source.name,
            expected=sum(tally.expected.values()),
            received=len(tally.received),
            skipped=len(tally.skipped),
            failures=failures,
            missing=missing,
            bytes=tally.bytes,
            seconds=tally.seconds,
            complete=tally.proven and not failures and not missing,
            warnings=tuple(tally.warnings),
        )


def _streams_series(source: DicomSource) -> bool:
    """Tell whether a series comes in one answer; a client learns from its server, and its dialect says so."""
    dialect: Dialect | None = getattr(source, "dialect", None)
    return dialect is None or dialect.retrieve_level != "instance"


class _Lost:
    """Counts failures to reach the source, so that a dead server costs a few time-outs, not one each."""

    def __init__(self) -> None:
        self.cause: Unreachable | None = None
        self._row = 0

    def note(self, error: DicomdockError | None) -> None:
        self._row = self._row + 1 if isinstance(error, Unreachable) else 0
        if self._row >= GONE_AFTER and isinstance(error, Unreachable):
            self.cause = error
