"""A database beside the index, for what no DICOM file holds and a rebuild of the index could not restore."""

from __future__ import annotations

import threading

from dicomdock.archive.index.engine import Index
from dicomdock.errors import UnsupportedByServer


class SideDatabase:
    """A database of its own in SQLite; in PostgreSQL that of the index, whose rebuild adds rows to it alone.

    The file of SQLite lies beside that of the index and is named after it: ``index-worklist.sqlite``.

    Parameters
    ----------
    index : of the archive.
    name : of what the database holds.
    read_only : the archive's folder cannot be written.
    """

    def __init__(self, index: Index, name: str, *, read_only: bool) -> None:
        self._index = index
        self._name = name
        self._read_only = read_only
        self._lock = threading.Lock()
        self._opened: Index | None = None

    def open(self) -> Index:
        """Return the database, opened at the first call.

        Raises
        ------
        UnsupportedByServer
            It would be a file, and the archive's folder cannot be written.
        """
        path = self._index.path
        if path is None:
            return self._index
        if self._read_only:
            raise UnsupportedByServer(f"An archive in a folder that cannot be written has no {self._name}.")
        with self._lock:
            if self._opened is None:
                file = f"{path.stem}-{self._name}{path.suffix}"
                self._opened = Index("", path.parent, file=file)
            return self._opened

    def close(self) -> None:
        """Close the database, if it is open."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
