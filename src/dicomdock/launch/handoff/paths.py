"""Where the running dock listens: a folder of the user's own, a socket or pipe in it, and its locks."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from dicomdock.config.home import private_folder
from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError

MAX_SOCKET_PATH = 103  # bytes; sockaddr_un holds 108 on Linux and 104 on macOS, one of them the closing NUL


def run_folder(settings: Settings) -> Path:
    """Return the folder of sockets and locks, made if need be, with access for its owner only.

    Raises
    ------
    LaunchError
        The folder cannot be made, or belongs to somebody else.
    """
    return _private(settings.state / "run")


def socket_path(settings: Settings) -> Path:
    """Return the path of the dock's socket, at most 103 bytes long.

    It depends on the settings alone, not on the environment: a browser and a terminal must come to the same
    place.

    Raises
    ------
    LaunchError
        No folder of our own can be had.
    """
    path = run_folder(settings) / "dock.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    runtime = Path(f"/run/user/{os.getuid()}")
    short = runtime / "dicomdock" if runtime.is_dir() else Path(f"/tmp/dicomdock-{os.getuid()}")  # noqa: S108
    return _private(short) / f"{digest(settings)}.sock"


def digest(settings: Settings) -> str:
    """Return a short name for the state folder: one dock for each."""
    import hashlib

    return hashlib.sha256(os.fsencode(settings.state.absolute())).hexdigest()[:16]


def _private(folder: Path) -> Path:
    try:
        private_folder(folder)
        status = folder.lstat()
    except OSError as error:
        raise LaunchError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    if sys.platform != "win32":
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise LaunchError(
                f"{folder} is not a folder of yours; remove it, or choose another folder with --home."
            )
        if status.st_mode & 0o077:
            folder.chmod(0o700)
    return folder
