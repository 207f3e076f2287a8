"""What a study holds, for the list beside the pictures: its series, and what was drawn on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydicom import dcmread

from dicomdock.archive import Archive
from dicomdock.archive.catalogue import ArchivedInstance
from dicomdock.imaging.dataset import READ_ERRORS
from dicomdock.imaging.rtstruct.reading import RT_STRUCTURE_SET
from dicomdock.imaging.segmentation.reading import LABELMAP_STORAGE, SEGMENTATION_STORAGE
from dicomdock.query import DicomJson, Query, text
from dicomdock.resource import Resource

Kind = Literal["images", "segmentation", "structures", "report", "other"]

_REPORT = "1.2.840.10008.5.1.4.1.1.88."
_NO_IMAGES = frozenset({"SR", "KO", "PR", "AU", "DOC", "PLAN", "REG", "RTPLAN", "RTRECORD", "RWV", "FID"})
_FIELDS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyDescription",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "NumberOfSeriesRelatedInstances",
)


@dataclass(frozen=True)
class Series:
    """A series of the study as far as it is here.

    Parameters
    ----------
    resource : which.
    kind : what can be done with it.
    modality, description : as stored.
    number : Series Number; 0 where there is none.
    count : instances that are here.
    """

    resource: Resource
    kind: Kind
    modality: str
    description: str
    number: int
    count: int

    @property
    def uid(self) -> str:
        """Its Series Instance UID."""
        assert self.resource.series is not None
        return self.resource.series

    @property
    def name(self) -> str:
        """What the user calls it."""
        said = self.description or {"segmentation": "Segmentation", "structures": "Structures"}.get(
            self.kind, "Series"
        )
        return f"{self.number} {said}" if self.number else said


@dataclass(frozen=True)
class Study:
    """A study as far as it is here.

    Parameters
    ----------
    uid : Study Instance UID.
    patient, patient_id, born, sex, date, description : as stored, for the corners of the views.
    series : in the order of their numbers.
    """

    uid: str
    patient: str = ""
    patient_id: str = ""
    born: str = ""
    sex: str = ""
    date: str = ""
    description: str = ""
    series: tuple[Series, ...] = ()

    def images(self) -> tuple[Series, ...]:
        """Give the series that can be looked at."""
        return tuple(one for one in self.series if one.kind == "images")

    def find(self, uid: str) -> Series | None:
        """Give a series by its UID."""
        return next((one for one in self.series if one.uid == uid), None)


def read_study(archive: Archive, uid: str) -> Study:
    """Look up a study in the archive; an empty one where nothing of it is here yet."""
    study = Study(uid)
    found: list[Series] = []
    classes: dict[str, str] = {}
    for one in archive.instances(Resource(uid)):
        if one.resource.series is not None:
            classes.setdefault(one.resource.series, one.sop_class_uid)
    match = {"StudyInstanceUID": uid, **dict.fromkeys(_FIELDS, "")}
    for page in archive.search(Query("series", match)):
        for answer in page.matches:
            attributes = answer.attributes
            study = _described(study, attributes)
            series = text(attributes, "SeriesInstanceUID")
            found.append(
                Series(
                    Resource(uid, series),
                    _kind(classes.get(series, ""), text(attributes, "Modality")),
                    text(attributes, "Modality"),
                    text(attributes, "SeriesDescription"),
                    _number(text(attributes, "SeriesNumber")),
                    _number(text(attributes, "NumberOfSeriesRelatedInstances")),
                )
            )
    found.sort(key=lambda one: (one.number, one.uid))
    return Study(
        uid,
        study.patient,
        study.patient_id,
        study.born,
        study.sex,
        study.date,
        study.description,
        tuple(found),
    )


def referenced_series(instance: ArchivedInstance) -> str:
    """Give the Series Instance UID of the images that a segmentation or structure set was drawn on."""
    from dicomdock.imaging.attributes import first, items, text
    from dicomdock.imaging.rtstruct import is_structure_set
    from dicomdock.imaging.rtstruct import referenced_series as of_structures

    try:
        header = dcmread(instance.path, stop_before_pixels=True)
    except READ_ERRORS:
        return ""
    if is_structure_set(header):
        return of_structures(header)[0]
    named = first(header, "ReferencedSeriesSequence")
    if named is None:
        for outer in items(header, "StudiesContainingOtherReferencedInstancesSequence"):
            named = named or first(outer, "ReferencedSeriesSequence")
    return text(named, "SeriesInstanceUID") if named is not None else ""


def newest(instances: Iterable[ArchivedInstance]) -> list[ArchivedInstance]:
    """Give instances, the one stored last first."""
    return sorted(instances, key=lambda one: one.path.stat().st_mtime, reverse=True)


def _described(study: Study, attributes: DicomJson) -> Study:
    if study.patient or study.patient_id:
        return study
    return Study(
        study.uid,
        text(attributes, "PatientName").replace("^", " ").strip(),
        text(attributes, "PatientID"),
        _date(text(attributes, "PatientBirthDate")),
        text(attributes, "PatientSex"),
        _date(text(attributes, "StudyDate")),
        text(attributes, "StudyDescription"),
    )


def _kind(sop_class: str, modality: str) -> Kind:
    if sop_class in (SEGMENTATION_STORAGE, LABELMAP_STORAGE):
        return "segmentation"
    if sop_class == RT_STRUCTURE_SET:
        return "structures"
    if sop_class.startswith(_REPORT):
        return "report"
    return "other" if modality in _NO_IMAGES else "images"


def _number(said: str) -> int:
    try:
        return int(float(said))
    except ValueError:
        return 0


def _date(said: str) -> str:
    return f"{said[:4]}-{said[4:6]}-{said[6:8]}" if len(said) == 8 and said.isdigit() else said
