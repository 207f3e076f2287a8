"""Ask a server about a study while it is being downloaded, so that its viewer can show more than has come.

A server lists the series of a study in a moment, and describes the images of one in less time than it sends
them: with both a viewer can show where images will be, and the first of them as soon as it arrives.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.query import SERIES_OVERVIEW, Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from dicomdock.dicomweb import Client
    from dicomdock.transfer import Transfer

PATIENCE = 2.0  # seconds for a server to list its series; opening waits no longer
# A series that has arrived by then needs no description, which would only take the server's time from its
# images.
DELAY = 0.5  # seconds
SIDE_BY_SIDE = 4  # questions at once

log = logging.getLogger(__name__)


class Prefetch:
    """Asks servers about studies on their way. Thread-safe.

    Parameters
    ----------
    connect : opens a connection by its name.
    """

    def __init__(self, connect: Callable[[str], Client]) -> None:
        self._connect = connect
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="prefetch")
        self._lists: dict[tuple[int, str], Future[list[DicomJson]]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def series(self, transfer: Transfer, study: str) -> Sequence[DicomJson]:
        """Return the series of a study that a transfer brings; none where its server takes too long."""
        with self._lock:
            asked = self._lists.get((transfer.id, study))
            if asked is None:
                asked = self._lists[transfer.id, study] = self._pool.submit(self._list, transfer, study)
        try:
            return asked.result(PATIENCE)
        except (TimeoutError, CancelledError, DicomdockError) as error:
            log.info("The series of a study that is opened are not known yet: %s", error)
            return ()

    def describe(
        self,
        series: Resource,
        needed: Callable[[], Transfer | None],
        deliver: Callable[[Resource, Sequence[DicomJson]], None],
    ) -> None:
        """Request the server's metadata of a series; returns at once.

        Parameters
        ----------
        series : the series.
        needed : returns the download that brings it, or None where the answer would be of no use any more.
        deliver : called with the answer.
        """
        if not self._closed.is_set():
            self._pool.submit(self._describe, series, needed, deliver)

    def forget(self, study: str) -> None:
        """Forget the answers about a study that has come."""
        with self._lock:
            for key in [key for key in self._lists if key[1] == study]:
                del self._lists[key]

    def close(self) -> None:
        """Ask nothing more."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _list(self, transfer: Transfer, study: str) -> list[DicomJson]:
        brought = [Resource.parse(one) for one in transfer.resources]
        query = Query("series", {"StudyInstanceUID": study}, fields=SERIES_OVERVIEW)
        found: list[DicomJson] = []
        with self._connect(transfer.server) as client:
            for page in client.search(query):
                found += [match.attributes for match in page.matches]
        return [
            one
            for one in found
            if (uid := text(one, "SeriesInstanceUID"))
            and any(resource.contains(Resource(study, uid)) for resource in brought)
        ]

    def _describe(
        self,
        series: Resource,
        needed: Callable[[], Transfer | None],
        deliver: Callable[[Resource, Sequence[DicomJson]], None],
    ) -> None:
        self._closed.wait(DELAY)
        transfer = None if self._closed.is_set() else needed()
        if transfer is None:
            return
        try:
            with self._connect(transfer.server) as client:
                deliver(series, list(client.metadata(series)))
        except DicomdockError as error:  # the viewer goes by the images themselves then
            log.info("What a server says about a series that is opened is not known: %s", error)
