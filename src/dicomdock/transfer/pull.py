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
    AuthenticationError,
    DicomdockError,
    NotFound,
    TransactionError,
    Unreachable,
    UnsupportedByServer,
    WireError,
)
from dicomdock.sources import DicomSource, Part
from dicomdock.transfer.listing import Unlisted, instances_of, series_of
from dicomdock.transfer.outage import Failures, is_local, wait_when_asked
from dicomdock.transfer.progress import Failure, Progress, ProgressTracker, PullReport
from dicomdock.transfer.watch import Stop, ahead, bounded_map, metered, watch
from dicomdock.transfer.write_behind import WriteBehind, identified

if TYPE_CHECKING:
    from dicomdock.archive import Archive

Wanted: TypeAlias = Callable[[str], "str | None"]
"""Gives the UID of the series of a study that somebody waits for."""

BACK_OFF = 0.2  # seconds before the second of them, doubled for each further one
RETRY_AFTER = 1.0  # seconds after which what is missing at the end is asked for once more
SINGLE_MOST = 8  # missing instances of a series that are always requested one by one
SINGLE_COST = 64 << 10  # bytes of a stream that cost about as much as a request
CONFLICT = "the archive holds it with other bytes; the first copy was kept (--replace overwrites it)"


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
        self.refused: set[Resource] = set()

    def run(self, resources: Sequence[Resource], stop: Stop) -> None:
        self.stop = stop
        workers = self.settings.series_workers
        with (
            self.archive.writer(origin=self.source.name, replace=self.replace) as self.writer,
            ThreadPoolExecutor(self.settings.instance_workers, "instance") as self.single,
            ThreadPoolExecutor(workers, "listing") as self.listing,
            ThreadPoolExecutor(workers, "series") as many,
        ):
            bounded_map(many, workers, self._job, self._divided(resources), stop)
            self._retrieve_whole_studies({one.study for one in resources if one.series is None})
            self._retry_missing(stop)
            for late in self.writer.flush():
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
        elif present or not _streams_series(self.source):
            self._complete(resource, present, None)
        else:
            counting = self.listing.submit(self._count, resource)
            broken = self._stream(resource)
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
            broken = self._stream(study)
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
                broken = self._stream(series, present)
            if is_local(broken):
                self._without(series, broken)
                self.refused.add(series)
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
            self._stream(series, present, discard=present)
        self._fetch_missing(listed, present)

    def _is_worth_streaming(self, series: Resource, listed: Sequence[Resource], present: set[str]) -> bool:
        """Return whether a series comes sooner as a stream, with what is present in it, than one by one."""
        missing = sum(one.instance not in present for one in listed)
        if missing <= SINGLE_MOST or 2 * missing < len(listed) or not _streams_series(self.source):
            return False
        return self.archive.size(series) <= missing * SINGLE_COST

    def _stream(
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
                self.tracker.warn(
                    f"{self.source.name} sent instances of another {series.level} than "
                    f"{series.series or series.study}; they were not kept."
                )

        self.tracker.doing = "receiving"
        parts = self.source.retrieve(series)
        try:
            with WriteBehind(store) as behind:
                for part in parts:
                    self.stop.check()
                    if discard and not _streams_series(self.source):
                        break
                    behind.put(metered(part, self.tracker, self.stop))
        except (WireError, Unreachable, TransactionError, NotFound) as error:
            return error
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return None

    def _store(self, part: Part, expected: Resource, present: Container[str] = ()) -> None:
        """Write one part; the archive discards it without trace when its bytes end too early."""
        result = self.writer.add(part, expected)
        if result.status in ("stored", "replaced"):
            for remark in result.remarks:
                self.tracker.remark(f"{result.resource} is stored. {remark}")
        if result.status == "conflict":
            self.tracker.fail(result.resource, CONFLICT)
        elif result.status == "identical" and not self.replace:  # before the pull, or by another process
            self.tracker.found(result.resource, counted=result.resource.instance not in present)
        else:
            self.tracker.arrived(result.resource)

    def _retrieve_whole_studies(self, asked: Container[str]) -> None:
        """Request studies of which the source refused every instance by itself; a few give nothing less.

        Parameters
        ----------
        asked : studies that were asked for as such; of others only what is missing is kept.
        """
        missing: dict[str, set[Resource | None]] = {}
        for one in self.refused & self.tracker.missing.keys():
            missing.setdefault(one.study, set()).add(one)
        for study, wanted in missing.items():
            others_come = self.tracker.arrivals_of(study) or self.tracker.came_of(study) > len(wanted)
            if others_come and not _gives_whole_studies(self.source):
                continue
            try:
                broken = self._stream(Resource(study), only=None if study in asked else wanted)
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
        lost = Failures()
        workers = min(len(missing), self.settings.instance_workers)
        bounded_map(self.single, workers, lambda one: self._single(one, lost), missing, stop)

    def _fetch_missing(self, listed: Sequence[Resource], present: set[str]) -> None:
        wanted = []
        came = self.tracker.came(Resource(listed[0].study, listed[0].series)) if listed else ()
        for resource in listed:
            if resource.instance in present:
                self.tracker.skip(resource)
            elif resource.instance not in came:
                wanted.append(resource)
        if wanted and _gives_whole_studies(self.source):
            self.refused.update(wanted)
            self.tracker.missing.update(
                dict.fromkeys(wanted, f"{self.source.name} gives whole studies only, and not this one.")
            )
        elif wanted:
            self.tracker.doing = "fetching single instances"
            lost = Failures()
            workers = min(len(wanted), self.settings.instance_workers)
            bounded_map(self.single, workers, lambda one: self._single(one, lost), wanted, self.stop)

    def _single(self, resource: Resource, lost: Failures) -> None:
        if lost.cause is not None:
            self.tracker.missing[resource] = str(lost.cause)
            return
        attempts = lost.attempts
        for attempt in range(attempts):
            if attempt and self.stop.wait(BACK_OFF * 2 ** (attempt - 1)):
                self.stop.check()
            started = self.tracker.bytes
            try:
                for part in self.source.retrieve(resource):
                    self._store(metered(part, self.tracker, self.stop), resource)
            except AuthenticationError:
                raise
            except (WireError, TransactionError, NotFound, Unreachable) as error:
                self.tracker.missing[resource] = str(error)
                if is_local(error):
                    self.refused.add(resource)
                cut = isinstance(error, WireError) or (
                    isinstance(error, Unreachable) and self.tracker.bytes > started
                )
                if cut and attempt + 1 < attempts:
                    continue
                lost.note(error)
                return
            break
        lost.note(None)
        if resource.instance not in self.tracker.came(Resource(resource.study, resource.series)):
            self.tracker.missing[resource] = "the server lists it but sent something else"

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


def _streams_series(source: DicomSource) -> bool:
    """Return whether a series comes in one answer; a client learns it from its server, as a dialect."""
    dialect: Dialect | None = getattr(source, "dialect", None)
    return dialect is None or (dialect.retrieve_level != "instance" and not dialect.whole_studies)


def _gives_whole_studies(source: DicomSource) -> bool:
    """Return whether a source is known to give neither a series nor an instance by itself."""
    dialect: Dialect | None = getattr(source, "dialect", None)
    return dialect is not None and dialect.whole_studies
