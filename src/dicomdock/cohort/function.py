"""Run a user's function on series: what a thread, or a worker of a cluster, does for each of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
    seconds : for one series.
    """

    settings: Settings
    function: str
    path: tuple[str, ...]
    seconds: float

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
        }
        return Children((sys.executable, "-m", PROCESS), first)


@dataclass(frozen=True)
class FunctionWork:
    """Runs the function on one series; safe to use from several threads at once.

    Parameters
    ----------
    seed : with the series it makes the UIDs of what is stored.
    """

    children: Children
    seed: str
    seconds: float

    def __call__(self, item: Item) -> Outcome:
        """Run it."""
        answer = self.children.ask({"series": str(item.resource), "seed": self.seed}, self.seconds)
        return _outcome(item.resource, answer)


@contextmanager
def opened(run: FunctionRun, seed: str) -> Iterator[FunctionWork]:
    """Run a function in processes until the block ends: on a worker of a cluster."""
    with run.children() as children:
        yield FunctionWork(children, seed, run.seconds)


def _outcome(series: Resource, answer: Mapping[str, Any] | Lost) -> Outcome:
    if isinstance(answer, Lost):
        return Outcome(series, "failed", answer.reason)
    if "error" in answer:
        return Outcome(series, "failed", str(answer["error"]))
    if "passed_over" in answer:
        return Outcome(series, "passed over", str(answer["passed_over"]))
    return Outcome(series, "done", "", answer["result"])
