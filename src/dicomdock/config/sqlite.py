"""SQLite files that several processes share."""

from __future__ import annotations

import sqlite3
import time

_PAUSE = 0.01  # seconds between two tries


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
