"""Send the series of a cohort to a server: each by the one way in which everything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dicomdock.archive import Archive
from dicomdock.cohort.state import NOT_PULLED, Outcome
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.deidentify import Deidentifier
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.errors import AuthenticationError, Cancelled, DicomdockError
from dicomdock.sources import StoreResult
from dicomdock.transfer.deidentified import Copies
from dicomdock.transfer.files import Selection
from dicomdock.transfer.progress import MAX_REMARKS, ON_THE_SERVER, PushReport, finish
from dicomdock.transfer.push import push


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
        instances = self.archive.instances(item.resource)
        if not instances:
            return Outcome(item.resource, "failed", NOT_PULLED)
        selection = Selection.of(self.archive.part(one) for one in instances)
        try:
            if self.deidentifier is not None:
                selection = finish(Copies(self.deidentifier).of(selection))
            report = finish(push(selection, self.client, self.settings, ledger=self._note))
        except (AuthenticationError, Cancelled):
            raise
        except DicomdockError as error:
            return Outcome(item.resource, "failed", str(error))
        return _outcome(item.resource, report)

    def _note(self, resource: Resource, result: StoreResult) -> None:
        """Let the archive know what is elsewhere too; who has a copy does not have the instance."""
        if self.deidentifier is None and result.status in ON_THE_SERVER:
            self.archive.retention.record_sent([resource], self.client.name)


def _outcome(series: Resource, report: PushReport) -> Outcome:
    counts = {"instances": report.instances, "sent": report.sent, "bytes": report.bytes}
    failed = [one for one in report.results if one.status not in ON_THE_SERVER]
    remarks = [*_by_reason(one for one in report.results if one.status == "warning"), *report.warnings]
    if not failed:
        return Outcome(series, "done", " ".join(remarks), counts)
    count = f"{len(failed)} of {len(report.results)} instances not stored."
    return Outcome(series, "failed", " ".join((count, *_by_reason(failed), *remarks)), counts)


def _by_reason(results: Iterable[StoreResult]) -> Iterator[str]:
    """Return a sentence for each thing that a server says of instances, with the first of these."""
    groups: dict[str, list[str]] = {}
    for one in results:
        said = f"{one.status}; {one.reason}".rstrip("; ")
        groups.setdefault(said, []).append(one.sop_instance_uid or "an instance without a UID")
    for said, uids in groups.items():
        more = f" and {len(uids) - MAX_REMARKS:,} more" if len(uids) > MAX_REMARKS else ""
        yield f"{', '.join(uids[:MAX_REMARKS])}{more}: {said.rstrip('.')}."
