"""Store the files of instances on disk, so that none is ever seen half-written.

``files/<study>/<series>/<instance>.dcm``, each name a digest of the UID. A file is written in a session's own
folder under ``incoming/``, synced, and renamed to its final path. The session holds a lock while it lives,
so that the leftovers of a killed one are known as such.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import mmap
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path

from dicomdock.archive.storage.backend import InStorage, StoredFile
from dicomdock.archive.storage.journal import private_file
from dicomdock.archive.storage.syncing import sync_folders
from dicomdock.dicom.part10 import HEAD
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, NoSpace

log = logging.getLogger(__name__)

NAME_LENGTH = 32  # hexadecimal digits: 128 bits, so that two UIDs never share a name
SUFFIX = ".dcm"
COPY = ".part"  # of a file that is on its way from another disk
ASIDE = ".aside"  # of what lay where a file of the archive belongs
BLOCK = 1 << 20  # bytes read at once to digest a file
REMEMBERED = 200_000  # files that are known to be intact
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@lru_cache(maxsize=1024)  # those of a study and series come with each of their instances
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


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Yield the name of an unfinished file beside a target; what is written there becomes the target.

    The target is never seen half-written, nothing is left after an error, and nothing appears where the file
    is removed again. It must be opened with ``x``: somebody may put a link there meanwhile.
    """
    unfinished = target.with_name(f"{target.name}{COPY}")
    unfinished.unlink(missing_ok=True)  # of a process that was killed
    try:
        yield unfinished
        if unfinished.exists():
            unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


class LocalFolder:
    """The files of instances in a folder.

    Parameters
    ----------
    folder : made where it is missing.
    on_renamed : called after the first file of a commit was renamed.
    """

    def __init__(self, folder: Path, on_renamed: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self._on_renamed = on_renamed

    def key(self, study: str, series: str, instance: str, digest: str) -> str:  # noqa: ARG002 - of the protocol
        """Return the path of an instance's file below the folder; all versions of it have the same."""
        return relative_path(study, series, instance)

    def shown(self, key: str) -> str:
        """Return the path of a file for people."""
        return str(self.folder / key)

    def path(self, key: str) -> Path:
        """Return a file; it need not be there."""
        return self.folder / key

    def fetch(self, key: str) -> Path:
        """Return the same; where a pipe, a device or a folder lies, a path where nothing is."""
        path = self.folder / key
        if state_of(path) is None and path.exists():  # reading it might never end
            return path.with_name(f"{path.name} is not a file")
        return path

    def fetched(self, keys: Iterable[str]) -> Iterator[Path]:
        """Return files in their order."""
        return map(self.fetch, keys)

    def fetched_again(self, key: str) -> Path:
        """Return the same: there is no other copy."""
        return self.folder / key

    def is_empty(self) -> bool:
        """Return whether there are no folders of studies."""
        try:
            with os.scandir(self.folder) as entries:
                return not any(len(entry.name) == NAME_LENGTH and entry.is_dir() for entry in entries)
        except OSError:
            return True

    def names(self) -> list[str]:
        """Return the names of the folders of studies, and of what else lies beside them."""
        return sorted(one.name for one in self.folder.iterdir())

    def listed(self, below: str = "") -> Iterator[str]:
        """Return every file, or those below one folder, or the one of that name."""
        top = self.folder / below
        if below and not top.is_dir():
            if os.path.lexists(top):
                yield below
            return
        start = len(str(self.folder)) + 1
        for folder, _, names in os.walk(top):
            inside = f"{folder}/"[start:].replace(os.sep, "/")
            yield from (inside + name for name in sorted(names))

    def existing(self, keys: Collection[str]) -> set[str]:
        """Return those among keys whose files are there."""
        return {key for key in keys if state_of(self.folder / key) is not None}

    def digest(self, key: str) -> str | None:
        """Return the SHA-256 of a file; None where it is gone or cannot be read."""
        return digest_or_none(self.folder / key)

    def with_size(
        self,
        resource: Resource,  # noqa: ARG002 - of the protocol
        files: Iterable[tuple[str, str, int]],
    ) -> set[str]:
        """Return the UIDs of those files of a resource that are there with their size.

        Parameters
        ----------
        files : UID, key and size of each.
        """
        return {uid for uid, key, size in files if self._is_readable(self.folder / key, size)}

    @staticmethod
    def _is_readable(path: Path, size: int) -> bool:
        return has_size(path, size) and os.access(path, os.R_OK)

    @contextmanager
    def opened(self, key: str) -> Iterator[StoredFile]:
        """Open a file to read its head, its size and its digest.

        Raises
        ------
        OSError
            It cannot be read.
        """
        path = self.folder / key
        path.stat()  # raises where nothing is there
        if state_of(path) is None:
            raise OSError(errno.EINVAL, "It is not a file, but a folder, a pipe or a device", str(path))
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = os.fstat(file.fileno()).st_size
        yield StoredFile(head, size, partial(mapped, path), partial(digest_of, path))

    def move(self, moves: Iterable[tuple[Path, str]]) -> None:
        """Rename files to their final paths, durably."""
        touched: dict[Path, None] = {}
        for number, (written, key) in enumerate(moves):
            target = self.folder / key
            try:
                _move(written, target)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                self._clear_way(target)
                for folder in (target.parent.parent, target.parent):
                    folder.mkdir(mode=0o700, exist_ok=True)
                _move(written, target)
                touched |= dict.fromkeys((target.parent.parent, self.folder))
            touched[target.parent] = None
            if number == 0:
                self._on_renamed()
        sync_folders(touched)

    def _clear_way(self, target: Path) -> None:
        """Rename what lies where a file or a folder of it belongs and is of another kind; verify names it."""
        for folder in (target.parent.parent, target.parent):
            if folder != self.folder and os.path.lexists(folder) and not folder.is_dir():
                _set_aside(folder)
        if target.is_dir() and not target.is_symlink():
            _set_aside(target)

    def discard(self, keys: Sequence[str]) -> Iterator[str]:
        """Remove files, and the folders that they leave empty; return those that are gone.

        The log names what stays.
        """
        kept: list[OSError] = []
        for key in keys:
            path = self.folder / key
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                kept.append(error)
            else:
                for folder in (path.parent, path.parent.parent):
                    try:
                        folder.rmdir()
                    except OSError:  # not empty, or gone already
                        break
                yield key
        if kept:
            number = "1 file of removed instances cannot be deleted and is"
            if len(kept) > 1:
                number = f"{len(kept)} files of removed instances cannot be deleted and are"
            names = "; ".join(f"{error.filename} ({error.strerror})" for error in kept[:3])
            log.warning(
                "%s still on the disk: %s. This is tried again whenever the archive is opened.", number, names
            )


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


def _set_aside(path: Path) -> None:
    aside, count = path.with_name(path.name + ASIDE), 1
    while os.path.lexists(aside):
        count += 1
        aside = path.with_name(f"{path.name}{ASIDE}-{count}")
    path.rename(aside)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest_or_none(path: Path) -> str | None:
    """Return the same; None where the file is gone, cannot be read, or is none."""
    try:
        return digest_of(path) if state_of(path) is not None else None
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
        self._intact: dict[str, tuple[int, int, int]] = {}

    def is_intact(self, one: InStorage, path: Path | None = None) -> bool:
        """Return whether a file is there with the bytes that it was stored with.

        The copy of an object that is damaged on this machine is downloaded again.

        Parameters
        ----------
        path : of its file, where that is known already.

        Raises
        ------
        ArchiveError
            The storage cannot be reached.
        """
        if self._is_intact(path or one.storage.path(one.key), one.size, one.digest):
            return True
        again = one.storage.fetched_again(one.key)
        return self._is_intact(again, one.size, one.digest)

    def _is_intact(self, path: Path, size: int, digest: str) -> bool:
        found = state_of(path)
        if found is None or found.st_size != size:
            return False
        state = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        name = str(path)
        if self._intact.get(name) == state:
            return True
        if digest_or_none(path) != digest:
            return False
        if len(self._intact) >= REMEMBERED:
            self._intact.clear()
        self._intact[name] = state
        return True


def state_of(path: Path) -> os.stat_result | None:
    """Return the status of a file; None where there is none, or a folder, a pipe or a device in its place."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def has_size(path: Path, size: int) -> bool:
    """Return whether a file is there with this size."""
    found = state_of(path)
    return found is not None and found.st_size == size
