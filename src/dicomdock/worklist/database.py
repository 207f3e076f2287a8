"""The database of the work list: its tables are there, and damage is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.errors import ArchiveError, IndexDamaged
from dicomdock.worklist.schema import migrate


class WorklistDatabase:
    """The database that the procedure steps and their subscriptions lie in.

    Parameters
    ----------
    index : of the work list; its tables are created where it has none.

    Raises
    ------
    ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        with self._sound():
            migrate(index)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Return a connection that sees one state of the database."""
        with self._sound(), self._index.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Return the one connection that writes; a transaction of its own."""
        with self._sound(), self._index.writing() as connection:
            yield connection

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """See that a damaged file is named: unlike the index it cannot be rebuilt."""
        try:
            yield
        except IndexDamaged as error:
            path = self._index.path
            if path is None:
                raise
            raise ArchiveError(
                f"The database of the work list, {path}, is damaged.",
                remedy="Restore it from a backup, or move it away to begin an empty work list.",
            ) from error
