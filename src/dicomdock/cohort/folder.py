"""Where cohorts are: a folder for each in the state folder, with its versions and its database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from dicomdock.cohort.state import Outcomes
from dicomdock.cohort.table import Item, read_items, write_items
from dicomdock.config.home import private_folder
from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.errors import InvalidInput, NotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_VERSION = re.compile(r"(\d{4,})\.parquet\Z")


class Cohorts:
    """The cohorts of a user.

    They lie beside the list of transfers, not among the instances: the archive's folder may be an object
    store, or be shared with others.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.state / "cohorts"

    def names(self) -> list[str]:
        """Return the names of all cohorts."""
        if not self._folder.is_dir():
            return []
        return sorted(one.name for one in self._folder.iterdir() if _versions(one))

    def save(self, name: str, items: Iterable[Item], facts: Mapping[str, str]) -> Path:
        """Write the next version of a cohort, and return its file.

        Raises
        ------
        InvalidInput
            The name cannot be one.
        """
        folder = self._of(name)
        private_folder(folder)
        with FileLock(folder / "lock").held():
            last = max(_versions(folder), default=0)
            path = folder / f"{last + 1:04d}.parquet"
            write_items(path, items, facts)
        return path

    def file(self, name: str, version: int | None = None) -> Path:
        """Return the file of a version of a cohort, by default the last one.

        Raises
        ------
        NotFound
            There is none.
        InvalidInput
            The name cannot be one.
        """
        known = _versions(self._of(name))
        if not known:
            has = ", ".join(self.names())
            raise NotFound(
                f"There is no cohort {name}; " + (f"there are: {has}." if has else "make one first.")
            )
        chosen = max(known) if version is None else version
        if chosen not in known:
            raise NotFound(f"The cohort {name} has no version {chosen}; its last one is {max(known)}.")
        return known[chosen]

    def items(self, name: str, version: int | None = None) -> list[Item]:
        """Read a version of a cohort, by default the last one.

        Raises
        ------
        NotFound, InvalidInput
            As ``file``; or it cannot be read.
        """
        return read_items(self.file(name, version))

    def outcomes(self, name: str) -> Outcomes:
        """Open what is known of the series of a cohort.

        Raises
        ------
        NotFound, InvalidInput
            As ``file``.
        """
        return Outcomes(self.file(name).with_name("outcomes.db"))

    def _of(self, name: str) -> Path:
        if not _NAME.match(name):
            raise InvalidInput(
                f"{name!r} cannot name a cohort: letters, digits, - and _, at most 64, the first a letter"
                " or digit."
            )
        return self._folder / name


def _versions(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    return {int(found[1]): one for one in folder.iterdir() if (found := _VERSION.match(one.name))}
