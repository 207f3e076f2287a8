"""AnnotationProject: the cases of a project, and the segmentations that are submitted for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dicomdock.api.home import LocalHome, resource_of
from dicomdock.cohort.folder import Cohorts
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotFound
from dicomdock.project.model import (
    Case,
    CaseRefused,
    CaseState,
    Entry,
    Event,
    Project,
    SegmentTerm,
    check_person,
    key_of,
    name_of,
)
from dicomdock.project.store import Projects

if TYPE_CHECKING:
    from dicomdock.api.project_agreement import AgreementTable
    from dicomdock.api.project_changes import DraftChanges
    from dicomdock.api.project_export import ExportedProject


NO_IMAGES = frozenset(
    "SEG SR KO PR RTSTRUCT RTPLAN RTDOSE RTRECORD DOC ECG HD REG FID RWV AU PLAN M3D".split()  # noqa: SIM905
)
"""Modalities of what is drawn on no images of its own (PS3.3 §C.7.3.1.1.1)."""


class AnnotationProject:
    """An annotation project of an archive.

    Cases are named ``3``, or ``3b`` where several people annotate each series. The person is the one of the
    settings, where none is named.

    Parameters
    ----------
    archive : that holds it.
    settings : of the archive, and of who works with it.
    name : of the project.

    Raises
    ------
    NotFound
        There is none of this name.
    """

    def __init__(self, archive: LocalHome, settings: Settings, name: str) -> None:
        self._archive = archive
        self._settings = settings
        self._projects = Projects(archive.local)
        self.name = name
        self.definition = self._projects.get(name)

    def cases(self) -> list[Case]:
        """Return the cases as they are now, by number."""
        return self._projects.cases(self.name)

    def history(self) -> list[Entry]:
        """Return what happened to the cases, case by case."""
        return self._projects.history(self.name)

    def name_of(self, case: Case) -> str:
        """Return what a case is called."""
        return name_of(case, self.definition)

    def add(self, *, annotators: Sequence[str] = (), reviewers: Sequence[str] = ()) -> None:
        """Add people.

        Raises
        ------
        InvalidInput
            A name cannot be one.
        """
        self.definition = self._projects.add_people(self.name, annotators=annotators, reviewers=reviewers)

    def assign(self, cases: Sequence[str], person: str) -> list[Case]:
        """Assign open cases to one annotator, or with an empty name to all again; all of them or none.

        Raises
        ------
        CaseRefused
            A case is not open, or not for this person.
        """
        return self._projects.assign(self.name, [self._key(case) for case in cases], person)

    def take(self, case: str = "", *, person: str = "") -> Case | None:
        """Take a case, the next one if none is named; None where nothing is left for this person.

        Raises
        ------
        CaseRefused
            It is not for this person, or somebody else has it.
        """
        key = self._key(case) if case else None
        return self._projects.take(self.name, self._person(person), key)

    def present(self, case: Case) -> bool:
        """Return whether images of a case are in the archive."""
        return bool(self._archive.present(case.series))

    def lost(self, *, person: str = "") -> list[str]:
        """Return a sentence for each case that came free of this person, or was withdrawn from them."""
        return self._projects.lost(self.name, self._person(person))

    def upcoming(self, *, person: str = "") -> Case | None:
        """Return the case that a person would get after those that they have."""
        return self._projects.upcoming(self.name, self._person(person))

    def alive(self, *, person: str = "") -> None:
        """Let the cases that a person has stay theirs: they are there, and nothing comes free soon."""
        self._projects.alive(self.name, self._person(person))

    def notes(self) -> list[Entry]:
        """Return the notes that cases were sent back with, case by case."""
        return self._projects.notes(self.name)

    def has_done(self, event: Event, case: str, since: int, *, person: str = "") -> bool:
        """Return whether a person has submitted, accepted or sent back a case.

        Parameters
        ----------
        since : only after the case had been submitted so often (``Case.rounds``).
        """
        who, key, rounds = self._person(person), self._key(case), 0
        for one in self.history():
            if one.case == key:
                rounds += one.event is Event.SUBMITTED
                enough = rounds > since if event is Event.SUBMITTED else rounds >= since
                if enough and one.event is event and one.person == who:
                    return True
        return False

    def earlier_notes(self, case: Case, notes: Sequence[Entry] | None = None) -> list[Entry]:
        """Return the notes that a case was sent back with before its present one.

        Parameters
        ----------
        notes : those of all cases, where they are known.
        """
        found = self.notes() if notes is None else notes
        of_case = [one for one in found if one.case == case.key]
        return of_case[:-1] if case.note else of_case

    def submit(self, case: str, segmentation: Resource | str | None = None, *, person: str = "") -> Case:
        """Submit a segmentation for a case.

        An object that does not name this person as its Content Creator is stored once more, with their name.

        Parameters
        ----------
        segmentation : an instance, or a series of just one; by default the one of the case's series that was
            made last and names this person or, where one person annotates each series, nobody.

        Raises
        ------
        CaseRefused
            The person does not have the case, there is no segmentation of it, or it lacks segments.
        """
        from dicomdock.api.project_submission import find_newest, submitted

        who, key = self._person(person), self._key(case)
        held = self._projects.held(self.name, key, who)
        others = {one.result for one in self.cases() if one.result is not None and one.key != key}
        if segmentation is None:
            chosen = find_newest(self._archive, held, self.definition, who, others)
        else:
            chosen = resource_of(segmentation, "series", "instance")
            if chosen in others:
                raise CaseRefused(f"{chosen} was submitted for another case.")
        result = submitted(self._archive, held, self.definition, who, chosen)
        return self._projects.submit(self.name, key, who, result)

    def accept(self, case: str, *, seen: Resource | None = None, person: str = "") -> Case:
        """Accept what was submitted for a case.

        Parameters
        ----------
        seen : what the reviewer has looked at; by default what is submitted now.

        Raises
        ------
        CaseRefused
            It is not for this person to review, something else was submitted since they looked, or the
            segmentation is not in the archive.
        """
        from dicomdock.api.project_submission import require_present

        key = self._key(case)
        found = next((one for one in self.cases() if one.key == key), None)
        if found is not None and found.state in (CaseState.SUBMITTED, CaseState.IN_REVIEW):
            require_present(self._archive, found, case)
            seen = seen or found.result
        return self._projects.accept(self.name, key, self._person(person), seen)

    def send_back(self, case: str, note: str, *, person: str = "") -> Case:
        """Send a case back to its annotator.

        Parameters
        ----------
        note : what is to be changed.

        Raises
        ------
        CaseRefused
            It is not for this person to review.
        InvalidInput
            The note is empty.
        """
        return self._projects.send_back(self.name, self._key(case), self._person(person), note)

    def release(self, case: str, *, person: str = "") -> Case:
        """Release a case without completing it.

        Raises
        ------
        CaseRefused
            The person does not have it.
        """
        return self._projects.release(self.name, self._key(case), self._person(person))

    def withdraw(self, cases: Sequence[str], *, person: str = "") -> list[Case]:
        """Withdraw cases from who has them or is assigned them, so that others may take them; all or none.

        What they saved stays in the archive.

        Parameters
        ----------
        person : who withdraws them.

        Raises
        ------
        CaseRefused
            Nobody has one of them.
        """
        keys = [self._key(case) for case in cases]
        return self._projects.withdraw(self.name, keys, self._person(person))

    def agreement(self) -> AgreementTable:
        """Compare the annotations of each series that several people have submitted, segment by segment."""
        from dicomdock.api.project_agreement import compare

        return compare(self._archive, self.definition, self.cases())

    def changes(self, case: str) -> DraftChanges | None:
        """Compare what was submitted for a case with the draft of the tool that proposed it.

        Returns
        -------
        The volumes before and after, and the changed voxels, of each segment; None where no tool proposed it.

        Raises
        ------
        CaseRefused
            Nothing was submitted for the case yet.
        NotFound
            There is no such case.
        NotInArchive, GeometryError
            A version is missing or cannot be read.
        """
        from dicomdock.api.project_changes import changes_of

        key = self._key(case)
        found = next((one for one in self.cases() if one.key == key), None)
        if found is None:
            raise NotFound(f"{self.name} has no case {case}.")
        if found.result is None:
            raise CaseRefused(f"Nothing was submitted for case {case} yet.")
        return changes_of(self._archive, found.result)

    def export(self, folder: Path | str, format: Literal["csv", "parquet"] = "csv") -> ExportedProject:  # noqa: A002
        """Write tables of the cases, of their history and of the agreement, and what was decided as DICOM.

        Where tools have proposed drafts there is a table of what was changed by hand of them.

        For each case that is done there is its Segmentation, and a measurement report (TID 1500) with the
        volumes of its segments, which names the annotator as its observer.

        Parameters
        ----------
        folder : made where it is missing; else empty.
        format : of the tables.

        Raises
        ------
        InvalidInput
            The folder is not empty.
        """
        from dicomdock.api.project_export import export

        table = self.agreement() if self.definition.annotations > 1 else None
        return export(
            self._archive, self.definition, self.cases(), self.history(), table, Path(folder), format
        )

    def remove(self) -> int:
        """Remove the project, and return how many cases it had; what was drawn stays in the archive."""
        return self._projects.remove(self.name)

    def _key(self, case: str) -> tuple[int, int]:
        return key_of(case, self.definition)

    def _person(self, person: str) -> str:
        return check_person(person or self._settings.person_name)


def make(archive: LocalHome, settings: Settings, project: Project) -> AnnotationProject:
    """Make a project of the images of a cohort; without annotators its maker is the only one.

    Series whose Modality is none of images (segmentations, reports) are not cases.

    Raises
    ------
    InvalidInput, NotFound
    """
    cohorts = Cohorts(settings)
    version = int(cohorts.file(project.cohort).stem)
    people = project.annotators or (check_person(settings.person_name),)
    made = replace(project, version=version, annotators=people)
    items = [one for one in cohorts.items(project.cohort, version) if one.modality not in NO_IMAGES]
    Projects(archive.local).make(made, items)
    return AnnotationProject(archive, settings, project.name)


def segment_term(text: str) -> SegmentTerm:
    """Return a segment of a task: ``NAME``, whose codes are guessed, or ``NAME=SCHEME:VALUE:MEANING``.

    Raises
    ------
    InvalidInput
        It is neither.
    """
    from dicomdock.imaging.terminology import Code, Terminology

    name, equals, coded = text.partition("=")
    if not name.strip() or len(name) > 64:
        raise InvalidInput("A segment has a name of 1 to 64 characters.")
    guessed = Terminology.suggest(name)
    if not equals:
        return SegmentTerm(name.strip(), guessed.to_slicer())
    parts = coded.split(":", 2)
    if (
        len(parts) < 3
        or not all(part.strip() for part in parts)
        or any("^" in part or "~" in part for part in parts)
    ):
        raise InvalidInput(
            f"{text!r} is not a segment; write NAME or NAME=SCHEME:VALUE:MEANING, lesion=SCT:52988006:Lesion."
        )
    return SegmentTerm(
        name.strip(), Terminology(guessed.category, Code(parts[1], parts[0], parts[2])).to_slicer()
    )
