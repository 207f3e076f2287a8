"""Run a user's function on series or studies: what a thread, or a worker of a cluster, does for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomdock.cohort.children import Children, Lost
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

PROCESS = "dicomdock.api.cohort_function"
"""The module that a child runs: it knows volumes, and is started, not imported."""


@dataclass(frozen=True)
class FunctionRun:
    """A function that is run on a cohort.

    Parameters
    ----------
    function : ``module:function`` or ``file.py:function``.
    path : folders in which modules are looked for first.
    seconds : for one series or study.
    studies : for a function that receives all of a study: its UID -> its series; empty for one of series.
    memory : bytes that each of its processes may allocate; 0 for no limit but the machine's. Linux alone.
    """

    settings: Settings
    function: str
    path: tuple[str, ...]
    seconds: float
    studies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    memory: int = 0

    def children(self) -> Children:
        """Return the processes that it runs in."""
        values = vars(self.settings)
        folders = {name: str(value) for name, value in values.items() if isinstance(value, Path)}
        first = {
            "folders": folders,
            "settings": {name: value for name, value in values.items() if name not in folders},
            "function": self.function,
            "path": list(self.path),
            "seconds": self.seconds,
            "memory": self.memory,
        }
        return Children((sys.executable, "-m", PROCESS), first)


@dataclass(frozen=True)
class FunctionWork:
    """Runs the function on one series or study; safe to use from several threads at once.

    Parameters
    ----------
    seed : with the resource it makes the UIDs of what is stored.
    """

    run: FunctionRun
    children: Children
    seed: str

    def __call__(self, item: Item) -> Outcome:
        """Run it."""
        message: dict[str, Any] = {"resource": str(item.resource), "seed": self.seed}
        if item.resource.series is None:
            message["series"] = [*self.run.studies[item.resource.study]]
        return _outcome(item.resource, self.children.ask(message, self.run.seconds))


@contextmanager
def opened(run: FunctionRun, seed: str) -> Iterator[FunctionWork]:
    """Run a function in processes until the block ends: on a worker of a cluster."""
    with run.children() as children:
        yield FunctionWork(run, children, seed)


def _outcome(resource: Resource, answer: Mapping[str, Any] | Lost) -> Outcome:
    if isinstance(answer, Lost):
        return Outcome(resource, "failed", answer.reason)
    if "error" in answer:
        return Outcome(resource, "failed", str(answer["error"]))
    if "passed_over" in answer:
        return Outcome(resource, "passed over", str(answer["passed_over"]))
    return Outcome(resource, "done", str(answer.get("remarks", "")), answer["result"])
