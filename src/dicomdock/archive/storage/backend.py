"""The seam between the archive and what holds its instances: a folder, or an object store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dicomdock.dicom.header import Buffer
from dicomdock.dicom.resource import Resource


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A stored file, opened to read what it is.

    Parameters
    ----------
    head : its first bytes, at least ``HEAD`` or all of them.
    size : bytes.
    whole : opens all of it as a buffer.
    digest : returns its SHA-256, hexadecimal.
    """

    head: bytes
    size: int
    whole: Callable[[], AbstractContextManager[Buffer]]
    digest: Callable[[], str]


class InStorage(Protocol):
    """A file that a storage holds, and what it was when it was stored."""

    @property
    def storage(self) -> Storage:
        """What holds it."""

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal."""


class Storage(Protocol):
    """What holds the files of instances, each under a key made of its UIDs.

    A row of the index makes an instance exist; a file without one is on its way in, on its way out, or
    left by a crash.
    """

    def key(self, study: str, series: str, instance: str, digest: str) -> str:
        """Return the key of an instance with these UIDs and bytes."""

    def shown(self, key: str) -> str:
        """Return where a file is, for people."""

    def path(self, key: str) -> Path:
        """Return the path that a file has on this machine once it was fetched; it need not be there."""

    def fetch(self, key: str) -> Path:
        """Bring a file to this machine, and return its path; where its bytes are gone, it is not there.

        Raises
        ------
        ArchiveError
            The storage cannot be reached.
        """

    def fetched(self, keys: Iterable[str]) -> Iterator[Path]:
        """Fetch files in their order, some of them ahead.

        Raises
        ------
        ArchiveError
            As ``fetch``.
        """

    def fetched_again(self, key: str) -> Path:
        """Return the path of a file whose copy on this machine is damaged, once it was brought here again.

        Raises
        ------
        ArchiveError
            As ``fetch``.
        """

    def is_empty(self) -> bool:
        """Return whether no study was ever stored."""

    def names(self) -> list[str]:
        """Return the first parts of the keys: names of studies, and of what does not belong there."""

    def listed(self, below: str = "") -> Iterator[str]:
        """Return every key, or those with this first part."""

    def existing(self, keys: Collection[str]) -> set[str]:
        """Return those among keys whose files are there."""

    def digest(self, key: str) -> str | None:
        """Read a file and return its SHA-256, hexadecimal; None where it is gone or cannot be read."""

    def with_size(self, resource: Resource, files: Iterable[tuple[str, str, int]]) -> set[str]:
        """Return the UIDs of those files of a resource that are there with their size.

        Parameters
        ----------
        files : UID, key and size of each.
        """

    def opened(self, key: str) -> AbstractContextManager[StoredFile]:
        """Open a file to read what it is.

        Raises
        ------
        OSError
            It cannot be read.
        """

    def discard(self, keys: Sequence[str]) -> Iterator[str]:
        """Remove files, and return the keys of those that are gone; none is not an error."""
