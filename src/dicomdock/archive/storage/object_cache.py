"""Local copies of objects, as many as fit; the least recently used go first.

A copy is whole and has the digest of its object, or it is not there.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from dicomdock.config.home import make_folders

IN_USE = 900.0  # seconds after its last use in which a copy is not removed: somebody may be about to read it
GRAIN = 60.0  # seconds; use is noted no finer
FILLED = 0.9  # of the limit, down to which it is emptied
RESCANNED = 8  # once an eighth of the limit was added, the folder is looked at again: others add to it too


@dataclass(frozen=True, slots=True)
class _Copy:
    path: Path
    size: int
    used: float


class ObjectCache:
    """The local copies of an archive's objects.

    Parameters
    ----------
    folder : of the copies, which have the keys of the objects as their paths; made where it is missing.
    limit : bytes of all copies; those in use count, but stay.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._size: int | None = None  # of all copies, None before they were counted
        self._added = 0  # bytes since they were

    def path(self, key: str) -> Path:
        """Return the path of a copy, whether or not it is there."""
        return self.folder / key

    def find(self, key: str) -> Path | None:
        """Return a copy, and note its use; None where there is none."""
        path = self.path(key)
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                return None
            now = time.time()
            if now - found.st_atime > GRAIN:
                os.utime(path, ns=(int(now * 1e9), found.st_mtime_ns))
        except OSError:
            return None
        return path

    def temporary(self) -> Path:
        """Return a new empty file, to be filled and then added."""
        make_folders(self.folder)
        descriptor, name = mkstemp(suffix=".part", dir=self.folder)
        os.close(descriptor)
        return Path(name)

    def add(self, key: str, file: Path, modified: float) -> Path:
        """Rename a whole file to the copy of an object, and make room.

        Parameters
        ----------
        modified : seconds since the epoch, when the object was stored.
        """
        size = file.stat().st_size
        path = self.path(key)
        os.utime(file, (time.time(), modified))
        try:
            make_folders(path.parent)
            file.replace(path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            self._clear_way(path)
            make_folders(path.parent)
            file.replace(path)
        with self._lock:
            if self._size is not None:
                self._size += size
            self._added += size
            full = self._size is None or self._size > self._limit
            if full or self._added > self._limit // RESCANNED:
                self._make_room()
        return path

    def remove(self, key: str) -> None:
        """Remove a copy; none is not an error."""
        with suppress(OSError):
            self.path(key).unlink()

    def _clear_way(self, path: Path) -> None:
        """Remove what lies where a copy or a folder of it belongs and is of another kind."""
        for folder in (path.parent.parent, path.parent):
            if folder != self.folder and os.path.lexists(folder) and not folder.is_dir():
                folder.unlink()
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)

    def _make_room(self) -> None:
        copies = sorted(self._copies(), key=lambda copy: copy.used)
        size = sum(copy.size for copy in copies)
        if size > self._limit:
            for copy in copies:
                if size <= self._limit * FILLED or time.time() - copy.used < IN_USE:
                    break
                with suppress(OSError):
                    copy.path.unlink()
                    size -= copy.size
        self._size, self._added = size, 0

    def _copies(self) -> Iterator[_Copy]:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                with suppress(OSError):
                    found = path.stat()
                    yield _Copy(path, found.st_size, found.st_atime)
