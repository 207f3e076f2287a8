"""Procedure steps in a database, on SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomdock.archive import Archive
from dicomdock.archive.index.engine import Index
from dicomdock.archive.side_database import SideDatabase
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import DicomJson, items, text
from dicomdock.dicom.query import Query
from dicomdock.dicom.uid import new_uid
from dicomdock.errors import ArchiveError, ArchiveTooNew, NotFound, UnsupportedByServer
from dicomdock.worklist import store
from dicomdock.worklist.refusals import StepRefused
from dicomdock.worklist.requirements import State
from dicomdock.worklist.store import ProcedureSteps, StepExists, StepTooLarge
from tests.builders import document, write
from tests.worklist.conftest import PATIENCE
from tests.worklist.test_procedure_step import FINISHED, SCHEDULED

CLAIMERS = 50


@pytest.mark.slow
def test_of_many_claimers_at_once_one_has_the_step(database: Index) -> None:
    ProcedureSteps(database).create("1.2.3", SCHEDULED)
    together = Barrier(CLAIMERS)

    def claim(number: int) -> str:
        steps = ProcedureSteps(database)
        together.wait(PATIENCE)
        try:
            steps.change_state("1.2.3", State.IN_PROGRESS, f"1.2.{number}")
        except StepRefused as error:
            return error.reason
        return "mine"

    with ThreadPoolExecutor(CLAIMERS) as threads:
        answers = list(threads.map(claim, range(CLAIMERS)))
    assert answers.count("mine") == 1
    assert answers.count("C301") == CLAIMERS - 1
    winner = ProcedureSteps(database).retrieve("1.2.3")
    assert winner.state is State.IN_PROGRESS
    assert winner.is_opened_by(f"1.2.{answers.index('mine')}")


def test_a_step_is_created_worked_on_and_completed(database: Index) -> None:
    steps = ProcedureSteps(database)
    steps.create("1.2.3", SCHEDULED)
    with pytest.raises(StepExists):
        steps.create("1.2.3", SCHEDULED)
    steps.change_state("1.2.3", State.IN_PROGRESS, "1.2.9")
    with pytest.raises(StepRefused, match="requires"):
        steps.change_state("1.2.3", State.COMPLETED, "1.2.9")
    steps.update("1.2.3", FINISHED, "1.2.9")
    steps.change_state("1.2.3", State.COMPLETED, "1.2.9")
    again = ProcedureSteps(database).retrieve("1.2.3")
    assert again.state is State.COMPLETED
    expected = {**SCHEDULED, **FINISHED, "00741000": {"vr": "CS", "Value": ["COMPLETED"]}}
    assert {tag: again.attributes[tag] for tag in expected} == expected


@pytest.mark.slow
def test_a_step_that_nobody_claimed_is_canceled_and_an_unknown_one_is_not_found(database: Index) -> None:
    steps = ProcedureSteps(database)
    steps.create("1.2.3", SCHEDULED)
    assert steps.request_cancellation("1.2.3").step.state is State.CANCELED
    assert steps.retrieve("1.2.3").state is State.CANCELED
    for request in (steps.retrieve, steps.request_cancellation):
        with pytest.raises(NotFound):
            request("1.2.4")


def test_a_rebuild_of_the_index_leaves_the_steps(archive_settings: Settings) -> None:
    made = document()
    with Archive.open(archive_settings) as archive:
        list(archive.import_paths(write(archive_settings.state / "new", [made])))
        steps = ProcedureSteps(archive.worklist.open())
        steps.create("1.2.3", SCHEDULED)
        steps.change_state("1.2.3", State.IN_PROGRESS, "1.2.9")
        if not archive_settings.database:
            (archive_settings.archive / "index.sqlite").write_bytes(b"no database" * 1000)
        else:
            with archive._index.writing() as connection:
                connection.execute("DELETE FROM study")
    with Archive.open(archive_settings) as archive:
        assert [one.resource for one in archive.instances(made.resource)] == [made.resource]  # rebuilt
        again = ProcedureSteps(archive.worklist.open()).retrieve("1.2.3")
    assert again.is_opened_by("1.2.9")


def test_a_search_finds_what_matches_page_by_page(database: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE", 2)
    steps = ProcedureSteps(database)
    for number in range(5):
        label: DicomJson = {"00741204": {"vr": "LO", "Value": [f"segment {number}"]}}
        steps.create(f"1.2.{number}", {**SCHEDULED, **label})
    steps.change_state("1.2.2", State.IN_PROGRESS, "1.2.9")

    def found(query: Query) -> list[str]:
        return [step.uid for step in steps.search(query)]

    everything = [f"1.2.{number}" for number in range(5)]
    assert found(Query()) == everything
    assert found(Query(limit=2, offset=3)) == everything[3:]
    assert found(Query(limit=0)) == []
    assert found(Query(match={"ProcedureStepState": "SCHEDULED"})) == ["1.2.0", "1.2.1", "1.2.3", "1.2.4"]
    assert found(Query(match={"ProcedureStepState": "IN PROGRESS,COMPLETED"})) == ["1.2.2"]
    assert found(Query(match={"ProcedureStepState": "FINISHED"})) == []
    assert found(Query(match={"ProcedureStepLabel": "*4", "SOPInstanceUID": "1.2.3,1.2.4"})) == ["1.2.4"]
    assert found(Query(match={"TransactionUID": "1.2.9"})) == []


def test_moments_are_in_utc_wherever_the_machine_is(database: Index) -> None:
    there = timezone(timedelta(hours=9))
    steps = ProcedureSteps(database, now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=there))
    step = steps.create("1.2.3", SCHEDULED)
    modified = text(step.attributes, "ScheduledProcedureStepModificationDateTime")
    assert modified == "20260101180405.000000+0000"


def test_a_claim_whose_performer_is_silent_is_scheduled_anew(database: Index) -> None:
    clock = [datetime(2026, 1, 2, tzinfo=UTC)]
    steps = ProcedureSteps(database, lambda: clock[0], deadline=timedelta(hours=2))
    other = ProcedureSteps(database, lambda: clock[0], deadline=timedelta(hours=2))
    steps.create("1.2.3", SCHEDULED)
    steps.create("1.2.4", SCHEDULED)
    clock[0] += timedelta(days=9)  # nobody has to claim a step soon
    steps.change_state("1.2.3", State.IN_PROGRESS, "1.2.9")
    for _ in range(3):
        clock[0] += timedelta(hours=2)
        steps.update("1.2.3", {}, "1.2.9")  # a sign of the performer
    with pytest.raises(StepRefused):
        steps.request_cancellation("1.2.3")  # which is none
    clock[0] += timedelta(hours=2, seconds=1)
    for request in (
        lambda: steps.update("1.2.3", FINISHED, "1.2.9"),
        lambda: other.change_state("1.2.3", State.COMPLETED, "1.2.9"),
    ):
        with pytest.raises(StepRefused, match=r"silent for 2 hours; the work goes on as .* 2\.25"):
            request()
    scheduled = {step.uid: step for step in other.search(Query(match={"ProcedureStepState": "SCHEDULED"}))}
    (uid,) = scheduled.keys() - {"1.2.4"}
    (replaced,) = items(scheduled[uid].attributes, "ReplacedProcedureStepSequence")
    assert text(replaced, "ReferencedSOPInstanceUID") == "1.2.3"
    other.change_state(uid, State.IN_PROGRESS, "1.2.10")
    assert sum(1 for _ in steps.search(Query())) == 3  # none is scheduled twice


@pytest.mark.slow
def test_whatever_happens_each_work_is_on_the_list_until_it_is_done_or_canceled(database: Index) -> None:
    clock = [datetime(2026, 1, 2, tzinfo=UTC)]
    steps = ProcedureSteps(database, lambda: clock[0], deadline=timedelta(hours=2))
    requests = st.sampled_from(["claim", "update", "complete", "cancel", "request", "wait", "wait long"])

    @settings(max_examples=12, deadline=None)
    @given(st.lists(st.tuples(requests, st.sampled_from(["1.2.9", "1.2.10"])), max_size=9))
    def walk(walked: list[tuple[str, str]]) -> None:
        uid = steps.create(new_uid(), SCHEDULED).uid
        known = [uid]
        for request, mine in walked:
            clock[0] += timedelta(hours={"wait": 1, "wait long": 3}.get(request, 0))
            with contextlib.suppress(StepRefused):
                if request == "claim":
                    steps.change_state(uid, State.IN_PROGRESS, mine)
                elif request == "update":
                    steps.update(uid, FINISHED, mine)
                elif request == "request":
                    steps.request_cancellation(uid)
                elif request in ("complete", "cancel"):
                    wanted = State.COMPLETED if request == "complete" else State.CANCELED
                    steps.change_state(uid, wanted, mine)
            steps.reschedule_abandoned()
            replaced = {"ReplacedProcedureStepSequence.ReferencedSOPInstanceUID": uid}
            followers = [step.uid for step in steps.search(Query(match=replaced))]
            assert len(followers) <= (steps.retrieve(uid).state is State.CANCELED)
            known += followers
            uid = known[-1]
        states = [steps.retrieve(one).state for one in known]
        assert states[:-1] == [State.CANCELED] * (len(known) - 1)

    walk()


def test_steps_claimed_before_there_was_a_deadline_have_it_from_now_on(database: Index) -> None:
    steps = ProcedureSteps(database)
    steps.create("1.2.3", SCHEDULED)
    steps.change_state("1.2.3", State.IN_PROGRESS, "1.2.9")
    with database.writing() as connection:  # as version 1 had it
        for table in ("claim", "subscriber", "subscription", "report", "replacement", "filter"):
            connection.execute(f"DROP TABLE procedure_step_{table}")
        connection.execute("UPDATE worklist SET version = 1")
    steps = ProcedureSteps(database, deadline=timedelta(hours=1))
    assert steps.retrieve("1.2.3").state is State.IN_PROGRESS
    later = datetime.now(UTC) + timedelta(hours=2)
    steps = ProcedureSteps(database, lambda: later, deadline=timedelta(hours=1))
    assert steps.retrieve("1.2.3").state is State.CANCELED


def test_a_step_does_not_grow_without_bounds(database: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_STEP", 3000)
    steps = ProcedureSteps(database)
    steps.create("1.2.3", SCHEDULED)
    with pytest.raises(StepTooLarge):
        steps.update("1.2.3", {"00400400": {"vr": "LT", "Value": ["x" * 3000]}})
    assert "00400400" not in steps.retrieve("1.2.3").attributes


def test_a_damaged_or_later_database_is_named_and_left_as_it_is(settings: Settings) -> None:
    path = settings.archive / "index-worklist.sqlite"
    with Archive.open(settings) as archive:
        ProcedureSteps(archive.worklist.open()).create("1.2.3", SCHEDULED)
    with sqlite3.connect(path) as later:
        later.execute("UPDATE worklist SET version = 99")
    later.close()
    with Archive.open(settings) as archive, pytest.raises(ArchiveTooNew, match="work list"):
        ProcedureSteps(archive.worklist.open())
    damaged = b"no database" * 1000
    path.write_bytes(damaged)
    with Archive.open(settings) as archive, pytest.raises(ArchiveError, match="move it away"):
        ProcedureSteps(archive.worklist.open())
    assert path.read_bytes() == damaged


def test_an_archive_that_cannot_be_written_has_no_work_list_of_its_own(database: Index) -> None:
    opened = SideDatabase(database, "worklist", read_only=True)
    if database.path is None:
        assert opened.open() is database
    else:
        with pytest.raises(UnsupportedByServer):
            opened.open()
