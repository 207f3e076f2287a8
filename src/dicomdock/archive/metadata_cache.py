"""Cache the attributes of stored files, so that each is read once.

They lie in a database of their own beside the index, by the digest of the file, so that what is replaced is
read anew and nobody who stores waits for it. It holds nothing that the files do not: what goes wrong with it
only costs time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from dicomdock.config.sqlite import make_private, use_write_ahead_log
from dicomdock.dicom.json_model import DicomJson

FORMAT = 1  # of what is cached; another one when files are described otherwise
FILE = f"metadata-{FORMAT}.sqlite"
LIMIT = 1 << 29  # bytes of the file; then the oldest quarter goes
FAST = 1  # level of compression
LOCK_TIMEOUT = 1.0  # seconds to wait for another process
_TABLE = "CREATE TABLE IF NOT EXISTS described (id INTEGER PRIMARY KEY, digest TEXT UNIQUE, attributes BLOB)"


class MetadataCache:
    """The attributes of files by their digest; thread-safe.

    Parameters
    ----------
    folder : of the archive.
    limit : bytes of the file.
    """

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self._path, self._limit = folder / FILE, limit
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def get(self, digests: Sequence[str]) -> dict[str, DicomJson]:
        """Return the attributes of those files that are cached."""
        marks = ", ".join("?" * len(digests))
        with self._lock, suppress(sqlite3.Error, OSError, ValueError, zlib.error):
            rows = self._opened().execute(
                f"SELECT digest, attributes FROM described WHERE digest IN ({marks})", digests
            )
            return {digest: json.loads(zlib.decompress(packed)) for digest, packed in rows}
        return {}

    def put(self, described: Mapping[str, DicomJson]) -> None:
        """Cache the attributes of files."""
        rows = [
            (digest, zlib.compress(json.dumps(attributes).encode(), FAST))
            for digest, attributes in described.items()
        ]
        if not rows:
            return
        with self._lock, suppress(sqlite3.Error, OSError):
            connection = self._opened()
            with connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO described (digest, attributes) VALUES (?, ?)", rows
                )
                pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _SIZE)
                if pages * size > self._limit:
                    self._shrink(connection)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _shrink(self, connection: sqlite3.Connection) -> None:
        (count,) = connection.execute("SELECT count(*) FROM described").fetchone()
        connection.execute(
            "DELETE FROM described WHERE id IN (SELECT id FROM described ORDER BY id LIMIT ?)",
            (1 + count // 4,),
        )

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            for attempt in (1, 2):
                try:
                    self._connection = self._open()
                except sqlite3.OperationalError:  # a full disk, or a folder that cannot be written
                    raise
                except sqlite3.DatabaseError:  # it is damaged
                    if attempt == 2:
                        raise
                    self._path.unlink(missing_ok=True)
                else:
                    break
        assert self._connection is not None
        return self._connection

    def _open(self) -> sqlite3.Connection:
        make_private(self._path)
        connection = sqlite3.connect(self._path, timeout=LOCK_TIMEOUT, check_same_thread=False)
        try:
            use_write_ahead_log(connection, LOCK_TIMEOUT)
            with closing(connection.cursor()) as cursor:
                cursor.execute("PRAGMA synchronous = OFF")  # what is lost is read again
                cursor.execute(_TABLE)
        except BaseException:
            connection.close()
            raise
        return connection


_SIZE = ("page_count", "page_size")
