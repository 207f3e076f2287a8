"""Store projects: their cases are procedure steps of the archive's work list, in the same database.

Each change of a case and of its procedure step is one transaction, of which SQLite and PostgreSQL let in one
at a time: of many who take a case at once one has it, and what a process that dies had not committed did not
happen. A person takes a case with a Transaction UID that nobody learns, so that other programs cannot end
the step; the project itself goes by the person's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import new_uid
from dicomdock.errors import InvalidInput
from dicomdock.project import rows, steps, transitions
from dicomdock.project.model import Case, CaseRefused, CaseState, Entry, Event, Project
from dicomdock.project.order import came_free, has, next_case
from dicomdock.project.schema import migrate
from dicomdock.worklist import procedure_step
from dicomdock.worklist.procedure_step import Outcome, ProcedureStep
from dicomdock.worklist.requirements import State
from dicomdock.worklist.store import ProcedureSteps, StepChanges, hours

if TYPE_CHECKING:
    from dicomdock.archive.index.connection import Connection
    from dicomdock.cohort.table import Item


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Projects:
    """The projects of an archive.

    Parameters
    ----------
    archive : whose work list holds their procedure steps.
    now : returns the time of a change, with its time zone.

    Raises
    ------
    ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
    UnsupportedByServer
        The archive's folder cannot be written.
    """

    def __init__(self, archive: Archive, now: Callable[[], datetime] = _utc_now) -> None:
        database = archive.worklist.open()
        seconds = archive.worklist_deadline
        deadline = timedelta(seconds=seconds) if seconds else None
        self._steps = ProcedureSteps(database, now, deadline=deadline)
        migrate(database)
        self._now = now

    def names(self) -> list[str]:
        """Return the names of all projects."""
        with self._steps.reading() as connection:
            return rows.names(connection)

    def make(self, project: Project, items: Iterable[Item]) -> list[Case]:
        """Make a project of the series of a cohort, and return its cases, all open.

        Raises
        ------
        InvalidInput
            The project cannot be one, there is one of this name, or the cohort has no series.
        """
        project.check()
        series = {item.resource: item for item in items if item.resource.series}
        if not series:
            raise InvalidInput(f"The cohort {project.cohort} has no series; a project needs some.")
        made = []
        with self._steps.changing() as work:
            if project.name in rows.names(work.connection):
                raise InvalidInput(f"There is a project {project.name} already.")
            moment = self._now().timestamp()
            rows.write_project(work.connection, project, moment)
            for number, item in enumerate(series.values(), 1):
                for slot in range(1, project.annotations + 1):
                    case = Case(
                        number,
                        slot,
                        item.resource,
                        item.server,
                        changed=moment,
                        patient=item.patient,
                        description=item.description,
                    )
                    made.append(replace(case, step=self._schedule(work, case, project, review=False)))
            rows.insert_cases(work.connection, project.name, made)
        return made

    def get(self, name: str) -> Project:
        """Return a project.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        with self._steps.reading() as connection:
            return rows.read_project(connection, name)

    def add_people(
        self, name: str, *, annotators: Sequence[str] = (), reviewers: Sequence[str] = ()
    ) -> Project:
        """Add people to a project, and return it.

        Raises
        ------
        NotFound, InvalidInput
        """
        with self._steps.changing() as work:
            project = rows.read_project(work.connection, name)
            more = replace(
                project,
                annotators=tuple(dict.fromkeys((*project.annotators, *annotators))),
                reviewers=tuple(dict.fromkeys((*project.reviewers, *reviewers))),
            ).check()
            rows.write_project(work.connection, more)
        return more

    def cases(self, name: str) -> list[Case]:
        """Return the cases of a project, by number.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        self._follow(name)
        with self._steps.reading() as connection:
            rows.read_project(connection, name)
            return [case for case, *_ in rows.read_cases(connection, name)]

    def history(self, name: str) -> list[Entry]:
        """Return what happened to the cases of a project, case by case.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        self._follow(name)
        with self._steps.reading() as connection:
            rows.read_project(connection, name)
            return rows.read_history(connection, name)

    def lost(self, name: str, person: str) -> list[str]:
        """Return a sentence for each open case that came free of a person, who has not taken it again.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        self._follow(name)
        with self._steps.reading() as connection:
            project = rows.read_project(connection, name)
            lost = [
                (one, rows.read_case(connection, project, one.case))
                for one in rows.read_lost(connection, name, person)
            ]
        return [came_free(one, case, project) for one, case in lost if not case.state.is_final]

    def take(self, name: str, person: str, key: tuple[int, int] | None = None) -> Case | None:
        """Take a case to annotate or to review it, and return it; None where nothing is left for this person.

        Taking a case that this person has is a sign of them, and changes nothing else.

        Parameters
        ----------
        key : number and slot of the case; None for the next one: what the person has already, then what was
            sent back to them, what they may review, what is assigned to them, and the first open one.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            The case is not for this person, or somebody else has it.
        """
        with self._changing(name) as (work, project):
            if key is None:
                found = next_case(
                    [case for case, *_ in rows.read_cases(work.connection, name)], project, person
                )
                if found is None:
                    if person not in (*project.annotators, *project.reviewers):
                        raise CaseRefused(
                            f"{person} is neither annotator nor reviewer of {name};"
                            " 'dicomdock project add' makes them one."
                        )
                    return None
                key = found.key
            case = rows.read_case(work.connection, project, key)
            if has(case, person):
                work.change(case.step, lambda step, _: Outcome(step))
                return case
            taken = transitions.take(case, project, person, self._others(work.connection, name, case))
            work.change(case.step, _claimed)
            event = Event.TAKEN if taken.state is CaseState.TAKEN else Event.REVIEW_TAKEN
            return self._write(work, project, taken, event, person)

    def held(self, name: str, key: tuple[int, int], person: str) -> Case:
        """Return a case that a person annotates.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            They do not have it.
        """
        with self._changing(name) as (work, project):
            case = self._read(work, project, key, person)
            transitions.require_annotator(case, project, person)
            return case

    def submit(self, name: str, key: tuple[int, int], person: str, result: Resource) -> Case:
        """Submit a segmentation for a case, and return it.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            The person does not have the case.
        """
        with self._changing(name) as (work, project):
            case = self._read(work, project, key, person)
            submitted = transitions.submit(case, project, person, result)
            self._complete(work, case, person, result=result)
            if submitted.state is CaseState.SUBMITTED:
                step = self._schedule(work, submitted, project, review=True)
                submitted = replace(submitted, step=step)
            return self._write(work, project, submitted, Event.SUBMITTED, person, result=result)

    def accept(self, name: str, key: tuple[int, int], person: str) -> Case:
        """Accept what was submitted for a case, and return it; the case is taken for review where it is not.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            The case is not for this person, or somebody else has it.
        """
        with self._changing(name) as (work, project):
            case = self._in_review(work, project, key, person)
            accepted = transitions.accept(case, project, person)
            self._complete(work, case, person, comment="Accepted.")
            return self._write(work, project, accepted, Event.ACCEPTED, person, result=case.result)

    def send_back(self, name: str, key: tuple[int, int], person: str, note: str) -> Case:
        """Send a case back to its annotator with a note, and return it.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            The case is not for this person, or somebody else has it.
        InvalidInput
            There is no note.
        """
        with self._changing(name) as (work, project):
            case = self._in_review(work, project, key, person)
            back = transitions.send_back(case, project, person, note)
            self._complete(work, case, person, comment=back.note)
            back = replace(back, step=self._schedule(work, back, project, review=False))
            return self._write(work, project, back, Event.SENT_BACK, person, note=back.note)

    def release(self, name: str, key: tuple[int, int], person: str) -> Case:
        """Give a case back without doing it, and return it.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            The person does not have the case.
        """
        with self._changing(name) as (work, project):
            case = self._read(work, project, key, person)
            released = transitions.release(case, project, person)
            step = work.reschedule(case.step, f"{person} gave it back")
            return self._write(work, project, replace(released, step=step), Event.RELEASED, person)

    def assign(self, name: str, keys: Sequence[tuple[int, int]], person: str) -> list[Case]:
        """Assign open cases to one annotator, or to all again, and return them; all or none.

        Parameters
        ----------
        keys : numbers and slots.
        person : an annotator of the project; empty for all.

        Raises
        ------
        NotFound, CaseRefused
        """
        assigned = []
        with self._changing(name) as (work, project):
            for key in keys:
                case = rows.read_case(work.connection, project, key)
                others = self._others(work.connection, name, case)
                changed = transitions.assign(case, project, person, others)
                assigned.append(self._write(work, project, changed, Event.ASSIGNED, person))
        return assigned

    def remove(self, name: str) -> int:
        """Remove a project and cancel its open procedure steps; return how many cases it had.

        What was drawn stays in the archive.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        with self._changing(name) as (work, _):
            found = [case for case, *_ in rows.read_cases(work.connection, name)]
            for case in found:
                if not case.state.is_final:
                    work.cancel(case.step)
            rows.delete(work.connection, name)
        return len(found)

    # Within one transaction

    @contextmanager
    def _changing(self, name: str) -> Iterator[tuple[StepChanges, Project]]:
        """Begin a transaction in a project whose cases are as their procedure steps are."""
        self._follow(name)
        with self._steps.changing() as work:
            yield work, rows.read_project(work.connection, name)

    def _follow(self, name: str) -> None:
        """Let the cases follow procedure steps that the deadline or another program has ended."""
        with self._steps.reading() as connection:
            row = connection.first(rows.ENDED, name)
        if row is None or not row[0]:
            return
        with self._steps.changing() as work:  # another may have done it meanwhile
            project = rows.read_project(work.connection, name)
            for case, state, replacement in rows.read_cases(work.connection, name):
                if not case.state.is_final and state in (State.COMPLETED, State.CANCELED):
                    self._follow_one(work, project, case, state, replacement)

    def _follow_one(
        self, work: StepChanges, project: Project, case: Case, state: str, replacement: str
    ) -> None:
        reviewing = case.state is CaseState.IN_REVIEW
        holder = case.reviewer if reviewing else case.person
        if state == State.CANCELED and replacement:
            silent = hours(self._steps.deadline) if self._steps.deadline else "long"
            note = f"Nothing was heard for {silent}."
            freed = replace(transitions.freed(case), step=replacement)
            self._write(work, project, freed, Event.CAME_FREE, holder, note=note)
            return
        if state == State.CANCELED:
            self._write(work, project, replace(case, state=CaseState.CANCELED), Event.CANCELED, "")
            return
        step = work.retrieve(case.step)
        person = steps.performer_of(step) or holder
        if reviewing:
            done = replace(case, state=CaseState.DONE, reviewer=person)
            self._write(work, project, done, Event.ACCEPTED, person, result=case.result)
            return
        result = steps.output_of(step)
        submitted = replace(case, person=person, result=result, rounds=case.rounds + 1, note="", reviewer="")
        if project.review:
            submitted = replace(submitted, state=CaseState.SUBMITTED)
            submitted = replace(submitted, step=self._schedule(work, submitted, project, review=True))
        else:
            submitted = replace(submitted, state=CaseState.DONE)
        self._write(work, project, submitted, Event.SUBMITTED, person, result=result)

    def _read(self, work: StepChanges, project: Project, key: tuple[int, int], person: str) -> Case:
        """Read a case that a person means to go on with; tell them where it came free meanwhile."""
        case = rows.read_case(work.connection, project, key)
        if not has(case, person):
            lost = rows.read_lost(work.connection, project.name, person)
            if found := [one for one in lost if one.case == key]:
                raise CaseRefused(f"{came_free(found[-1], case, project)} What was drawn is in the archive.")
        return case

    def _in_review(self, work: StepChanges, project: Project, key: tuple[int, int], person: str) -> Case:
        case = rows.read_case(work.connection, project, key)
        if case.state is not CaseState.SUBMITTED:
            return self._read(work, project, key, person)
        taken = transitions.take(case, project, person, ())
        work.change(case.step, _claimed)
        return self._write(work, project, taken, Event.REVIEW_TAKEN, person)

    def _others(self, connection: Connection, name: str, case: Case) -> list[Case]:
        return [one for one in rows.read_series(connection, name, case.number) if one.slot != case.slot]

    def _schedule(self, work: StepChanges, case: Case, project: Project, *, review: bool) -> str:
        return work.create(steps.scheduled(case, project, self._steps.moment(), review=review))

    def _complete(
        self, work: StepChanges, case: Case, person: str, *, result: Resource | None = None, comment: str = ""
    ) -> None:
        work.change(
            case.step,
            lambda step, now: steps.completed(
                step, now, person, begun=case.changed, result=result, comment=comment
            ),
        )

    def _write(
        self,
        work: StepChanges,
        project: Project,
        case: Case,
        event: Event,
        person: str,
        *,
        note: str = "",
        result: Resource | None = None,
    ) -> Case:
        moment = self._now().timestamp()
        case = replace(case, changed=moment)
        rows.write_case(work.connection, project.name, case)
        rows.add_entry(work.connection, project.name, Entry(case.key, event, person, moment, note, result))
        return case


def _claimed(step: ProcedureStep, now: str) -> Outcome:
    """Claim a step with a Transaction UID that nobody learns."""
    return procedure_step.change_state(step, State.IN_PROGRESS, new_uid(), now)
