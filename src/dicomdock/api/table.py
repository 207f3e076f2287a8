"""Tables: numbers by the names of their columns, written to files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from dicomdock.archive.storage.local import disk_errors
from dicomdock.errors import InvalidInput

Cell = str | int | float | None


class CsvTable(ABC):
    """A table that can be written as CSV."""

    @abstractmethod
    def csv(self) -> str:
        """Return the table as CSV with a header line; an absent number is an empty field."""

    def to_csv(self, path: Path | str) -> None:
        """Write the table as CSV in UTF-8, with a header line; an absent number is an empty field.

        Raises
        ------
        InvalidInput
            There is a file of that name.
        """
        write_new(path, self.csv().encode())


def write_new(path: Path | str, content: bytes) -> None:
    """Write a table to a new file; nothing is left of one that cannot be written whole.

    Raises
    ------
    InvalidInput
        There is a file of that name.
    NoSpace
        The disk is full.
    ArchiveError
        Anything else that the system refused.
    """
    target = Path(path)
    with disk_errors(f"Writing {target}"):
        try:
            file = target.open("xb")
        except FileExistsError:
            raise InvalidInput(f"{target} exists already.") from None
        try:
            with file:
                file.write(content)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
