"""SQLite files that several processes share."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import threading
import time
from pathlib import Path

from dicomdock.config.home import close_file

_MAKING = threading.Lock()
_LOG = 64 << 10  # bytes; less is too little for what SQLite keeps beside its file
_PAUSE = 0.01  # seconds between two tries


def make_private(path: Path) -> None:
    """Make the file of a database where it is missing, and close it to other users; for before it is opened.

    SQLite itself gives a file to everybody that the umask allows, and its log the mode of the file.
    """
    if sys.platform == "win32":
        return  # a user's own folders are closed to others there
    with contextlib.suppress(OSError):  # SQLite says better what is wrong with the folder
        # One at a time: a descriptor that is closed takes the locks of the whole process from the file.
        with _MAKING, contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        for ending in ("", "-wal", "-shm"):
            close_file(path.with_name(path.name + ending))


def use_write_ahead_log(connection: sqlite3.Connection, timeout: float) -> None:
    """Put a database into the mode in which readers and a writer do not wait for each other.

    SQLite waits for others by the connection's own time limit, except here: of those who begin a new file
    at the same moment some are refused at once.

    Parameters
    ----------
    timeout : seconds to try again while others hold the file.

    Raises
    ------
    sqlite3.Error
        The file is held for longer, damaged, or cannot be written.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(_PAUSE)


def error_code(error: Exception) -> int:
    """Return SQLite's primary result code; 0 where the error did not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_full(error: Exception, file: Path) -> bool:
    """Return whether SQLite failed because the disk of its file is full.

    Where it cannot even make the files beside its own, SQLite only says that reading or writing failed.
    """
    code = error_code(error)
    if code not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return code == sqlite3.SQLITE_FULL
    try:
        return shutil.disk_usage(file.parent).free < _LOG
    except OSError:
        return False
