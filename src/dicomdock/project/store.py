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
from dicomdock.errors import InvalidInput
from dicomdock.project import rows, transitions
from dicomdock.project.changes import LOST, CaseChanges
from dicomdock.project.model import Case, CaseRefused, CaseState, Entry, Event, Project
from dicomdock.project.order import came_free, has, next_case, upcoming
from dicomdock.project.schema import migrate
from dicomdock.worklist.store import ProcedureSteps, StepChanges

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
            changes = self._changes(work, project)
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
                    made.append(replace(case, step=changes.schedule(case, review=False)))
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
        with self._reading(name) as (connection, _):
            return rows.read_cases(connection, name)

    def history(self, name: str) -> list[Entry]:
        """Return what happened to the cases of a project, case by case.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        with self._reading(name) as (connection, _):
            return rows.read_history(connection, name)

    def notes(self, name: str) -> list[Entry]:
        """Return the notes that cases were sent back with, case by case.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        with self._steps.reading() as connection:
            rows.read_project(connection, name)
            return rows.read_notes(connection, name)

    def upcoming(self, name: str, person: str) -> Case | None:
        """Return the case that a person would get after those that they have; None where nothing is left.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        with self._reading(name) as (connection, project):
            cases = rows.read_cases(connection, name)
            return upcoming(cases, project, person, _given_back(connection, name, person))

    def alive(self, name: str, person: str) -> None:
        """Let the cases that a person has stay theirs: they are there. No case is taken.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        with self._changing(name) as changes:
            for case in changes.cases():
                if has(case, person):
                    changes.touch(case)

    def lost(self, name: str, person: str) -> list[str]:
        """Return a sentence for each open case that came free of a person or was withdrawn from them.

        Of those that they have not taken again.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        with self._reading(name) as (connection, project):
            lost = [
                (one, rows.read_case(connection, project, one.case))
                for one in rows.read_latest(connection, name, person, *LOST)
            ]
        return [came_free(one, case, project) for one, case in lost if not case.state.is_final]

    def take(self, name: str, person: str, key: tuple[int, int] | None = None) -> Case | None:
        """Take a case to annotate or to review it, and return it; None where nothing is left for this person.

        Taking a case that this person has is a sign of them, and changes nothing else.

        Parameters
        ----------
        key : number and slot of the case; None for the next one: what the person has already, then what was
            sent back to them, what they may review, what is assigned to them, and the first open one; at
            last what they gave back.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            The case is not for this person, or somebody else has it.
        """
        with self._changing(name) as changes:
            if key is None:
                found = next_case(
                    changes.cases(),
                    changes.project,
                    person,
                    _given_back(changes.work.connection, name, person),
                )
                if found is None:
                    rules = changes.project
                    if person not in (*rules.annotators, *rules.reviewers):
                        raise CaseRefused(
                            f"{person} is neither annotator nor reviewer of {name};"
                            " 'dicomdock project add' makes them one."
                        )
                    return None
                key = found.key
            case = changes.find(key)
            if has(case, person):
                changes.touch(case)
                return case
            taken = transitions.take(case, changes.project, person, changes.others(case))
            changes.claim(case)
            event = Event.TAKEN if taken.state is CaseState.TAKEN else Event.REVIEW_TAKEN
            return changes.write(taken, event, person)

    def held(self, name: str, key: tuple[int, int], person: str) -> Case:
        """Return a case that a person annotates.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            They do not have it.
        """
        with self._changing(name) as changes:
            case = changes.read(key, person)
            transitions.require_annotator(case, changes.project, person)
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
        with self._changing(name) as changes:
            case = changes.read(key, person)
            submitted = transitions.submit(case, changes.project, person, result)
            changes.complete(case, person, result=result)
            if submitted.state is CaseState.SUBMITTED:
                step = changes.schedule(submitted, review=True)
                submitted = replace(submitted, step=step)
            return changes.write(submitted, Event.SUBMITTED, person, result=result)

    def accept(self, name: str, key: tuple[int, int], person: str, seen: Resource | None = None) -> Case:
        """Accept what was submitted for a case, and return it; the case is taken for review where it is not.

        Parameters
        ----------
        seen : what the reviewer has looked at; None where that is not known.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            The case is not for this person, or somebody else has it.
        """
        with self._changing(name) as changes:
            case = changes.read_in_review(key, person)
            accepted = transitions.accept(case, changes.project, person, seen)
            changes.complete(case, person, comment="Accepted.")
            return changes.write(accepted, Event.ACCEPTED, person, result=case.result)

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
        with self._changing(name) as changes:
            case = changes.read_in_review(key, person)
            back = transitions.send_back(case, changes.project, person, note)
            changes.complete(case, person, comment=back.note)
            back = replace(back, step=changes.schedule(back, review=False))
            return changes.write(back, Event.SENT_BACK, person, note=back.note)

    def release(self, name: str, key: tuple[int, int], person: str) -> Case:
        """Release a case without completing it, and return it.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            The person does not have the case.
        """
        with self._changing(name) as changes:
            case = changes.read(key, person)
            released = transitions.release(case, changes.project, person)
            step = changes.work.reschedule(case.step, f"{person} gave it back")
            return changes.write(replace(released, step=step), Event.RELEASED, person)

    def withdraw(self, name: str, keys: Sequence[tuple[int, int]], by: str) -> list[Case]:
        """Withdraw cases from who has them or is assigned them, and return them; all or none.

        Whoever had one reads it. What they saved stays in the archive.

        Parameters
        ----------
        keys : numbers and slots.
        by : who withdraws them.

        Raises
        ------
        NotFound
            There is no such project or case.
        CaseRefused
            Nobody has one of them.
        """
        withdrawn = []
        with self._changing(name) as changes:
            for key in keys:
                case = changes.find(key)
                changed = transitions.withdraw(case, changes.project)
                if case.state is CaseState.OPEN:
                    holder, step = case.assigned, case.step
                else:
                    holder = case.reviewer if case.state is CaseState.IN_REVIEW else case.person
                    step = changes.work.reschedule(case.step, f"{by} withdrew it")
                if changed.state is CaseState.OPEN:
                    changes.assign_step(step, "")
                note = f"{by} withdrew it."
                changed = replace(changed, step=step)
                withdrawn.append(changes.write(changed, Event.WITHDRAWN, holder, note=note))
        return withdrawn

    def assign(self, name: str, keys: Sequence[tuple[int, int]], person: str) -> list[Case]:
        """Assign open cases to one annotator, or to all again, and return them; all or none.

        Who one was assigned to before reads it.

        Parameters
        ----------
        keys : numbers and slots.
        person : an annotator of the project; empty for all.

        Raises
        ------
        NotFound, CaseRefused
        """
        assigned = []
        with self._changing(name) as changes:
            for key in keys:
                case = changes.find(key)
                others = changes.others(case)
                changed = transitions.assign(case, changes.project, person, others)
                if case.assigned not in ("", person):
                    note = f"It was assigned to {person or 'anyone'}."
                    changes.write(case, Event.WITHDRAWN, case.assigned, note=note)
                changes.assign_step(case.step, person)
                assigned.append(changes.write(changed, Event.ASSIGNED, person))
        return assigned

    def remove(self, name: str) -> int:
        """Remove a project and cancel its open procedure steps; return how many cases it had.

        What was drawn stays in the archive.

        Raises
        ------
        NotFound
            There is no project of this name.
        """
        with self._changing(name) as changes:
            found = changes.cases()
            for case in found:
                if not case.state.is_final:
                    changes.work.cancel(case.step)
            rows.delete(changes.work.connection, name)
        return len(found)

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[Connection, Project]]:
        """Read in a project whose cases are as their procedure steps are."""
        self._follow(name)
        with self._steps.reading() as connection:
            yield connection, rows.read_project(connection, name)

    @contextmanager
    def _changing(self, name: str) -> Iterator[CaseChanges]:
        """Begin a transaction in a project whose cases are as their procedure steps are."""
        self._follow(name)
        with self._steps.changing() as work:
            yield self._changes(work, rows.read_project(work.connection, name))

    def _changes(self, work: StepChanges, project: Project) -> CaseChanges:
        return CaseChanges(work, project, self._now, self._steps)

    def _follow(self, name: str) -> None:
        """Let the cases follow procedure steps that the deadline or another program has ended."""
        with self._steps.reading() as connection:
            row = connection.first(rows.ENDED, name)
        if row is None or not row[0]:
            return
        with self._steps.changing() as work:  # another may have done it meanwhile
            self._changes(work, rows.read_project(work.connection, name)).follow()


def _given_back(connection: Connection, name: str, person: str) -> frozenset[tuple[int, int]]:
    """Return the cases that a person gave back, and has had nothing to do with since."""
    return frozenset(one.case for one in rows.read_latest(connection, name, person, Event.RELEASED))
