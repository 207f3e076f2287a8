"""Cohort: many series of the archive and of servers at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomdock.api.cohort_function import COMMAND, first_message
from dicomdock.cohort import pull as pulling
from dicomdock.cohort.children import Children, Lost
from dicomdock.cohort.engine import run_in_threads
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.makers import Made
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.cohort.task import TaskReport, carry_out, report_of
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.sources import DicomSource, JsonValue
from dicomdock.transfer.progress import Progress

if TYPE_CHECKING:
    from dicomdock.archive import Archive

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
    local : the archive.
    name : of the cohort.
    version : of its table; None for the last one.

    Raises
    ------
    NotFound
        There is none.
    """

    def __init__(self, local: Archive, settings: Settings, name: str, version: int | None = None) -> None:
        cohorts = Cohorts(settings)
        self._local, self._settings = local, settings
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
        puller = pulling.Puller(self._local, connect, self._settings, each)

        def run(items: Sequence[Item]) -> Generator[Outcome, None, None]:
            try:
                yield from run_in_threads(puller, items, workers, limits, puller.close)
            finally:
                puller.close()

        def holds(item: Item, outcome: Outcome) -> bool:
            return len(self._local.present(item.resource)) >= int(outcome.result.get("instances") or 0)

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
        first = first_message(self._settings, function, seconds)
        with Children([sys.executable, *COMMAND], first) as children:
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

    def status(self) -> list[TaskReport]:
        """Return what is known of each task that was begun, the last one first."""
        return [report_of(self._outcomes, task, self.items) for task in self._outcomes.tasks()]


def _outcome(series: Resource, answer: Mapping[str, Any] | Lost, seconds: float) -> Outcome:
    if isinstance(answer, Lost):
        return Outcome(series, "failed", answer.reason, seconds=seconds)
    if "error" in answer:
        return Outcome(series, "failed", str(answer["error"]), seconds=seconds)
    if "passed_over" in answer:
        return Outcome(series, "passed over", str(answer["passed_over"]), seconds=seconds)
    return Outcome(series, "done", "", answer["result"], seconds)
