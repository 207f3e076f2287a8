"""What a projection states of its side and view, since it has no position in the patient.

References
----------
PS3.3 §C.7.6.1.1.1 (Patient Orientation), §C.8.11.2 and §C.8.11.7 (DX and mammography), CID 4014 (View for
Mammography).
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import first, text, texts

OPPOSITE = {"A": "P", "P": "A", "R": "L", "L": "R", "H": "F", "F": "H"}

_VIEWS = {
    "R-10242": "CC",
    "399162004": "CC",
    "R-10226": "MLO",
    "399368009": "MLO",
    "R-10224": "ML",
    "399260004": "ML",
    "R-10228": "LM",
    "399352003": "LM",
}
"""Abbreviations of mammography's views, by their codes in SRT and SCT."""


def orientation_of(header: Dataset) -> tuple[str, str] | None:
    """Return where rows and columns of an image lead, as Patient Orientation states it; None where not.

    Letters of a biped: A, P, R, L, H (head) and F (feet), up to three for each. None for a quadruped: some of
    its letters are the same, with another meaning (R: rostral).
    """
    if text(header, "AnatomicalOrientationType").upper() == "QUADRUPED":
        return None
    stated = tuple(one.strip().upper() for one in texts(header, "PatientOrientation"))
    if len(stated) != 2 or not all(one and len(one) <= 3 and set(one) <= OPPOSITE.keys() for one in stated):
        return None
    return stated[0], stated[1]


def opposite(letters: str) -> str:
    """Return the letters of the other side."""
    return "".join(OPPOSITE[letter] for letter in letters)


def side_of(header: Dataset) -> str:
    """Return side and view as radiographers write them (``R MLO``, ``L``, ``AP``); empty where not stated."""
    anatomy = first(first(header, "SharedFunctionalGroupsSequence"), "FrameAnatomySequence")
    side = text(header, "ImageLaterality") or text(anatomy, "FrameLaterality") or text(header, "Laterality")
    code = first(header, "ViewCodeSequence")
    view = _VIEWS.get(text(code, "CodeValue")) or text(header, "ViewPosition") or text(code, "CodeMeaning")
    return " ".join(word for word in (side if side.upper() != "U" else "", view) if word)
