"""Make files and folders durable, with few waits for the disk.

Syncs that wait side by side share a flush of the disk's cache: eight of them take hardly longer than one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

SIDE_BY_SIDE = 8  # syncs at once
MANY = 8  # files from which on one sync of the whole file system is quicker
LARGE = 1 << 18  # bytes from which on a file is sent to the disk before its group is
_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin to write, and do not wait


def begin_sync(descriptor: int, size: int) -> None:
    """Let the system begin to write a file to the disk, so that its sync has less to wait for.

    It promises nothing, and small files it would only delay.
    """
    if size >= LARGE and (begin := _system_call("sync_file_range")) is not None:
        import ctypes

        begin(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _WRITE)


def sync_files(paths: Sequence[Path]) -> None:
    """Make written files, which are on one disk, durable."""
    whole = _system_call("syncfs") if len(paths) >= MANY else None
    if whole is None:
        _side_by_side(_sync_file, paths)
        return
    with paths[0].open("rb") as file:
        if whole(file.fileno()):
            import ctypes

            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def sync_folders(folders: Collection[Path]) -> None:
    """Make the names in folders durable."""
    if sys.platform != "win32":  # a folder cannot be opened there, and renaming is journalled
        _side_by_side(_sync_folder, folders)


def _side_by_side(sync: Callable[[Path], None], paths: Collection[Path]) -> None:
    if len(paths) < 2:
        for path in paths:
            sync(path)
        return
    own, *others = paths
    waiting = [_threads().submit(sync, path) for path in others]
    try:
        sync(own)
    finally:
        errors = [one.exception() for one in waiting]
    for error in filter(None, errors):
        raise error


def _sync_file(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads for syncs, which are started as they are needed."""
    return ThreadPoolExecutor(SIDE_BY_SIDE, "archive-sync")


if hasattr(os, "register_at_fork"):  # a process that a program forks of itself has none of its threads
    os.register_at_fork(after_in_child=_threads.cache_clear)


@cache
def _system_call(name: str) -> Callable[..., int] | None:
    """Return a system call that Python does not wrap; None where the system does not have it."""
    import ctypes

    try:
        call: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError, TypeError):  # not Linux
        return None
    return call
