"""Make room by removing what was not used for longest and is on a server too.

The unit is the series. Never removed: what is pinned, what this program created, and what no server is known
to have.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import (
    bytes_in,
    mark_sent,
    mark_used,
    remove_rows,
    series_not_used_since,
    set_pinned,
)
from dicomdock.archive.problems import not_in_archive
from dicomdock.archive.recovery import remove_deleted_files
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.journal import BATCH, Pinned, Sent, uids_of
from dicomdock.dicom.resource import Resource

AT_ONCE = 100  # series that are looked for, and then removed, at once
USE_GRAIN = 600.0  # seconds; use is noted no finer, so that reading seldom writes
SEEN = 10_000  # studies and series whose use is known without asking the index

# Series of which nothing is pinned, made here, or on no server. With NOT EXISTS around all of it PostgreSQL
# would look at every instance of the archive first.
_EVICTABLE = """
SELECT study."StudyInstanceUID", series."SeriesInstanceUID", series.size, series.used, series.id
FROM series JOIN study ON series.study = study.id
WHERE NOT series.pinned AND NOT study.pinned AND (
    SELECT 1 FROM instance
    WHERE instance.series = series.id AND (
        instance.pinned OR instance.made_here
        OR (instance.origin = '' AND NOT EXISTS (SELECT 1 FROM sent WHERE sent.instance = instance.id))
    )
    LIMIT 1
) IS NULL
"""
_NEXT = f"{_EVICTABLE} AND (series.used, series.id) > (?, ?) ORDER BY series.used, series.id LIMIT ?"
_STILL = f"{_EVICTABLE} AND series.id = ? AND series.used = ?"


@dataclass(frozen=True, slots=True)
class Eviction:
    """What was evicted.

    Parameters
    ----------
    removed : the series.
    freed : bytes.
    left : bytes that the archive holds now; above the limit where nothing more may be evicted.
    """

    removed: tuple[Resource, ...]
    freed: int
    left: int


def evict(files: Files, index: Index, limit: int) -> Eviction:
    """Remove the least recently used series until no more than ``limit`` bytes are stored."""
    removed: list[Resource] = []
    freed = 0
    last: tuple[float, int] = (-1.0, 0)
    with index.reading() as connection:
        held = bytes_in(connection)
    while held - freed > limit:
        # Nobody waits while they are looked for, so that each is looked at once more before it goes.
        with index.reading() as connection:
            candidates = connection.all(_NEXT, *last, AT_ONCE)
        if not candidates:
            break
        with index.writing() as connection:
            for study_uid, series_uid, _, used, number in candidates:
                if held - freed <= limit:
                    break
                last = used, number
                row = connection.first(_STILL, number, used)
                if row is None:
                    continue
                resource = Resource(study_uid, series_uid)
                remove_rows(connection, files.storage, resource)
                removed.append(resource)
                freed += row[2]
    if removed:
        files.reached("remove: rows removed")
        remove_deleted_files(files, index)
    return Eviction(tuple(removed), freed, held - freed)


class Retention:
    """Which instances stay in the archive: pins, what servers are known to have, and the limit.

    Parameters
    ----------
    files, index : of the archive.
    limit : bytes that the archive may hold; 0 for no limit.
    """

    def __init__(self, files: Files, index: Index, limit: int) -> None:
        self._files, self._index, self._limit = files, index, limit
        self._seen: dict[Resource, float] = {}  # until when the use of a study or series needs no note

    def note_use(self, resource: Resource) -> None:
        """Note that the series of a resource are in use.

        The index is asked for each study or series once in a tenth of the grain: who retrieves a series
        instance by instance would ask it for each.
        """
        if self._files.read_only:
            return
        whole, now = Resource(resource.study, resource.series), time.monotonic()
        if now < self._seen.get(whole, now):
            return
        with self._index.reading() as connection:
            stale = series_not_used_since(connection, whole, time.time() - USE_GRAIN)
        if stale:
            with self._index.writing() as connection:
                mark_used(connection, stale)
        if len(self._seen) >= SEEN:
            self._seen.clear()
        self._seen[whole] = now + USE_GRAIN / 10

    def pin(self, resource: Resource) -> None:
        """Exempt a study, series or instance from eviction, and what is added to it.

        Raises
        ------
        NotInArchive
            Nothing of it is in the archive.
        """
        self._set(resource, pinned=True)

    def unpin(self, resource: Resource) -> None:
        """Allow eviction again, of everything below too.

        Raises
        ------
        NotInArchive
            Nothing of it is in the archive.
        """
        self._set(resource, pinned=False)

    def evict(self, limit: int | None = None) -> Eviction:
        """Remove the least recently used series until the archive holds no more than ``limit`` bytes.

        Never what is pinned, was created by this program, or is not known to be on a server.

        Parameters
        ----------
        limit : bytes; None for the setting ``archive_limit``, where 0 means none.
        """
        self._files.check_writable()
        if limit is None:
            limit = self._limit or sys.maxsize
        return evict(self._files, self._index, limit)

    def set_limits(self, *, limit: int, free_space_floor: int) -> None:
        """Change the limits from now on.

        Parameters
        ----------
        limit : bytes that the archive may hold; 0 for no limit.
        free_space_floor : bytes that must stay free on the disk.
        """
        self._limit = limit
        self._files.floor = free_space_floor

    def record_sent(self, instances: Iterable[Resource], server: str) -> None:
        """Record that a server confirmed to have stored instances; those not in the archive are ignored."""
        if self._files.read_only:
            return
        at = time.time()
        with self._index.writing() as connection:
            marked = mark_sent(connection, instances, server, at)
            # Kill-proof; after a power cut a mark that is lost only keeps its instance from eviction.
            uids = [uids_of(one) for one in marked]
            records = [Sent(server, uids[start : start + BATCH], at) for start in range(0, len(uids), BATCH)]
            self._files.journal.append(records, sync=False)
            self._files.reached("sent: in the journal")

    def _set(self, resource: Resource, *, pinned: bool) -> None:
        self._files.check_writable()
        with self._index.writing() as connection:
            if not set_pinned(connection, resource, pinned):
                raise not_in_archive(resource)
            self._files.journal.append([Pinned(uids_of(resource), pinned)])
            self._files.reached("pin: in the journal")
