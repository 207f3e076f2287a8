"""A task on the series of a cohort: what is left of it is done, and each outcome recorded at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from dicomdock.cohort.state import Outcome, Outcomes, State
from dicomdock.cohort.table import Item
from dicomdock.dicom.resource import Resource
from dicomdock.errors import NoSpace, Unreachable
from dicomdock.sources import JsonValue
from dicomdock.transfer.progress import Progress

Per: TypeAlias = Literal["series", "study"]
Run: TypeAlias = Callable[[Sequence[Item]], Generator[Outcome, None, None]]
"""Works on series and yields what becomes of each."""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What became of the series of a cohort in a task.

    Parameters
    ----------
    task : its name.
    outcomes : of the series, in the order of the table; one without an outcome is still to be done.
    total : series of the cohort.
    now : how many were worked on by this command.
    seconds : how long that took.
    stopped : what ended it before every series had its turn; empty where nothing did.
    per : what was worked on one by one: every ``series``, or every ``study`` with its series.
    """

    task: str
    outcomes: tuple[Outcome, ...]
    total: int
    now: int = 0
    seconds: float = 0.0
    stopped: str = ""
    per: Per = "series"

    def count(self, *states: State) -> int:
        """Count the series in one of these states."""
        return sum(one.state in states for one in self.outcomes)

    @property
    def left(self) -> int:
        """The number of series that have not been worked on."""
        return self.total - len(self.outcomes)

    @property
    def unfinished(self) -> bool:
        """Another try may do more: something failed, or has not been worked on."""
        return bool(self.left or self.count("failed"))

    @property
    def complete(self) -> bool:
        """Every series is done, or was passed over; False also where it cannot be proved."""
        return not self.unfinished and not self.count("unproven")

    def to_json(self) -> dict[str, JsonValue]:
        """Return the report as the command line's contract has it."""
        return {
            "task": self.task,
            "per": self.per,
            "series": {
                "total": self.total,
                "done": self.count("done"),
                "unproven": self.count("unproven"),
                "failed": self.count("failed"),
                "passed_over": self.count("passed over"),
                "left": self.left,
            },
            "now": self.now,
            "seconds": round(self.seconds, 3),
            "complete": self.complete,
            "failures": [
                {"resource": str(one.resource), "reason": one.reason}
                for one in self.outcomes
                if one.state == "failed"
            ],
            "remarks": [
                {"resource": str(one.resource), "reason": one.reason}
                for one in self.outcomes
                if one.state in ("done", "unproven") and one.reason
            ],
            "stopped": self.stopped,
        }


def report_of(outcomes: Outcomes, task: str, items: Sequence[Item], per: Per = "series") -> TaskReport:
    """Return what is known of a task."""
    return replace(_report(outcomes.of(task), task, items), per=per)


def studies_of(items: Sequence[Item]) -> list[Item]:
    """Return an item for each study of the series, in their order."""
    found: dict[Resource, Item] = {}
    for item in items:
        study = Resource(item.resource.study)
        found.setdefault(study, Item(study, item.server, item.patient))
    return [*found.values()]


def carry_out(
    outcomes: Outcomes,
    task: str,
    items: Sequence[Item],
    run: Run,
    *,
    options: Mapping[str, JsonValue],
    holds: Callable[[Item, Outcome], bool] = lambda _item, _outcome: True,
) -> Generator[Progress, None, TaskReport]:
    """Do what is left of a task: series that have no outcome, and those that failed.

    Parameters
    ----------
    run : works on them.
    options : what the task needs to be done again.
    holds : returns whether a series that is done still is.

    Yields
    ------
    Progress
        In series, after each.
    """
    outcomes.begin(task, options)
    known = outcomes.of(task)
    rest = [item for item in items if not _stands(item, known.get(item.resource), holds)]
    for item in rest:
        known.pop(item.resource, None)
    done, failed, now, moved, stopped = len(items) - len(rest), 0, 0, 0, ""
    started = time.monotonic()
    yield Progress(done, len(items), 0, 0, 0.0, "beginning")
    try:
        with closing(run(rest)) as work:
            for outcome in work:
                outcomes.record(task, outcome)
                known[outcome.resource] = outcome
                now += 1
                failed += outcome.state == "failed"
                done += outcome.state != "failed"
                size = outcome.result.get("bytes")
                moved += size if isinstance(size, int) else 0
                yield Progress(done, len(items), failed, moved, time.monotonic() - started, "working")
    except (
        NoSpace,
        Unreachable,
    ) as error:  # the disk is full, or a cluster gone; the rest is still to be done
        stopped = str(error)
    return _report(known, task, items, now, time.monotonic() - started, stopped)


def _stands(item: Item, outcome: Outcome | None, holds: Callable[[Item, Outcome], bool]) -> bool:
    """Return whether nothing is to be done for a series."""
    return outcome is not None and outcome.state != "failed" and holds(item, outcome)


def _report(
    known: Mapping[Resource, Outcome],
    task: str,
    items: Sequence[Item],
    now: int = 0,
    seconds: float = 0.0,
    stopped: str = "",
) -> TaskReport:
    found = tuple(known[item.resource] for item in items if item.resource in known)
    return TaskReport(task, found, len(items), now, seconds, stopped)
