"""Cohort: many series of the archive and of servers at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.cohort import pull as pulling
from dicomdock.cohort.engine import run_in_threads
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.makers import Made
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.cohort.task import TaskReport, carry_out, report_of
from dicomdock.config.settings import Settings
from dicomdock.sources import DicomSource, JsonValue
from dicomdock.transfer.progress import Progress

if TYPE_CHECKING:
    from dicomdock.archive import Archive

WORKERS = 4  # series side by side


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

    def status(self) -> list[TaskReport]:
        """Return what is known of each task that was begun, the last one first."""
        return [report_of(self._outcomes, task, self.items) for task in self._outcomes.tasks()]
