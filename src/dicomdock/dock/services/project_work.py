"""What this user does in annotation projects: their cases, the next one, and what becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import ArchiveChanged, Events
from dicomdock.dock.services.transfers import Downloads, Transfers
from dicomdock.errors import DicomdockError, NotInArchive
from dicomdock.project.model import (
    Case,
    CaseState,
    Entry,
    Event,
    Project,
    name_of,
    progress,
    progress_by_person,
)

if TYPE_CHECKING:
    from dicomdock.api.project import AnnotationProject


@dataclass(frozen=True)
class Work:
    """A project, as one person sees it.

    Parameters
    ----------
    project : it.
    person : who looks.
    mine : the cases that are or were theirs, and those that wait for their review; what is to be done first.
    counts : all cases by their state.
    people : those of each annotator.
    here : the series of ``mine`` of which the archive has images.
    coming : the studies that are being downloaded.
    left : there is a case that they could take.
    lost : a sentence for each case that came free because nothing was heard of them, or was withdrawn.
    notes : with which cases of ``mine`` were sent back before their present note.
    """

    project: Project
    person: str
    mine: Sequence[Case]
    counts: Mapping[CaseState, int]
    people: Mapping[str, Mapping[CaseState, int]]
    here: frozenset[Resource]
    coming: frozenset[str]
    left: bool
    lost: Sequence[str] = ()
    notes: Mapping[tuple[int, int], Sequence[Entry]] = field(default_factory=dict)

    def name_of(self, case: Case) -> str:
        """Return what a case is called."""
        return name_of(case, self.project)

    def draws(self, case: Case) -> bool:
        """Return whether this person draws the case now."""
        return case.state is CaseState.TAKEN and case.person == self.person

    def reviews(self, case: Case) -> bool:
        """Return whether this person reviews the case, or may."""
        if case.state is CaseState.IN_REVIEW:
            return case.reviewer == self.person
        return case.state is CaseState.SUBMITTED and case.person != self.person and self.is_reviewer

    def in_hand(self, case: Case) -> bool:
        """Return whether this person draws or reviews the case now."""
        return self.draws(case) or (case.state is CaseState.IN_REVIEW and case.reviewer == self.person)

    @property
    def is_annotator(self) -> bool:
        """Whether the person annotates in the project."""
        return self.person in self.project.annotators

    @property
    def is_reviewer(self) -> bool:
        """Whether the person reviews in the project."""
        return self.person in self.project.reviewers

    def segments(self, case: Case) -> Mapping[str, str]:
        """Return the segments that this person is to draw in a case now, by name, with their codes."""
        return {one.label: one.entry for one in self.project.task.segments} if self.draws(case) else {}

    def words(self, case: Case) -> str:
        """Return how far a case is, for this person."""
        if self.draws(case):
            return "draw again" if case.rounds else "draw"
        if self.reviews(case):
            return "in your review" if case.state is CaseState.IN_REVIEW else "to review"
        if case.state is CaseState.OPEN:
            return "sent back" if case.note else "assigned to you"
        return "waits for review" if case.state is CaseState.SUBMITTED else case.state.value

    def explain(self, case: Case) -> str:
        """Return what there is to do in a case, or who does what, in a sentence."""
        if self.draws(case):
            return "Draw it in the viewer, save, and submit it."
        if self.reviews(case):
            taken = "" if case.state is CaseState.IN_REVIEW else "; opening it takes it"
            return f"Accept it, or send it back with a note{taken}."
        return _EXPLAINED[case.state].format(
            person=case.person or "Another program", reviewer=case.reviewer or "Another program"
        )


_EXPLAINED: Mapping[CaseState, str] = {
    CaseState.OPEN: "Opening it takes it.",
    CaseState.TAKEN: "{person} draws it now.",
    CaseState.SUBMITTED: "A reviewer accepts it, or sends it back.",
    CaseState.IN_REVIEW: "{reviewer} reviews it now.",
    CaseState.DONE: "Nothing is left to do.",
    CaseState.CANCELED: "Another program has canceled it on the work list; what was saved is in the archive.",
}
"""What a state means to somebody who has nothing to do in it."""


class ProjectWork:
    """The projects of this user. Thread-safe; methods may block.

    Parameters
    ----------
    local : the archive, and the name of the person.
    transfers, downloads : bring images that are not here.
    events : is informed of what is submitted.
    """

    def __init__(
        self, local: LocalArchive, transfers: Transfers, downloads: Downloads, events: Events
    ) -> None:
        self._local = local
        self._transfers = transfers
        self._downloads = downloads
        self._events = events
        self._deciding = threading.Lock()  # a case is being submitted, accepted, sent or given back

    @property
    def person(self) -> str:
        """The name of this user."""
        return self._local.settings.person_name

    def names(self) -> list[str]:
        """Return the projects that this user has work in, or had."""
        from dicomdock.project.store import Projects

        projects = Projects(self._local.archive)
        found = (projects.get(name) for name in projects.names())
        return [one.name for one in found if self.person in (*one.annotators, *one.reviewers)]

    def look(self, name: str, *, alive: bool = False) -> Work:
        """Return a project as this user sees it.

        Parameters
        ----------
        alive : the user is there; what they have in hand does not come free soon.

        Raises
        ------
        NotFound
            There is no such project any more.
        """
        project, person = self._open(name), self.person
        cases = project.cases()
        work = Work(project.definition, person, (), {}, {}, frozenset(), frozenset(), left=False)
        mine = [case for case in cases if person in (case.person, case.assigned) or work.reviews(case)]
        mine.sort(key=lambda case: (_rank(work, case), case.key))
        if alive and any(map(work.in_hand, mine)):
            project.alive()
        archive, notes = self._local.archive, project.notes()
        return Work(
            project.definition,
            person,
            tuple(mine),
            progress(cases),
            progress_by_person(project.definition, cases),
            frozenset(case.series for case in mine if archive.present(case.series)),
            frozenset(self._downloads.studies()),
            project.upcoming() is not None,
            project.lost(),
            {case.key: project.earlier_notes(case, notes) for case in mine},
        )

    def take(self, name: str, case: str = "") -> Case | None:
        """Take a case, the next one if none is named, and fetch its images and those of the one after it.

        Raises
        ------
        CaseRefused
            It is not for this user, or somebody else has it.
        """
        project = self._open(name)
        taken = project.take(case)
        if taken is None:
            return None
        self._fetch_next(project)
        self.fetch(taken)
        return taken

    def shown(self, case: Case) -> Resource:
        """Return the series to look at in a case: what was drawn last, where it is here, else the images."""
        drawn = case.result
        if drawn is None or not self._local.archive.present(drawn):
            return case.series
        return Resource(drawn.study, drawn.series)

    def fetch(self, case: Case) -> None:
        """Queue the download of a case's images, where they are on a server and not here.

        Raises
        ------
        NotInArchive
            No server is known that has them, or they lie in a bucket, from which transfers bring nothing.
        """
        if self._local.archive.present(case.series):
            return
        if not case.server:
            raise NotInArchive(
                "The images of this case are not in the archive, and its cohort names no server with them.",
                remedy="Import or pull them; if you give the case back, the next one is another.",
            )
        if "://" in case.server:
            raise NotInArchive(
                f"The images are on {case.server}.",
                remedy="'dicomdock cohort pull' downloads those of a cohort.",
            )
        self._transfers.pull(case.server, [case.series])

    def changes(self, name: str, case: Case) -> Sequence[str]:
        """Return what the annotator of a case has changed by hand of a tool's draft, in words.

        The first line is of the whole, the others of a segment each; empty where no tool proposed it. Where
        it cannot be known, the only line says why.
        """
        project = self._open(name)
        try:
            found = project.changes(project.name_of(case))
        except DicomdockError as error:
            return (str(error),)
        return (found.words, *(one.words for one in found.segments)) if found is not None else ()

    def submit(self, name: str, case: str) -> Case:
        """Submit what was saved last for a case, and fetch the images of the next one.

        Raises
        ------
        CaseRefused
            There is nothing to submit, or it lacks segments.
        """
        return self._done(name, lambda project: project.submit(case))

    def accept(self, name: str, case: str, seen: Resource | None = None) -> Case:
        """Accept what was submitted for a case.

        Parameters
        ----------
        seen : what the user was shown as submitted.

        Raises
        ------
        CaseRefused
            It is not for this user to review, something else was submitted meanwhile, or the segmentation is
            not in the archive.
        """
        return self._done(name, lambda project: project.accept(case, seen=seen))

    def send_back(self, name: str, case: str, note: str) -> Case:
        """Send a case back to its annotator.

        Raises
        ------
        CaseRefused
            It is not for this user to review.
        InvalidInput
            There is no note.
        """
        return self._done(name, lambda project: project.send_back(case, note))

    def release(self, name: str, case: str) -> Case:
        """Release a case without completing it.

        Raises
        ------
        CaseRefused
            This user does not have it.
        """
        return self._done(name, lambda project: project.release(case))

    def has_done(self, event: Event, name: str, case: str, since: int) -> bool:
        """Return whether this user has submitted, accepted or sent back a case; see ``AnnotationProject``.

        What is being done is waited for.

        Raises
        ------
        NotFound
            There is no such project any more.
        """
        with self._deciding:
            return self._open(name).has_done(event, case, since)

    def _done(self, name: str, do: Callable[[AnnotationProject], Case]) -> Case:
        project = self._open(name)
        with self._deciding:
            case = do(project)
        self._events.publish(ArchiveChanged(case.series.study))
        self._fetch_next(project)
        return case

    def _fetch_next(self, project: AnnotationProject) -> None:
        following = project.upcoming()
        if following is not None:
            with suppress(DicomdockError):  # of a server; who takes the case reads why
                self.fetch(following)

    def _open(self, name: str) -> AnnotationProject:
        from dicomdock.api.archive import Archive

        return Archive(self._local.archive, self._local.settings).project(name)


def _rank(work: Work, case: Case) -> int:
    """Order cases: in hand, sent back, to review, assigned, waiting for others, done."""
    if work.in_hand(case):
        return 0
    if case.state is CaseState.OPEN:
        return 1 if case.note else 3
    if work.reviews(case):
        return 2
    return 5 if case.state.is_final else 4
