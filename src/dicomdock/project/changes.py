"""What becomes of cases within one transaction: read, claimed, completed, written with their history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from dicomdock.archive.index.connection import Connection
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import new_uid
from dicomdock.project import rows, steps, transitions
from dicomdock.project.model import Case, CaseRefused, CaseState, Entry, Event, Project
from dicomdock.project.order import came_free, has
from dicomdock.worklist import procedure_step
from dicomdock.worklist.procedure_step import Outcome, ProcedureStep
from dicomdock.worklist.requirements import State
from dicomdock.worklist.store import ProcedureSteps, StepChanges, hours

LOST: Final = (Event.CAME_FREE, Event.WITHDRAWN)
"""What takes a case from who has it."""


class CaseChanges:
    """One transaction that changes cases of a project, and their procedure steps with them.

    Parameters
    ----------
    work : the transaction.
    project : of the cases.
    now : returns the time of a change, with its time zone.
    listed : all steps, whose deadline takes cases from who is silent.
    """

    def __init__(
        self, work: StepChanges, project: Project, now: Callable[[], datetime], listed: ProcedureSteps
    ) -> None:
        self.work = work
        self.project = project
        self._now = now
        self._steps = listed

    @property
    def connection(self) -> Connection:
        """What the transaction is on."""
        return self.work.connection

    def cases(self) -> list[Case]:
        """Return all cases, by number."""
        return rows.read_cases(self.connection, self.project.name)

    def find(self, key: tuple[int, int]) -> Case:
        """Return a case.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        return rows.read_case(self.connection, self.project, key)

    def others(self, case: Case) -> list[Case]:
        """Return the other annotations of the same series."""
        series = rows.read_series(self.connection, self.project.name, case.number)
        return [one for one in series if one.slot != case.slot]

    def follow(self) -> None:
        """Let the cases follow procedure steps that the deadline or another program has ended."""
        for case, state, replacement in rows.read_cases_and_steps(self.connection, self.project.name):
            if not case.state.is_final and state in (State.COMPLETED, State.CANCELED):
                self._follow_one(case, state, replacement)

    def _follow_one(self, case: Case, state: str, replacement: str) -> None:
        reviewing = case.state is CaseState.IN_REVIEW
        holder = case.reviewer if reviewing else case.person
        if state == State.CANCELED and replacement:
            silent = hours(self._steps.deadline) if self._steps.deadline else "long"
            note = f"Nothing was heard for {silent}."
            freed = replace(transitions.freed(case), step=replacement)
            self.write(freed, Event.CAME_FREE, holder, note=note)
            return
        if state == State.CANCELED:
            self.write(replace(case, state=CaseState.CANCELED), Event.CANCELED, "")
            return
        step = self.work.retrieve(case.step)
        person = steps.performer_of(step) or holder
        if reviewing:
            done = replace(case, state=CaseState.DONE, reviewer=person)
            self.write(done, Event.ACCEPTED, person, result=case.result)
            return
        result = steps.output_of(step)
        submitted = replace(case, person=person, result=result, rounds=case.rounds + 1, note="", reviewer="")
        if self.project.review:
            submitted = replace(submitted, state=CaseState.SUBMITTED)
            submitted = replace(submitted, step=self.schedule(submitted, review=True))
        else:
            submitted = replace(submitted, state=CaseState.DONE)
        self.write(submitted, Event.SUBMITTED, person, result=result)

    def read(self, key: tuple[int, int], person: str) -> Case:
        """Return a case that a person means to go on with.

        Raises
        ------
        NotFound
            There is none of this name.
        CaseRefused
            They had it, and lost it.
        """
        case = self.find(key)
        if not has(case, person):
            lost = rows.read_latest(self.connection, self.project.name, person, *LOST)
            if found := [one for one in lost if one.case == key]:
                raise CaseRefused(came_free(found[-1], case, self.project))
        return case

    def read_in_review(self, key: tuple[int, int], person: str) -> Case:
        """Return a case that a person reviews, taken for them where nobody has it.

        Raises
        ------
        NotFound
            There is none of this name.
        CaseRefused
            It is not for them to review.
        """
        case = self.find(key)
        if case.state is not CaseState.SUBMITTED:
            return self.read(key, person)
        taken = transitions.take(case, self.project, person, ())
        self.claim(case)
        return self.write(taken, Event.REVIEW_TAKEN, person)

    def claim(self, case: Case) -> None:
        """Claim the step of a case with a Transaction UID that nobody learns.

        Raises
        ------
        StepRefused
            Somebody else has claimed it.
        """
        self.work.change(case.step, _claimed)

    def touch(self, case: Case) -> None:
        """Note that who has a case is there."""
        self.work.change(case.step, lambda step, _: Outcome(step))

    def schedule(self, case: Case, *, review: bool) -> str:
        """Schedule the next step of a case, and return its UID."""
        return self.work.create(steps.scheduled(case, self.project, self._steps.moment(), review=review))

    def assign_step(self, step: str, person: str) -> None:
        """Let other programs know who is to do a step; anyone where the name is empty."""
        self.work.change(step, lambda one, now: steps.assigned(one, person, now))

    def complete(self, case: Case, person: str, *, result: Resource | None = None, comment: str = "") -> None:
        """Complete the step of a case."""
        self.work.change(
            case.step,
            lambda step, now: steps.completed(
                step, now, person, begun=case.changed, result=result, comment=comment
            ),
        )

    def write(
        self, case: Case, event: Event, person: str, *, note: str = "", result: Resource | None = None
    ) -> Case:
        """Write what changed of a case, with its event, and return it with the time."""
        moment = self._now().timestamp()
        case = replace(case, changed=moment)
        rows.write_case(self.connection, self.project.name, case)
        entry = Entry(case.key, event, person, moment, note, result)
        rows.add_entry(self.connection, self.project.name, entry)
        return case


def _claimed(step: ProcedureStep, now: str) -> Outcome:
    return procedure_step.change_state(step, State.IN_PROGRESS, new_uid(), now)
