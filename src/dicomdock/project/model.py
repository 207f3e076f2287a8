"""A project and its cases as values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, InvalidInput

MOST_ANNOTATORS = 26  # of one series: each has a letter
MOST_NOTE = 1024  # characters, those of the Comments on the Performed Procedure Step (ST)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_PERSON = re.compile(r"[^\x00-\x1f\x7f\\=]{1,64}\Z")
_CASE = re.compile(r"([1-9][0-9]{0,8})([a-z]?)\Z")


class CaseRefused(DicomdockError):
    """What was asked of a case is not possible in its state, or not for this person."""

    http_status = 409


class CaseState(StrEnum):
    """How far a case is."""

    OPEN = "open"
    TAKEN = "taken"
    SUBMITTED = "submitted"
    IN_REVIEW = "in review"
    DONE = "done"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to do."""
        return self in (CaseState.DONE, CaseState.CANCELED)


class Event(StrEnum):
    """What happened to a case."""

    TAKEN = "taken"
    SUBMITTED = "submitted"
    REVIEW_TAKEN = "review taken"
    ACCEPTED = "accepted"
    SENT_BACK = "sent back"
    RELEASED = "released"
    CAME_FREE = "came free"
    ASSIGNED = "assigned"
    WITHDRAWN = "withdrawn"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class SegmentTerm:
    """A segment that the task asks for.

    Parameters
    ----------
    label : its name.
    entry : its codes, as 3D Slicer writes them (``Terminology.to_slicer``).
    """

    label: str
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of the annotators.

    Parameters
    ----------
    title : in a few words; the label of the procedure steps.
    instructions : for the annotators; may be empty.
    segments : that each case is to have; empty for any.
    threshold : share of these segments, from 0 to 1, of which a submission has at least one voxel.
    """

    title: str
    instructions: str = ""
    segments: tuple[SegmentTerm, ...] = ()
    threshold: float = 1.0


@dataclass(frozen=True, slots=True)
class Project:
    """A project.

    Parameters
    ----------
    name : as a cohort may be named.
    task : what is asked.
    cohort : name of the cohort that its cases are made of.
    version : of the cohort's table.
    annotators, reviewers : the people, by their names.
    annotations : how many people annotate each series.
    review : another person accepts each annotation, or sends it back.
    """

    name: str
    task: Task
    cohort: str = ""
    version: int = 1
    annotators: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    annotations: int = 1
    review: bool = False

    def check(self) -> Self:
        """Return the project.

        Raises
        ------
        InvalidInput
            It cannot be one.
        """
        if not _NAME.match(self.name):
            raise InvalidInput(
                f"{self.name!r} cannot name a project: letters, digits, - and _, at most 64, the first a"
                " letter or digit."
            )
        if not self.task.title.strip() or len(self.task.title) > 64:
            raise InvalidInput("The title of a task has 1 to 64 characters.")
        if not 0 <= self.task.threshold <= 1:
            raise InvalidInput("The threshold of completeness is a share from 0 to 1.")
        labels = [one.label.casefold() for one in self.task.segments]
        if len(set(labels)) < len(labels):
            raise InvalidInput("Each segment of a task has a name of its own.")
        if not 1 <= self.annotations <= MOST_ANNOTATORS:
            raise InvalidInput(f"A series is annotated by 1 to {MOST_ANNOTATORS} people.")
        for person in (*self.annotators, *self.reviewers):
            check_person(person)
        return self

    def to_json(self) -> str:
        """Return the project as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote."""
        loaded: dict[str, Any] = json.loads(text)
        task = loaded["task"]
        segments = tuple(SegmentTerm(**one) for one in task["segments"])
        people = {role: tuple(loaded[role]) for role in ("annotators", "reviewers")}
        return cls(**{**loaded, **people, "task": Task(**{**task, "segments": segments})})


@dataclass(frozen=True, slots=True)
class Case:
    """The work of one annotator on one series.

    Parameters
    ----------
    number : of the series within the project, from 1.
    slot : which of the annotations of that series, from 1.
    series : the images.
    server : that has them, where the archive may not; empty for the archive.
    state : how far it is.
    step : SOP Instance UID of the procedure step that is to be done, or was done last.
    assigned : the only annotator who may take it; empty for any.
    person : who annotates it; empty before it is taken.
    reviewer : who reviews it, or did last.
    note : of the reviewer who sent it back last; empty where none did since.
    result : the Segmentation that was submitted last; None before.
    rounds : how often it was submitted.
    changed : seconds since 1970.
    patient, description : as the cohort has them.
    """

    number: int
    slot: int
    series: Resource
    server: str = ""
    state: CaseState = CaseState.OPEN
    step: str = ""
    assigned: str = ""
    person: str = ""
    reviewer: str = ""
    note: str = ""
    result: Resource | None = None
    rounds: int = 0
    changed: float = 0.0
    patient: str = ""
    description: str = ""

    @property
    def key(self) -> tuple[int, int]:
        """What distinguishes the case from all others of its project."""
        return self.number, self.slot


def name_of(case: Case, project: Project) -> str:
    """Return what a case is called: ``3``, or ``3b`` where several people annotate each series."""
    return f"{case.number}{_letter(case.slot)}" if project.annotations > 1 else str(case.number)


def key_of(name: str, project: Project) -> tuple[int, int]:
    """Return the number and the slot of a case by its name.

    Raises
    ------
    InvalidInput
        It is the name of no case.
    """
    found = _CASE.match(name)
    if found is None or bool(found[2]) != (project.annotations > 1):
        example = "3b" if project.annotations > 1 else "3"
        raise InvalidInput(f"{name!r} is not a case of {project.name}; cases are named like {example}.")
    return int(found[1]), ord(found[2]) - ord("a") + 1 if found[2] else 1


def check_person(name: str) -> str:
    """Return the name of a person.

    Raises
    ------
    InvalidInput
        It cannot be a person name of DICOM (PN): too long, or with characters that separate values.
    """
    if not _PERSON.match(name) or not name.strip():
        raise InvalidInput(
            f"{name!r} cannot name a person: 1 to 64 characters, no backslash, no equals sign."
        )
    return name


def check_note(note: str) -> str:
    """Return a note to an annotator.

    Raises
    ------
    InvalidInput
        It is empty, or too long.
    """
    if not note.strip():
        raise InvalidInput("Write what is to be changed; a case is sent back with a note.")
    if len(note) > MOST_NOTE:
        raise InvalidInput(f"A note has at most {MOST_NOTE} characters.")
    return note.strip()


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened to a case, once.

    Parameters
    ----------
    case : number and slot.
    event : what happened.
    person : who did it, or whom it concerns; empty where nobody knows.
    moment : seconds since 1970.
    note : in words; may be empty.
    result : the Segmentation that was submitted; None for other events.
    """

    case: tuple[int, int]
    event: Event
    person: str
    moment: float
    note: str = ""
    result: Resource | None = None


def progress(cases: Iterable[Case]) -> Mapping[CaseState, int]:
    """Count cases by their state; every state is there."""
    counts = dict.fromkeys(CaseState, 0)
    for case in cases:
        counts[case.state] += 1
    return counts


def progress_by_person(project: Project, cases: Sequence[Case]) -> Mapping[str, Mapping[CaseState, int]]:
    """Count the cases that each annotator has, or is assigned, by their state."""
    people = dict.fromkeys((*project.annotators, *(case.person for case in cases if case.person)))
    return {
        person: progress(case for case in cases if person in (case.person, case.assigned))
        for person in people
    }


def _letter(slot: int) -> str:
    return chr(ord("a") + slot - 1)
