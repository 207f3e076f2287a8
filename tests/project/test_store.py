"""Projects in a database, on SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import items as items_of
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.errors import ArchiveTooNew, InvalidInput, NotFound
from dicomdock.project.model import CaseRefused, CaseState, Event, Project, key_of, progress_by_person
from dicomdock.project.order import upcoming
from dicomdock.project.store import Projects
from dicomdock.worklist.refusals import StepRefused
from dicomdock.worklist.requirements import State
from dicomdock.worklist.store import ProcedureSteps
from tests.programs import python
from tests.project.conftest import DEADLINE, TASK, Clock, items, result
from tests.worklist.conftest import PATIENCE
from tests.worklist.test_procedure_step import FINISHED

CLAIMERS = 50
Make = Callable[..., Project]


def test_a_case_goes_from_open_to_done_and_back_once(
    projects: Projects, archive: Archive, make: Make
) -> None:
    make()
    case = projects.take("livers", "anna")
    assert case is not None and (case.key, case.state, case.person) == ((1, 1), CaseState.TAKEN, "anna")
    assert projects.take("livers", "anna") == case  # what one has comes first
    other = projects.take("livers", "bert")
    assert other is not None and other.key == (2, 1)
    with pytest.raises(CaseRefused, match="taken by anna, not by bert"):
        projects.submit("livers", (1, 1), "bert", result())
    assert projects.take("livers", "rita") is None
    submitted = projects.submit("livers", (1, 1), "anna", result())
    assert (submitted.state, submitted.rounds) == (CaseState.SUBMITTED, 1)
    review = projects.take("livers", "rita")
    assert review is not None and (review.key, review.state) == ((1, 1), CaseState.IN_REVIEW)
    with pytest.raises(InvalidInput, match="note"):
        projects.send_back("livers", (1, 1), "rita", " ")
    projects.send_back("livers", (1, 1), "rita", "The dome is missing.")
    with pytest.raises(CaseRefused, match="assigned to anna"):
        projects.take("livers", "bert", (1, 1))
    again = projects.take("livers", "anna")
    assert again is not None and (again.key, again.note) == ((1, 1), "The dome is missing.")
    projects.submit("livers", (1, 1), "anna", result(2))
    done = projects.accept("livers", (1, 1), "rita")  # taken for review by accepting it
    assert (done.state, done.result, done.reviewer) == (CaseState.DONE, result(2), "rita")
    with pytest.raises(CaseRefused, match="Case 1 is done"):
        projects.take("livers", "anna", (1, 1))
    assert [one.event for one in projects.history("livers") if one.case == (1, 1)] == [
        *(Event.TAKEN, Event.SUBMITTED, Event.REVIEW_TAKEN, Event.SENT_BACK),
        *(Event.TAKEN, Event.SUBMITTED, Event.REVIEW_TAKEN, Event.ACCEPTED),
    ]
    # Other programs see the same as four completed procedure steps of the work list.
    steps = ProcedureSteps(archive.worklist.open())
    completed = list(
        steps.search(Query(match={"ProcedureStepState": "COMPLETED", "WorklistLabel": "livers"}))
    )
    assert {text(step.attributes, "StudyInstanceUID") for step in completed} == {"1.2.1"}
    done_by = []
    for step in completed:
        (performed,) = items_of(step.attributes, "UnifiedProcedureStepPerformedProcedureSequence")
        (person,) = items_of(performed, "ActualHumanPerformersSequence")
        done_by.append(text(person, "HumanPerformerName"))
    assert sorted(done_by) == ["anna", "anna", "rita", "rita"]


def test_each_series_is_annotated_by_two_people_who_do_not_review_their_own(
    projects: Projects, make: Make
) -> None:
    project = make(count=1, annotations=2, annotators=("anna", "bert", "rita"))
    first = projects.take("livers", "anna")
    assert first is not None and first.key == key_of("1a", project)
    projects.submit("livers", first.key, "anna", result())
    with pytest.raises(CaseRefused, match="this one is for others"):
        projects.take("livers", "anna", (1, 2))
    assert projects.take("livers", "anna") is None
    second = projects.take("livers", "rita", (1, 2))  # who reviews too
    assert second is not None
    projects.submit("livers", second.key, "rita", result(2))
    with pytest.raises(CaseRefused, match="another person reviews it"):
        projects.accept("livers", second.key, "rita")
    assert projects.accept("livers", first.key, "rita").state is CaseState.DONE
    counts = progress_by_person(project, projects.cases("livers"))
    assert counts["anna"][CaseState.DONE] == counts["rita"][CaseState.SUBMITTED] == 1


def test_people_are_assigned_and_added_and_the_next_case_is_known_before(
    projects: Projects, make: Make
) -> None:
    project = make(review=False)
    with pytest.raises(CaseRefused, match="carl is not an annotator"):
        projects.assign("livers", [(2, 1)], "carl")
    with pytest.raises(CaseRefused, match="carl is neither annotator nor reviewer"):
        projects.take("livers", "carl")
    project = projects.add_people("livers", annotators=["carl", "anna"])
    assert project.annotators == ("anna", "bert", "carl")
    projects.assign("livers", [(2, 1), (3, 1)], "carl")
    projects.assign("livers", [(3, 1)], "")
    before = upcoming(projects.cases("livers"), project, "carl")
    taken = projects.take("livers", "carl")
    assert before is not None and taken is not None and before.key == taken.key == (2, 1)
    released = projects.release("livers", taken.key, "carl")
    assert (released.state, released.person, released.assigned) == (CaseState.OPEN, "", "carl")
    with pytest.raises(CaseRefused, match="take it first"):
        projects.submit("livers", taken.key, "carl", result())
    projects.take("livers", "carl", taken.key)
    done = projects.submit("livers", taken.key, "carl", result())
    assert done.state is CaseState.DONE  # nobody reviews
    with pytest.raises(CaseRefused, match="only open cases"):
        projects.assign("livers", [(2, 1)], "anna")


def test_a_project_and_its_open_steps_are_removed(projects: Projects, archive: Archive, make: Make) -> None:
    make()
    with pytest.raises(InvalidInput, match="already"):
        make()
    make("others", count=1)
    projects.take("livers", "anna")
    assert projects.names() == ["livers", "others"]
    assert projects.remove("livers") == 3
    with pytest.raises(NotFound, match="there are: others"):
        projects.cases("livers")
    found = ProcedureSteps(archive.worklist.open()).search(Query(match={"WorklistLabel": "livers"}))
    assert {step.state for step in found} == {State.CANCELED}
    with pytest.raises(NotFound, match="no case 7"):
        projects.take("others", "anna", (7, 1))
    for wrong in ({"name": "a b"}, {"annotators": ("a\\b",)}, {"annotations": 0}):
        with pytest.raises(InvalidInput):
            make(**{"name": "wrong", **wrong})
    with pytest.raises(InvalidInput, match="no series"):
        make("empty", count=0)


@pytest.mark.slow
def test_of_many_who_take_one_case_at_once_one_has_it(
    archive_settings: Settings, make: Make, projects: Projects
) -> None:
    people = tuple(f"person{number}" for number in range(CLAIMERS))
    make(count=1, annotators=people, review=False)
    together = Barrier(CLAIMERS)

    def take(person: str) -> str:
        with Archive.open(archive_settings) as archive:
            archive.worklist.open()._lock_timeout = PATIENCE
            mine = Projects(archive)
            together.wait(PATIENCE)
            case = mine.take("livers", person)
        return case.person if case else ""

    with ThreadPoolExecutor(CLAIMERS) as threads:
        answers = list(threads.map(take, people))
    (winner,) = filter(None, answers)
    (case,) = projects.cases("livers")
    assert (case.state, case.person) == (CaseState.TAKEN, winner)


@pytest.mark.slow
def test_many_who_take_cases_at_once_share_them(archive_settings: Settings, make: Make) -> None:
    people = tuple(f"person{number}" for number in range(12))
    make(count=12, annotators=people)
    together = Barrier(12)

    def take(person: str) -> tuple[int, int] | None:
        with Archive.open(archive_settings) as archive:
            archive.worklist.open()._lock_timeout = PATIENCE
            mine = Projects(archive)
            together.wait(PATIENCE)
            case = mine.take("livers", person)
        return case.key if case else None

    with ThreadPoolExecutor(12) as threads:
        taken = list(threads.map(take, people))
    assert sorted(filter(None, taken)) == [(number, 1) for number in range(1, 13)]


def test_an_abandoned_case_comes_free_and_both_are_notified(
    projects: Projects, archive: Archive, clock: Clock, make: Make
) -> None:
    make(count=1)
    taken = projects.take("livers", "anna")
    assert taken is not None
    for _ in range(3):
        clock.pass_(0.9 * DEADLINE)
        assert projects.take("livers", "anna") == taken  # a sign of her
    clock.pass_(DEADLINE + 1)
    (case,) = projects.cases("livers")
    assert (case.state, case.person) == (CaseState.OPEN, "")
    with pytest.raises(
        CaseRefused, match=r"came free on 2026-01-02 03:42 UTC.*nothing was heard for 1 hour\."
    ):
        projects.submit("livers", (1, 1), "anna", result())
    (sentence,) = projects.lost("livers", "anna")
    assert sentence.startswith("Case 1 came free on 2026-01-02 03:42 UTC, and is open now")
    assert projects.lost("livers", "bert") == []
    assert projects.take("livers", "bert") is not None
    with pytest.raises(CaseRefused, match="is taken now"):
        projects.submit("livers", (1, 1), "anna", result())
    # The work list tells other programs by the reason of the canceled step.
    steps = ProcedureSteps(archive.worklist.open(), clock)
    canceled = steps.retrieve(taken.step)
    (progress,) = items_of(canceled.attributes, "ProcedureStepProgressInformationSequence")
    assert "silent for 1 hour;" in text(progress, "ReasonForCancellation")
    projects.submit("livers", (1, 1), "bert", result())
    projects.take("livers", "rita")
    clock.pass_(DEADLINE + 1)
    (case,) = projects.cases("livers")
    assert (case.state, case.person, case.reviewer) == (CaseState.SUBMITTED, "bert", "")
    assert [len(projects.lost("livers", who)) for who in ("anna", "rita")] == [1, 1]
    projects.accept("livers", (1, 1), "rita")
    assert projects.lost("livers", "anna") == projects.lost("livers", "rita") == []  # it is done


def test_a_case_is_withdrawn_from_who_has_it_and_they_read_why(
    projects: Projects, archive: Archive, make: Make
) -> None:
    make(count=2)
    taken = projects.take("livers", "anna", (1, 1))
    assert taken is not None
    with pytest.raises(CaseRefused, match="project withdraw livers 1"):
        projects.assign("livers", [(1, 1)], "bert")
    with pytest.raises(CaseRefused, match="Case 2 is open; nobody has it"):
        projects.withdraw("livers", [(1, 1), (2, 1)], "rita")  # all or none
    (back,) = projects.withdraw("livers", [(1, 1)], "rita")
    assert (back.state, back.person) == (CaseState.OPEN, "")
    projects.alive("livers", "anna")  # a sign of her takes nothing
    projects.assign("livers", [(1, 1)], "bert")
    canceled = ProcedureSteps(archive.worklist.open()).retrieve(taken.step)
    assert canceled.state is State.CANCELED
    (progress,) = items_of(canceled.attributes, "ProcedureStepProgressInformationSequence")
    assert "rita withdrew it" in text(progress, "ReasonForCancellation")
    with pytest.raises(CaseRefused, match=r"withdrawn from you on .*rita withdrew it\. What you saved is in"):
        projects.submit("livers", (1, 1), "anna", result())
    (sentence,) = projects.lost("livers", "anna")
    assert sentence.startswith("Case 1 was withdrawn from you on")
    projects.assign("livers", [(1, 1)], "anna")
    assert projects.lost("livers", "anna") == []
    (sentence,) = projects.lost("livers", "bert")
    assert sentence.endswith("it was assigned to anna. What you saved is in the archive.")
    case, _ = projects.cases("livers")
    scheduled = ProcedureSteps(archive.worklist.open()).retrieve(case.step)
    (human,) = items_of(scheduled.attributes, "ScheduledHumanPerformersSequence")
    assert text(human, "HumanPerformerName") == "anna"  # as other programs see it
    projects.take("livers", "anna", (1, 1))
    projects.submit("livers", (1, 1), "anna", result())
    projects.take("livers", "rita")
    (reviewed,) = projects.withdraw("livers", [(1, 1)], "bert")
    assert (reviewed.state, reviewed.person, reviewed.result) == (CaseState.SUBMITTED, "anna", result())
    assert len(projects.lost("livers", "rita")) == 1


def test_a_case_that_is_sent_back_twice_keeps_both_notes(projects: Projects, make: Make) -> None:
    make(count=1)
    for number, note in enumerate(("The dome.", "And the tip."), 1):
        projects.take("livers", "anna")
        projects.submit("livers", (1, 1), "anna", result(number))
        with pytest.raises(CaseRefused, match="submitted already"):
            projects.submit("livers", (1, 1), "anna", result(number))
        projects.send_back("livers", (1, 1), "rita", note)
        with pytest.raises(CaseRefused, match="sent back already, and is drawn again"):
            projects.send_back("livers", (1, 1), "rita", "Pressed twice.")
    projects.take("livers", "anna")
    with pytest.raises(CaseRefused, match="is being drawn"):
        projects.accept("livers", (1, 1), "rita")
    (case,) = projects.cases("livers")
    assert (case.note, case.rounds) == ("And the tip.", 2)
    notes = [(one.person, one.note) for one in projects.notes("livers")]
    assert notes == [("rita", "The dome."), ("rita", "And the tip.")]


def test_what_a_person_gave_back_comes_last(projects: Projects, make: Make) -> None:
    make()
    keys = []
    for _ in range(3):
        taken = projects.take("livers", "anna")
        assert taken is not None
        keys.append(taken.key)
        projects.release("livers", taken.key, "anna")
    assert keys == [(1, 1), (2, 1), (3, 1)]
    following, taken = projects.upcoming("livers", "anna"), projects.take("livers", "anna")
    assert following is not None and taken is not None
    assert taken.key == following.key == (1, 1)  # better than none
    assert projects.take("livers", "anna") == taken  # what she has comes first


def test_another_program_does_a_case_over_the_work_list(
    projects: Projects, archive: Archive, make: Make
) -> None:
    make(count=2)
    steps = ProcedureSteps(archive.worklist.open())
    uids = {case.key: case.step for case in projects.cases("livers")}
    steps.change_state(uids[1, 1], State.IN_PROGRESS, "1.2.9")
    with pytest.raises(CaseRefused, match="taken, by another program"):
        projects.take("livers", "anna", (1, 1))
    steps.update(uids[1, 1], FINISHED, "1.2.9")
    steps.change_state(uids[1, 1], State.COMPLETED, "1.2.9")
    steps.request_cancellation(uids[2, 1])
    first, second = projects.cases("livers")
    assert (first.state, first.result, second.state) == (CaseState.SUBMITTED, None, CaseState.CANCELED)
    taken = projects.take("livers", "rita")
    assert taken is not None
    with pytest.raises(StepRefused):  # whose claim nobody else can use
        steps.change_state(taken.step, State.CANCELED, "1.2.9")


@pytest.mark.slow
def test_every_case_is_somebodys_or_open_whatever_happens(
    projects: Projects, clock: Clock, make: Make
) -> None:
    requests = st.sampled_from(
        ["take", "submit", "accept", "send back", "release", "withdraw", "wait", "wait long"]
    )
    people = st.sampled_from(["anna", "bert", "rita"])
    made = iter(range(10_000))

    @settings(max_examples=10, deadline=None)
    @given(st.lists(st.tuples(requests, people, st.sampled_from([(1, 1), (1, 2)])), max_size=12))
    def walk(walked: list[tuple[str, str, tuple[int, int]]]) -> None:
        name = f"p{next(made)}"
        project = make(name, count=1, annotations=2, annotators=("anna", "bert", "rita"))
        for request, person, key in walked:
            before = {case.key: case for case in projects.cases(name)}
            clock.pass_({"wait": DEADLINE / 2, "wait long": DEADLINE * 2}.get(request, 0))
            with contextlib.suppress(CaseRefused):
                if request == "take":
                    projects.take(name, person, key)
                elif request == "submit":
                    projects.submit(name, key, person, result())
                elif request == "accept":
                    projects.accept(name, key, person)
                elif request == "send back":
                    projects.send_back(name, key, person, "once more")
                elif request == "release":
                    projects.release(name, key, person)
                elif request == "withdraw":
                    projects.withdraw(name, [key], "rita")
            cases = projects.cases(name)
            holders = [case.person for case in cases if case.person]
            assert len(set(holders)) == len(holders)  # two people annotate a series, not one twice
            for case in cases:
                assert case.state is not CaseState.CANCELED
                assert bool(case.person) or case.state is CaseState.OPEN
                assert bool(case.reviewer) or case.state is not CaseState.IN_REVIEW
                assert case.reviewer != case.person or not case.person
                assert (case.result is not None) == (case.rounds > 0)
                was = before[case.key]
                if was.state.is_final or (not request.startswith("wait") and case.key != key):
                    assert case == was  # what is done stays, and nobody else's case changes
        assert len(projects.history(name)) >= sum(case.rounds for case in projects.cases(name))
        assert upcoming(projects.cases(name), project, "nobody") is None

    walk()


TAKING = """
import sys
from pathlib import Path
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.project.changes import CaseChanges
from dicomdock.project.store import Projects
home, database, moment = sys.argv[1:]
settings = Settings(Path(home) / "config", Path(home) / "archive", Path(home) / "state", database=database)
with Archive.open(settings) as archive:
    projects = Projects(archive)
    def stop(self, *arguments, **more):
        written = write(self, *arguments, **more)
        if moment == "claimed":
            print("between", flush=True)
            sys.stdin.read()
        return written
    write, CaseChanges.write = CaseChanges.write, stop
    projects.take("livers", "anna")
    print("committed", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "state"), [("claimed", CaseState.OPEN), ("later", CaseState.TAKEN)])
def test_what_a_killed_process_had_not_committed_did_not_happen(
    archive_settings: Settings, projects: Projects, make: Make, moment: str, state: CaseState
) -> None:
    make(count=1)
    home = archive_settings.archive.parent
    with python(TAKING, str(home), archive_settings.database, moment) as process:
        process.line("between" if moment == "claimed" else "committed")
        process.kill()
        process.ends()
    (case,) = projects.cases("livers")
    assert case.state is state
    taken = projects.take("livers", "anna")
    assert taken is not None and taken.key == (1, 1)
    assert len(projects.history("livers")) == 1


def test_a_later_version_is_left_as_it_is(settings: Settings) -> None:
    with Archive.open(settings) as archive:
        Projects(archive).make(Project("livers", TASK), items())
    path = settings.archive / "index-worklist.sqlite"
    with sqlite3.connect(path) as later:
        later.execute("UPDATE project_schema SET version = 99")
    later.close()
    with Archive.open(settings) as archive, pytest.raises(ArchiveTooNew, match="projects"):
        Projects(archive)
