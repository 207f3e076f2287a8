"""The segmentation that is submitted for a case: which one it is, whether it is complete, who drew it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.api.home import LocalHome
from dicomdock.api.instances import found_in, headers_of, paths_of, read_single
from dicomdock.api.segmentation import Segmentation, read
from dicomdock.api.tools import accept
from dicomdock.dicom.resource import Resource
from dicomdock.errors import NotInArchive
from dicomdock.imaging.attributes import first, text
from dicomdock.imaging.references import references_of
from dicomdock.imaging.segmentation import Mask, Segment, earlier_version_of, is_draft
from dicomdock.imaging.terminology import TISSUE, Terminology
from dicomdock.project.model import Case, CaseRefused, Project, SegmentTerm, name_of

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP Classes of Segmentation Storage and Label Map Segmentation Storage."""


def find_newest(
    archive: LocalHome, case: Case, project: Project, person: str, others: Container[Resource]
) -> Resource:
    """Return the segmentation of a case's series that a person made last.

    A version that they made another one of is never the last, whatever the clocks said when they saved both.
    Where they have made none, it is the draft of a tool that was run for whoever has the case.

    Parameters
    ----------
    others : what was submitted for other cases.

    Raises
    ------
    CaseRefused
        There is none, several tools have proposed one, or it was submitted already.
    """
    known = (person,) if project.annotations > 1 else (person, "")
    mine, proposed, theirs = [], [], 0
    for resource, header in _drawn_on(archive, case.series):
        creator = _creator_of(header)
        if resource in others:
            continue
        if creator in known:
            mine.append((resource, header))
        elif is_draft(header) and creator not in project.annotators:
            proposed.append((resource, header))
        else:
            theirs += 1
    name = name_of(case, project)
    if not mine and len({_algorithm_of(header) for _, header in proposed}) > 1:
        raise CaseRefused(
            f"Several tools have proposed a segmentation of case {name}.",
            remedy="Accept one in the viewer, or name it.",
        )
    candidates = mine or proposed
    if not candidates:
        if theirs:
            raise CaseRefused(
                f"No segmentation of case {name} names {person} as its creator.",
                remedy="Set person in settings.toml before you draw, or name the segmentation.",
            )
        raise CaseRefused(
            f"There is no segmentation of case {name} in the archive.",
            remedy="Draw and save one, or name it.",
        )
    newest = _newest(candidates)
    if newest == case.result:
        raise CaseRefused(
            f"Nothing was saved for case {name} since it was submitted.",
            remedy="Change it and save it first.",
        )
    return newest


def _newest(candidates: Sequence[tuple[Resource, Dataset]]) -> Resource:
    earlier = {earlier_version_of(header) for _, header in candidates}
    last = [one for one in candidates if one[0].instance not in earlier] or candidates
    return max(last, key=lambda one: (text(one[1], "ContentDate"), text(one[1], "ContentTime")))[0]


def _algorithm_of(header: Dataset) -> str:
    return text(first(header, "SegmentSequence"), "SegmentAlgorithmName")


def submitted(archive: LocalHome, case: Case, project: Project, person: str, chosen: Resource) -> Resource:
    """Return the segmentation that is submitted: the chosen one, or a version of it that names the person.

    Who submits the draft of a tool has accepted it. A process that ends before the case is submitted leaves
    that version; it is taken, and not stored once more, when the same is submitted again.

    Raises
    ------
    CaseRefused
        It was drawn on other images, or lacks segments.
    NotInArchive, GeometryError
        It cannot be read.
    """
    name = name_of(case, project)
    dataset = read_single(archive, chosen)
    if case.series.series not in references_of(dataset):
        raise CaseRefused(f"{chosen} was not drawn on the series of case {name}.")
    segmentation = read(archive, chosen)
    require_complete(segmentation, project, name)
    uid = text(dataset, "SOPInstanceUID")
    is_its_own = _creator_of(dataset) == person and not segmentation.draft
    if is_its_own and text(dataset, "SOPClassUID") in SEGMENTATIONS:
        return Resource(chosen.study, text(dataset, "SeriesInstanceUID"), uid)
    for version, header in _drawn_on(archive, case.series):
        is_named = _creator_of(header) == person and not is_draft(header)
        if is_named and earlier_version_of(header) == uid and _same(read(archive, version), segmentation):
            return version
    if segmentation.draft:
        return accept(archive, chosen, person)
    return replace(segmentation, creator=person).save(archive, case.series)


def _creator_of(header: Dataset) -> str:
    return str(header.get("ContentCreatorName", ""))


def _same(one: Segmentation, other: Segmentation) -> bool:
    """Return whether two segmentations have the same segments, with the same names, codes and voxels."""
    return len(one.segments) == len(other.segments) and all(
        (a.label, a.terminology, a.mask.start) == (b.label, b.terminology, b.mask.start)
        and np.array_equal(a.mask.array, b.mask.array)
        for a, b in zip(one.segments, other.segments, strict=True)
    )


def require_present(archive: LocalHome, case: Case, name: str) -> None:
    """Refuse a submitted case whose segmentation nobody can look at.

    Raises
    ------
    CaseRefused
        Another program has named none, or it is not in the archive.
    DamagedInstances
        Its file is not what was stored.
    """
    send_back = "send the case back with a note"
    if case.result is None:
        raise CaseRefused(
            f"Another program has completed case {name} without a segmentation.",
            remedy=f"{send_back.capitalize()}.",
        )
    try:
        paths_of(archive, case.result)
    except NotInArchive:
        raise CaseRefused(
            f"The segmentation of case {name}, {case.result}, is not in the archive.",
            remedy=f"Import or pull it, or {send_back}.",
        ) from None


def require_complete(segmentation: Segmentation, project: Project, case: str) -> None:
    """Refuse a segmentation that lacks more of the task's segments than the project permits.

    Raises
    ------
    CaseRefused
    """
    asked = project.task.segments
    drawn = [one for one in asked if mask_of(segmentation, one) is not None]
    if not asked:
        if any(one.mask.count for one in segmentation.segments):
            return
        raise CaseRefused(f"The segmentation of case {case} is empty.")
    if len(drawn) < round(project.task.threshold * len(asked), 9):  # 0.55 of 100 are 55.00000000000001
        missing = ", ".join(one.label for one in asked if one not in drawn)
        raise CaseRefused(
            f"Case {case} lacks {missing}: {len(drawn)} of {len(asked)} segments are drawn, and the task asks"
            f" for {project.task.threshold:.0%} of them."
        )


def mask_of(segmentation: Segmentation, term: SegmentTerm) -> Mask | None:
    """Return the voxels of all segments that are what a task asks for; None where there are none."""
    masks = [one.mask for one in segmentation.segments if _is(one, term) and one.mask.count]
    if len(masks) < 2:
        return masks[0] if masks else None
    whole = masks[0].whole(segmentation.shape)
    for mask in masks[1:]:
        whole[mask.box] |= mask.array
    return Mask.of(whole)


def _is(segment: Segment, term: SegmentTerm) -> bool:
    """Return whether a segment has the name or the codes of a term; those of any tissue name nothing."""
    if segment.label.strip().casefold() == term.label.casefold():
        return True
    if not term.entry:
        return False
    wanted, found = Terminology.from_slicer(term.entry), segment.terminology
    return wanted.kind != TISSUE and (wanted.kind, wanted.modifier) == (found.kind, found.modifier)


def _drawn_on(archive: LocalHome, series: Resource) -> Iterator[tuple[Resource, Dataset]]:
    """Yield the Segmentations of a study that refer to a series, with their headers."""
    for sop_class in SEGMENTATIONS:
        for resource in found_in(archive, series, SOPClassUID=sop_class):
            for header in headers_of(paths_of(archive, resource)):
                if series.series in references_of(header):
                    yield resource, header
