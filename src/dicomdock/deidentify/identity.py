"""Whom an instance names: the pseudonym of its patient, and the words that must not be found again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicomdock.deidentify.attributes import text, texts
from dicomdock.deidentify.content import refers_by_position
from dicomdock.deidentify.descriptors import vocabulary
from dicomdock.deidentify.pseudonyms import Pseudonyms

SHORTEST = 4
"""Letters of a name that is looked for; shorter ones would be found in anything."""

SHORTEST_IDEOGRAPHIC = 2
"""Characters of a name in another script, where a few are a whole one."""

SHORTEST_NUMBER = 6
"""Characters of an identifier that is looked for, also inside of other words."""

_NAMES = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "ResponsiblePerson",
)
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "AdmissionID", "MilitaryRank")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an instance names.

    Parameters
    ----------
    key : what tells this patient from others: the Patient ID, else name and birth date, else the study.
    patient : the pseudonym that stands for ID and name; empty where there is neither.
    words : of names, in lower case.
    numbers : the patient's and the procedure's, in lower case.
    positions : whether content items refer to one another by position.
    """

    key: str
    patient: str
    words: frozenset[str]
    numbers: frozenset[str]
    positions: bool

    @classmethod
    def of(cls, dataset: Dataset, pseudonyms: Pseudonyms) -> Identity:
        """Read whom an instance names."""
        number = text(dataset, "PatientID").strip()
        name = " ".join(_WORD.findall(text(dataset, "PatientName"))).casefold()
        key = number
        patient = pseudonyms.name("patient", number)
        if not number and name:
            key = f"{name} {text(dataset, 'PatientBirthDate').strip()}"
            patient = pseudonyms.name("patient by name", key)
        words = {word.casefold() for keyword in _NAMES for word in _WORD.findall(text(dataset, keyword))}
        numbers = {value.strip().casefold() for keyword in _NUMBERS for value in texts(dataset, keyword)}
        return cls(
            key or text(dataset, "StudyInstanceUID"),
            patient,
            frozenset(word for word in words if len(word) >= _shortest(word) and not word.isdecimal()),
            frozenset(one for one in numbers if len(one) >= SHORTEST_NUMBER),
            refers_by_position(dataset.get("ContentSequence") or ()),
        )

    def is_named_in(self, text: str) -> bool:
        """Return whether a text holds a word or number of these."""
        folded = text.casefold()
        if any(number in folded for number in self.numbers):
            return True
        return bool(self._words_in(folded))

    def is_named_in_code(self, text: str) -> bool:
        """Return whether a code string holds a word or number of these that is not a term of the field."""
        folded = text.casefold()
        return any(number in folded for number in self.numbers) or not self._words_in(folded) <= vocabulary()

    def _words_in(self, folded: str) -> set[str]:
        """Return the words of these that a text holds; those in scripts without blanks also within others."""
        there = {word for word in self.words if word in folded}
        if not there:
            return there
        whole = {*_WORD.findall(folded)}
        return {word for word in there if word in whole or not word.isascii()}


def _shortest(word: str) -> int:
    return SHORTEST if word.isascii() else SHORTEST_IDEOGRAPHIC
