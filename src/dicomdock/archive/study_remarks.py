"""Compare instances with their study as they are stored: another patient, another accession number.

A study holds one of each in the index, and a mix-up must be seen when it comes in.
"""

from __future__ import annotations

from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.mapping import STUDY_TAGS, study_text_of
from dicomdock.archive.index.queries import study_text
from dicomdock.archive.pending import PendingInstance

_COMPARED = ("PatientID", "AccessionNumber")


class StudyRemarks:
    """What was odd about instances among the others of their study, as far as one writer has seen."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._patients: dict[str, tuple[str | None, bytes | None]] = {}
        self._accessions: dict[str, str] = {}
        self._stored: dict[str, dict[str, str]] = {}
        self._reported: set[tuple[str, str]] = set()

    def of(self, item: PendingInstance) -> tuple[str, ...]:
        """Return a sentence for each: the patient for every instance, an accession number for its first."""
        return (*self._patient(item), *self._accession(item))

    def _patient(self, item: PendingInstance) -> tuple[str, ...]:
        study, raw = item.resource.study, item.header.raw.get(STUDY_TAGS["PatientID"])
        known, last = self._patients.get(study, (None, None))
        if known is not None and raw == last:
            return ()
        patient = study_text_of(item.header, "PatientID")
        if known is None:
            known = self._text(study, "PatientID")
        known = known or patient
        if patient in ("", known):
            self._patients[study] = (known, raw)
            return ()
        self._patients[study] = (known, last)
        return (f"It is of patient ID {patient!r}, other instances of its study are of {known!r}.",)

    def _accession(self, item: PendingInstance) -> tuple[str, ...]:
        study, number = item.resource.study, study_text_of(item.header, "AccessionNumber")
        if not number or self._accessions.get(study) == number or (study, number) in self._reported:
            return ()
        known = self._accessions.get(study) or self._text(study, "AccessionNumber") or number
        self._accessions[study] = known
        if known == number:
            return ()
        self._reported.add((study, number))
        return (f"It has accession number {number!r}, other instances of its study have {known!r}.",)

    def _text(self, study: str, keyword: str) -> str:
        """Return what the index had of a study, which is read once: most writers store a few instances."""
        if study not in self._stored:
            with self._index.reading() as connection:
                self._stored[study] = {one: study_text(connection, study, one) for one in _COMPARED}
        return self._stored[study][keyword]
