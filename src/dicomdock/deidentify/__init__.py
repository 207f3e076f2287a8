"""De-identification of what leaves: PS3.15 Annex E, the Basic Profile and its options.

``Profile`` says what is asked for, ``Pseudonyms`` gives names, UIDs and dates from a key, ``Deidentifier``
turns the bytes of an instance into the bytes of its de-identified copy, or says why it is held back.
"""

from dicomdock.deidentify.deidentifier import Deidentified, Deidentifier, HeldBack
from dicomdock.deidentify.profile import OFFERED, OPTIONS, Profile
from dicomdock.deidentify.pseudonyms import Pseudonyms
from dicomdock.deidentify.report import Report

__all__ = [
    "OFFERED",
    "OPTIONS",
    "Deidentified",
    "Deidentifier",
    "HeldBack",
    "Profile",
    "Pseudonyms",
    "Report",
]
