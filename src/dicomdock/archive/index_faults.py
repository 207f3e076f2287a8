"""What is wrong with an index, so that it must be rebuilt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from dicomdock.archive.index.engine import Index
from dicomdock.archive.storage.files import Files
from dicomdock.config.lock import FileLock
from dicomdock.errors import ArchiveError, ArchiveLocked, ArchiveTooNew, NoSpace

MARK = "rebuilding"  # file that is there while the index is not whole yet
Fault: TypeAlias = Literal["damaged", "missing", "not whole"]
Judge: TypeAlias = Callable[[int | None], Fault | None]
"""Returns what is wrong with an index, given the inode of a file that is known to be damaged."""


def has_studies(files: Files) -> bool:
    """Return whether there are folders of studies, whatever the index says."""
    return not files.storage.is_empty()


def is_unfinished(index: Index) -> bool:
    """Return whether a rebuild was begun and not ended."""
    return (index.folder / MARK).exists()


def seen_whole(index: Index, fault: Judge) -> Fault | None:
    """Return what is wrong with an index; looked at again where another process moved its file meanwhile.

    SQLite fails in many ways while the files of a database that it has open are renamed.

    Raises
    ------
    ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
    """
    before = index.inode()
    try:
        return fault(None)
    except (ArchiveTooNew, ArchiveLocked, NoSpace):
        raise
    except ArchiveError:
        with FileLock(index.folder / f"{MARK}.lock").held():
            if index.inode() == before:
                raise
        index.disconnect()
        return fault(None)
