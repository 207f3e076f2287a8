"""What a person has changed by hand of the draft that a tool proposed, segment by segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dicomdock.api.home import LocalHome
from dicomdock.api.instances import found_in, read_single
from dicomdock.api.project_submission import mask_of
from dicomdock.api.segmentation import Segmentation, read
from dicomdock.api.table import Cell
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, NotInArchive
from dicomdock.imaging.numbers import number_text
from dicomdock.imaging.segmentation import earlier_version_of
from dicomdock.imaging.segmentation.mask import EMPTY
from dicomdock.project.model import Case, Project, SegmentTerm, name_of

COLUMNS = (
    *("case", "annotator", "tool", "draft", "segmentation", "segment"),
    *("before_ml", "after_ml", "added_voxels", "removed_voxels", "remark"),
)
MOST_VERSIONS = 1000  # of one object, that are followed back


@dataclass(frozen=True, slots=True)
class SegmentChange:
    """What became of a segment of a draft.

    Parameters
    ----------
    label : its name.
    before_ml, after_ml : volume in ml of its voxels in the draft, and in what was submitted.
    added, removed : number of voxels that the person has added, and taken away.
    """

    label: str
    before_ml: float
    after_ml: float
    added: int
    removed: int

    @property
    def changed(self) -> int:
        """Number of voxels that differ."""
        return self.added + self.removed

    @property
    def words(self) -> str:
        """The change as text."""
        if not self.changed:
            return f"{self.label}: {number_text(self.after_ml, 3)} ml, as proposed"
        volumes = f"{number_text(self.before_ml, 3)} ml before, {number_text(self.after_ml, 3)} ml after"
        return f"{self.label}: {volumes}; voxels added: {self.added}, removed: {self.removed}"


@dataclass(frozen=True, slots=True)
class DraftChanges:
    """What became of a tool's draft.

    Parameters
    ----------
    draft : the instance that the tool stored.
    tool : the Segment Algorithm Names in it.
    segments : those of the draft, then those that the person has added; those without voxels in both are left
        out.
    """

    draft: Resource
    tool: str
    segments: tuple[SegmentChange, ...]

    @property
    def words(self) -> str:
        """The whole as text, to which the segments are the details."""
        changed = sum(1 for one in self.segments if one.changed)
        what = f"{changed} of {len(self.segments)} segments" if changed else "nothing"
        return f"Proposed by {self.tool}; {what} changed by hand."


def changes_of(archive: LocalHome, submitted: Resource) -> DraftChanges | None:
    """Compare a segmentation with the draft that it was made from; None where no tool proposed one.

    Segments are compared by their names.

    Raises
    ------
    NotInArchive
        An earlier version is not in the archive, so that nobody knows.
    GeometryError
        One of the two cannot be read, or not put on the other's grid.
    """
    first = _first_version(archive, submitted)
    if first is None:
        return None
    draft = read(archive, first)
    if not draft.draft:
        return None
    after = read(archive, submitted)
    before = Segmentation.of(draft.onto(after.geometry))
    names = dict.fromkeys(one.algorithm_name for one in draft.segments if one.algorithm_name)
    return DraftChanges(first, ", ".join(names) or "a tool", tuple(_compared(before, after)))


def change_rows(archive: LocalHome, project: Project, cases: Sequence[Case]) -> Iterator[Mapping[str, Cell]]:
    """Yield what became of each segment of each draft that a tool proposed, as rows of a table.

    Where it cannot be known, the row has a remark instead of numbers; cases without a draft have no rows.
    """
    for case in cases:
        if case.result is None:
            continue
        row: dict[str, Cell] = dict.fromkeys(COLUMNS)
        row |= {"case": name_of(case, project), "annotator": case.person, "segmentation": str(case.result)}
        row["remark"] = ""
        try:
            found = changes_of(archive, case.result)
        except DicomdockError as error:
            yield {**row, "remark": str(error)}
            continue
        if found is None:
            continue
        for one in found.segments:
            yield {
                **row,
                "tool": found.tool,
                "draft": str(found.draft),
                "segment": one.label,
                "before_ml": one.before_ml,
                "after_ml": one.after_ml,
                "added_voxels": one.added,
                "removed_voxels": one.removed,
            }


def _compared(before: Segmentation, after: Segmentation) -> Iterator[SegmentChange]:
    millilitres = abs(float(np.linalg.det(after.geometry.affine[:3, :3]))) / 1000
    labels = {one.label.strip().casefold(): one.label.strip() for one in (*before.segments, *after.segments)}
    for label in labels.values():
        old, new = (mask_of(one, SegmentTerm(label)) or EMPTY for one in (before, after))
        if not old.count and not new.count:
            continue
        both = old.shared(new)
        yield SegmentChange(
            label, old.count * millilitres, new.count * millilitres, new.count - both, old.count - both
        )


def _first_version(archive: LocalHome, submitted: Resource) -> Resource | None:
    """Follow an object back to its first version; None where it is that itself."""
    here, seen = submitted, {submitted.instance}
    while before := earlier_version_of(read_single(archive, here)):
        if before in seen or len(seen) > MOST_VERSIONS:
            return None  # no program writes that
        seen.add(before)
        found = next(found_in(archive, submitted, SOPInstanceUID=before), None)
        if found is None:
            raise NotInArchive(
                f"An earlier version of {submitted} is not in the archive, so it is not known what was"
                " changed by hand."
            )
        here = found
    return here if here != submitted else None
