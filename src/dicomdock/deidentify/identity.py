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
"""Letters of a name that is looked for everywhere; shorter ones are also terms of the field and codes."""

SHORTEST_WORD = 2
"""Letters of a name that is looked for where it is not such a term; one letter is an initial."""

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
_TITLES = frozenset({"dr", "jr", "md", "mr", "mrs", "ms"})
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
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | {hiragana: hiragana + 0x60 for hiragana in range(0x3041, 0x3097)}
)
"""Letters that have no mark to be taken off, and hiragana as katakana."""

_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "đ": "dj"})
_SECOND_LETTERS = re.compile(r"(?<=a)[ae]+|(?<=[ou])e+|(?<=d)j")
"""What is written behind a letter in the place of its mark: Mueller, Aase, Djordje (ICAO 9303-3 §6)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an instance names.

    Parameters
    ----------
    key : what identifies this patient: the Patient ID, else name and birth date, else the study.
    patient : the pseudonym that stands for ID and name; empty where there is neither.
    words : of names, folded.
    short_words : the same, of two or three letters.
    numbers : the patient's and the procedure's, the date of birth, and names without a blank between, folded.
    positions : whether content items refer to one another by position.
    """

    key: str
    patient: str
    words: frozenset[str]
    short_words: frozenset[str]
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
            frozenset(word for keyword in _NAMES for word in _short_words(texts(dataset, keyword))),
            frozenset(one for one in numbers if len(one) >= SHORTEST_NUMBER),
            refers_by_position(dataset.get("ContentSequence") or ()),
        )

    @property
    def all_words(self) -> frozenset[str]:
        """The words of names, short ones too, none of which is safe in what somebody typed."""
        return self.words | self.short_words

    def is_named_in(self, text: str) -> bool:
        """Return whether a text holds a word or number of these.

        A short word of a name that is a term of the field is not looked for.
        """
        return self.is_named_in_term(text) or self._has_short_word(text)

    def is_named_in_term(self, text: str) -> bool:
        """Return the same of a text from a list of codes or units, where any short word is a term."""
        return any(self._has_number(form) or self._has_word(form) for form in _forms(text))

    def is_named_in_code(self, text: str, *, typed: bool) -> bool:
        """Return whether a code string holds a word or number of these that is not a term of the field.

        Parameters
        ----------
        typed : people write into it what they please; else one short word alone is a term, such as NO or HU.
        """
        if not text.isascii():
            return self.is_named_in(text)
        if (typed or len(_WORD.findall(text)) > 1) and self._has_short_word(text):
            return True
        if any(self._has_number(form) for form in _forms(text)):
            return True
        named = (word for word in _WORD.findall(folded(text)) if self.words.intersection(_forms(word)))
        return any(word not in vocabulary() for word in named)

    def _has_number(self, searched: str) -> bool:
        return any(number in searched for number in self.numbers)

    def _has_word(self, searched: str) -> bool:
        """Return whether a folded text has one of these words, in scripts without blanks also in others."""
        if searched.isascii():
            return any(word in searched and word in _WORD.findall(searched) for word in self.words)
        whole, together = {*_WORD.findall(searched)}, _NO_WORD.sub("", searched)
        return any(word in whole or (not word.isascii() and word in together) for word in self.words)

    def _has_short_word(self, text: str) -> bool:
        if not self.short_words:
            return False
        found = {word for form in _forms(text) for word in _WORD.findall(form)}
        return not self.short_words.isdisjoint(found - vocabulary())


def folded(text: str) -> str:
    """Return a text as it is compared: without case, width and marks, hiragana as katakana.

    ``MULLER``, ``Müller`` and ``Mu\u0308ller`` are the same, and so are katakana of either width.
    """
    if text.isascii():
        return text.casefold()
    letters = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", bare).translate(_LETTERS)


def _forms(text: str) -> set[str]:
    """Return a text folded, with its marks left out and written as letters: Müller, Mueller and Muller.

    Two ways to write a name have a form in common.
    """
    composed = unicodedata.normalize("NFC", text.casefold())
    found = {folded(composed), folded(composed.translate(_WRITTEN_OUT))}
    return found | {_SECOND_LETTERS.sub("", form) for form in found}


def _groups(names: list[str]) -> Iterator[list[str]]:
    """Yield the words of each group (alphabetic, ideographic, phonetic), in each of their forms."""
    for group in "=".join(names).split("="):
        for form in _forms(group):
            yield _WORD.findall(form)


def _short_words(names: list[str]) -> Iterator[str]:
    """Yield the short words of family, given and middle names; prefix and suffix are titles."""
    for group in "=".join(names).split("="):
        for form in _forms("^".join(group.split("^")[:3])):
            for word in _WORD.findall(form):
                if (
                    SHORTEST_WORD <= len(word) < _shortest(word)
                    and word not in _TITLES
                    and not word.isdecimal()
                ):
                    yield word


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
