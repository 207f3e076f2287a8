"""Pull the series of a cohort: each by the one way in which everything is pulled, verified and indexed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from dicomdock.archive import Archive
from dicomdock.archive.storage.bucket import Bucket
from dicomdock.cohort.bucket import copied, is_bucket
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicomweb import Client, connect
from dicomdock.errors import (
    AuthenticationError,
    Cancelled,
    DicomdockError,
    NoSpace,
    ProfileError,
    Unreachable,
)
from dicomdock.transfer.outage import GONE_AFTER
from dicomdock.transfer.progress import PullReport, finish
from dicomdock.transfer.pull import pull
from dicomdock.web.hold import Hold

TASK = "pull"
LEAST_REQUESTS = 2  # of one series: its stream, and beside it the question how many instances it has
REQUESTS = 8  # to one server at a time, as those of a single pull


class Puller:
    """Pulls series into the archive; safe to use from several threads at once.

    A server that refuses the login, or cannot be reached several times in a row, is not asked again; its
    series fail with its sentence, and those of other servers go on.

    Parameters
    ----------
    requests : to one server at a time, for one series.
    """

    def __init__(self, archive: Archive, settings: Settings, requests: int) -> None:
        self._archive = archive
        self._settings = replace(settings, series_workers=1, instance_workers=max(1, requests - 1))
        self._lock = threading.Lock()
        self._sources: dict[str, Client] = {}
        self._buckets: dict[str, Bucket] = {}
        self._holds: dict[str, Hold] = {}
        self._given_up: dict[str, str] = {}
        self._unreached: Counter[str] = Counter()
        self._closed = False

    def __call__(self, item: Item) -> Outcome:
        """Pull one series.

        Raises
        ------
        NoSpace, Cancelled
            No further series can be pulled.
        """
        outcome = self._outcome(item)
        hold = self._holds.get(item.server)
        return replace(outcome, hold=hold.seconds) if hold else outcome

    def _outcome(self, item: Item) -> Outcome:
        if not item.server:
            present = len(self._archive.present(item.resource))
            if present:
                return Outcome(item.resource, "done", result={"instances": present})
            return Outcome(
                item.resource, "failed", "It is not in the archive, and the cohort names no server."
            )
        if reason := self._given_up.get(item.server):
            return Outcome(item.resource, "failed", f"Not tried: {reason}")
        try:
            if is_bucket(item.server):
                return copied(self._bucket(item.server), self._archive, item)
            report = self._pulled(item)
        except (NoSpace, Cancelled):
            raise
        except DicomdockError as error:
            self._note(item.server, error)
            return Outcome(item.resource, "failed", str(error))
        self._note(item.server, None)
        counts = {
            "instances": report.received + report.skipped,
            "received": report.received,
            "bytes": report.bytes,
        }
        remarks = " ".join(report.warnings)
        if report.complete:
            return Outcome(item.resource, "done", remarks, counts)
        if counts["instances"] and not (report.missing or report.failures):
            return Outcome(item.resource, "unproven", remarks, counts)
        return Outcome(item.resource, "failed", _reason(report), counts)

    def close(self) -> None:
        """Close the connections; pulls that are under way end."""
        with self._lock:
            self._closed = True
            sources, self._sources = [*self._sources.values()], {}
        for source in sources:
            source.close()

    def _pulled(self, item: Item) -> PullReport:
        return finish(pull(self._source(item.server), self._archive, [item.resource], self._settings))

    def _source(self, server: str) -> Client:
        with self._lock:
            if self._closed:
                raise Cancelled("The pull was cancelled; what had arrived stays in the archive.")
            if server not in self._sources:
                self._holds[server] = Hold()
                self._sources[server] = connect(server, self._settings, hold=self._holds[server])
            return self._sources[server]

    def _bucket(self, server: str) -> Bucket:
        with self._lock:
            if server not in self._buckets:
                self._buckets[server] = Bucket(server, self._settings.instance_workers)
            return self._buckets[server]

    def _note(self, server: str, error: DicomdockError | None) -> None:
        """Decide whether a server is asked again."""
        with self._lock:
            if isinstance(error, (AuthenticationError, ProfileError)):
                self._given_up[server] = str(error)
            elif isinstance(error, Unreachable):
                self._unreached[server] += 1
                if self._unreached[server] >= GONE_AFTER:
                    self._given_up[server] = str(error)
            else:
                self._unreached[server] = 0


@contextmanager
def opened(settings: Settings, requests: int) -> Iterator[Puller]:
    """Open the archive, and pull into it until the block ends: on a worker of a cluster."""
    with Archive.open(settings) as archive, closing(Puller(archive, settings, requests)) as puller:
        yield puller


def shares(workers: int, requests: int) -> tuple[int, int]:
    """Divide the requests that a server may get at a time among the series that are pulled from it.

    Returns
    -------
    How many series side by side, and how many requests each.
    """
    each = max(LEAST_REQUESTS, requests // workers)
    return max(1, requests // each), each


def _reason(report: PullReport) -> str:
    failed = [*report.missing, *report.failures]
    if not failed:
        return " ".join(report.warnings) or "It cannot be proved complete."
    first = f"{failed[0].resource}: {failed[0].reason}"
    more = len(failed) - 1
    return f"{first} ({more} more like it)" if more else first
