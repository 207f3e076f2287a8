"""Coded concepts: those of public schemes stay; of private and local ones only what says nothing.

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

PUBLIC_SCHEMES = frozenset(
    {
        *(
            "99SDM",
            "ACR",
            "ASTM-2084",
            "BARI",
            "BI",
            "BRCA",
            "C4",
            "C5",
            "CD2",
            "CTCAE",
            "CTV3",
            "DCM",
            "DICOM",
        ),
        *("DCMUID", "E", "FMA", "GEO", "HL7V3", "HPC", "I10", "I10P", "I11", "I9", "I9C", "IBSI", "ICDO3"),
        *(
            "ICTVID",
            "IHELAW",
            "ISO3166",
            "ISO3166_1",
            "ISO639_1",
            "ISO639_2",
            "ITIS_TSN",
            "JJ1017",
            "LN",
            "MA",
        ),
        *(
            "MAYOASRG",
            "MDC",
            "MDNS",
            "MGI",
            "MSH",
            "NCDR",
            "NCIT",
            "NDC",
            "NEU",
            "NICIP",
            "NYUMCCG",
            "PATHLEX",
        ),
        *("POS", "PUBCHEM_CID", "RADELEMENT", "RADLEX", "RFC3066", "RFC5646", "RO", "SCT", "SNM3", "SRT"),
        *("UBERON", "UCUM", "UMLS", "UNS", "UPC", "99DICOMDOCK", "99QIICR"),
    }
)
"""Registered designators, in capitals, and two whose codes are published."""


def clean_code(item: Dataset, identity: Identity, pseudonyms: Pseudonyms) -> bool:
    """Replace what a private or local code may say, in place; return whether the item is such a code."""
    scheme = str(item.get("CodingSchemeDesignator", "")).strip().upper()
    if "CodeMeaning" not in item or scheme in PUBLIC_SCHEMES:
        return False
    for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"):
        if value := str(item.get(keyword) or ""):
            setattr(item, keyword, pseudonyms.name("code", value))
    item.CodeMeaning = safe_words(str(item.CodeMeaning or ""), identity.words)[:64] or dummies.TEXT
    return True
