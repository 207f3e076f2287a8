"""Store the files of instances on disk, so that none is ever seen half-written.

``files/<study>/<series>/<instance>.dcm``, each name a digest of the UID. A file is written in a session's own
folder under ``incoming/``, synced, and renamed to its final path. The session holds a lock while it lives,
so that the leftovers of a killed one are known as such.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import mmap
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from dicomdock.archive.storage.journal import Journal, private_file
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, NoSpace

NAME_LENGTH = 32  # hexadecimal digits: 128 bits, so that two UIDs never share a name
SUFFIX = ".dcm"
COPY = ".part"  # of a file that is on its way from another disk
BLOCK = 1 << 20  # bytes read at once to digest a file
MANY = 8  # files from which on one sync of the whole file system is quicker
LARGE = 1 << 18  # bytes from which on a file is sent to the disk before its group is
REMEMBERED = 200_000  # files that are known to be intact
_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin to write, and do not wait
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# The moments at which a crash leaves different work for recovery; the tests end the process at each of them.
Moment: TypeAlias = Literal[
    "open: folders made",
    "open: index ready",
    "receive: written",
    "commit: announced",
    "commit: synced",
    "commit: one renamed",
    "commit: renamed",
    "commit: in the journal",
    "commit: rows inserted",
    "commit: committed",
    "remove: rows removed",
    "remove: one file removed",
    "remove: in the journal",
    "pin: in the journal",
    "sent: in the journal",
    "recover: adopted",
    "journal: from the index",
    "rebuild: announced",
    "rebuild: moved aside",
    "rebuild: tables made",
    "rebuild: some adopted",
    "rebuild: filled",
]


def name_of(uid: str) -> str:
    """Return the file name of a UID; nothing of the UID itself is in it."""
    return hashlib.sha256(uid.encode("utf-8")).hexdigest()[:NAME_LENGTH]


def relative_path(study: str, series: str, instance: str) -> str:
    """Return the path of an instance below ``files/``, with slashes."""
    return f"{name_of(study)}/{name_of(series)}/{name_of(instance)}{SUFFIX}"


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn the system's errors into ours.

    Raises
    ------
    NoSpace
        The disk is full.
    ArchiveError
        Anything else that the system refused.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(f"The disk is full: {what} stopped.") from error
        raise ArchiveError(
            f"{what} failed: {error.strerror or error} ({error.filename or 'no file named'})."
        ) from error


class Files:
    """The archive's folder.

    Parameters
    ----------
    root : the folder; made by ``make``.
    floor : bytes that must stay free on its disk.
    on_first : called when the first instances are about to be in the archive.

    Attributes
    ----------
    journal : what the files do not say of themselves.
    read_only : nothing can be written to the folder.
    """

    def __init__(self, root: Path, floor: int, on_first: Callable[[], None] = lambda: None) -> None:
        self.root = root
        self.folder = root / "files"
        self.incoming = root / "incoming"
        self.floor = floor
        self.read_only = root.is_dir() and not (
            os.access(root, os.W_OK) and os.access(self.folder if self.folder.is_dir() else root, os.W_OK)
        )
        self.journal = Journal(root / "journal", on_first, self.read_only)

    def make(self) -> None:
        """Make the folders that are missing, closed to other users."""
        with disk_errors(f"Opening the archive {self.root}"):
            # The root first: mkdir gives parents that it makes to everybody, and the index names patients.
            for folder in (self.root, self.folder, self.incoming):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.reached("open: folders made")

    def reached(self, moment: Moment) -> None:
        """Do nothing: the tests replace this, to end the process at one of these moments."""

    def check_writable(self) -> None:
        """See that the archive can be changed.

        Raises
        ------
        ArchiveError
            It cannot.
        """
        if self.read_only:
            raise ArchiveError(
                f"The archive {self.root} is read-only: nothing can be added to it or changed."
            )

    def path(self, resource: Resource) -> Path:
        """Return the file of an instance."""
        assert resource.series
        assert resource.instance
        return self.folder / relative_path(resource.study, resource.series, resource.instance)

    def check_space(self, needed: int = 0) -> None:
        """See that so many bytes can be written above the floor.

        Raises
        ------
        NoSpace
            They cannot.
        """
        free = shutil.disk_usage(self.incoming).free
        if free - needed < self.floor:
            free_mb, floor_mb = free >> 20, self.floor >> 20
            raise NoSpace(
                f"Only {free_mb} MB are free on the disk of {self.root}, and {floor_mb} MB must stay free "
                "(free_space_floor).",
                remedy="Free some space, or evict what is on a server too.",
            )

    def move(self, moves: Iterable[tuple[Path, Path]]) -> None:
        """Rename files to their final paths, durably."""
        touched: dict[Path, None] = {}
        for number, (written, target) in enumerate(moves):
            try:
                _move(written, target)
            except FileNotFoundError:
                target.parent.mkdir(parents=True, exist_ok=True)
                _move(written, target)
                touched |= dict.fromkeys((target.parent.parent, self.folder))
            touched[target.parent] = None
            if number == 0:
                self.reached("commit: one renamed")
        for folder in touched:
            _sync_folder(folder)

    def all(self, below: str = "") -> Iterator[Path]:
        """Return every file of an instance, or those below one folder."""
        for folder, _, names in os.walk(self.folder / below):
            yield from (Path(folder, name) for name in sorted(names))

    def discard(self, path: Path) -> None:
        """Remove a file, and the folders that it leaves empty."""
        path.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent):
            try:
                folder.rmdir()
            except OSError:  # not empty, or gone already
                return


def _move(written: Path, target: Path) -> None:
    """Rename a file; onto another disk, or across a mount point, it is copied beside its target first."""
    try:
        written.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target)) from error
        beside = target.with_name(target.name + COPY)
        with written.open("rb") as source, private_file(beside, os.O_TRUNC) as copy:
            shutil.copyfileobj(source, copy, BLOCK)
            os.fsync(copy.fileno())
        beside.replace(target)
        with suppress(OSError):
            written.unlink()


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest_or_none(path: Path) -> str | None:
    """Return the same; None where the file is gone or cannot be read."""
    try:
        return digest_of(path)
    except OSError:
        return None


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file that is not empty into memory, for reading."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        yield whole


class IntegrityCheck:
    """Compares files with the digests that they were stored with, each once until it changes."""

    def __init__(self) -> None:
        self._intact: dict[Path, tuple[int, int, int]] = {}

    def is_intact(self, path: Path, size: int, digest: str) -> bool:
        """Return whether a file is there with the bytes that it was stored with."""
        try:
            stat = path.stat()
        except OSError:
            return False
        if stat.st_size != size:
            return False
        state = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
        if self._intact.get(path) == state:
            return True
        if digest_or_none(path) != digest:
            return False
        if len(self._intact) >= REMEMBERED:
            self._intact.clear()
        self._intact[path] = state
        return True


def has_size(path: Path, size: int) -> bool:
    """Return whether a file is there with this size."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def begin_sync(descriptor: int, size: int) -> None:
    """Let the system begin to write a file to the disk, so that its sync has less to wait for.

    It promises nothing, and small files it would only delay.
    """
    if size >= LARGE and (begin := _system_call("sync_file_range")) is not None:
        begin(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _WRITE)


def sync_files(paths: Sequence[Path]) -> None:
    """Make written files, which are on one disk, durable."""
    # A disk flushes its cache for each fsync; under load 128 of them took six times as long as one of these.
    whole = _system_call("syncfs") if len(paths) >= MANY else None
    if whole is not None:
        with paths[0].open("rb") as file:
            if whole(file.fileno()):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return
    for path in paths:
        with path.open("r+b", buffering=0) as file:
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # a folder cannot be opened there, and renaming is journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@cache
def _system_call(name: str) -> Callable[..., int] | None:
    """Return a system call that Python does not wrap; None where the system does not have it."""
    try:
        call: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError, TypeError):  # not Linux
        return None
    return call
