"""Coded concepts: those of public schemes stay; of private and local ones only what says nothing.

``public_schemes.txt`` has the registered designators, in capitals, and two whose codes are published.

References
----------
PS3.15 §E.1.1, note on Code Sequences; PS3.16 §8, table 8-1 (Coding Schemes).
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from dicomdock.deidentify import dummies
from dicomdock.deidentify.descriptors import safe_words
from dicomdock.deidentify.identity import Identity
from dicomdock.deidentify.pseudonyms import Pseudonyms
from dicomdock.deidentify.tables import words


def clean_code(item: Dataset, identity: Identity, pseudonyms: Pseudonyms) -> bool:
    """Replace what a private or local code may say, in place; return whether the item is such a code."""
    scheme = str(item.get("CodingSchemeDesignator", "")).strip().upper()
    if "CodeMeaning" not in item or scheme in words("public_schemes.txt"):
        return False
    for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"):
        if value := str(item.get(keyword) or ""):
            setattr(item, keyword, pseudonyms.name("code", value))
    item.CodeMeaning = safe_words(str(item.CodeMeaning or ""), identity.all_words)[:64] or dummies.TEXT
    return True
