"""How far an import is, and what became of its files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, overload

from dicomdock.archive.walk import Failure
from dicomdock.archive.writer import AddResult

T = TypeVar("T")


class _Begun(Sequence[T]):
    """The first items of a list that only grows: what it was at one moment, without a copy."""

    def __init__(self, items: list[T]) -> None:
        self._items, self._length = items, len(items)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return self._items[: self._length][index]
        return self._items[range(self._length)[index]]


@dataclass(frozen=True)
class ImportProgress:
    """How far an import is; the last one is the report.

    Parameters
    ----------
    files : files looked at.
    bytes : bytes of the instances stored.
    stored, identical, conflicts : instances, as the archive took them (``AddResult.status``).
    skipped : files that are not DICOM.
    directories : DICOMDIR files, which are not stored.
    failed : files that look like DICOM, or are named so, and could not be stored, with the reason.
    conflicting : files whose UID the archive has with other bytes.
    remarks : files that are stored although something about them is odd, with what it is.
    studies : UIDs of the studies that the instances belong to.
    done : this is the report, and everything stored is committed.
    """

    files: int = 0
    bytes: int = 0
    stored: int = 0
    identical: int = 0
    conflicts: int = 0
    skipped: int = 0
    directories: int = 0
    failed: Sequence[Failure] = ()
    conflicting: Sequence[Path] = ()
    remarks: Sequence[Failure] = ()
    studies: Collection[str] = field(default_factory=frozenset)
    done: bool = False


class ImportTally:
    """Counts what becomes of the files of an import, each in constant time."""

    def __init__(self) -> None:
        self._counts = ImportProgress()
        self._failed: list[Failure] = []
        self._conflicting: list[Path] = []
        self._remarks: list[Failure] = []
        self._studies: list[str] = []
        self._known: set[str] = set()

    def add(self, path: Path, outcome: AddResult | Failure | str) -> None:
        """Count one more file: as it was stored, ``skipped``, a ``directory``, or why it failed."""
        counts = replace(self._counts, files=self._counts.files + 1)
        if isinstance(outcome, Failure):
            self._failed.append(outcome)
        elif outcome == "skipped":
            counts = replace(counts, skipped=counts.skipped + 1)
        elif outcome == "directory":
            counts = replace(counts, directories=counts.directories + 1)
        else:
            assert isinstance(outcome, AddResult)
            counts = self._with(counts, path, outcome)
        self._counts = counts

    def correct(self, late: AddResult) -> None:
        """Count an instance as what the database found it to be, after it had been counted as stored."""
        conflict = late.status == "conflict"
        self._counts = replace(
            self._counts,
            stored=self._counts.stored - 1,
            bytes=self._counts.bytes - late.size,
            conflicts=self._counts.conflicts + conflict,
            identical=self._counts.identical + (not conflict),
        )

    def progress(self) -> ImportProgress:
        """Return how far the import is."""
        return replace(
            self._counts,
            failed=_Begun(self._failed),
            conflicting=_Begun(self._conflicting),
            remarks=_Begun(self._remarks),
            studies=_Begun(self._studies),
        )

    def report(self) -> ImportProgress:
        """Return what became of everything."""
        return replace(
            self._counts,
            failed=tuple(self._failed),
            conflicting=tuple(self._conflicting),
            remarks=tuple(self._remarks),
            studies=frozenset(self._studies),
            done=True,
        )

    # Inner

    def _with(self, counts: ImportProgress, path: Path, outcome: AddResult) -> ImportProgress:
        study = outcome.resource.study
        if study not in self._known:
            self._known.add(study)
            self._studies.append(study)
        if outcome.status == "conflict":
            self._conflicting.append(path)
            return replace(counts, conflicts=counts.conflicts + 1)
        self._remarks += (Failure(path, remark) for remark in outcome.remarks)
        if outcome.status == "identical":
            return replace(counts, identical=counts.identical + 1)
        return replace(counts, stored=counts.stored + 1, bytes=counts.bytes + outcome.size)
