"""Procedure steps in the archive's index, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.index.engine import Index
from dicomdock.config.settings import Settings
from dicomdock.errors import NotFound
from dicomdock.worklist.procedure_step import State, StepRefused
from dicomdock.worklist.store import ProcedureSteps, StepExists
from tests.worklist.test_procedure_step import FINISHED, SCHEDULED

CLAIMERS = 50


@pytest.fixture
def index(archive_settings: Settings) -> Iterator[Index]:
    """Give the index of an archive that was there before work lists were."""
    Archive.open(archive_settings).close()
    index = Index(archive_settings.database, archive_settings.archive)
    yield index
    index.close()


def test_of_many_claimers_at_once_one_has_the_step(index: Index) -> None:
    ProcedureSteps(index).create("1.2.3", SCHEDULED)
    together = Barrier(CLAIMERS)

    def claim(number: int) -> str:
        steps = ProcedureSteps(index)
        together.wait()
        try:
            steps.change_state("1.2.3", State.IN_PROGRESS, f"1.2.{number}")
        except StepRefused as error:
            return error.reason
        return "mine"

    with ThreadPoolExecutor(CLAIMERS) as threads:
        answers = list(threads.map(claim, range(CLAIMERS)))
    assert answers.count("mine") == 1
    assert answers.count("C301") == CLAIMERS - 1
    winner = ProcedureSteps(index).retrieve("1.2.3")
    assert winner.state is State.IN_PROGRESS
    assert winner.is_opened_by(f"1.2.{answers.index('mine')}")


def test_a_step_is_created_worked_on_and_completed(index: Index) -> None:
    steps = ProcedureSteps(index)
    steps.create("1.2.3", SCHEDULED)
    with pytest.raises(StepExists):
        steps.create("1.2.3", SCHEDULED)
    steps.change_state("1.2.3", State.IN_PROGRESS, "1.2.9")
    with pytest.raises(StepRefused, match="requires"):
        steps.change_state("1.2.3", State.COMPLETED, "1.2.9")
    steps.update("1.2.3", FINISHED, "1.2.9")
    steps.change_state("1.2.3", State.COMPLETED, "1.2.9")
    again = ProcedureSteps(index).retrieve("1.2.3")
    assert again.state is State.COMPLETED
    expected = {**SCHEDULED, **FINISHED, "00741000": {"vr": "CS", "Value": ["COMPLETED"]}}
    assert {tag: again.attributes[tag] for tag in expected} == expected


def test_a_step_that_nobody_claimed_is_canceled_and_an_unknown_one_is_not_found(index: Index) -> None:
    steps = ProcedureSteps(index)
    steps.create("1.2.3", SCHEDULED)
    assert steps.request_cancellation("1.2.3").step.state is State.CANCELED
    assert steps.retrieve("1.2.3").state is State.CANCELED
    for request in (steps.retrieve, steps.request_cancellation):
        with pytest.raises(NotFound):
            request("1.2.4")
