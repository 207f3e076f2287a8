"""How far an import is: each step shows its own moment, and costs the same however many files came before."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from dicomdock.archive.import_progress import ImportTally
from dicomdock.archive.walk import Failure


def test_a_step_shows_its_moment_and_the_report_everything() -> None:
    tally, steps = ImportTally(), []
    for number in range(5):
        tally.add(Path(f"{number}"), Failure(Path(f"{number}"), "It is cut off."))
        steps.append(tally.progress())
    assert [len(step.failed) for step in steps] == [1, 2, 3, 4, 5]
    assert [one.path.name for one in steps[2].failed] == ["0", "1", "2"]
    assert [one.path.name for one in steps[3].failed[1:]] == ["1", "2", "3"]
    assert steps[1].failed[-1].path.name == "1"
    assert tally.report().failed == tuple(steps[-1].failed)


@pytest.mark.slow
def test_a_step_of_a_long_import_costs_what_the_first_does() -> None:
    tally = ImportTally()
    for number in range(30_000):
        tally.add(Path("file"), Failure(Path(f"{number}"), "It is cut off."))
    tracemalloc.start()
    try:
        step = tally.progress()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(step.failed) == 30_000
    assert most < 10_000
