"""Cases of a project, as the commands of ``project`` show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dicomdock.cli.output import Console
from dicomdock.cli.project_changes import print_changes
from dicomdock.imaging.numbers import number_text

if TYPE_CHECKING:
    from dicomdock.api.project import AnnotationProject
    from dicomdock.api.project_changes import DraftChanges
    from dicomdock.api.table import Cell
    from dicomdock.project.model import Case, CaseState, Entry
    from dicomdock.sources import JsonValue


def case_row(project: AnnotationProject, case: Case) -> dict[str, JsonValue]:
    """Return a case as JSON."""
    return {
        "case": project.name_of(case),
        "state": case.state.value,
        "series": str(case.series),
        "server": case.server,
        "assigned": case.assigned,
        "annotator": case.person,
        "reviewer": case.reviewer,
        "note": case.note,
        "segmentation": str(case.result) if case.result else None,
        "rounds": case.rounds,
    }


def print_taken(
    console: Console,
    project: AnnotationProject,
    case: Case,
    *,
    reviewing: bool,
    earlier: Sequence[Entry],
    changes: DraftChanges | None,
) -> None:
    """Print what is to be done with a case that was taken.

    Parameters
    ----------
    reviewing : it was taken to review it.
    earlier : notes that it was sent back with before.
    changes : what was changed by hand of a tool's draft.
    """
    task = project.definition.task
    console.print(
        f"Case {project.name_of(case)} is yours to {'review' if reviewing else 'draw'}: {task.title}."
    )
    if task.instructions:
        console.print(task.instructions)
    if task.segments:
        console.print(f"Segments: {', '.join(one.label for one in task.segments)}.")
    if case.note:
        console.print(f"{case.reviewer or 'The reviewer'} sent it back: {case.note}")
    for one in earlier:
        console.print(f"Before, {one.person} wrote: {one.note}")
    if reviewing and case.result is not None:
        console.print(f"Drawn by {case.person}: {case.result}")
    print_changes(console, changes)
    console.print(f"Images: {case.series}")


def counts_text(counts: Mapping[CaseState, int]) -> str:
    """Return how many cases are in each state, in words."""
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing"


def comparison_text(row: Mapping[str, Cell]) -> str:
    """Return a comparison of two annotations of a segment as a line."""
    pair = f"{row['case']} {row['segment'] or ''}: {row['first']}, {row['second']}:"
    if row["dice"] is None and row["first_volume_ml"] is None:
        return f"{pair} {row['remark']}"
    numbers = (
        f"Dice {_number(row['dice'])}",
        f"distance {_number(row['mean_distance_mm'])} mm, 95 % {_number(row['distance_95_mm'])} mm",
        f"volumes {_number(row['first_volume_ml'])}, {_number(row['second_volume_ml'])} ml",
    )
    return f"{pair} {'; '.join(numbers)}. {row['remark']}".rstrip()


def _number(value: object) -> str:
    return number_text(value, 3) if isinstance(value, (int, float)) else "-"
