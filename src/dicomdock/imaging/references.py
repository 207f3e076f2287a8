"""What kind of object an instance is, and which series it refers to: for lists, before anything is opened.

References
----------
PS3.3 §C.12.4 (Common Instance Reference), §C.17.2.2 (evidence), §C.8.8.5 (Structure Set).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import items, text

Kind = Literal[
    "image", "segmentation", "structures", "report", "parametric map", "document", "presentation", "other"
]

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_KINDS: Mapping[str, Kind] = {
    "66.4": "segmentation",
    "66.7": "segmentation",
    "481.3": "structures",
    "30": "parametric map",
}
_FAMILIES: Mapping[str, Kind] = {"88": "report", "104": "document", "11": "presentation"}
_NO_IMAGES = ("9", "66", "67", "78", "79", "90", "131", "200", "201", "481")
"""Families of objects without pixels: waveforms, registrations, value maps, refractions, protocols, plans."""

_IMAGES = ("481.1", "481.2")  # RT Image and RT Dose, which have pixels all the same

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


def kind_of(sop_class: str) -> Kind:
    """Tell what an instance is by its SOP Class UID; one that is not known counts as an image."""
    if not sop_class.startswith(_STORAGE):
        return "other"
    number = sop_class.removeprefix(_STORAGE)
    family = number.split(".")[0]
    if number in _KINDS:
        return _KINDS[number]
    if family in _FAMILIES:
        return _FAMILIES[family]
    return "other" if family in _NO_IMAGES and number not in _IMAGES else "image"


def references_of(header: Dataset) -> dict[str, tuple[str, ...]]:
    """Give the series that an object refers to as a whole, each with the SOP Instance UIDs that it names.

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
    """Give the Study Instance UID of each series that an object refers to, where the reference names it.

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
