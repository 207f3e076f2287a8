"""The content of a study, for the list beside the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydicom.dataset import Dataset

from dicomdock.archive import Archive, ArchivedInstance
from dicomdock.dicom.json_model import DicomJson, text, texts
from dicomdock.dicom.names import person_name
from dicomdock.dicom.query import SERIES_OVERVIEW, Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.sop_classes import Kind, kind_of
from dicomdock.imaging.dataset import as_dataset
from dicomdock.imaging.video import is_video
from dicomdock.transfer.priors import patient_of, studies_of

MOST_PRIORS = 100
COUNT = "NumberOfSeriesRelatedInstances"

_KINDS: Mapping[str, Kind] = {
    "SEG": "segmentation",
    "RTSTRUCT": "structures",
    "SR": "report",
    "DOC": "document",
    "PR": "presentation",
    "KO": "key images",
    **dict.fromkeys(("REG", "RTPLAN", "RTRECORD", "ECG", "EEG", "HD", "FID", "AU", "PLAN"), "other"),
}
"""Kinds of series by Modality (PS3.3 §C.7.3.1.1.1) while the archive has no instance; others are images."""


@dataclass(frozen=True)
class Series:
    """A series of the study as far as it is in the archive.

    Parameters
    ----------
    resource : which.
    kind : what can be done with it.
    modality, description : as stored.
    number : Series Number; 0 where there is none.
    count : instances in the archive.
    due : instances that the server it is being fetched from has; 0 where it is not.
    """

    resource: Resource
    kind: Kind | Literal["video"]
    modality: str
    description: str
    number: int
    count: int
    due: int = 0

    @property
    def uid(self) -> str:
        """Its Series Instance UID."""
        assert self.resource.series is not None
        return self.resource.series

    @property
    def name(self) -> str:
        """What the user calls it."""
        label = self.description or {"segmentation": "Segmentation", "structures": "Structures"}.get(
            self.kind, "Series"
        )
        return f"{self.number} {label}" if self.number else label


@dataclass(frozen=True)
class Study:
    """A study as far as it is in the archive.

    Parameters
    ----------
    uid : Study Instance UID.
    patient, patient_id, born, sex, date, description : as stored, for the corners of the views.
    modalities : of its series with backslashes between, where it was searched without them.
    series : in the order of their numbers.
    """

    uid: str
    patient: str = ""
    patient_id: str = ""
    born: str = ""
    sex: str = ""
    date: str = ""
    description: str = ""
    modalities: str = ""
    series: tuple[Series, ...] = ()

    @property
    def title(self) -> str:
        """Patient and study in one line, for the tab."""
        study = ", ".join(one for one in (self.description, self.date) if one)
        return " – ".join(one for one in (self.patient or self.patient_id, study) if one) or "dicomdock"

    @property
    def patient_lines(self) -> tuple[str, ...]:
        """Name, ID, sex and birth date of the patient and the date of the study, a line each."""
        years = " ".join(part for part in (self.sex, self.born) if part)
        lines = (self.patient or "Patient without a name", self.patient_id, years, self.date)
        return tuple(line for line in lines if line)

    def images(self) -> tuple[Series, ...]:
        """Return the series that can be looked at."""
        return tuple(one for one in self.series if one.kind == "image")

    def largest(self) -> Series | None:
        """Return the series with the most images, those on their way included; of PET/CT the largest CT."""
        images = self.images()
        scans = [one for one in images if one.modality == "CT"]
        both = scans if any(one.modality == "PT" for one in images) else []
        return max(both or images, key=lambda one: max(one.count, one.due), default=None)

    def find(self, uid: str) -> Series | None:
        """Return a series by its UID."""
        return next((one for one in self.series if one.uid == uid), None)


def read_study(archive: Archive, uid: str, coming: Sequence[DicomJson] = ()) -> Study:
    """Look up a study in the archive; an empty one where the archive has nothing of it yet.

    Parameters
    ----------
    coming : the series that are on their way, as their server describes them.
    """
    study = Study(uid)
    found: list[Series] = []
    kinds: dict[str, Kind | Literal["video"]] = {}
    for one in archive.instances(Resource(uid)):
        if one.resource.series is not None and one.resource.series not in kinds:
            video = is_video(one.transfer_syntax_uid)
            kinds[one.resource.series] = "video" if video else kind_of(one.sop_class_uid)
    due = {text(one, "SeriesInstanceUID"): _number(text(one, COUNT)) for one in coming}
    for attributes in (*_answers(archive, uid), *coming):
        study = _described(study, attributes)
        series, modality = text(attributes, "SeriesInstanceUID"), text(attributes, "Modality")
        if any(one.uid == series for one in found):
            continue
        present = series in kinds
        found.append(
            Series(
                Resource(uid, series),
                kinds[series] if present else _KINDS.get(modality, "image"),
                modality,
                text(attributes, "SeriesDescription"),
                _number(text(attributes, "SeriesNumber")),
                _number(text(attributes, COUNT)) if present else 0,
                due.get(series, 0),
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
        series=tuple(found),
    )


def read_priors(archive: Archive, study: Study) -> tuple[Study, ...]:
    """Look up the other studies of a study's patient in the archive, the latest first, without series."""
    patient = patient_of(archive, study.uid)
    found = [
        replace(
            _described(Study(text(one, "StudyInstanceUID")), one),
            modalities="\\".join(texts(one, "ModalitiesInStudy")),
        )
        for one in (studies_of(archive, patient) if patient is not None else ())
        if text(one, "StudyInstanceUID") != study.uid
    ]
    return tuple(sorted(found, key=lambda one: (one.date, one.uid), reverse=True)[:MOST_PRIORS])


def _answers(archive: Archive, uid: str) -> Iterator[DicomJson]:
    match = {"StudyInstanceUID": uid, **dict.fromkeys(SERIES_OVERVIEW, "")}
    for page in archive.search(Query("series", match)):
        for answer in page.matches:
            yield answer.attributes


def read_instance(archive: Archive, instance: ArchivedInstance, *, pixels: bool = True) -> Dataset:
    """Read an instance of the archive, with or without its pixels.

    Raises
    ------
    DamagedInstances
        Its file is not what was stored.
    GeometryError
        It cannot be read.
    """
    with archive.intact_path(instance).open("rb") as file:
        return as_dataset(file, pixels=pixels)


def newest(instances: Sequence[ArchivedInstance]) -> ArchivedInstance:
    """Return the instance that was stored last; one whose file is gone is the oldest."""
    return max(instances, key=stored_at)


def stored_at(instance: ArchivedInstance) -> float:
    """Return when an instance was stored, in seconds since 1970; 0 where its file is gone."""
    try:
        return instance.path.stat().st_mtime
    except OSError:
        return 0.0


def _described(study: Study, attributes: DicomJson) -> Study:
    if study.patient or study.patient_id:
        return study
    return Study(
        study.uid,
        person_name(text(attributes, "PatientName")),
        text(attributes, "PatientID"),
        dashed(text(attributes, "PatientBirthDate")),
        text(attributes, "PatientSex"),
        dashed(text(attributes, "StudyDate")),
        text(attributes, "StudyDescription"),
    )


def _number(value: str) -> int:
    try:
        return int(float(value))
    except ValueError:
        return 0


def dashed(value: str) -> str:
    """Return a date (DA) as people read it: 2024-01-31; what is none stays as it is."""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 and value.isdigit() else value
