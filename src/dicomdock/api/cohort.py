"""Cohort: many series of the archive and of servers at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomdock.api.cohort_export import Exporter, Form, OpenArchive, staging
from dicomdock.api.home import LocalHome
from dicomdock.cohort import pull as pulling
from dicomdock.cohort.children import Children, Lost
from dicomdock.cohort.engine import run_in_threads
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.makers import Made
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.cohort.task import TaskReport, carry_out, report_of
from dicomdock.config.settings import Settings
from dicomdock.deidentify import Deidentifier
from dicomdock.dicom.resource import Resource
from dicomdock.sources import DicomSource, JsonValue
from dicomdock.transfer.progress import Progress

FUNCTION_PROCESS = (sys.executable, "-m", "dicomdock.api.cohort_function")
WORKERS = 4  # series that are pulled side by side
PROCESSES = 2  # in which a function runs side by side
SECONDS = 600.0  # that a function may take for one series
DIGEST = 8  # hexadecimal digits of the digest of a function's file, enough to see that it has changed


def save(settings: Settings, name: str, made: Made, facts: Mapping[str, str]) -> Path:
    """Write what a maker found as the next version of a cohort, and return its file.

    Raises
    ------
    InvalidInput
        The name cannot be one.
    """
    return Cohorts(settings).save(name, made.items.values(), facts)


class Cohort:
    """A cohort of the user's, in its last version or an earlier one.

    Parameters
    ----------
    archive : has the series that are here.
    name : of the cohort.
    version : of its table; None for the last one.

    Raises
    ------
    NotFound
        There is none.
    """

    def __init__(self, archive: LocalHome, settings: Settings, name: str, version: int | None = None) -> None:
        cohorts = Cohorts(settings)
        self._archive, self._settings = archive, settings
        self.name = name
        self.items: tuple[Item, ...] = tuple(cohorts.items(name, version))
        self._outcomes = cohorts.outcomes(name)

    def pulling(
        self,
        connect: Callable[[str], DicomSource],
        *,
        workers: int = WORKERS,
        requests: int = pulling.REQUESTS,
    ) -> Generator[Progress, None, TaskReport]:
        """Retrieve every series that is not whole in the archive; yield progress and return the report.

        Parameters
        ----------
        connect : opens a server by its name.
        workers : series side by side.
        requests : to one server at a time, by all workers together.
        """
        most, each = pulling.shares(workers, requests)
        limits = {item.server: most for item in self.items if item.server}
        puller = pulling.Puller(self._archive.local, connect, self._settings, each)

        def run(items: Sequence[Item]) -> Generator[Outcome, None, None]:
            try:
                yield from run_in_threads(puller, items, workers, limits, puller.close)
            finally:
                puller.close()

        def holds(item: Item, outcome: Outcome) -> bool:
            return len(self._archive.local.present(item.resource)) >= int(
                outcome.result.get("instances") or 0
            )

        options: dict[str, JsonValue] = {"workers": workers, "requests": requests}
        return carry_out(self._outcomes, pulling.TASK, self.items, run, options=options, holds=holds)

    def running(
        self, function: str, *, workers: int = PROCESSES, seconds: float = SECONDS, again: bool = False
    ) -> Generator[Progress, None, TaskReport]:
        """Run a function on every series, in processes of its own; yield progress and return the report.

        The function's code runs with the rights of the user. What it returned for a series is kept, until the
        file that it is in changes.

        Parameters
        ----------
        function : ``module:function`` or ``file.py:function``. It receives a ``Volume`` and returns a number,
            a mapping of numbers and texts, a ``Segmentation``, a ``Volume``, or a list of these.
        workers : processes side by side.
        seconds : for one series, after which its process is killed.
        again : compute everything anew.

        Raises
        ------
        InvalidInput
            The function cannot be imported.
        """
        first = _first_message(self._settings, function, seconds)
        with Children(FUNCTION_PROCESS, first) as children:
            digest = str(children.greeting()["digest"])[:DIGEST]
            task = f"run {function} {digest}".rstrip()
            generation = int(str(self._outcomes.tasks().get(task, {}).get("generation", 0)))
            if again:
                generation += 1
                self._outcomes.forget(task)
            seed = f"{task}|{generation}"

            def work(item: Item) -> Outcome:
                started = time.monotonic()
                answer = children.ask({"series": str(item.resource), "seed": seed}, seconds)
                return _outcome(item.resource, answer, time.monotonic() - started)

            def run(items: Sequence[Item]) -> Generator[Outcome, None, None]:
                return run_in_threads(work, items, workers, {}, children.stop)

            options: dict[str, JsonValue] = {"function": function, "generation": generation}
            return (yield from carry_out(self._outcomes, task, self.items, run, options=options))

    def exporting(
        self,
        folder: Path,
        form: Form,
        open_archive: OpenArchive,
        *,
        deidentifier: Deidentifier | None = None,
        straighten: bool = False,
        workers: int = WORKERS,
    ) -> Generator[Progress, None, TaskReport]:
        """Write every series as files; yield progress and return the report.

        Each series appears whole or not at all, under a name that no other series has. Of one that is written
        already nothing is done, until its files are removed.

        Parameters
        ----------
        folder : created where it is missing.
        form : ``dicom``, ``nifti`` or ``nrrd``.
        open_archive : opens another archive, in which de-identified copies are converted.
        deidentifier : lets only de-identified copies leave; a series of which an instance is held back fails.
        straighten : as in ``Archive.export_as``.
        workers : series side by side.

        Raises
        ------
        InvalidInput
            The folder cannot be written, or another export is writing there.
        """
        profile = str(deidentifier.profile) if deidentifier else ""
        task = " ".join(filter(None, ("export", form, profile, str(folder.absolute()))))

        def run(items: Sequence[Item]) -> Generator[Outcome, None, None]:
            with staging(folder) as stage:
                exporter = Exporter(
                    self._archive, self._settings, folder, stage, form, open_archive, deidentifier, straighten
                )
                yield from run_in_threads(exporter, items, workers, {})

        def holds(_item: Item, outcome: Outcome) -> bool:
            return all((folder / path).exists() for path in str(outcome.result.get("path") or "").split("|"))

        options: dict[str, JsonValue] = {
            "folder": str(folder.absolute()),
            "format": form,
            "deidentify": profile,
        }
        return carry_out(self._outcomes, task, self.items, run, options=options, holds=holds)

    def status(self) -> list[TaskReport]:
        """Return what is known of each task that was begun, the last one first."""
        return [report_of(self._outcomes, task, self.items) for task in self._outcomes.tasks()]


def _first_message(settings: Settings, function: str, seconds: float) -> dict[str, Any]:
    """Return what the process of a function is told when it begins."""
    values = vars(settings)
    folders = {name: str(value) for name, value in values.items() if isinstance(value, Path)}
    return {
        "folders": folders,
        "settings": {name: value for name, value in values.items() if name not in folders},
        "function": function,
        "path": [str(Path.cwd()), *sys.path],
        "seconds": seconds,
    }


def _outcome(series: Resource, answer: Mapping[str, Any] | Lost, seconds: float) -> Outcome:
    if isinstance(answer, Lost):
        return Outcome(series, "failed", answer.reason, seconds=seconds)
    if "error" in answer:
        return Outcome(series, "failed", str(answer["error"]), seconds=seconds)
    if "passed_over" in answer:
        return Outcome(series, "passed over", str(answer["passed_over"]), seconds=seconds)
    return Outcome(series, "done", "", answer["result"], seconds)
