"""What was changed by hand of a tool's draft, as the commands of ``project`` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomdock.cli.output import Console
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from dicomdock.api.project import AnnotationProject
    from dicomdock.api.project_changes import DraftChanges
    from dicomdock.project.model import Case
    from dicomdock.sources import JsonValue


def changes_for_review(console: Console, project: AnnotationProject, case: Case) -> DraftChanges | None:
    """Return what was changed by hand in a case; where that cannot be known, say why, and return None."""
    try:
        return project.changes(project.name_of(case))
    except DicomdockError as error:
        console.note(str(error))
        return None


def changes_row(changes: DraftChanges | None) -> dict[str, JsonValue]:
    """Return the changes as JSON."""
    if changes is None:
        return {"draft": None, "tool": "", "changes": []}
    segments: list[JsonValue] = [
        {
            "segment": one.label,
            "before_ml": one.before_ml,
            "after_ml": one.after_ml,
            "added_voxels": one.added,
            "removed_voxels": one.removed,
        }
        for one in changes.segments
    ]
    return {"draft": str(changes.draft), "tool": changes.tool, "changes": segments}


def print_changes(console: Console, changes: DraftChanges | None) -> None:
    """Print the changes, a line for each segment."""
    if changes is not None:
        console.print(changes.words, *(f"  {one.words}" for one in changes.segments))
