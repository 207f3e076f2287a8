"""Which case a person does next, and what they read of one that they lost: pure functions."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import UTC, datetime
from itertools import groupby

from dicomdock.project import transitions
from dicomdock.project.model import Case, CaseState, Entry, Event, Project, name_of

_LAST = 10  # more than any other rank


def came_free(entry: Entry, case: Case, project: Project) -> str:
    """Return when and why a case was taken from who had it, and what it is now."""
    when = datetime.fromtimestamp(entry.moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
    why = f"{entry.note[:1].lower()}{entry.note[1:]}"
    what = "was withdrawn from you" if entry.event is Event.WITHDRAWN else "came free"
    return (
        f"Case {name_of(case, project)} {what} on {when}, and is {case.state} now: {why}"
        " What you saved is in the archive."
    )


def upcoming(
    cases: Sequence[Case], project: Project, person: str, given_back: Container[tuple[int, int]] = ()
) -> Case | None:
    """Return the case that a person would get after those that they have; None where nothing is left."""
    return next_case([case for case in cases if not has(case, person)], project, person, given_back)


def next_case(
    cases: Sequence[Case], project: Project, person: str, given_back: Container[tuple[int, int]] = ()
) -> Case | None:
    """Return the case that a person does next; None where nothing is left for them.

    Parameters
    ----------
    given_back : the cases that they did not want to do; these come last.
    """
    best: tuple[int, Case] | None = None
    for _, group in groupby(cases, key=lambda case: case.number):
        series = list(group)
        for case in series:
            others = [one for one in series if one.slot != case.slot]
            rank = _rank(case, project, person, others)
            if rank and case.key in given_back:
                rank += _LAST
            if rank is not None and (best is None or rank < best[0]):
                best = rank, case
    return best[1] if best else None


def _rank(case: Case, project: Project, person: str, others: Sequence[Case]) -> int | None:
    if has(case, person):
        return 0
    if transitions.why_not(case, project, person, others):
        return None
    if case.note:
        return 1
    if case.state is CaseState.SUBMITTED:
        return 2
    return 3 if case.assigned else 4


def has(case: Case, person: str) -> bool:
    """Return whether a person is at a case."""
    return (case.state is CaseState.TAKEN and case.person == person) or (
        case.state is CaseState.IN_REVIEW and case.reviewer == person
    )
