"""The folder of an archive, on this machine: its journal, what is on its way in, and its space."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from dicomdock.archive.storage.backend import Storage
from dicomdock.archive.storage.journal import Journal
from dicomdock.archive.storage.local import LocalFolder, disk_errors
from dicomdock.config.home import make_folders, private_folder
from dicomdock.errors import ArchiveError, NoSpace

if TYPE_CHECKING:
    from dicomdock.archive.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

# The moments at which a crash leaves different work for recovery; the tests end the process at each of them.
Moment: TypeAlias = Literal[
    "open: folders made",
    "open: index ready",
    "receive: written",
    "commit: announced",
    "commit: synced",
    "commit: one renamed",
    "commit: renamed",
    "commit: in the journal",
    "commit: rows inserted",
    "commit: committed",
    "remove: rows removed",
    "remove: one file removed",
    "remove: in the journal",
    "pin: in the journal",
    "sent: in the journal",
    "recover: adopted",
    "journal: from the index",
    "rebuild: announced",
    "rebuild: moved aside",
    "rebuild: tables made",
    "rebuild: some adopted",
    "rebuild: filled",
]
# The same of a commit in an object store.
UploadMoment: TypeAlias = Literal["upload: announced", "upload: one done", "upload: done"]


class Files:
    """The archive's folder, and the storage that holds its instances.

    Parameters
    ----------
    root : the folder; made by ``make``.
    floor : bytes that must stay free on its disk.
    on_first : called when the first instances are about to be in the archive.
    objects : the object store that holds the instances; without one they are in the folder.

    Attributes
    ----------
    folder : of the instances, or of the local copies of objects.
    local : the same as a storage.
    storage : what holds the instances.
    journal : what the files do not say of themselves.
    read_only : nothing can be written to the folder.
    """

    def __init__(
        self,
        root: Path,
        floor: int,
        on_first: Callable[[], None] = lambda: None,
        objects: ObjectStore | None = None,
    ) -> None:
        self.root = root
        self.folder = objects.cache.folder if objects else root / "files"
        self.objects = objects
        self.local = LocalFolder(self.folder, lambda: self.reached("commit: one renamed"))
        self.storage: Storage = objects or self.local
        self.incoming = root / "incoming"
        self.floor = floor
        self.read_only = root.is_dir() and not (
            os.access(root, os.W_OK) and os.access(self.folder if self.folder.is_dir() else root, os.W_OK)
        )
        self.journal = Journal(root / "journal", on_first, self.read_only)

    def make(self) -> None:
        """Make the folders that are missing, closed to other users."""
        with disk_errors(f"Opening the archive {self.root}"):
            for folder in (self.root, self.folder, self.incoming):
                make_folders(folder)
        with contextlib.suppress(OSError):  # a folder of the user's that is read-only is read all the same
            if private_folder(self.root):
                log.warning("Other users could read the folder %s; they no longer can.", self.root)
        self.reached("open: folders made")

    def reached(self, moment: Moment | UploadMoment) -> None:
        """Do nothing: the tests replace this, to end the process at one of these moments."""

    def check_writable(self) -> None:
        """See that the archive can be changed.

        Raises
        ------
        ArchiveError
            It cannot.
        """
        if self.read_only:
            raise ArchiveError(
                f"The archive {self.root} is read-only: nothing can be added to it or changed."
            )

    def check_space(self, needed: int = 0) -> None:
        """See that so many bytes can be written above the floor.

        Raises
        ------
        NoSpace
            They cannot.
        """
        free = shutil.disk_usage(self.incoming).free
        if free - needed < self.floor:
            free_mb, floor_mb = free >> 20, self.floor >> 20
            raise NoSpace(
                f"Only {free_mb} MB are free on the disk of {self.root}, and {floor_mb} MB must stay free "
                "(free_space_floor).",
                remedy="Free some space, or evict what is on a server too.",
            )
