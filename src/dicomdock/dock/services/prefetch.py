"""Ahead: what a viewer is told of a study while that is still on its way, and what its download does first.

A server lists the series of a study in a moment, and describes the images of one in less time than it sends
them: with both a viewer can show where images will be, and the first of them as soon as it is here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import SERIES_OVERVIEW, Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError
from dicomdock.sources import DicomJson

if TYPE_CHECKING:
    from dicomdock.dock.service import Dock
    from dicomdock.transfer import Transfer

PATIENCE = 2.0  # seconds for a server to list its series; opening waits no longer
# A series that is here by then needs no description, which would only take the server's time from its images.
HASTE = 0.5  # seconds
SIDE_BY_SIDE = 4  # questions at once

log = logging.getLogger(__name__)


class Ahead:
    """Asks servers about studies that are opened while they are downloaded. Thread-safe.

    Parameters
    ----------
    dock : connects, and has the viewers.
    """

    def __init__(self, dock: Dock) -> None:
        self._dock = dock
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="ahead")
        self._lists: dict[tuple[int, str], Future[list[DicomJson]]] = {}
        self._wanted: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Ask nothing more."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def series(self, transfer: Transfer, study: str) -> Sequence[DicomJson]:
        """Give the series of a study that a transfer brings; none where its server takes too long to say."""
        with self._lock:
            asked = self._lists.get((transfer.id, study))
            if asked is None:
                asked = self._lists[transfer.id, study] = self._pool.submit(self._list, transfer, study)
        try:
            return asked.result(PATIENCE)
        except (TimeoutError, CancelledError, DicomdockError) as error:
            log.info("The series of a study that is opened are not known yet: %s", error)
            return ()

    def want(self, resource: Resource) -> None:
        """Let a study's download bring this series first."""
        self._wanted[resource.study] = resource.series

    def wanted(self, study: str) -> str | None:
        """Give the series of a study that somebody waits for."""
        return self._wanted.get(study)

    def looked_at(self, series: Resource) -> None:
        """Take notice that a viewer shows a series; returns at once."""
        self.want(series)
        if not self._closed.is_set():
            self._pool.submit(self._describe, series)

    def ended(self, study: str) -> None:
        """Forget a study that has come."""
        with self._lock:
            self._wanted.pop(study, None)
            for key in [key for key in self._lists if key[1] == study]:
                del self._lists[key]

    def _list(self, transfer: Transfer, study: str) -> list[DicomJson]:
        brought = [Resource.parse(one) for one in transfer.resources]
        query = Query("series", {"StudyInstanceUID": study}, fields=SERIES_OVERVIEW)
        found = []
        with self._dock.connect(transfer.server) as client:
            for page in client.search(query):
                found += [match.attributes for match in page.matches]
        return [
            one
            for one in found
            if (uid := text(one, "SeriesInstanceUID"))
            and any(wish.contains(Resource(study, uid)) for wish in brought)
        ]

    def _describe(self, series: Resource) -> None:
        """Tell the viewer what the server says about the images of a series that takes long to come."""
        self._closed.wait(HASTE)
        transfer = self._dock.coming(series.study)
        if transfer is None or self._closed.is_set() or self.wanted(series.study) != series.series:
            return
        if self._is_here(series, self.series(transfer, series.study)):
            return
        try:
            with self._dock.connect(transfer.server) as client:
                self._dock.viewers.expect(series, list(client.metadata(series)))
        except DicomdockError as error:  # the viewer goes by the images themselves then
            log.info("What a server says about a series that is opened is not known: %s", error)

    def _is_here(self, series: Resource, listed: Sequence[DicomJson]) -> bool:
        """Tell whether all of a series has come, by the number that its server gives."""
        described = next((one for one in listed if text(one, "SeriesInstanceUID") == series.series), {})
        count = text(described, "NumberOfSeriesRelatedInstances")
        return count.isdecimal() and 0 < int(count) <= len(self._dock.archive.present(series))
