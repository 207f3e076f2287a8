"""Agreement of the annotators of a project: a row for each series, pair of people and segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np

from dicomdock.api.home import LocalHome
from dicomdock.api.project_submission import mask_of
from dicomdock.api.segmentation import Segmentation, read
from dicomdock.api.table import Cell
from dicomdock.errors import DicomdockError
from dicomdock.imaging.segmentation import agreement
from dicomdock.imaging.segmentation.mask import EMPTY
from dicomdock.project.model import Case, Project, SegmentTerm

COLUMNS = (
    *("case", "StudyInstanceUID", "SeriesInstanceUID", "segment", "first", "second"),
    *("first_volume_ml", "second_volume_ml", "dice", "distance_95_mm", "mean_distance_mm", "remark"),
)


@dataclass(frozen=True)
class AgreementTable:
    """How far annotators agree.

    Parameters
    ----------
    rows : by the names of ``COLUMNS``; None for a number that there is not, with the reason in ``remark``.
    """

    rows: tuple[Mapping[str, Cell], ...]


def compare(archive: LocalHome, project: Project, cases: Sequence[Case]) -> AgreementTable:
    """Compare what was submitted for each series, by each pair of people."""
    rows: list[Mapping[str, Cell]] = []
    for number, group in groupby(cases, key=lambda case: case.number):
        found = [case for case in group if case.result is not None]
        for first, second in combinations(found, 2):
            rows += _pair(archive, project, number, first, second)
    return AgreementTable(tuple(rows))


def _pair(
    archive: LocalHome, project: Project, number: int, first: Case, second: Case
) -> Iterator[Mapping[str, Cell]]:
    known: dict[str, Cell] = {
        "case": number,
        "StudyInstanceUID": first.series.study,
        "SeriesInstanceUID": first.series.series,
        "first": first.person,
        "second": second.person,
    }
    assert first.result is not None and second.result is not None, "only submitted cases are compared"
    try:
        one = read(archive, first.result).require_spatial()
        other = read(archive, second.result).require_spatial()
        placed = other.onto(one.geometry)
    except DicomdockError as error:  # of one case, which is not a reason to compare none
        yield _row({**known, "remark": str(error)})
        return
    remark = " ".join(dict.fromkeys((*one.remarks, *placed.remarks)))
    for term in project.task.segments or _all_terms(one, placed):
        numbers = _numbers(one, Segmentation.of(placed), term, remark)
        # As it was drawn, not as it was resampled to be compared.
        yield _row({**known, "segment": term.label, **numbers, "second_volume_ml": _volume(other, term)})


def _volume(segmentation: Segmentation, term: SegmentTerm) -> float:
    """Return the volume of a segment, in ml."""
    voxel = abs(float(np.linalg.det(segmentation.geometry.affine[:3, :3])))  # mm3
    return (mask_of(segmentation, term) or EMPTY).count * voxel / 1000


def _numbers(one: Segmentation, other: Segmentation, term: SegmentTerm, remark: str) -> dict[str, Cell]:
    masks = mask_of(one, term) or EMPTY, mask_of(other, term) or EMPTY
    found = agreement(*masks, one.geometry)
    apart = "" if all(mask.count for mask in masks) else "Not drawn by both."
    return {
        "first_volume_ml": found.volumes[0],
        "dice": found.dice,
        "distance_95_mm": found.distance_95,
        "mean_distance_mm": found.mean_distance,
        "remark": " ".join(filter(None, (remark, apart, found.remark))),
    }


def _all_terms(*segmentations: Segmentation) -> list[SegmentTerm]:
    labels = {
        one.label.strip().casefold(): one.label.strip() for each in segmentations for one in each.segments
    }
    return [SegmentTerm(label) for label in labels.values()]


def _row(cells: Mapping[str, Cell]) -> Mapping[str, Cell]:
    return {"remark": "", **{name: cells.get(name) for name in COLUMNS if name in cells or name != "remark"}}
