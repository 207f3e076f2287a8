"""Run a queued transfer, in the foreground or in the background of a dock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Cancelled, DicomdockError
from dicomdock.sources import DicomSource, JsonValue, StoreResult
from dicomdock.transfer.progress import ON_THE_SERVER, Progress, PullReport, PushReport
from dicomdock.transfer.pull import Wanted, pull
from dicomdock.transfer.queue import Item, Request, State, Transfer, TransferQueue

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.transfer.deidentified import Copies
    from dicomdock.transfer.files import Selection

Report: TypeAlias = PullReport | PushReport

log = logging.getLogger(__name__)

SAVE_EVERY = 0.5  # seconds between two updates of the progress in the queue
POLL_EVERY = 1.0  # seconds until an idle runner looks at the queue, unless it is woken


class Connection(DicomSource, Protocol):
    """A source that can be closed."""

    def close(self) -> None:
        """Close its connections."""


Connect: TypeAlias = Callable[[str], Connection]
"""Return the source of a server's name; it is closed after the transfer."""


def run(
    queue: TransferQueue,
    transfer: Transfer,
    archive: Archive,
    connect: Connect,
    settings: Settings,
    *,
    wanted: Wanted = lambda _study: None,
) -> Generator[Progress, None, Report]:
    """Run a claimed transfer and save its progress in the queue.

    Closing the generator leaves the transfer cancelled; a request of another process pauses or cancels it.

    Parameters
    ----------
    queue, transfer, archive, connect, settings : what is done, between what.
    wanted : names the series of a study that a pull takes next.

    Yields
    ------
    Progress
        About ten times a second.

    Returns
    -------
    PullReport or PushReport
        The final report.

    Raises
    ------
    Cancelled
        Another process asked for it to pause or end.
    DicomdockError
        What ended it; the queue knows.
    """
    state: State = "cancelled"
    message = ""
    report: Report | None = None
    progress: Progress | None = None
    saved = 0.0
    try:
        with closing(connect(transfer.server)) as source:
            work = _work(queue, transfer, archive, source, settings, wanted)
            try:
                while True:
                    progress = next(work)
                    if time.monotonic() - saved >= SAVE_EVERY:
                        saved = time.monotonic()
                        request: Request = queue.update(transfer.id, progress)
                        if request:
                            state = "paused" if request == "pause" else "cancelled"
                            raise Cancelled(
                                f"Transfer {transfer.id} was {state}; what had arrived stays in the archive."
                            )
                    yield progress
            except StopIteration as ended:
                report = ended.value
            finally:
                work.close()
        assert report is not None
        state = _state(report)
        queue.update(transfer.id, _final(report))
        # What an earlier run of a pull failed to fetch may have come now; a push notes each as it goes.
        queue.record(transfer.id, _items(report), anew=isinstance(report, PullReport))
        return report
    except Cancelled:
        raise
    except (GeneratorExit, KeyboardInterrupt):
        message = "cancelled"
        raise
    except DicomdockError as error:
        state, message = "failed", str(error)
        raise
    except BaseException:
        state, message = "failed", "an unexpected error ended it; the log has the details"
        raise
    finally:
        if report is None and progress is not None:
            queue.update(transfer.id, progress)
        queue.finish(transfer.id, state, message, report.to_json() if report else None)


def _work(
    queue: TransferQueue,
    transfer: Transfer,
    archive: Archive,
    source: Connection,
    settings: Settings,
    wanted: Wanted,
) -> Generator[Progress, None, Report]:
    options = transfer.options
    if transfer.kind == "pull":
        resources = [Resource.parse(resource) for resource in transfer.resources]
        replace = bool(options.get("replace"))
        return pull(
            source, archive, resources, settings, replace=replace, on_cancel=source.close, wanted=wanted
        )
    return _push(queue, transfer, archive, source, settings)


def _push(
    queue: TransferQueue, transfer: Transfer, archive: Archive, source: Connection, settings: Settings
) -> Generator[Progress, None, PushReport]:
    from dicomdock.transfer.push import push

    options = transfer.options
    copies = _copies(settings, options)
    confirmed = {item.resource for item in queue.items(transfer.id, *ON_THE_SERVER)}
    selection = selected(archive, transfer)
    if copies is not None:
        selection = yield from copies.of(selection)
    rest = tuple(part for part in selection.parts if str(part.resource) not in confirmed)
    queue.record(
        transfer.id,
        [Item(one.path, one.result.status, one.result.reason) for one in selection.unsent],
    )
    chosen = options.get("on_duplicate", "skip")
    with _Ledger(queue, transfer, archive) as ledger:
        report = yield from push(
            replace(selection, parts=rest),
            source,
            settings,
            on_duplicate="send" if chosen == "send" else "fail" if chosen == "fail" else "skip",
            verify=bool(options.get("verify")),
            ledger=ledger.note,
            on_cancel=source.close,
        )
    return report if copies is None else replace(report, deidentification=copies.report.to_json())


def _copies(settings: Settings, options: Mapping[str, JsonValue]) -> Copies | None:
    """Return what makes de-identified copies; None where the instances themselves are sent."""
    if "deidentify" not in options:
        return None
    from dicomdock.transfer.deidentified import Copies, deidentifier_for

    return Copies(deidentifier_for(settings, options))


class _Ledger:
    """Saves results in groups; what a kill loses is found again by asking the server."""

    def __init__(self, queue: TransferQueue, transfer: Transfer, archive: Archive) -> None:
        self._queue, self._transfer, self._archive = queue, transfer, archive
        # Who has a de-identified copy does not have the instance: it must not be evicted for that.
        own = () if "deidentify" in transfer.options else transfer.resources
        self._ours = [Resource.parse(resource) for resource in own]
        self._waiting: list[tuple[Resource, StoreResult]] = []
        self._saved = time.monotonic()
        self._lock = threading.Lock()

    def __enter__(self) -> _Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._save()

    def note(self, resource: Resource, result: StoreResult) -> None:
        with self._lock:
            self._waiting.append((resource, result))
            if time.monotonic() - self._saved >= SAVE_EVERY:
                self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        done, self._waiting = self._waiting, []
        # A pushed file may hold other bytes than the archive's instance of its UID, which was not sent then.
        sent = [
            resource
            for resource, result in done
            if result.status in ON_THE_SERVER and any(one.contains(resource) for one in self._ours)
        ]
        if sent:  # before the outcomes are saved: what has one is not sent again, nor marked
            self._archive.retention.record_sent(sent, self._transfer.server)
        self._queue.record(
            self._transfer.id,
            [Item(str(resource), result.status, result.reason) for resource, result in done],
        )


def selected(archive: Archive, transfer: Transfer) -> Selection:
    """Return what a push sends: the archive's instances of its resources, then its files."""
    from dicomdock.transfer.files import Selection, select_files

    files = select_files([Path(file) for file in transfer.files])
    parts = [
        archive.part(instance)
        for resource in transfer.resources
        for instance in archive.instances(Resource.parse(resource))
    ]
    return Selection.of((*parts, *files.parts), files.unsent, files.passed_over)


def _state(report: Report) -> State:
    if report.complete:
        return "done"
    if isinstance(report, PullReport):
        return "partly" if report.received or report.skipped else "failed"
    return "partly" if report.count("stored", "warning", "duplicate") else "failed"


def _final(report: Report) -> Progress:
    if isinstance(report, PullReport):
        done, expected = report.received + report.skipped, report.expected
        failed, unsendable = len(report.failures) + len(report.missing), 0
    else:
        done, expected = report.count("stored", "warning", "duplicate"), len(report.results)
        failed, unsendable = report.count("failed", "unconfirmed"), report.unsendable
    return Progress(done, expected, failed, report.bytes, report.seconds, "", unsendable)


def _items(report: Report) -> list[Item]:
    if isinstance(report, PushReport):
        return []  # saved one by one, as they came
    return [
        Item(str(failure.resource), status, failure.reason)
        for status, failures in (("failed", report.failures), ("missing", report.missing))
        for failure in failures
    ]


class Runner:
    """Works on the queue in the background, a few transfers at a time.

    Parameters
    ----------
    queue, archive, connect, settings : what ``run`` needs.
    changed : called from worker threads with the number of a transfer whenever something about it changed.
    concurrency : transfers at once; each of them uses several connections itself.
    wanted : names the series of a study that its pull takes next.
    """

    def __init__(
        self,
        queue: TransferQueue,
        archive: Archive,
        connect: Connect,
        settings: Settings,
        *,
        changed: Callable[[int], None] | None = None,
        concurrency: int = 2,
        wanted: Wanted = lambda _study: None,
    ) -> None:
        self._wanted = wanted
        self._queue, self._archive, self._connect, self._settings = queue, archive, connect, settings
        self._changed = changed or (lambda _number: None)
        self._stopping = threading.Event()
        self._woken = threading.Condition()
        self._threads = [
            threading.Thread(target=self._serve, name=f"runner-{number}", daemon=True)
            for number in range(concurrency)
        ]

    def start(self) -> None:
        """Continue what an earlier dock left unfinished, and wait for more."""
        self._queue.recover()
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Notice that something was queued."""
        with self._woken:
            self._woken.notify_all()

    def stop(self) -> None:
        """Put running transfers back into the queue and end; the next dock goes on with them."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                transfer = self._queue.next_queued()
                if transfer is not None and self._queue.claim(transfer.id):
                    self._do(transfer)
                    continue
            except DicomdockError as error:  # the list is locked or its disk full: it may not be for ever
                log.warning("The list of transfers cannot be used now: %s", error)
            with self._woken:
                self._woken.wait(POLL_EVERY)  # another process may queue something too

    def _do(self, transfer: Transfer) -> None:
        work = run(self._queue, transfer, self._archive, self._connect, self._settings, wanted=self._wanted)
        try:
            self._changed(transfer.id)
            for _ in work:
                self._changed(transfer.id)
                if self._stopping.is_set():
                    work.close()
                    self._queue.finish(transfer.id, "queued", "waits for dicomdock to start again")
                    break
        except DicomdockError:
            pass  # the queue knows, and the page shows it
        except Exception:
            log.exception("transfer %s ended unexpectedly", transfer.id)
        finally:
            self._changed(transfer.id)
