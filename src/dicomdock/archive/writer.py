"""ArchiveWriter: instances on their way into the archive.

Bytes go to a temporary file as they come and are digested on the way. Whole files are gathered in groups; a
thread of the writer's own syncs a group, renames it to its place and puts its rows in, while the next one is
received.
"""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from dicomdock.archive.commit import keep
from dicomdock.archive.index.attributes import WANTED
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.mapping import PATIENT_ID, patient_id_of
from dicomdock.archive.index.queries import digests, patient_of
from dicomdock.archive.pending import AddStatus, Arrival
from dicomdock.archive.storage.local import Files, Session, begin_sync, digest_or_none, disk_errors, mapped
from dicomdock.dicom.part10 import HEAD, read_header
from dicomdock.dicom.resource import Resource
from dicomdock.errors import WireError
from dicomdock.sources import Part

GROUP_FILES = 128
GROUP_BYTES = 64 << 20
GROUP_SECONDS = 0.5  # until what arrived slowly is there for those who look at it meanwhile
GROUPS_WAITING = 8  # the disk is slower than the network then, and must be waited for
SPACE_CHECK = 64 << 20  # bytes written between two looks at the free space


@dataclass(frozen=True, slots=True)
class AddResult:
    """What became of an instance given to the archive.

    Parameters
    ----------
    resource : the instance, as its own bytes name it.
    status : ``stored``; ``identical`` (it was there already); ``conflict`` (its UID was there with other
        bytes, which were kept); ``replaced`` (so, but the new ones were wanted, or the file was damaged).
    size : bytes.
    remarks : what is odd about it although it is stored, a sentence each.
    """

    resource: Resource
    status: AddStatus
    size: int
    remarks: tuple[str, ...] = ()


class UnexpectedInstance(WireError):
    """An instance of another resource than was asked for.

    Parameters
    ----------
    expected : what was asked for.
    resource : what came.
    """

    def __init__(self, expected: Resource, resource: Resource) -> None:
        super().__init__(f"An instance of {expected} was expected, but {resource} came.")
        self.resource = resource


class ArchiveWriter:
    """Adds instances, from several threads at once; made by ``Archive.writer``.

    Leaving the ``with`` block keeps all that was added, after an error too.
    """

    def __init__(self, files: Files, index: Index, *, origin: str, made_here: bool, replace: bool) -> None:
        self._files = files
        self._index = index
        self._origin = origin
        self._made_here = made_here
        self._replace = replace
        with disk_errors("Writing to the archive"):
            files.check_space()
            self._session = Session(files.incoming)
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], dict[str, str]] = {}
        self._patients: dict[str, tuple[str | None, bytes | None]] = {}
        self._registered_here: set[Resource] = set()
        self._group: list[Arrival] = []
        self._group_bytes = 0
        self._clock: threading.Timer | None = None
        self._since_check = 0
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="archive-keeper")
        self._room = threading.BoundedSemaphore(GROUPS_WAITING)
        self._waiting: list[Future[None]] = []
        self._failure: BaseException | None = None
        self._late: list[AddResult] = []

    def add(self, part: Part, expected: Resource | None = None) -> AddResult:
        """Receive an instance and register it.

        It is kept for good only by ``flush``, or when the block is left. Whatever fails leaves no trace.

        Parameters
        ----------
        part : used up here.
        expected : the instance must be this, or lie in this study or series.

        Raises
        ------
        WireError
            The part is not a whole DICOM instance, names no usable UIDs, or is not the expected one.
        NoSpace, ArchiveLocked, ArchiveError
            This cannot be kept, or something added before could not be; ``flush`` tells that once more, and
            is needed before more can be added.
        """
        return self.register(self.receive(part, expected))

    def receive(self, part: Part, expected: Resource | None = None) -> Arrival:
        """Write an instance to a temporary file: the first half of ``add``, which raises the same.

        The archive takes no notice of it before ``register``, so that instances received side by side can
        still come in in an order.
        """
        path = self._session.new_path()
        try:
            size, digest, head = self._write(part, path)
            header = read_header(head, size, partial(mapped, path), WANTED)
            resource = header.resource()
            _see_expected(expected, resource)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Arrival(resource, header, path, size, digest, self._replace)

    def register(self, arrival: Arrival) -> AddResult:
        """Let a received instance be kept, unless the archive has its UID: the second half of ``add``."""
        try:
            status = self._registered(arrival)
        except BaseException:
            arrival.written.unlink(missing_ok=True)
            raise
        if status in ("identical", "conflict"):
            arrival.written.unlink(missing_ok=True)
        return AddResult(arrival.resource, status, arrival.size, self._remarks(arrival))

    def flush(self) -> tuple[AddResult, ...]:
        """Keep for good all that was added so far.

        Returns
        -------
        Answers of ``add`` that turned out otherwise, because another process stored the same instance
        meanwhile.

        Raises
        ------
        NoSpace, ArchiveLocked, ArchiveError
            Something could not be kept; the next call tries no more.
        """
        with self._lock:
            self._close_group()
            waiting, self._waiting = self._waiting, []
        wait(waiting)
        with self._lock:
            failure, self._failure = self._failure, None
            if failure is not None:
                self._known.clear()  # some of it is not there after all
                raise failure
            late, self._late = tuple(self._late), []
        return late

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.flush()
        finally:
            self._keeper.shutdown()
            self._session.close()

    def _write(self, part: Part, path: Path) -> tuple[int, str, bytes]:
        """Write the bytes of a part; give their number, digest and beginning."""
        digest = hashlib.sha256()
        size = 0
        beginning: list[bytes] = []
        with disk_errors("Writing to the archive"), path.open("xb", buffering=0) as file:
            for chunk in part.chunks():
                if size < HEAD:
                    beginning.append(bytes(memoryview(chunk)[: HEAD - size]))
                size += len(chunk)
                self._mind_space(len(chunk))
                digest.update(chunk)
                written = file.write(chunk)
                while written < len(chunk):
                    written += file.write(memoryview(chunk)[written:])
            begin_sync(file.fileno(), size)
        return size, digest.hexdigest(), b"".join(beginning)

    def _mind_space(self, size: int) -> None:
        self._since_check += size  # a race between threads only moves the next look a little
        if self._since_check >= SPACE_CHECK:
            self._since_check = 0
            self._files.check_space()

    def _registered(self, arrival: Arrival) -> AddStatus:
        resource = arrival.resource
        assert resource.series
        assert resource.instance
        known = self._digests(resource.study, resource.series)
        there = known.get(resource.instance)
        if there is not None and resource not in self._registered_here:
            # A row of the index is no proof of its file, which may have been lost or damaged since.
            path = self._files.path(resource)
            if there == arrival.digest:
                arrival = replace(arrival, repair=digest_or_none(path) != arrival.digest)
            elif not path.exists():
                arrival = replace(arrival, replace=True)
        with self._lock:
            if self._failure is not None:
                raise self._failure
            there = known.get(resource.instance)
            if there == arrival.digest and not arrival.repair:
                return "identical"
            if there is not None and there != arrival.digest and not arrival.replace:
                return "conflict"
            if there is not None and any(resource == one.resource for one in self._group):
                self._close_group()  # the one to be replaced is put in first
            known[resource.instance] = arrival.digest
            self._registered_here.add(resource)
            if not self._group:
                self._clock = threading.Timer(GROUP_SECONDS, self._close_late, (self._group,))
                self._clock.daemon = True
                self._clock.start()
            self._group.append(arrival)
            self._group_bytes += arrival.size
            if len(self._group) >= GROUP_FILES or self._group_bytes >= GROUP_BYTES:
                self._close_group()
        return "stored" if there is None else "replaced"

    def _remarks(self, arrival: Arrival) -> tuple[str, ...]:
        found = []
        if trailing := arrival.header.trailing:
            found.append(f"{trailing} {'byte follows' if trailing == 1 else 'bytes follow'} its data set.")
        study, raw = arrival.resource.study, arrival.header.raw.get(PATIENT_ID)
        known, last = self._patients.get(study, (None, None))
        if known is not None and raw == last:
            return tuple(found)
        patient = patient_id_of(arrival.header)
        if known is None:
            with self._index.reading() as connection:
                known = patient_of(connection, study)
        known = known or patient
        if patient in ("", known):
            self._patients[study] = (known, raw)
        else:
            self._patients[study] = (known, last)
            found.append(f"It is of patient ID {patient!r}, other instances of its study are of {known!r}.")
        return tuple(found)

    def _digests(self, study: str, series: str) -> dict[str, str]:
        known = self._known.get((study, series))
        if known is None:
            with self._index.reading() as connection:
                found = digests(connection, study, series)
            with self._lock:
                known = self._known.setdefault((study, series), found)
        return known

    def _close_late(self, group: list[Arrival]) -> None:
        with self._lock:
            if self._group is group:
                self._close_group()

    def _close_group(self) -> None:
        """Hand the gathered group to the keeper; the lock is held."""
        if self._clock is not None:
            self._clock.cancel()
        if self._group:
            group, self._group, self._group_bytes = self._group, [], 0
            self._room.acquire()
            self._waiting.append(self._keeper.submit(self._keep, group))

    def _keep(self, group: list[Arrival]) -> None:
        """Sync a group, put it in its place and into the index; after a failure nothing more is tried."""
        try:
            if self._failure is None:
                outcomes = keep(
                    self._files,
                    self._index,
                    self._session,
                    group,
                    origin=self._origin,
                    made_here=self._made_here,
                )
                # One thread keeps, and flush reads this only when it is idle.
                self._late += [AddResult(one.resource, status, one.size) for one, status in outcomes]
        except BaseException as error:  # noqa: BLE001 - the job boundary: told by register and flush
            self._failure = error
        finally:
            self._room.release()


def _see_expected(expected: Resource | None, resource: Resource) -> None:
    if expected is not None and not expected.contains(resource):
        raise UnexpectedInstance(expected, resource)
