"""Folders for the files of one process, locked while it lives: what a killed one left is known as such."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dicomdock.config.home import make_folders
from dicomdock.config.lock import FileLock, NoLocks

LOCK = "lock"
YOUNG = 60.0  # seconds in which a process has long locked its folder
TRIES = 100  # to lock a new folder before another process does


def locked_folder(parent: Path, prefix: str) -> tuple[Path, FileLock]:
    """Make a folder that this user alone can read, and lock it.

    Raises
    ------
    NoLocks
        The file system has no locks; the folder is removed again.
    OSError
        It cannot be made.
    """
    import tempfile  # slow to import

    for _ in range(TRIES):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = FileLock(folder / LOCK)
        # Before it is locked it looks like one of a process that is gone, and whoever looks for those in that
        # moment takes it away.
        try:
            if lock.acquire():
                return folder, lock
        except FileNotFoundError:
            continue
        except NoLocks:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    raise OSError(f"no folder could be locked in {parent}")


def remove_folder(folder: Path) -> None:
    """Remove the folder of a process, its lock last: without it, what a kill leaves looks like a new one."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def abandoned(parent: Path, prefix: str) -> Iterator[list[Path]]:
    """Yield the folders whose process is gone, hold them for the block, and remove them."""
    with ExitStack() as held:
        folders = []
        for folder in parent.glob(f"{prefix}*"):
            try:
                if time.time() - folder.stat().st_mtime < YOUNG and not (folder / LOCK).exists():
                    continue  # just being made
                lock = FileLock(folder / LOCK)
                if not lock.acquire():
                    continue  # its process lives, or another one takes it away
            except OSError:  # gone meanwhile
                continue
            held.callback(lock.release)
            folders.append(folder)
        yield folders
        for folder in folders:
            remove_folder(folder)


@contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a folder that this user alone can read, and remove it; first remove what killed processes left.

    Where the file system has no locks, what they left stays.

    Raises
    ------
    OSError
        It cannot be made.
    """
    import tempfile

    make_folders(parent)
    with abandoned(parent, prefix):
        pass
    try:
        folder, lock = locked_folder(parent, prefix)
    except NoLocks:
        folder, lock = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)), None
    try:
        yield folder
    finally:
        if lock is not None:
            lock.release()  # first: Windows removes no open file
        remove_folder(folder)
