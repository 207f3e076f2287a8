"""Send the series of a cohort to a server: each by the one way in which everything is sent."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from dicomdock.archive import Archive
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.deidentify import Deidentifier
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.errors import AuthenticationError, Cancelled, DicomdockError
from dicomdock.sources import StoreResult
from dicomdock.transfer.deidentified import Copies
from dicomdock.transfer.files import Selection
from dicomdock.transfer.progress import ON_THE_SERVER, PushReport
from dicomdock.transfer.push import push

T = TypeVar("T")


@dataclass(frozen=True)
class Pusher:
    """Sends one series; safe to use from several threads at once.

    Parameters
    ----------
    deidentifier : lets only de-identified copies leave.
    """

    archive: Archive
    client: Client
    settings: Settings
    deidentifier: Deidentifier | None

    def __call__(self, item: Item) -> Outcome:
        """Send a series.

        Raises
        ------
        AuthenticationError, Cancelled
            No further series can be sent.
        """
        started = time.monotonic()
        instances = self.archive.instances(item.resource)
        if not instances:
            return Outcome(item.resource, "failed", "It is not in the archive; pull the cohort first.")
        selection = Selection.of(self.archive.part(one) for one in instances)
        try:
            if self.deidentifier is not None:
                with closing(Copies(self.deidentifier).of(selection)) as copying:
                    selection = _ended(copying)
            with closing(push(selection, self.client, self.settings, ledger=self._note)) as work:
                report = _ended(work)
        except (AuthenticationError, Cancelled):
            raise
        except DicomdockError as error:
            return Outcome(item.resource, "failed", str(error), seconds=time.monotonic() - started)
        return _outcome(item.resource, report, time.monotonic() - started)

    def _note(self, resource: Resource, result: StoreResult) -> None:
        """Let the archive know what is elsewhere too; who has a copy does not have the instance."""
        if self.deidentifier is None and result.status in ON_THE_SERVER:
            self.archive.retention.record_sent([resource], self.client.name)


def _outcome(series: Resource, report: PushReport, seconds: float) -> Outcome:
    counts = {"instances": report.instances, "sent": report.sent, "bytes": report.bytes}
    if report.complete:
        return Outcome(series, "done", "", counts, seconds)
    failed = [one for one in report.results if one.status not in ON_THE_SERVER]
    reason = f"{len(failed)} of {len(report.results)} instances not stored: {failed[0].reason}"
    return Outcome(series, "failed", reason, counts, seconds)


def _ended(work: Generator[object, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            value: T = end.value
            return value
