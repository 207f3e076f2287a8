"""Cases, projects and their history as rows of the database."""

from __future__ import annotations

from collections.abc import Sequence

from dicomdock.archive.index.connection import Connection, Row
from dicomdock.dicom.resource import Resource
from dicomdock.errors import NotFound
from dicomdock.project.model import Case, CaseState, Entry, Event, Project, name_of
from dicomdock.project.schema import cases, history, projects
from dicomdock.worklist.requirements import State

_SELECT = (
    'SELECT c."number", c."slot", c."study", c."series", c."server", c."patient", c."description", c."phase",'
    ' c."step", c."assigned", c."person", c."reviewer", c."note", c."result", c."rounds", c."changed",'
    ' s."state", r."replacement"'
    ' FROM project_case c LEFT JOIN procedure_step s ON s."uid" = c."step"'
    ' LEFT JOIN procedure_step_replacement r ON r."uid" = c."step" WHERE c."project" = ?'
)
_ORDER = ' ORDER BY c."number", c."slot"'
_STATES = {
    ("annotation", State.SCHEDULED): CaseState.OPEN,
    ("annotation", State.IN_PROGRESS): CaseState.TAKEN,
    ("review", State.SCHEDULED): CaseState.SUBMITTED,
    ("review", State.IN_PROGRESS): CaseState.IN_REVIEW,
    # of steps that another program or the deadline has ended; ``following`` says what comes next
    ("annotation", State.COMPLETED): CaseState.TAKEN,
    ("annotation", State.CANCELED): CaseState.TAKEN,
    ("review", State.COMPLETED): CaseState.IN_REVIEW,
    ("review", State.CANCELED): CaseState.IN_REVIEW,
}
_PHASES = {
    CaseState.OPEN: "annotation",
    CaseState.TAKEN: "annotation",
    CaseState.SUBMITTED: "review",
    CaseState.IN_REVIEW: "review",
    CaseState.DONE: "done",
    CaseState.CANCELED: "canceled",
}
ENDED = (
    'SELECT COUNT(*) FROM project_case c JOIN procedure_step s ON s."uid" = c."step" WHERE c."project" = ?'
    " AND c.\"phase\" IN ('annotation', 'review') AND s.\"state\" IN ('COMPLETED', 'CANCELED')"
)


def names(connection: Connection) -> list[str]:
    """Return the names of all projects."""
    return connection.column('SELECT "name" FROM project ORDER BY "name"')


def read_project(connection: Connection, name: str) -> Project:
    """Read a project.

    Raises
    ------
    NotFound
        There is none of this name.
    """
    row = connection.first('SELECT "definition" FROM project WHERE "name" = ?', name)
    if row is None:
        has = ", ".join(names(connection))
        raise NotFound(
            f"There is no project {name}; "
            + (f"there are: {has}." if has else "make one with 'dicomdock project make'.")
        )
    return Project.from_json(row[0])


def write_project(connection: Connection, project: Project, created: float | None = None) -> None:
    """Write a project: a new one where ``created`` says when, else what changed of one that is there."""
    if created is not None:
        text = project.to_json()
        connection.insert(
            projects, [projects.values({"name": project.name, "definition": text, "created": created})]
        )
        return
    connection.execute(
        'UPDATE project SET "definition" = ? WHERE "name" = ?', project.to_json(), project.name
    )


def read_cases(connection: Connection, project: str) -> list[Case]:
    """Return the cases of a project, by number."""
    return [case for case, *_ in read_cases_and_steps(connection, project)]


def read_cases_and_steps(connection: Connection, project: str) -> list[tuple[Case, str, str]]:
    """Read the cases of a project; with each the state of its step, and the UID of what replaces that."""
    return [
        (case_of(row), str(row[16] or ""), str(row[17] or ""))
        for row in connection.all(_SELECT + _ORDER, project)
    ]


def read_case(connection: Connection, project: Project, key: tuple[int, int]) -> Case:
    """Read a case.

    Raises
    ------
    NotFound
        There is none of this name.
    """
    row = connection.first(_SELECT + ' AND c."number" = ? AND c."slot" = ?', project.name, *key)
    if row is None:
        missing = name_of(Case(key[0], key[1], Resource("1.2")), project)
        raise NotFound(f"{project.name} has no case {missing}.")
    return case_of(row)


def read_series(connection: Connection, project: str, number: int) -> list[Case]:
    """Read all annotations of one series."""
    return [case_of(row) for row in connection.all(_SELECT + ' AND c."number" = ?' + _ORDER, project, number)]


def case_of(row: Row) -> Case:
    """Return the case that a row holds."""
    number, slot, study, series, server, patient, description, phase = row[:8]
    step, assigned, person, reviewer, note, result, rounds, changed, state = row[8:17]
    if phase in ("done", "canceled"):
        reached = CaseState.DONE if phase == "done" else CaseState.CANCELED
    else:
        reached = _STATES[phase, State(state)] if state else CaseState.CANCELED
    return Case(
        number,
        slot,
        Resource(study, series),
        server,
        reached,
        step,
        assigned,
        person,
        reviewer,
        note,
        Resource.parse(result) if result else None,
        rounds,
        changed,
        patient,
        description,
    )


def insert_cases(connection: Connection, project: str, found: Sequence[Case]) -> None:
    """Insert new cases."""
    rows = [cases.values({"project": project, **_row(case)}) for case in found]
    connection.insert(cases, rows)


def write_case(connection: Connection, project: str, case: Case) -> None:
    """Write what changed of a case."""
    row = _row(case)
    changing = ("phase", "step", "assigned", "person", "reviewer", "note", "result", "rounds", "changed")
    assignments = ", ".join(f'"{name}" = ?' for name in changing)
    connection.execute(
        f"UPDATE project_case SET {assignments}"  # noqa: S608 - names of columns
        ' WHERE "project" = ? AND "number" = ? AND "slot" = ?',
        *(row[name] for name in changing),
        project,
        *case.key,
    )


def add_entry(connection: Connection, project: str, entry: Entry) -> None:
    """Add what happened to the history of a case."""
    number, slot = entry.case
    counted = 'SELECT COUNT(*) FROM project_history WHERE "project" = ? AND "number" = ? AND "slot" = ?'
    row = connection.first(counted, project, number, slot)
    values = {
        "project": project,
        "number": number,
        "slot": slot,
        "entry": row[0] if row else 0,
        "moment": entry.moment,
        "event": entry.event.value,
        "person": entry.person,
        "note": entry.note,
        "result": str(entry.result or ""),
    }
    connection.insert(history, [history.values(values)])


def read_history(connection: Connection, project: str) -> list[Entry]:
    """Read what happened to the cases of a project, case by case, each from its beginning."""
    rows = connection.all(
        'SELECT "number", "slot", "event", "person", "moment", "note", "result" FROM project_history'
        ' WHERE "project" = ? ORDER BY "number", "slot", "entry"',
        project,
    )
    return [_entry(row) for row in rows]


def read_notes(connection: Connection, project: str) -> list[Entry]:
    """Read with which notes cases were sent back, case by case, each from its beginning."""
    rows = connection.all(
        'SELECT "number", "slot", "event", "person", "moment", "note", "result" FROM project_history'
        ' WHERE "project" = ? AND "event" = ? ORDER BY "number", "slot", "entry"',
        project,
        Event.SENT_BACK.value,
    )
    return [_entry(row) for row in rows]


def read_latest(connection: Connection, project: str, person: str, *events: Event) -> list[Entry]:
    """Read the latest event of each case that concerns a person, where it is one of some kinds."""
    marks = ", ".join("?" * len(events))
    asked = (
        'SELECT "number", "slot", "event", "person", "moment", "note", "result" FROM project_history h'  # noqa: S608
        f' WHERE "project" = ? AND "person" = ? AND "event" IN ({marks})'
        ' AND NOT EXISTS (SELECT 1 FROM project_history l WHERE l."project" = h."project"'
        ' AND l."number" = h."number" AND l."slot" = h."slot"'
        ' AND l."entry" > h."entry" AND l."person" = h."person") ORDER BY "number", "slot"'
    )
    rows = connection.all(asked, project, person, *(event.value for event in events))
    return [_entry(row) for row in rows]


def _entry(row: Row) -> Entry:
    number, slot, event, person, moment, note, result = row
    return Entry(
        (number, slot), Event(event), person, moment, note, Resource.parse(result) if result else None
    )


def delete(connection: Connection, project: str) -> None:
    """Delete a project with its cases and its history."""
    for table, column in (("project_history", "project"), ("project_case", "project"), ("project", "name")):
        connection.execute(f'DELETE FROM {table} WHERE "{column}" = ?', project)  # noqa: S608


def _row(case: Case) -> dict[str, str | int | float]:
    return {
        "number": case.number,
        "slot": case.slot,
        "study": case.series.study,
        "series": case.series.series or "",
        "server": case.server,
        "patient": case.patient,
        "description": case.description,
        "phase": _PHASES[case.state],
        "step": case.step,
        "assigned": case.assigned,
        "person": case.person,
        "reviewer": case.reviewer,
        "note": case.note,
        "result": str(case.result or ""),
        "rounds": case.rounds,
        "changed": case.changed,
    }
