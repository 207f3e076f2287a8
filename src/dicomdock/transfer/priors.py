"""Prior studies: the other studies of a patient, here and on servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.query import Query
from dicomdock.sources import DicomSource

_RETURNED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyDate", "StudyDescription", "ModalitiesInStudy"),
    "NumberOfStudyRelatedInstances",
)


@dataclass(frozen=True)
class Patient:
    """What distinguishes one patient from another.

    Parameters
    ----------
    id : Patient ID.
    name : with blanks between its components.
    born : Patient's Birth Date, as stored.
    """

    id: str
    name: str
    born: str

    @classmethod
    def of(cls, attributes: DicomJson) -> Self:
        """Return the patient of a match."""
        name = text(attributes, "PatientName").replace("^", " ")
        return cls(
            text(attributes, "PatientID"), " ".join(name.split()), text(attributes, "PatientBirthDate")
        )

    def is_same(self, other: Patient) -> bool:
        """Return whether two are one patient.

        An ID alone is not trusted, as two hospitals give the same one: the name or the birth date must agree
        too.
        """
        same_name = self.name.casefold() == other.name.casefold()
        return (
            bool(self.id)
            and self.id == other.id
            and (same_name or (self.born != "" and self.born == other.born))
        )

    @property
    def query(self) -> Query:
        """The search for this patient's studies; what it finds must be the same patient's by ``is_same``."""
        return Query("studies", {**dict.fromkeys(_RETURNED, ""), "PatientID": self.id})


def patient_of(source: DicomSource, study: str) -> Patient | None:
    """Return the patient of a study; None where the source does not have it."""
    match = {**dict.fromkeys(_RETURNED, ""), "StudyInstanceUID": study}
    found = (one for page in source.search(Query("studies", match)) for one in page.matches)
    return next((Patient.of(one.attributes) for one in found), None)


def studies_of(source: DicomSource, patient: Patient) -> Iterator[DicomJson]:
    """Yield the studies of a patient that a source has."""
    if not patient.id:
        return
    for page in source.search(patient.query):
        for match in page.matches:
            if patient.is_same(Patient.of(match.attributes)):
                yield match.attributes
