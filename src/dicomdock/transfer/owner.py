"""Which process works on a transfer: a lock that ends with the process, so that no clock is asked."""

from __future__ import annotations

import os
import secrets
import threading
import weakref
from contextlib import suppress
from pathlib import Path

from dicomdock.config.home import make_folders
from dicomdock.config.lock import FileLock


class Owner:
    """One holder of transfers, distinguished from all others by a lock file of its own.

    Parameters
    ----------
    folder : where the lock files of all holders are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._making = threading.Lock()
        self._lock: FileLock | None = None

    @property
    def name(self) -> str:
        """The name of the lock file, which is held from now on; empty where the file system has no locks."""
        with self._making:
            while self._lock is None:
                make_folders(self._folder)
                lock = FileLock(self._folder / f"{os.getpid()}-{secrets.token_hex(8)}.lock")
                try:
                    held = lock.acquire()
                except OSError:
                    return ""
                if held:  # else a search for dead owners was just looking at the new file
                    self._lock = lock
                    weakref.finalize(self, _end, lock)
            return self._lock.path.name

    def is_alive(self, name: str) -> bool:
        """Return whether the holder of a lock file lives; the file of a dead one is removed."""
        if not name:
            return False
        path = self._folder / Path(name).name
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            if not lock.acquire():
                return True
        except OSError:
            return True  # nobody can say, and a transfer that is done twice is worse than one that waits
        _end(lock)
        return False


def _end(lock: FileLock) -> None:
    with suppress(OSError):
        lock.path.unlink()
    lock.release()
