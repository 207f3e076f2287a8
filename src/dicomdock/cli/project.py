"""``project``: annotate a cohort together, case by case, with rules and a review."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli.exit_codes import PARTLY
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.cli.project_cases import case_row, comparison_text, counts_text, print_taken
from dicomdock.cli.project_changes import changes_for_review, changes_row, print_changes
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.api.archive import Archive
    from dicomdock.api.project import AnnotationProject
    from dicomdock.sources import JsonValue

commands = typer.Typer(
    name="project",
    help="Annotate a cohort together: assign cases, review them, and compare annotators.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The project.", show_default=False)]
CaseName = Annotated[str, typer.Argument(metavar="CASE", help="The case: 3, or 3b.", show_default=False)]
Annotators = Annotated[
    list[str] | None,
    typer.Option(
        "--annotator", metavar="PERSON", help="An annotator; can be given again.", show_default=False
    ),
]
Reviewers = Annotated[
    list[str] | None,
    typer.Option("--reviewer", metavar="PERSON", help="A reviewer; can be given again.", show_default=False),
]


class Format(StrEnum):
    """What the tables of ``project export`` are written as."""

    csv = "csv"
    parquet = "parquet"


@commands.command(
    epilog=examples(
        "dicomdock project make livers chest 'segment the liver' --segment liver --annotator anna",
        "dicomdock project make livers chest 'segment liver and lesions' --segment liver --segment"
        " lesion=SCT:52988006:Lesion --threshold 0.5 --annotator anna --annotator bert --twice",
    )
)
def make(
    context: typer.Context,
    name: Name,
    cohort: Annotated[
        str,
        typer.Argument(
            metavar="COHORT", help="The cohort; each series of images is a case.", show_default=False
        ),
    ],
    title: Annotated[
        str, typer.Argument(metavar="TASK", help="The task, in a few words.", show_default=False)
    ],
    instructions: Annotated[
        str, typer.Option(metavar="TEXT", help="Instructions for the annotators.", show_default=False)
    ] = "",
    segment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SEGMENT",
            help="A segment that each case needs: NAME, or NAME=SCHEME:VALUE:MEANING; can be given again.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="SHARE", help="Minimum number of these segments in a submission."),
    ] = 1.0,
    annotator: Annotators = None,
    reviewer: Reviewers = None,
    twice: Annotated[
        bool, typer.Option("--twice", help="Have each series drawn by two people, and compare them.")
    ] = False,
) -> None:
    """Create a project from a cohort. With reviewers, each case is reviewed by one who did not draw it."""
    console: Console = context.obj
    with _archive(console) as archive:
        made = archive.make_project(
            name,
            cohort,
            title,
            instructions=instructions,
            segments=segment or (),
            threshold=threshold,
            annotators=annotator or (),
            reviewers=reviewer or (),
            annotations=2 if twice else 1,
            review=bool(reviewer),
        )
        cases = made.cases()
    definition = made.definition
    console.result({"project": name, "cohort": cohort, "version": definition.version, "cases": len(cases)})
    console.print(
        f"Project {name}: {counted(len(cases), 'case')} of cohort {cohort}, version {definition.version}.",
        f"Annotators: {', '.join(definition.annotators)}.",
    )


@commands.command(epilog=examples("dicomdock project add livers --annotator carl --reviewer rita"))
def add(context: typer.Context, name: Name, annotator: Annotators = None, reviewer: Reviewers = None) -> None:
    """Add people to a project."""
    console: Console = context.obj
    with _project(console, name) as project:
        project.add(annotators=annotator or (), reviewers=reviewer or ())
        people = project.definition
    console.result({"project": name, "annotators": [*people.annotators], "reviewers": [*people.reviewers]})
    console.print(
        f"Annotators: {', '.join(people.annotators)}.",
        f"Reviewers: {', '.join(people.reviewers) or 'none'}.",
    )


@commands.command(
    epilog=examples(
        "dicomdock project assign livers anna 1 2 3", "dicomdock project assign livers --anyone 3"
    )
)
def assign(
    context: typer.Context,
    name: Name,
    words: Annotated[
        list[str],
        typer.Argument(metavar="[PERSON] CASE...", help="The annotator, then the cases.", show_default=False),
    ],
    anyone: Annotated[
        bool, typer.Option("--anyone", help="Let all annotators take them again; name no person.")
    ] = False,
) -> None:
    """Assign open cases to one annotator."""
    console: Console = context.obj
    person, cases = ("", words) if anyone else (words[0], words[1:])
    if not cases:
        raise InvalidInput(
            f"Name the cases that {person} is to have: dicomdock project assign {name} {person} 1 2."
        )
    with _project(console, name) as project:
        assigned = project.assign(cases, person)
        named = [project.name_of(case) for case in assigned]
    console.result({"project": name, "person": person, "cases": [*named]})
    console.print(f"{counted(len(named), 'case')} assigned to {person or 'anyone'}.")


@commands.command(epilog=examples("dicomdock project withdraw livers 3 7"))
def withdraw(
    context: typer.Context,
    name: Name,
    cases: Annotated[list[str], typer.Argument(metavar="CASE...", help="Which.", show_default=False)],
) -> None:
    """Withdraw cases from who has them; what they saved stays in the archive."""
    console: Console = context.obj
    with _project(console, name) as project:
        withdrawn = project.withdraw(cases)
        rows: list[JsonValue] = [case_row(project, case) for case in withdrawn]
        lines = [f"Case {project.name_of(case)} is {case.state}." for case in withdrawn]
    console.result({"project": name, "cases": rows})
    console.print(*lines)


@commands.command("next", epilog=examples("dicomdock project next livers", "dicomdock project next livers 7"))
def next_(
    context: typer.Context,
    name: Name,
    case: Annotated[
        str, typer.Argument(metavar="[CASE]", help="The case; default: the next one.", show_default=False)
    ] = "",
) -> None:
    """Take a case to draw or to review; a case that you have already comes first."""
    console: Console = context.obj
    from dicomdock.project.model import CaseState

    with _project(console, name) as project:
        console.note(*project.lost())
        taken = project.take(case)
        if taken is None:
            console.result({"project": name, "case": None})
            console.print(f"Nothing is left for you in {name}.")
            return
        here = bool(project.present(taken))
        earlier = project.earlier_notes(taken)
        reviewing = taken.state is CaseState.IN_REVIEW
        changes = changes_for_review(console, project, taken) if reviewing else None
    console.result({"project": name, "here": here, **case_row(project, taken), **changes_row(changes)})
    print_taken(console, project, taken, reviewing=reviewing, earlier=earlier, changes=changes)
    if not here:
        how = f"pull {taken.series} --server {taken.server or 'NAME'}"
        if "://" in taken.server:  # a bucket, which the cohort knows how to read
            how = f"cohort pull {project.definition.cohort}"
        console.note(f"They are not in the archive yet: dicomdock {how}")


@commands.command(
    epilog=examples(
        "dicomdock project submit livers 3", "dicomdock project submit livers 3 1.2.840.7/1.2.840.9"
    )
)
def submit(
    context: typer.Context,
    name: Name,
    case: CaseName,
    segmentation: Annotated[
        str,
        typer.Argument(
            metavar="[STUDY/SERIES]",
            help="The segmentation; default: the one that you saved last.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Submit what you drew for a case."""
    console: Console = context.obj
    with _project(console, name) as project:
        submitted = project.submit(case, segmentation or None)
    console.result({"project": name, **case_row(project, submitted)})
    console.print(f"Case {case} is {submitted.state}: {submitted.result}")


@commands.command(epilog=examples("dicomdock project changes livers 3"))
def changes(context: typer.Context, name: Name, case: CaseName) -> None:
    """Compare what was submitted for a case with the draft of the tool that proposed it."""
    console: Console = context.obj
    with _project(console, name) as project:
        found = project.changes(case)
    console.result({"project": name, "case": case, **changes_row(found)})
    if found is None:
        console.print(f"No tool proposed what was submitted for case {case}.")
    print_changes(console, found)


@commands.command(epilog=examples("dicomdock project accept livers 3"))
def accept(context: typer.Context, name: Name, case: CaseName) -> None:
    """Accept what was submitted for a case."""
    console: Console = context.obj
    with _project(console, name) as project:
        accepted = project.accept(case)
    console.result({"project": name, **case_row(project, accepted)})
    console.print(f"Case {case} is {accepted.state}.")


@commands.command("send-back", epilog=examples("dicomdock project send-back livers 3 'The dome is missing.'"))
def send_back(
    context: typer.Context,
    name: Name,
    case: CaseName,
    note: Annotated[str, typer.Argument(metavar="NOTE", help="What to change.", show_default=False)],
) -> None:
    """Send a case back to its annotator, with a note."""
    console: Console = context.obj
    with _project(console, name) as project:
        back = project.send_back(case, note)
    console.result({"project": name, **case_row(project, back)})
    console.print(f"Case {case} goes back to {back.assigned or 'the annotators'}.")


@commands.command(epilog=examples("dicomdock project release livers 3"))
def release(context: typer.Context, name: Name, case: CaseName) -> None:
    """Release a case without completing it."""
    console: Console = context.obj
    with _project(console, name) as project:
        released = project.release(case)
    console.result({"project": name, **case_row(project, released)})
    console.print(f"Case {case} is {released.state}.")


@commands.command(
    epilog=examples("dicomdock project status livers", "dicomdock project status livers --cases")
)
def status(
    context: typer.Context,
    name: Name,
    cases: Annotated[bool, typer.Option("--cases", help="List every case.")] = False,
) -> None:
    """Show the progress of a project and of each person."""
    console: Console = context.obj
    from dicomdock.project.model import progress, progress_by_person

    with _project(console, name) as project:
        found = project.cases()
    people = progress_by_person(project.definition, found)
    console.result(
        {
            "project": name,
            "task": project.definition.task.title,
            "cases": [case_row(project, case) for case in found],
            "progress": {state.value: count for state, count in progress(found).items()},
            "people": {
                person: {state.value: count for state, count in counts.items()}
                for person, counts in people.items()
            },
        }
    )
    console.print(f"Project {name}, {project.definition.task.title}: {counted(len(found), 'case')}.")
    console.print("all: " + counts_text(progress(found)))
    for person, counts in people.items():
        console.print(f"{person}: " + counts_text(counts))
    if cases:
        for case in found:
            who = case.person or case.assigned
            line = (project.name_of(case), case.state.value, who, case.note, str(case.series))
            console.print("  ".join(filter(None, line)))


@commands.command(epilog=examples("dicomdock project agreement livers"))
def agreement(context: typer.Context, name: Name) -> None:
    """Compare the annotations of each series: Dice, surface distances in mm, volumes in ml."""
    console: Console = context.obj
    with _project(console, name) as project:
        rows = project.agreement().rows
    console.result({"project": name, "rows": [dict(row) for row in rows]})
    for row in rows:
        console.print(comparison_text(row))
    console.print(f"{counted(len(rows), 'comparison')}.")


@commands.command(
    epilog=examples(
        "dicomdock project export livers ./livers",
        "dicomdock project export livers ./livers --format parquet",
    )
)
def export(
    context: typer.Context,
    name: Name,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The folder to write to; created if missing, else it must be empty."
        ),
    ],
    form: Annotated[Format, typer.Option("--format", help="Format of the tables.")] = Format.csv,
) -> None:
    """Write tables of cases, history and agreement, and the segmentations of completed cases as DICOM."""
    console: Console = context.obj
    with _project(console, name) as project:
        written = project.export(folder, form.value)
    console.result(
        {
            "project": name,
            "tables": [str(path) for path in written.tables],
            "decided": written.decided,
            "problems": [*written.problems],
        }
    )
    console.print(f"{counted(written.decided, 'case')} decided; tables and DICOM are in {folder}.")
    console.note(*written.problems)
    if written.problems:
        raise typer.Exit(PARTLY)


@commands.command("list", epilog=examples("dicomdock project list"))
def list_(context: typer.Context) -> None:
    """List the projects."""
    console: Console = context.obj
    with _archive(console) as archive:
        names = archive.projects()
    console.result({"projects": [*names]})
    console.print(*names)


@commands.command(epilog=examples("dicomdock project remove livers"))
def remove(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove a project with its history; its segmentations stay in the archive."""
    console: Console = context.obj
    with _project(console, name) as project:
        count = len(project.cases())
        asked = f"Remove project {name} with {counted(count, 'case')} and its history?"
        if not yes and not console.confirm(asked):
            raise InvalidInput("Nothing was removed; --yes removes without asking.")
        project.remove()
    console.result({"project": name, "removed": True, "cases": count})
    console.print(f"Project {name} is removed; what was drawn stays in the archive.")


@contextmanager
def _archive(console: Console) -> Iterator[Archive]:
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        yield archive


@contextmanager
def _project(console: Console, name: str) -> Iterator[AnnotationProject]:
    with _archive(console) as archive:
        yield archive.project(name)
