"""The temporary folders of writers, each locked while its process lives, and what crashed ones left."""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dicomdock.archive.storage.syncing import sync_folders
from dicomdock.config.home import private
from dicomdock.config.lock import FileLock, NoLocks
from dicomdock.config.process_folders import locked_folder, remove_folder
from dicomdock.errors import ArchiveError

log = logging.getLogger(__name__)

PREFIX = "session-"
NOTE = ".places"
VOID = b"-"  # its first byte where it says nothing
PAGE = 4096  # bytes by which it grows
NOTES = 32  # of finished commits that share a sync
BYTES = 64 << 20  # of their files, which are read again after a crash


@dataclass(frozen=True)
class Announcement:
    """Files that are about to be moved into the archive.

    Parameters
    ----------
    digests : path below ``files/`` -> SHA-256 of the file; empty in notes of earlier versions.
    origin, made_here : what the rows will say that the files do not.
    remarks : path -> what is odd about the file.
    """

    digests: Mapping[str, str]
    origin: str = ""
    made_here: bool = False
    remarks: Mapping[str, Iterable[str]] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return the bytes of the note: the facts, then a file in each line."""
        facts = {"origin": self.origin, "made_here": self.made_here, "remarks": self.remarks}
        lines = (f"{path} {digest}" for path, digest in self.digests.items())
        return "\n".join((json.dumps(facts), *lines, "")).encode("ascii")

    @classmethod
    def read(cls, note: Path) -> Announcement | None:
        """Read a note; None where nothing is to be done: it was cut off, is void, or gone."""
        try:
            facts, *lines = note.read_text("ascii", "replace").split("\n")
            known = json.loads(facts)
            parted = (line.partition(" ") for line in lines if line)
            digests = {path: digest for path, _, digest in parted}
        except (OSError, ValueError):
            return None
        if not isinstance(known, dict):
            return None
        return cls(
            digests,
            str(known.get("origin", "")),
            bool(known.get("made_here")),
            dict(known.get("remarks") or {}),
        )


class Session:
    """A folder of files on their way in, locked while its process lives.

    Parameters
    ----------
    incoming : the folder of all sessions.
    sync : makes durable what commits wrote beside the files: their rows and their records.
    """

    def __init__(self, incoming: Path, sync: Callable[[], None]) -> None:
        self.folder, self._lock = _locked_folder(incoming)
        self._numbers = itertools.count()
        self._sizes: dict[Path, int] = {}  # bytes of its notes
        self._used: list[Path] = []  # those of them that say nothing any more
        self._sync = sync
        self._guard = threading.Lock()  # for the next two
        self._finished: list[Path] = []  # those of commits that are not synced yet
        self._bytes = 0

    def new_path(self) -> Path:
        """Return the path of a file to write."""
        return self.folder / f"{next(self._numbers)}.part"

    def announce(self, announcement: Announcement) -> Path:
        """Write a note of the files that are about to be moved in, for a crash before their rows.

        It lasts once the caller has synced it with the files.
        """
        data = announcement.encoded()
        try:
            note = self._used.pop()
        except IndexError:
            note = self.folder / f"{next(self._numbers)}{NOTE}"
        new = note not in self._sizes
        with open(note, "xb" if new else "r+b", opener=private) as file:
            self._sizes[note] = max(self._sizes.get(note, 0), -(-len(data) // PAGE) * PAGE)
            file.write(data.ljust(self._sizes[note], b"\n"))
        if new:
            sync_folders((self.folder, self.folder.parent))
        return note

    def finished(self, note: Path, size: int) -> None:
        """Let a note go whose commit is done.

        Until the commit is synced the note is what its files are known by after a power cut, so that a commit
        need not wait for that: many share it.

        Parameters
        ----------
        size : bytes of the files.
        """
        with self._guard:
            self._finished.append(note)
            self._bytes += size
            enough = len(self._finished) >= NOTES or self._bytes >= BYTES
        if enough:
            self._settle()

    def _settle(self) -> None:
        """Sync what finished commits did, and make their notes say nothing.

        The file serves again, in place and without growing or shrinking: to make, empty or remove a file
        costs the disk more than all that is in it. Where a crash brings back what it said, its files have
        their rows.
        """
        with self._guard:
            notes, self._finished, self._bytes = self._finished, [], 0
        if not notes:
            return
        try:
            self._sync()
        except OSError as error:
            # A second sync may succeed without what the first one lost, so the notes stay for good.
            log.warning("The archive could not be synced (%s); the next opening mends this.", error)
            return
        for note in notes:
            with note.open("r+b", buffering=0) as file:
                file.write(VOID)
        self._used += notes

    def close(self) -> None:
        """Remove the folder.

        A note that is left names files that may have been renamed without their rows, after an error as
        after a crash: it stays, and whoever opens the archive next finishes or undoes the work.
        """
        self._settle()
        if {*self.folder.glob(f"*{NOTE}")} - {*self._used}:
            for path in self.folder.glob("*.part"):
                path.unlink(missing_ok=True)
            self._lock.release()
            return
        self._lock.release()
        remove_folder(self.folder)


def _locked_folder(incoming: Path) -> tuple[Path, FileLock]:
    try:
        return locked_folder(incoming, PREFIX)
    except NoLocks as error:
        raise ArchiveError(
            f"The file system of {incoming} has no locks (neither flock nor lockf), so that nothing "
            "can be added safely.",
            remedy="Put the archive on a local disk: the setting 'archive' names its folder.",
        ) from error
