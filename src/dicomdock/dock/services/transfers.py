"""The transfers of a running dock: queued, run, and reported to who waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, Protocol

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import ArchiveChanged, Events, ServerChanged, TransferChanged
from dicomdock.dock.services.threads import Lazy

if TYPE_CHECKING:
    from dicomdock.dicom.resource import Resource
    from dicomdock.dicomweb import Client
    from dicomdock.sources import JsonValue
    from dicomdock.transfer import Runner, Transfer, TransferQueue

# A list that looks up what arrived does so about once a second while a transfer runs, and at its end.
ARRIVALS_EVERY = 1.0  # seconds


class PullObserver(Protocol):
    """Learns of downloads."""

    def pull_started(self, study: str) -> None:
        """Handle the queueing of a download of the study; called before it can end."""

    def pull_ended(self, study: str, reason: str) -> None:
        """Handle the end of the last download of the study; ``reason``: why incomplete, or empty."""


class Downloads:
    """The downloads that are queued or run, by study.

    Parameters
    ----------
    queue : all transfers.
    """

    def __init__(self, queue: Lazy[TransferQueue]) -> None:
        self._queue = queue
        self._first: dict[str, str | None] = {}

    def of(self, study: str) -> Transfer | None:
        """Return the download that brings a study, or more of it."""
        return next((one for one in self._running() if study in one.studies), None)

    def studies(self) -> set[str]:
        """Return the UIDs of the studies that are being downloaded, or wait for it."""
        return {study for transfer in self._running() for study in transfer.studies}

    def prioritise(self, resource: Resource) -> None:
        """Download this series of a study first."""
        self._first[resource.study] = resource.series

    def first_series(self, study: str) -> str | None:
        """Return the series of a study that somebody waits for."""
        return self._first.get(study)

    def forget(self, study: str) -> None:
        """Forget what somebody waited for: the study has come."""
        self._first.pop(study, None)

    def _running(self) -> list[Transfer]:
        return [one for one in self._queue.get().latest() if one.kind == "pull" and not one.ended]


class Transfers:
    """Queues and runs transfers, and publishes how far they are. Thread-safe; methods may block.

    Parameters
    ----------
    settings : how many run side by side.
    queue : the transfers of this user, those of other processes too.
    downloads : the same, for who waits for a study.
    local : where downloads go, and uploads come from.
    connect : opens a connection by its name.
    events : is informed of changes.
    """

    def __init__(
        self,
        settings: Settings,
        queue: Lazy[TransferQueue],
        downloads: Downloads,
        local: LocalArchive,
        connect: Callable[[str], Client],
        events: Events,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._downloads = downloads
        self._local = local
        self._connect = connect
        self._events = events
        self._observers: list[PullObserver] = []
        self._runner: Runner | None = None
        self._lock = threading.RLock()
        self._closed = False
        self._published: dict[int, float] = {}

    @property
    def queue(self) -> TransferQueue:
        """The transfers as they are recorded."""
        return self._queue.get()

    def observe(self, observer: PullObserver) -> None:
        """Inform this one of downloads."""
        self._observers.append(observer)

    def start(self) -> None:
        """Resume what was interrupted, and wait for more."""
        from dicomdock.transfer import Runner

        with self._lock:
            if self._runner is None and not self._closed:
                self._runner = Runner(
                    self.queue,
                    self._local.archive,
                    self._connect,
                    self._settings,
                    changed=self._changed,
                    wanted=self._downloads.first_series,
                )
                self._runner.start()

    def pull(self, server: str, resources: Iterable[Resource]) -> Transfer:
        """Queue a download into the archive, without what another one that has not ended brings."""
        wanted = list(dict.fromkeys(resources))
        with self._lock:  # two requests of the same moment are one
            coming = [
                (one, Resource.parse(resource))
                for one in self.queue.active("pull", server)
                for resource in one.resources
            ]
            left = [one for one in wanted if not any(known.contains(one) for _, known in coming)]
            if wanted and not left:
                return next(one for one, known in coming if known.contains(wanted[0]))
            transfer = self.queue.add("pull", server, map(str, left), options={"background": True})
        return self._enqueue(transfer)

    def push(
        self,
        server: str,
        resources: Iterable[Resource],
        *,
        on_duplicate: str = "skip",
        deidentify: str = "",
    ) -> Transfer:
        """Queue an upload from the archive.

        Parameters
        ----------
        deidentify : send de-identified copies by this profile; empty for the instances as they are.
        """
        options: dict[str, JsonValue] = {"background": True, "on_duplicate": on_duplicate}
        if deidentify:
            from dicomdock.transfer.deidentified import options_for

            options |= options_for(deidentify, None, None)
        return self._enqueue(self.queue.add("push", server, map(str, resources), options=options))

    def request(self, transfer: int, request: Literal["pause", "cancel"]) -> None:
        """Ask a transfer to pause or end."""
        self.queue.request(transfer, request)
        self._changed(transfer)

    def resume(self, transfer: int) -> Transfer:
        """Queue a paused or failed transfer again."""
        return self._enqueue(self.queue.resume(transfer))

    def close(self) -> None:
        """Pause what runs; it is resumed by the next start."""
        with self._lock:
            self._closed = True
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.stop()

    # Inner

    def _enqueue(self, transfer: Transfer) -> Transfer:
        if transfer.kind == "pull":
            for study in transfer.studies:
                for observer in self._observers:
                    observer.pull_started(study)
        self.start()
        if self._runner is not None:
            self._runner.wake()
        self._changed(transfer.id)
        return transfer

    def _changed(self, number: int) -> None:
        self._events.publish(TransferChanged(number))
        transfer = self.queue.get(number)
        now = time.monotonic()
        if not transfer.ended and now < self._published.get(number, 0.0) + ARRIVALS_EVERY:
            return
        self._published[number] = now
        if transfer.kind == "pull":
            for study in transfer.studies:
                self._events.publish(ArchiveChanged(study))
                if transfer.ended and self._downloads.of(study) is None:
                    self._pull_ended(study, transfer)
            if transfer.ended and self._local.settings.archive_limit:
                self._local.evict()
        elif transfer.ended:
            self._local.archive.query_cache.drop(transfer.server)
            for study in transfer.studies:
                self._events.publish(ServerChanged(transfer.server, study))

    def _pull_ended(self, study: str, transfer: Transfer) -> None:
        self._downloads.forget(study)
        failed = "Some of its images could not be downloaded; its page in dicomdock says why."
        reason = "" if transfer.state == "done" else transfer.message or failed
        for observer in self._observers:
            observer.pull_ended(study, reason)
