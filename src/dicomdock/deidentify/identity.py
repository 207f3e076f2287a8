"""Whom an instance names: the pseudonym of its patient, and the words that must not be found again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
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
_NO_WORD = re.compile(r"[\W_]+")
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_DATE_FORMS = (
    "{0}{1}{2}",
    "{0}-{1}-{2}",
    "{0}.{1}.{2}",
    "{0}/{1}/{2}",
    "{2}.{1}.{0}",
    "{2}/{1}/{0}",
    "{1}/{2}/{0}",
)
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | {hiragana: hiragana + 0x60 for hiragana in range(0x3041, 0x3097)}
)
"""Letters that have no mark to be taken off, and hiragana as katakana."""

_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an instance names.

    Parameters
    ----------
    key : what tells this patient from others: the Patient ID, else name and birth date, else the study.
    patient : the pseudonym that stands for ID and name; empty where there is neither.
    words : of names, folded.
    numbers : the patient's and the procedure's, the date of birth, and names without a blank between, folded.
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
        # Not folded: the pseudonyms of earlier versions rest on this form.
        name = " ".join(_WORD.findall(text(dataset, "PatientName"))).casefold()
        key = number
        patient = pseudonyms.name("patient", number)
        if not number and name:
            key = f"{name} {text(dataset, 'PatientBirthDate').strip()}"
            patient = pseudonyms.name("patient by name", key)
        groups = [group for keyword in _NAMES for group in _groups(texts(dataset, keyword))]
        words = {word for group in groups for word in group}
        joined = {one for group in groups if len(group) > 1 for one in _joined(group)}
        words |= {one for one in joined if not one.isascii()}
        numbers = {folded(value.strip()) for keyword in _NUMBERS for value in texts(dataset, keyword)}
        numbers |= joined | _dates(text(dataset, "PatientBirthDate"))
        return cls(
            key or text(dataset, "StudyInstanceUID"),
            patient,
            frozenset(word for word in words if len(word) >= _shortest(word) and not word.isdecimal()),
            frozenset(one for one in numbers if len(one) >= SHORTEST_NUMBER),
            refers_by_position(dataset.get("ContentSequence") or ()),
        )

    def is_named_in(self, text: str) -> bool:
        """Return whether a text holds a word or number of these."""
        searched = folded(text)
        return any(number in searched for number in self.numbers) or bool(self._words_in(searched))

    def is_named_in_code(self, text: str) -> bool:
        """Return whether a code string holds a word or number of these that is not a term of the field."""
        searched = folded(text)
        if any(number in searched for number in self.numbers):
            return True
        return not self._words_in(searched) <= vocabulary()

    def _words_in(self, searched: str) -> set[str]:
        """Return which of these words a folded text holds, in scripts without blanks also within others."""
        if searched.isascii():
            return {word for word in self.words if word in searched and word in _WORD.findall(searched)}
        whole, together = {*_WORD.findall(searched)}, _NO_WORD.sub("", searched)
        return {word for word in self.words if word in whole or (not word.isascii() and word in together)}


def folded(text: str) -> str:
    """Return a text as it is compared: without case, width and marks, hiragana as katakana.

    ``MULLER``, ``Müller`` and ``Mu\u0308ller`` are the same, and so are katakana of either width.
    """
    if text.isascii():
        return text.casefold()
    letters = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", bare).translate(_LETTERS)


def _groups(names: list[str]) -> Iterator[list[str]]:
    """Yield the words of each group (alphabetic, ideographic, phonetic), with umlauts in either form."""
    for group in "=".join(names).split("="):
        written = unicodedata.normalize("NFC", group).casefold()
        for form in {folded(written), folded(written.translate(_WRITTEN_OUT))}:
            yield _WORD.findall(form)


def _joined(words: list[str]) -> tuple[str, str]:
    """Return family and given name without a blank between, in either order."""
    family, given = words[:2]
    return family + given, given + family


def _dates(birth: str) -> set[str]:
    """Return a date as people write it."""
    found = _DATE.fullmatch(birth.strip())
    return {form.format(*found.groups()) for form in _DATE_FORMS} if found else set()


def _shortest(word: str) -> int:
    return SHORTEST if word.isascii() else SHORTEST_IDEOGRAPHIC
