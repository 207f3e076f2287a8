"""Exports that a page watches: a folder or one zip file, written in a thread, stopped when not wanted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.dicom.resource import Resource
from dicomdock.errors import Cancelled

if TYPE_CHECKING:
    from dicomdock.archive import Archive, Exported
    from dicomdock.deidentify import Deidentifier


class Export:
    """One export on its way.

    Parameters
    ----------
    archive : what is exported from.
    resources : what is exported.
    target : a folder, or the zip file.
    zip_file : write one zip file.
    deidentifier : makes de-identified copies; None copies byte for byte.

    Attributes
    ----------
    held_back : reasons for which instances did not leave, and how many.
    """

    def __init__(
        self,
        archive: Archive,
        resources: Sequence[Resource],
        target: Path,
        *,
        zip_file: bool,
        deidentifier: Deidentifier | None = None,
    ) -> None:
        self.target = target
        self.held_back: Counter[str] = Counter()
        self._deidentifier = deidentifier
        self.done = 0
        self.total = 0
        self.bytes = 0
        self._archive = archive
        self._resources = resources
        self._zip = zip_file
        self._stop = threading.Event()

    def stop(self) -> None:
        """End it after the file that is being written."""
        self._stop.set()

    def run(self) -> None:
        """Write everything; blocks.

        Raises
        ------
        Cancelled
            It was stopped.
        DicomdockError
            It cannot be written.
        """
        if self._deidentifier is None:
            steps = self._archive.export(self._resources, self.target, zip=self._zip)
        else:
            from dicomdock.deidentify import Report

            report = Report(self._deidentifier.profile)
            steps = self._archive.export_deidentified(
                self._resources, self.target, self._deidentifier, report, zip=self._zip
            )
        self._write(steps)
        if self._deidentifier is not None:
            self.held_back.update(reason for _, reason in report.held_back)

    def _write(self, steps: Iterator[Exported]) -> None:
        with closing(steps):  # type: ignore[type-var]  # it is a generator
            for step in steps:
                self.done += 1
                self.total = step.total
                self.bytes += step.size
                if self._stop.is_set():
                    raise Cancelled(f"The export ended after {self.done} of {self.total} images.")


def usual_folder() -> Path:
    """Return the folder that a person looks for new files in."""
    downloads = Path.home() / "Downloads"
    return downloads if downloads.is_dir() else Path.home()


def free_name(folder: Path, name: str, suffix: str) -> Path:
    """Return a path in the folder that is not taken yet."""
    from dicomdock.archive.export import clean_name

    clean = clean_name(name)
    for number in range(1, 1000):
        path = folder / (f"{clean}{suffix}" if number == 1 else f"{clean} ({number}){suffix}")
        if not path.exists():
            return path
    return folder / f"{clean}{suffix}"
