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
