"""Clean descriptors: of what somebody typed only words stay that are known to be safe.

``CT chest abdomen - 55F Dr. Smith`` becomes ``CT chest abdomen``. A word of the list that is part of the
patient's or a physician's name in the same instance does not stay either.

References
----------
PS3.15 §E.3.5 (Clean Descriptors Option), note 2.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from dicomdock.deidentify.tables import words

_WORD = re.compile(r"\d+(?:\.\d+)?[a-z]*|[^\W_]+", re.IGNORECASE)
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}|[A-Z0-9_.+/*#-]+")
"""A code string (PS3.5 §6.2), and what devices write in its place: longer, or with signs, but one word."""
_MAGNETIC_RESONANCE = "MR"  # Mr is somebody
_QUANTITY = re.compile(r"\d{1,3}(\.\d{1,2})?(mm|cm|s|ms|min|t|d|kev|kv|mgy|gy)", re.IGNORECASE)


def vocabulary() -> frozenset[str]:
    """Return the safe words in lower case: modalities, sequences, planes, contrast, anatomy, technique."""
    return words("safe_words.txt")


def safe_words(text: str, identifiers: Collection[str]) -> str:
    """Return the words of a text that are safe, joined by blanks; empty where none is.

    Parameters
    ----------
    identifiers : words that identify somebody here, in lower case.
    """
    known = vocabulary()
    return " ".join(
        word
        for word in _WORD.findall(text)
        if word.casefold() not in identifiers
        and (word.casefold() in known or word == _MAGNETIC_RESONANCE or _QUANTITY.fullmatch(word))
    )


def is_code(text: str, identifiers: Collection[str]) -> bool:
    """Return whether a value of a code string is one, or at least says nothing but safe words.

    Parameters
    ----------
    identifiers : words that identify somebody here, in lower case.
    """
    stated = text.strip(" \0")
    if _CODE.fullmatch(stated):
        return True
    return safe_words(stated, identifiers) == " ".join(_WORD.findall(stated))
