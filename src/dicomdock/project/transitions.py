"""What may become of a case: pure functions of it, which change it or refuse.

::

    open -> taken -> submitted -> in review -> done
      ^       |         ^             |
      |       v         |             v
      +-- released,     +---- taken <- open, with a note (sent back)
          withdrawn

Without review a submitted case is done. Nothing is stored here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dicomdock.dicom.resource import Resource
from dicomdock.project.model import Case, CaseRefused, CaseState, Project, check_note, name_of


def why_not(case: Case, project: Project, person: str, others: Sequence[Case]) -> str:
    """Return why a person may not take a case, to annotate or to review it; empty where they may.

    Parameters
    ----------
    others : the other annotations of the same series.
    """
    name = name_of(case, project)
    if case.state is CaseState.OPEN:
        if person not in project.annotators:
            return f"{person} is not an annotator of {project.name}; 'dicomdock project add' makes them one."
        if case.assigned not in ("", person):
            return f"Case {name} is assigned to {case.assigned}."
        if any(person in (one.person, one.assigned) for one in others):
            return f"Another annotation of the series of case {name} is {person}'s; this one is for others."
        return ""
    if case.state is CaseState.SUBMITTED:
        if person not in project.reviewers:
            return f"{person} is not a reviewer of {project.name}; 'dicomdock project add' makes them one."
        if person == case.person:
            return f"Case {name} was annotated by {person}; another person reviews it."
        return ""
    who = case.reviewer if case.state is CaseState.IN_REVIEW else case.person
    with_whom = f", by {who or 'another program'}" if not case.state.is_final else ""
    return f"Case {name} is {case.state}{with_whom}."


def take(case: Case, project: Project, person: str, others: Sequence[Case]) -> Case:
    """Return the case as it is once a person has taken it, to annotate or to review it.

    Raises
    ------
    CaseRefused
        Somebody else has it, or it is not for this person.
    """
    if reason := why_not(case, project, person, others):
        raise CaseRefused(reason)
    if case.state is CaseState.OPEN:
        return replace(case, state=CaseState.TAKEN, person=person)
    return replace(case, state=CaseState.IN_REVIEW, reviewer=person)


def submit(case: Case, project: Project, person: str, result: Resource) -> Case:
    """Return the case as it is once its annotator has submitted a segmentation.

    Raises
    ------
    CaseRefused
        They do not have it.
    """
    require_annotator(case, project, person)
    state = CaseState.SUBMITTED if project.review else CaseState.DONE
    return replace(case, state=state, result=result, rounds=case.rounds + 1, note="", reviewer="")


def accept(case: Case, project: Project, person: str, seen: Resource | None = None) -> Case:
    """Return the case as it is once its reviewer has accepted it.

    Parameters
    ----------
    seen : what the reviewer has looked at; None where that is not known.

    Raises
    ------
    CaseRefused
        They do not have it, or something else was submitted since they looked.
    """
    _require(case, project, CaseState.IN_REVIEW, person, case.reviewer)
    if seen is not None and case.result != seen:
        raise CaseRefused(f"Case {name_of(case, project)} was submitted again since you looked at it.")
    return replace(case, state=CaseState.DONE)


def send_back(case: Case, project: Project, person: str, note: str) -> Case:
    """Return the case as it is once its reviewer has sent it back, to the same annotator.

    Where that was another program, which is not an annotator of the project, anyone may take it.

    Raises
    ------
    CaseRefused
        They do not have it.
    InvalidInput
        There is no note.
    """
    _require(case, project, CaseState.IN_REVIEW, person, case.reviewer)
    assigned = case.person if case.person in project.annotators else ""
    return replace(case, state=CaseState.OPEN, assigned=assigned, note=check_note(note))


def release(case: Case, project: Project, person: str) -> Case:
    """Return the case as it is once a person has given it back without doing it.

    Raises
    ------
    CaseRefused
        They do not have it.
    """
    reviewing = case.state is CaseState.IN_REVIEW
    state = CaseState.IN_REVIEW if reviewing else CaseState.TAKEN
    _require(case, project, state, person, case.reviewer if reviewing else case.person)
    return freed(case)


def freed(case: Case) -> Case:
    """Return a case that somebody has, as it is when others may take it.

    One that was sent back stays with its annotator, who knows it.
    """
    if case.state is CaseState.IN_REVIEW:
        return replace(case, state=CaseState.SUBMITTED, reviewer="")
    return replace(case, state=CaseState.OPEN, person=case.assigned if case.note else "")


def withdraw(case: Case, project: Project) -> Case:
    """Return the case as it is once it is withdrawn from who has it, or is assigned it: for all others.

    Raises
    ------
    CaseRefused
        Nobody has it.
    """
    if case.state is CaseState.IN_REVIEW:
        return freed(case)
    if case.state is CaseState.TAKEN or (case.state is CaseState.OPEN and case.assigned):
        return replace(case, state=CaseState.OPEN, person="", assigned="")
    raise CaseRefused(f"Case {name_of(case, project)} is {case.state}; nobody has it.")


def assign(case: Case, project: Project, person: str, others: Sequence[Case]) -> Case:
    """Return an open case as it is when only one annotator may take it; an empty name lets all.

    Raises
    ------
    CaseRefused
        It is not open, or the person may not annotate it.
    """
    name = name_of(case, project)
    if case.state is not CaseState.OPEN:
        why = f"Case {name} is {case.state}; only open cases are assigned."
        if case.state is CaseState.TAKEN:
            why += f" 'dicomdock project withdraw {project.name} {name}' opens it again."
        raise CaseRefused(why)
    changed = replace(case, assigned=person, person="")
    if person and (reason := why_not(changed, project, person, others)):
        raise CaseRefused(reason)
    return changed


def require_annotator(case: Case, project: Project, person: str) -> None:
    """Refuse a person who does not annotate a case now.

    Raises
    ------
    CaseRefused
    """
    _require(case, project, CaseState.TAKEN, person, case.person)


def _require(case: Case, project: Project, state: CaseState, person: str, holder: str) -> None:
    if case.state is state and holder == person:
        return
    name = name_of(case, project)
    if case.state is state:
        raise CaseRefused(f"Case {name} is {case.state} by {holder or 'another program'}, not by {person}.")
    if state is CaseState.IN_REVIEW and case.state is CaseState.OPEN and case.note:
        raise CaseRefused(f"Case {name} was sent back already, and is drawn again.")
    if state is CaseState.IN_REVIEW and case.state is CaseState.TAKEN:
        raise CaseRefused(f"Case {name} is being drawn; it is reviewed once it is submitted.")
    if case.state is not CaseState.OPEN:
        raise CaseRefused(f"Case {name} is {case.state} already.")
    raise CaseRefused(f"Case {name} is {case.state}; take it first.")
