"""Locks between processes: a file that one process holds at a time, until it lets go or ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# A link in the file's place could point at another user's file; no child shall hold the lock.
FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK)
PAUSE = 0.05  # seconds between two tries, where a system cannot wait


class NoLocks(OSError):
    """The file system has no locks."""


class FileLock:
    """A lock that ends with its process, however that ends.

    Parameters
    ----------
    path : the file that stands for the lock; it is made, readable by its user alone, and left behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, *, wait: bool = False) -> bool:
        """Take the lock; return whether it is ours now.

        Parameters
        ----------
        wait : until whoever holds it lets go.

        Raises
        ------
        OSError
            The file cannot be opened or locked.
        NoLocks
            The file system has no locks; an OSError too.
        """
        while self._descriptor is None:
            descriptor = os.open(self.path, FLAGS, 0o600)
            try:
                if not _take(descriptor, wait=wait):
                    return False
                if self._is_file_of(descriptor):
                    self._descriptor = descriptor
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
        return True

    def _is_file_of(self, descriptor: int) -> bool:
        """Return whether the file was not removed before it was locked: others would lock the next one."""
        if sys.platform == "win32":
            return True  # what is open cannot be removed there
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Wait for the lock and hold it for the block."""
        self.acquire(wait=True)
        try:
            yield self
        finally:
            self.release()


def _take(descriptor: int, *, wait: bool) -> bool:
    while True:
        try:
            if sys.platform == "win32":
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                _take_posix(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # another holds it; Windows cannot wait for long
            if not wait:
                return False
            time.sleep(PAUSE)
        else:
            return True


if sys.platform != "win32":

    def _take_posix(descriptor: int, how: int) -> None:
        """Lock by ``flock``; where a file system has none (some of NFS), by a record lock.

        Raises
        ------
        NoLocks
            It has neither.
        """
        try:
            fcntl.flock(descriptor, how)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            try:
                fcntl.lockf(descriptor, how)
            except OSError as second:
                if second.errno not in _NO_LOCKS:
                    raise
                raise NoLocks(second.errno, "the file system has no locks") from second
