"""Write instances into the archive.

Bytes go to a temporary file as they come and are digested on the way. Whole files are gathered in groups; a
thread of the writer's own syncs a group, renames its files and inserts their rows, while the next one is
received.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from dicomdock.archive.commit import commit, prepare, sync_commits
from dicomdock.archive.group_commit import GroupCommit
from dicomdock.archive.index.attributes import WANTED
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import digests, is_indexed, known_rows
from dicomdock.archive.pending import AddStatus, PendingInstance
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.journal import private_file
from dicomdock.archive.storage.local import disk_errors, mapped
from dicomdock.archive.storage.sessions import Session
from dicomdock.archive.storage.syncing import begin_sync
from dicomdock.archive.study_remarks import StudyRemarks
from dicomdock.dicom.header import Header
from dicomdock.dicom.part10 import HEAD, read_header
from dicomdock.dicom.resource import Resource
from dicomdock.errors import WireError
from dicomdock.sources import Part

GROUP_FILES = 128
GROUP_BYTES = 64 << 20
GROUP_SECONDS = 0.5  # until what arrived slowly is there for those who look at it meanwhile
GROUPS_WAITING = 8  # the disk is slower than the network then, and must be waited for
LOOKED_UP = 4  # instances of a series that are looked up alone, before all of it are
NONE_INDEXED = 2  # which of them is not looked up where the index has none of the series: nor is any other
SPACE_CHECK = 64 << 20  # bytes written between two looks at the free space


@dataclass(frozen=True, slots=True)
class AddResult:
    """The outcome of adding an instance.

    Parameters
    ----------
    resource : the instance, as its own bytes name it.
    status : ``stored``; ``identical`` (it was there already); ``conflict`` (its UID was there with other
        bytes, which stay); ``replaced`` (so, but the new ones were wanted, or the file was damaged).
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

    Leaving the ``with`` block commits all that was added, after an error too.

    Parameters
    ----------
    origin, made_here, replace : as in ``Archive.writer``.
    together : commits with other writers, and only when a group is full or flushed.
    """

    def __init__(
        self,
        files: Files,
        index: Index,
        *,
        origin: str = "",
        made_here: bool = False,
        replace: bool = False,
        together: GroupCommit | None = None,
    ) -> None:
        self._files = files
        self._index = index
        self._origin = origin
        self._made_here = made_here
        self._replace = replace
        files.check_writable()
        with disk_errors("Writing to the archive"):
            files.check_space()
            self._leaving = ExitStack()
            self._session = (
                self._leaving.enter_context(together.session())
                if together
                else Session(files.incoming, partial(sync_commits, files, index))
            )
        self._together = together
        self._lock = threading.Lock()
        # By series and as bytes: of 100,000 instances that are added each takes little memory.
        self._known: dict[tuple[str, str], dict[str, bytes]] = {}
        self._added: dict[tuple[str, str], dict[str, bytes]] = {}
        self._study_remarks = StudyRemarks(index)
        self._looked_up: Counter[tuple[str, str]] = Counter()
        self._group: list[PendingInstance] = []
        self._group_bytes = 0
        self._clock: threading.Timer | None = None
        self._since_check = 0
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="archive-commit")
        self._room = threading.BoundedSemaphore(GROUPS_WAITING)
        self._waiting: list[Future[None]] = []
        self._committing = threading.Lock()
        self._failure: BaseException | None = None
        self._late: list[AddResult] = []

    def add(self, part: Part, expected: Resource | None = None) -> AddResult:
        """Receive an instance and register it.

        It is committed by ``flush``, or when the block is left. Whatever fails leaves no trace.

        Parameters
        ----------
        part : its bytes are consumed.
        expected : the instance must be this, or lie in this study or series.

        Raises
        ------
        WireError
            The part is not a whole DICOM instance, names no usable UIDs, or is not the expected one.
        NoSpace, ArchiveLocked, ArchiveError
            This cannot be stored, or something added before could not be; ``flush`` raises that once more,
            and is needed before more can be added.
        """
        return self.register(self.receive(part, expected))

    def receive(self, part: Part, expected: Resource | None = None) -> PendingInstance:
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
            self._files.reached("receive: written")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        remarks = tuple(_remarks(header, part.length, size))
        return PendingInstance(resource, header, path, size, digest, self._replace, remarks=remarks)

    def register(self, item: PendingInstance) -> AddResult:
        """Queue a received instance for the commit, unless its UID is known: the second half of ``add``."""
        try:
            status = self._registered(item)
        except BaseException:
            item.temporary.unlink(missing_ok=True)
            raise
        if status in ("identical", "conflict"):
            item.temporary.unlink(missing_ok=True)
        remarks = (*item.remarks, *self._study_remarks.of(item))
        return AddResult(item.resource, status, item.size, remarks)

    def flush(self) -> tuple[AddResult, ...]:
        """Commit all that was added so far.

        Returns
        -------
        Answers of ``add`` that turned out otherwise, because another process stored the same instance
        meanwhile.

        Raises
        ------
        NoSpace, ArchiveLocked, ArchiveError
            Something could not be stored; the next call does not try again.
        """
        with ExitStack() as alone:
            with self._lock:
                group = self._taken_group()
                waiting, self._waiting = self._waiting, []
                if group and not waiting:
                    # No thread is needed for it, and the lock keeps the next group behind it.
                    self._room.acquire()
                    alone.enter_context(self._committing)
                elif group:
                    waiting.append(self._submitted(group))
            if group and not waiting:
                self._commit_locked(group)
        wait(waiting)
        with self._lock:
            failure, self._failure = self._failure, None
            if failure is not None:
                self._known.clear()
                self._added.clear()  # some of it is not there after all
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
            self._committer.shutdown()
            if self._together is None:
                self._session.close()
            self._leaving.close()

    def _write(self, part: Part, path: Path) -> tuple[int, str, bytes]:
        """Write the bytes of a part; return their number, digest and beginning."""
        digest = hashlib.sha256()
        size = 0
        beginning: list[bytes] = []
        with disk_errors("Writing to the archive"), private_file(path, os.O_EXCL) as file:
            for chunk in part.chunks():
                if size < HEAD:
                    beginning.append(bytes(memoryview(chunk)[: HEAD - size]))
                size += len(chunk)
                self._watch_space(len(chunk))
                digest.update(chunk)
                written = file.write(chunk)
                while written < len(chunk):
                    written += file.write(memoryview(chunk)[written:])
            begin_sync(file.fileno(), size)
        return size, digest.hexdigest(), b"".join(beginning)

    def _watch_space(self, size: int) -> None:
        self._since_check += size  # a race between threads only moves the next look a little
        if self._since_check >= SPACE_CHECK:
            self._since_check = 0
            self._files.check_space()

    def _registered(self, item: PendingInstance) -> AddStatus:
        resource = item.resource
        assert resource.series
        assert resource.instance
        digest = bytes.fromhex(item.digest)
        added = self._added.setdefault((resource.study, resource.series), {})
        there = added.get(resource.instance)
        if there is None and (there := self._indexed(resource)) is not None:
            # A row of the index is not a proof of its file, which may have been lost or damaged since.
            storage = self._files.storage
            if there == digest:
                item = replace(item, repair=storage.digest(item.key(storage)) != item.digest)
            elif not storage.existing([item.key(storage, there.hex())]):
                item = replace(item, replace=True)
        with self._lock:
            if self._failure is not None:
                raise self._failure
            there = added.get(resource.instance, there)
            if there == digest and not item.repair:
                return "identical"
            if there is not None and there != digest and not item.replace:
                return "conflict"
            if there is not None and any(resource == one.resource for one in self._group):
                self._close_group()  # the one to be replaced is committed first
            added[resource.instance] = digest
            if not self._group and self._together is None:
                self._clock = threading.Timer(GROUP_SECONDS, self._close_late, (self._group,))
                self._clock.daemon = True
                self._clock.start()
            self._group.append(item)
            self._group_bytes += item.size
            if len(self._group) >= GROUP_FILES or self._group_bytes >= GROUP_BYTES:
                self._close_group()
        return "stored" if there is None else "replaced"

    def _indexed(self, resource: Resource) -> bytes | None:
        """Return the digest that the index has of an instance.

        The first ones of a series are looked up alone, then all of it is read at once: nothing, where the
        index has none of it yet.
        """
        key = (resource.study, resource.series or "")
        known = self._known.setdefault(key, {})
        uid = resource.instance or ""
        if uid in known or self._looked_up[key] > LOOKED_UP:
            return known.get(uid)
        self._looked_up[key] += 1
        with self._index.reading() as connection:
            if self._looked_up[key] == NONE_INDEXED and not is_indexed(connection, Resource(*key)):
                self._looked_up[key] = LOOKED_UP + 1
                found = {}
            elif self._looked_up[key] > LOOKED_UP:
                found = digests(connection, *key)
            else:
                rows = known_rows(connection, [resource])
                found = {one.instance or "": digest for one, (_, digest) in rows.items()}
        with self._lock:
            for one, digest in found.items():
                known.setdefault(one, bytes.fromhex(digest))
        return known.get(uid)

    def _close_late(self, group: list[PendingInstance]) -> None:
        with self._lock:
            if self._group is group:
                self._close_group()

    def _close_group(self) -> None:
        """Pass the gathered group to the commit thread; the lock is held."""
        if group := self._taken_group():
            self._waiting.append(self._submitted(group))

    def _taken_group(self) -> list[PendingInstance]:
        if self._clock is not None:
            self._clock.cancel()
        group, self._group, self._group_bytes = self._group, [], 0
        return group

    def _submitted(self, group: list[PendingInstance]) -> Future[None]:
        self._room.acquire()
        return self._committer.submit(self._commit, group)

    def _commit(self, group: list[PendingInstance]) -> None:
        with self._committing:
            self._commit_locked(group)

    def _commit_locked(self, group: list[PendingInstance]) -> None:
        """Commit a group; after a failure nothing more is tried."""
        try:
            if self._failure is None:
                origin, made_here = self._origin, self._made_here
                note = prepare(
                    self._files, self._index, self._session, group, origin=origin, made_here=made_here
                )
                if self._together is not None:
                    outcomes = self._together.commit(self._session, group, note)
                else:
                    outcomes = commit(
                        self._files, self._index, group, [note], origin=origin, made_here=made_here
                    )
                self._session.finished(note, sum(item.size for item in group))
                # One group is committed at a time, and flush reads this only when none is.
                self._late += [AddResult(one.resource, status, one.size) for one, status in outcomes]
        except BaseException as error:  # noqa: BLE001 - the job boundary: raised by register and flush
            self._failure = error
        finally:
            self._room.release()


def _remarks(header: Header, length: int | None, size: int) -> Iterator[str]:
    """Return what is odd about the bytes of an instance, which is recorded with it."""
    if trailing := header.trailing:
        yield f"{trailing} {'byte follows' if trailing == 1 else 'bytes follow'} its data set."
    if header.obstacle:
        yield (
            f"{header.obstacle}; what follows it is not among the metadata, "
            "and pixels behind it are not shown."
        )
    if length is not None and length != size:
        yield f"It was declared to have {length} bytes, but {size} came."


def _see_expected(expected: Resource | None, resource: Resource) -> None:
    if expected is not None and not expected.contains(resource):
        raise UnexpectedInstance(expected, resource)
