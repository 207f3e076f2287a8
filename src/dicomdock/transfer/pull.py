"""Pull: retrieve studies, series and instances into the archive, and prove that all of it arrived.

One stream a series, several series side by side. The source's own count of a series' instances is the proof;
where it gives none, or another, its list is asked for, and what the stream did not bring is fetched singly.
A study of which the source lists no series comes as one stream, which proves nothing.
A series of which much is missing is streamed too, and what the archive has of it is discarded on the way.
Where neither series nor instances can be had, the study is: a few servers give nothing less.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from dicomdock.config.dialects import Dialect
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import (
    DicomdockError,
    NotFound,
    TransactionError,
    UnsupportedByServer,
    WireError,
)
from dicomdock.sources import DicomSource
from dicomdock.transfer.listing import Unlisted, instances_of, series_of
from dicomdock.transfer.outage import is_local, wait_when_asked
from dicomdock.transfer.progress import Failure, Progress, ProgressTracker, PullReport
from dicomdock.transfer.receive import CONFLICT, Receiver, gives_whole_studies, streams_series
from dicomdock.transfer.watch import Stop, ahead, bounded_map, watch

if TYPE_CHECKING:
    from dicomdock.archive import Archive

Wanted: TypeAlias = Callable[[str], "str | None"]
"""Returns the UID of the series of a study that somebody waits for."""

RETRY_AFTER = 1.0  # seconds after which what is missing at the end is asked for once more
SINGLE_MOST = 8  # missing instances of a series that are always requested one by one
SINGLE_COST = 64 << 10  # bytes of a stream that cost about as much as a request


def pull(
    source: DicomSource,
    archive: Archive,
    resources: Sequence[Resource],
    settings: Settings,
    *,
    replace: bool = False,
    on_cancel: Callable[[], None] | None = None,
    wanted: Wanted = lambda _study: None,
) -> Generator[Progress, None, PullReport]:
    """Retrieve resources into the archive; what is in it already is not retrieved again.

    Closing the generator cancels; whatever arrived whole stays in the archive, and the same pull continues
    from there.

    Parameters
    ----------
    source : where from.
    archive : where to.
    resources : studies, series or instances.
    settings : how many requests side by side.
    replace : fetch everything, and let other bytes under the same UID replace what is in the archive.
    on_cancel : called when the pull is cancelled, before it waits for its workers; closing the source there
        cuts what is under way, so that nobody waits for a silent server.
    wanted : asked before each series of a study; the one that it names comes next, if it has not begun yet.

    Yields
    ------
    Progress
        About ten times a second.

    Returns
    -------
    PullReport
        What came, what was present, what failed and what never arrived.

    Raises
    ------
    NotFound
        The source knows nothing of what was asked for. Where it knows some, the report names the rest.
    AuthenticationError, Unreachable, NoSpace
        Nothing more can come; what arrived stays in the archive.
    """
    wait_when_asked(source)
    job = _Pull(source, archive, settings, replace=replace, wanted=wanted)
    yield from watch(lambda stop: job.run(resources, stop), job.tracker, on_cancel)
    return job.report()


class _Pull:
    def __init__(
        self, source: DicomSource, archive: Archive, settings: Settings, *, replace: bool, wanted: Wanted
    ) -> None:
        self.source, self.archive, self.settings = source, archive, settings
        self.replace, self.wanted = replace, wanted
        self.counts: dict[Resource, int | None] = {}
        self.lacking: list[DicomdockError] = []
        self.unlisted: dict[Resource, DicomdockError] = {}
        self.tracker = ProgressTracker()
        self.naming = Lock()

    def run(self, resources: Sequence[Resource], stop: Stop) -> None:
        workers = self.settings.series_workers
        with (
            self.archive.writer(origin=self.source.name, replace=self.replace) as writer,
            ThreadPoolExecutor(self.settings.instance_workers, "instance") as single,
            ThreadPoolExecutor(workers, "listing") as self.listing,
            ThreadPoolExecutor(workers, "series") as many,
        ):
            self.receiver = Receiver(
                self.source,
                writer,
                replace=self.replace,
                pool=single,
                workers=self.settings.instance_workers,
                tracker=self.tracker,
                stop=stop,
            )
            bounded_map(many, workers, self._job, self._divided(resources), stop)
            self._retrieve_whole_studies({one.study for one in resources if one.series is None})
            self._retry_missing(stop)
            for late in writer.flush():
                if late.status == "conflict":  # another process was faster
                    self.tracker.fail(late.resource, CONFLICT)
                else:
                    self.tracker.found(late.resource, counted=False)
        if self.lacking and not (self.tracker.arrivals or self.tracker.skips or self.tracker.failed):
            raise self.lacking[0]

    def _divided(self, resources: Sequence[Resource]) -> Iterator[Resource]:
        """Return series and instances, each once; a study is divided into what the source lists in it."""
        given: set[Resource | None] = set()
        whole = dict.fromkeys(one for one in resources if one.series is None)
        for study, listing in ahead(self.listing, self.settings.series_workers, self._listed, whole):
            try:
                found, all_of_them = listing.result()
            except UnsupportedByServer as error:
                self.unlisted[study] = error
                yield study
                continue
            if not found and study not in self.tracker.missing:
                self.unlisted[study] = self._unknown(study)
                yield study
            if not all_of_them:
                self.tracker.proven = False
                self.tracker.warn(f"{self.source.name} cut its list of series of {study} short.")
            self.counts.update(found)
            given.update(found)
            waiting = list(found)
            while waiting:
                first = self.wanted(study.study)
                at = next((at for at, series in enumerate(waiting) if series.series == first), 0)
                yield waiting.pop(at)
        for resource in sorted(resources, key=lambda one: one.instance is not None):
            if resource.series is None or resource in given:
                continue
            if resource.instance is None or resource.parent not in given:
                given.add(resource)
                yield resource

    def _listed(self, study: Resource) -> tuple[dict[Resource, int | None], bool]:
        return series_of(self.source, study.study, unusable=self._unusable)

    def _unknown(self, resource: Resource) -> NotFound:
        return NotFound(f"{self.source.name} has no {resource.level} {resource}.")

    def _without(self, resource: Resource, error: DicomdockError) -> None:
        """Record what the source does not have or fails on; everything else is still retrieved."""
        self.lacking.append(error)
        self.tracker.missing[resource] = str(error)

    def _unusable(self, parent: Resource, reason: str) -> None:
        """Record what the source lists by a UID that cannot be used; everything else is still retrieved."""
        with self.naming:
            known = self.tracker.missing.get(parent)
            self.tracker.missing[parent] = reason if known is None else f"{known} {reason}"

    def _job(self, resource: Resource) -> None:
        if resource.series is None:
            self._stream_study(resource, self.unlisted[resource])
            return
        present = set() if self.replace else self.archive.present(resource)
        if resource.instance is not None:
            self.tracker.expect(resource, 1)
            self._fetch_missing([resource], present)
        elif present or not streams_series(self.source):
            self._complete(resource, present, None)
        else:
            counting = self.listing.submit(self._count, resource)
            broken = self.receiver.stream(resource)
            count = counting.result()
            # Distinct instances of this series, as many as the source counts: there can be no other.
            if broken is not None or len(self.tracker.came(resource)) != count:
                self._complete(resource, present, broken, streamed=True)

    def _stream_study(self, study: Resource, unlisted: DicomdockError) -> None:
        """Retrieve a study in one answer, because the source lists no series of it.

        Parameters
        ----------
        unlisted : why; it is reported where the study does not come either.
        """
        dialect: Dialect | None = getattr(self.source, "dialect", None)
        if dialect is not None and dialect.retrieve_level != "study":
            self._without(study, unlisted)
            return
        try:
            broken = self.receiver.stream(study)
        except UnsupportedByServer as error:  # it gives no study, and lists nothing in it
            broken = error
        came = self.tracker.came_of(study.study)
        if not came:
            if broken is not None and not (is_local(broken) or isinstance(broken, UnsupportedByServer)):
                raise broken
            self._without(study, unlisted)
            return
        self.tracker.expect(study, came)
        self.tracker.proven = False
        self.tracker.warn(
            f"Study {study} came as one stream and cannot be proved complete: "
            f"{self.source.name} lists no series of it."
        )
        if broken is not None:
            self.tracker.missing[study] = str(broken)

    def _count(self, series: Resource) -> int | None:
        """Return the number of instances that the source states for a series; None where it does not."""
        if series not in self.counts:
            try:
                self.counts.update(series_of(self.source, series.study, series.series or "")[0])
            except (UnsupportedByServer, TransactionError, NotFound, WireError):
                return None
        count = self.counts.get(series)
        if count is not None:
            self.tracker.expect(series, count)
        return count

    def _complete(
        self, series: Resource, present: set[str], broken: DicomdockError | None, *, streamed: bool = False
    ) -> None:
        """Request the list of instances and retrieve one by one what is not in the archive."""
        try:
            listed = instances_of(self.source, series, unusable=self._unusable)
        except Unlisted as reason:
            if not streamed:
                broken = self.receiver.stream(series, present)
            if is_local(broken):
                self._without(series, broken)
                self.receiver.refused.add(series)
                return
            if broken is not None:
                raise broken from None
            self.tracker.expect(series, len(self.tracker.came(series) | present))
            unproven = f"Series {series.series} cannot be proved complete: {reason}"
            if reason.passing:
                self.tracker.missing[series] = unproven
            else:
                self.tracker.proven = False
                self.tracker.warn(unproven)
            return
        came = self.tracker.came(series)
        if not listed and not came:
            if broken is not None and not is_local(broken):
                raise broken
            self._without(series, self._unknown(series) if broken is None else broken)
            return
        self.tracker.expect(series, len(came) + sum(one.instance not in came for one in listed))
        if not streamed and present and self._is_worth_streaming(series, listed, present):
            for resource in listed:
                if resource.instance in present:
                    self.tracker.skip(resource)
            # Whatever ends it early: what it did not bring is requested one by one.
            self.receiver.stream(series, present, discard=present)
        self._fetch_missing(listed, present)

    def _is_worth_streaming(self, series: Resource, listed: Sequence[Resource], present: set[str]) -> bool:
        """Return whether a series comes sooner as a stream, with what is present in it, than one by one."""
        missing = sum(one.instance not in present for one in listed)
        if missing <= SINGLE_MOST or 2 * missing < len(listed) or not streams_series(self.source):
            return False
        return self.archive.size(series) <= missing * SINGLE_COST

    def _retrieve_whole_studies(self, asked: Container[str]) -> None:
        """Request studies of which the source refused every instance by itself; a few give nothing less.

        Parameters
        ----------
        asked : studies that were asked for as such; of others only what is missing is kept.
        """
        missing: dict[str, set[Resource | None]] = {}
        for one in self.receiver.refused & self.tracker.missing.keys():
            missing.setdefault(one.study, set()).add(one)
        for study, wanted in missing.items():
            others_come = self.tracker.arrivals_of(study) or self.tracker.came_of(study) > len(wanted)
            if others_come and not gives_whole_studies(self.source):
                continue
            try:
                broken = self.receiver.stream(Resource(study), only=None if study in asked else wanted)
            except UnsupportedByServer:
                continue  # what is missing is named already
            for series in [one for one in wanted if one is not None and one.instance is None]:
                came = len(self.tracker.came(series))
                if came and broken is None:
                    del self.tracker.missing[series]
                    self.tracker.expect(series, came)
                    if self.counts.get(series) != came:
                        self.tracker.proven = False
                        self.tracker.warn(f"Series {series.series} cannot be proved complete.")
            if self.tracker.arrivals_of(study):
                self.tracker.warn(f"{self.source.name} gave {study} as a whole only.")

    def _retry_missing(self, stop: Stop) -> None:
        """Request what is missing once more after a pause: many servers fail only while they are busy."""
        missing = [one for one in self.tracker.missing if one.instance is not None]
        if not missing or stop.wait(RETRY_AFTER):
            return
        self.tracker.doing = "retrying what is missing"
        self.receiver.one_by_one(missing)

    def _fetch_missing(self, listed: Sequence[Resource], present: set[str]) -> None:
        wanted = []
        came = self.tracker.came(Resource(listed[0].study, listed[0].series)) if listed else ()
        for resource in listed:
            if resource.instance in present:
                self.tracker.skip(resource)
            elif resource.instance not in came:
                wanted.append(resource)
        if wanted and gives_whole_studies(self.source):
            self.receiver.refused.update(wanted)
            self.tracker.missing.update(
                dict.fromkeys(wanted, f"{self.source.name} gives whole studies only, and not this one.")
            )
        elif wanted:
            self.tracker.doing = "fetching single instances"
            self.receiver.one_by_one(wanted)

    def report(self) -> PullReport:
        tracker = self.tracker
        failures = tuple(Failure(resource, reason) for resource, reason in tracker.failed.items())
        missing = tuple(Failure(resource, reason) for resource, reason in tracker.missing.items())
        return PullReport(
            server=self.source.name,
            expected=sum(tracker.expected.values()),
            received=tracker.arrivals,
            skipped=tracker.skips,
            failures=failures,
            missing=missing,
            bytes=tracker.bytes,
            seconds=tracker.seconds,
            complete=tracker.proven and not failures and not missing,
            warnings=(*tracker.warnings, *tracker.remarks),
        )
