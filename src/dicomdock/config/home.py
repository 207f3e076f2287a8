"""The folders and files of a user, closed to everybody else; made by one function, whoever comes first."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

from dicomdock.errors import ReadOnlyHome

OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What ``Secrets`` must see as it is: passwords that others could read should be changed.
_LEFT_ALONE = ("secrets.json",)


def make_home(*folders: Path) -> tuple[str, ...]:
    """Make the folders of configuration and state, and close them and their files to other users.

    A home that cannot be written is left as it is: reading from it still works.

    Returns
    -------
    tuple of str
        A sentence for each folder that others could read until now.
    """
    found = []
    for folder in folders:
        with contextlib.suppress(OSError):
            if private_folder(folder):
                found.append(f"Other users of this machine could read {folder}; they no longer can.")
            _close_files(folder)
    return tuple(found)


def private_folder(folder: Path) -> bool:
    """Make a folder, and its missing parents, with access for the user alone.

    Returns
    -------
    bool
        Whether it was there and open to others, and was closed.

    Raises
    ------
    OSError
        It cannot be made or closed, or is not a folder.
    """
    made = make_folders(folder)
    if sys.platform == "win32":
        return False  # a user's own folders are closed to others there
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        return False  # where it leads to is the user's own choice, and perhaps somebody else's folder
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not status.st_mode & OTHERS or status.st_uid != os.geteuid():
        return False
    folder.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)  # what the user may not write stays read-only
    return not made


def make_folders(folder: Path) -> bool:
    """Make a folder and its missing parents for the user alone; return whether any was missing.

    ``Path.mkdir`` gives the parents that it makes to everybody whom the umask allows.

    Raises
    ------
    OSError
        One of them cannot be made.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process came first
            path.mkdir(mode=0o700)
    return bool(missing)


def private(path: str, flags: int) -> int:
    """Open a file that is readable by the user alone where this makes it: an ``opener`` of ``open``."""
    return os.open(path, flags, 0o600)


def check_writable(folder: Path, what: str) -> None:
    """Make a folder where it is missing, and see that files can be written to it.

    Parameters
    ----------
    what : needs it, to begin a sentence with.

    Raises
    ------
    ReadOnlyHome
        It cannot be made, or is read-only.
    """
    try:
        private_folder(folder)
    except PermissionError as error:
        raise ReadOnlyHome(folder, what) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise ReadOnlyHome(folder, what) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ReadOnlyHome(folder, what)


def write_private(file: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file whole or not at all, readable by the user alone; its folder must be there.

    A symbolic link is followed, so that linked settings stay linked.

    Parameters
    ----------
    mode : others than the user's own may be given to a file for other programs.

    Raises
    ------
    OSError
        The file cannot be written; what was there stays.
    """
    import tempfile  # which takes as long as a quick command

    target = Path(os.path.realpath(file))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=target.parent)  # 0600
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if mode != 0o600:
            Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _close_files(folder: Path) -> None:
    if sys.platform == "win32":
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in _LEFT_ALONE:
                close_file(Path(entry.path))


def close_file(path: Path) -> None:
    """Take a file of the user from everybody else; what is a link, or not there, is left alone.

    Raises
    ------
    OSError
        It cannot be changed.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISREG(status.st_mode) and status.st_mode & OTHERS and status.st_uid == os.geteuid():
        path.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
