"""Which series an object refers to.

References
----------
PS3.3 §C.12.4 (Common Instance Reference), §C.17.2.2 (evidence), §C.8.8.5 (Structure Set).
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import items, text

_HOLDERS = (
    "ReferencedSeriesSequence",
    "ReferencedFrameOfReferenceSequence",
    "CurrentRequestedProcedureEvidenceSequence",
    "PertinentOtherEvidenceSequence",
    "StudiesContainingOtherReferencedInstancesSequence",
)
_BETWEEN = ("RTReferencedStudySequence", "RTReferencedSeriesSequence", "ReferencedSeriesSequence")
_LISTS = (
    "ReferencedInstanceSequence",
    "ReferencedImageSequence",
    "ReferencedSOPSequence",
    "ContourImageSequence",
)


def references_of(header: Dataset) -> dict[str, tuple[str, ...]]:
    """Return the series that an object refers to as a whole, each with the SOP Instance UIDs that it names.

    Parameters
    ----------
    header : any instance; images usually refer to none.
    """
    found: dict[str, dict[str, None]] = {}
    for keyword in _HOLDERS:
        for item in items(header, keyword):
            for series in _series(item):
                named = found.setdefault(text(series, "SeriesInstanceUID"), {})
                for name in _LISTS:
                    named.update(
                        dict.fromkeys(text(one, "ReferencedSOPInstanceUID") for one in items(series, name))
                    )
    return {series: tuple(instances) for series, instances in found.items()}


def studies_of_references(header: Dataset) -> dict[str, str]:
    """Return the Study Instance UID of each series that an object refers to, where the reference names it.

    Parameters
    ----------
    header : any instance; a series of its own study is often named without it.
    """
    return {
        text(series, "SeriesInstanceUID"): text(study, "StudyInstanceUID")
        for keyword in _HOLDERS
        for study in items(header, keyword)
        if text(study, "StudyInstanceUID")
        for series in _series(study)
    }


def _series(item: Dataset) -> Iterator[Dataset]:
    if text(item, "SeriesInstanceUID"):
        yield item
    for keyword in _BETWEEN:
        for below in items(item, keyword):
            yield from _series(below)
