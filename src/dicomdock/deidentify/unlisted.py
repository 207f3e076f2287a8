"""Attributes that table E.1-1 does not list: what is known to be safe stays, other text does not.

The standard asks only for what it lists, and says that the list may not suffice; so free text, names, dates,
UIDs and bytes that it does not list are treated as their listed neighbours are, and only text that equipment
writes, and bytes that are pixels or other numbers, stay.

References
----------
PS3.15 §E.1.1, notes 2 and 3 (the list may not be sufficient; keeping only what is known to be safe).
"""

from __future__ import annotations

import re

from dicomdock.deidentify.tables import words

TEXT = frozenset({"LO", "SH", "LT", "ST", "UT", "UC", "UR"})
"""Value Representations that hold whatever somebody typed."""

BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Value Representations that hold any bytes."""

CLEANED_ALWAYS = frozenset({"SegmentLabel", "ROIName", "DoseComment", "BeamName"})
"""Labels without which an object cannot be used: of these the words that are safe always stay."""

TERMS = frozenset(
    {
        "CodeMeaning",
        "CodeValue",
        "CodingSchemeDesignator",
        "CodingSchemeRegistry",
        "CodingSchemeVersion",
        "ListOfMIMETypes",
        "LongCodeValue",
        "MIMETypeOfEncapsulatedDocument",
        "MappingResourceName",
        "ModalityLUTType",
        "RescaleType",
        "URNCodeValue",
    }
)
"""Text from lists of units, codes and what they mean: ``HU``, ``um`` and ``to`` are nobody's name there."""

SCHEME_UIDS = frozenset(
    {"CodingSchemeUID", "ContextGroupExtensionCreatorUID", "ContextUID", "MappingResourceUID"}
)
PUBLIC_ROOTS = ("1.2.840.10008.", "2.16.840.1.113883.")
"""DICOM and HL7: UIDs of coding schemes and their parts below these are nobody's."""

_UID = re.compile(r"(?<![\d.])[0-2](?:\.\d+){4,}")
_SHORTEST_UID = 20  # characters; versions of software are shorter

PIXELS = frozenset({"DoubleFloatPixelData", "FloatPixelData", "PixelData"})
"""In sequences these are small copies of an image, such as icons, that nobody looks at before they leave."""

ALWAYS_REMOVED = frozenset(
    {
        "PatientBirthDateInAlternativeCalendar",
        "PatientDeathDateInAlternativeCalendar",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "PatientIdentityRemoved",
        "LongitudinalTemporalInformationModified",
        "DataSetTrailingPadding",
    }
)
"""What is written anew, and dates whose Value Representation hides that they are some."""


def machine_text() -> frozenset[str]:
    """Return the text attributes whose values come from equipment or from coding schemes."""
    return words("machine_text.txt")


def machine_binary() -> frozenset[str]:
    """Return the attributes of bytes that hold pixels, curves, surfaces and tables of numbers."""
    return words("machine_binary.txt")


def holds_uid(text: str) -> bool:
    """Return whether a text holds a UID that is not one of the standard's or of HL7's."""
    return any(
        len(found[0]) >= _SHORTEST_UID and not found[0].startswith(PUBLIC_ROOTS)
        for found in _UID.finditer(text)
    )


def basic_action(keyword: str, vr: str, parent: str, *, retired: bool) -> str:
    """Return the action code by which an attribute is treated that the table does not list.

    Besides the codes of the table: ``T`` keeps text that does not hold identifiers of the patient, ``W``
    keeps the words that are safe, ``N`` keeps what is not text and no bytes of unknown meaning.
    """
    if keyword in ALWAYS_REMOVED or (parent and keyword in PIXELS):
        return "X"
    if keyword == "TextValue":
        return "W"
    if vr in ("PN", "DA", "DT", "TM", "AE"):
        return "X/Z/D"
    if vr == "UI":
        return "U"
    if vr in TEXT:
        if keyword in machine_text():
            return "T"
        return "X" if retired else "X/Z/D" if vr not in ("LO", "SH") else "W"
    if vr in BINARY and keyword not in machine_binary():
        return "X" if retired else "X/Z/D"
    return "N"
