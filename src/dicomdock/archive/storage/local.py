"""Store the files of instances on disk, so that none is ever seen half-written.

``files/<study>/<series>/<instance>.dcm``, each name a digest of the UID. A file is written in a session's own
folder under ``incoming/``, synced, and renamed to its final path. The session holds a lock while it lives,
so that the leftovers of a killed one are known as such.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import itertools
import json
import mmap
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from dicomdock.config.lock import FileLock
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, NoSpace

NAME_LENGTH = 32  # hexadecimal digits: 128 bits, so that two UIDs never share a name
SUFFIX = ".dcm"
NOTE = ".places"
BLOCK = 1 << 20  # bytes read at once to digest a file
MANY = 8  # files from which on one sync of the whole file system is quicker
LARGE = 1 << 18  # bytes from which on a file is sent to the disk before its group is
REMEMBERED = 200_000  # files that are known to be intact
YOUNG = 60.0  # seconds in which a session has long locked its folder
_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin to write, and do not wait
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    root : the folder; made where it is missing.
    floor : bytes that must stay free on its disk.
    """

    def __init__(self, root: Path, floor: int) -> None:
        self.root = root
        self.folder = root / "files"
        self.incoming = root / "incoming"
        self.floor = floor
        with disk_errors(f"Opening the archive {root}"):
            # The root first: mkdir gives parents that it makes to everybody, and the index names patients.
            for folder in (root, self.folder, self.incoming):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)

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
        for written, target in moves:
            try:
                written.replace(target)
            except FileNotFoundError:
                target.parent.mkdir(parents=True, exist_ok=True)
                written.replace(target)
                touched |= dict.fromkeys((target.parent.parent, self.folder))
            touched[target.parent] = None
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


class Session:
    """A folder of files on their way in, locked while its process lives.

    Parameters
    ----------
    incoming : the folder of all sessions.
    """

    def __init__(self, incoming: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="session-", dir=incoming))
        self._lock = FileLock(self.folder / "lock")
        if not self._lock.acquire():
            raise ArchiveError(f"{self.folder} is locked by another process.")
        self._numbers = itertools.count()

    def new_path(self) -> Path:
        """Return the path of a file to write."""
        return self.folder / f"{next(self._numbers)}.part"

    def announce(self, facts: Mapping[str, object], paths: Iterable[str]) -> Path:
        """Write a note of the paths that are about to be filled, for the case of a crash before their rows.

        It lasts once the caller has synced it with the files.

        Parameters
        ----------
        facts : what the rows will say that the files do not.
        """
        note = self.folder / f"{next(self._numbers)}{NOTE}"
        note.write_text("\n".join((json.dumps(facts), *paths)), "ascii")
        return note

    def close(self) -> None:
        """Remove the folder.

        A note that is left names files that may have been renamed without their rows, after an error as
        after a crash: it stays, and whoever opens the archive next finishes or undoes the work.
        """
        if any(self.folder.glob(f"*{NOTE}")):
            for path in self.folder.glob("*.part"):
                path.unlink(missing_ok=True)
            self._lock.release()
            return
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def abandoned(incoming: Path) -> Iterator[list[Path]]:
    """Return the sessions' folders whose process is gone, hold them for the block, and remove them."""
    with ExitStack() as held:
        folders = []
        for folder in incoming.glob("session-*"):
            try:
                if time.time() - folder.stat().st_mtime < YOUNG and not (folder / "lock").exists():
                    continue  # just being made
                lock = FileLock(folder / "lock")
                if not lock.acquire():
                    continue  # alive, or being recovered by another
            except OSError:  # gone meanwhile
                continue
            held.callback(lock.release)
            folders.append(folder)
        yield folders
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def _system_call(name: str) -> Callable[..., int] | None:
    """Return a system call that Python does not wrap; None where the system does not have it."""
    try:
        call: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError, TypeError):  # not Linux
        return None
    return call
