"""What a segment is, in coded words, and the way between Slicer's terminology entries and DICOM's codes.

References
----------
PS3.3 §C.8.20.4 (Segment Description Macro), §8.8 (Code Sequence Macro); PS3.16 CID 7150, 244.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from dicomdock.imaging.terminology.code import Code
from dicomdock.imaging.terminology.colour import RGB
from dicomdock.imaging.terminology.structures import STRUCTURES

TISSUE = Code("85756007", "SCT", "Tissue")
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
OBJECT = Code("260787004", "SCT", "Physical object")
ALTERED = Code("49755003", "SCT", "Morphologically Altered Structure")
SUBSTANCE = Code("91720002", "SCT", "Body Substance")
RIGHT = Code("24028007", "SCT", "Right")
LEFT = Code("7771000", "SCT", "Left")

_CATEGORIES = {
    "TISSUE": TISSUE,
    "ANATOMY": ANATOMY,
    "OBJECT": OBJECT,
    "ALTERED": ALTERED,
    "SUBSTANCE": SUBSTANCE,
}
_SIDES = {"right": RIGHT, "rt": RIGHT, "r": RIGHT, "left": LEFT, "lt": LEFT, "l": LEFT}
_OTHER_NAMES = {
    "tumor": "mass",
    "tumour": "mass",
    "lesion": "mass",
    "neoplasm": "mass",
    "oedema": "edema",
    "haemorrhage": "hemorrhage",
    "oesophagus": "esophagus",
    "fat": "body fat",
    "grey matter": "gray matter",
    "urinary bladder": "bladder",
    "brainstem": "midbrain",
    "myocardium": "heart",
}
_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGION_CONTEXT = "Anatomic codes - DICOM master list"
_PALETTE: tuple[RGB, ...] = (
    (128, 174, 128),
    (241, 214, 145),
    (177, 122, 101),
    (111, 184, 210),
    (216, 101, 79),
    (221, 130, 101),
    (144, 238, 144),
    (192, 104, 88),
    (220, 245, 20),
    (78, 63, 0),
    (255, 250, 220),
    (230, 220, 70),
)
"""Slicer's generic colours, for segments whose structure is not known."""


@dataclass(frozen=True, slots=True)
class Terminology:
    """What a segment is.

    Parameters
    ----------
    category, kind : Segmented Property Category and Type.
    modifier : of the type, for example a side; None for none.
    region, region_modifier : the anatomic region; None for none.
    """

    category: Code = TISSUE
    kind: Code = TISSUE
    modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None

    @property
    def words(self) -> str:
        """The structure's name for the user, for example ``Right Kidney``."""
        return " ".join(code.meaning for code in (self.modifier, self.kind) if code is not None)

    def to_slicer(self) -> str:
        """Return the entry as Slicer serialises it in a segment's terminology tag."""
        parts = [_CONTEXT, *map(_caret, (self.category, self.kind, self.modifier))]
        return "~".join([*parts, _REGION_CONTEXT, _caret(self.region), _caret(self.region_modifier)])

    @classmethod
    def from_slicer(cls, entry: str) -> Terminology:
        """Read a serialised terminology entry of Slicer; what is missing in it takes the defaults."""
        parts = [*entry.split("~"), "", "", "", "", "", "", ""][:7]
        category, kind, modifier = (_uncaret(part) for part in parts[1:4])
        return cls(
            category or TISSUE, kind or category or TISSUE, modifier, _uncaret(parts[5]), _uncaret(parts[6])
        )

    @classmethod
    def suggest(cls, name: str) -> Terminology:
        """Guess what a segment is by its name: ``Kidney_L`` is a left kidney, ``Segment_1`` is tissue."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
        parts = [part for part in re.split(r"[\s_\-.,/()]+", words.lower()) if part]
        side = next((_SIDES[part] for part in parts if part in _SIDES), None)
        bare = " ".join(part for part in parts if part not in _SIDES and not part.isdigit())
        full = " ".join(part for part in parts if not part.isdigit())
        table = _table()
        for candidate in (full, bare, bare.removesuffix("s")):
            row = table.get(_OTHER_NAMES.get(candidate, candidate))
            if row is not None:
                modifier = side if row[4] and candidate != full else None
                return cls(_CATEGORIES[row[0]], Code(row[2], "SCT", row[1]), modifier)
        return cls()


def colour_for(terminology: Terminology, number: int) -> RGB:
    """Return the display colour of a structure; one of a few different ones where it has none of its own.

    Parameters
    ----------
    number : the segment's number, from 1, to distinguish unknown structures.
    """
    known = _colours().get(terminology.kind.value)
    if known is None or terminology.kind.value == TISSUE.value:
        return _PALETTE[(number - 1) % len(_PALETTE)]
    return known


def next_name(names: Iterable[str]) -> str:
    """Return the name of one more segment that nobody has named: ``Segment 2`` beside ``Segment 1``."""
    numbers = [int(found[1]) for name in names if (found := re.fullmatch(r"Segment (\d+)", name))]
    return f"Segment {max(numbers, default=0) + 1}"


def _caret(code: Code | None) -> str:
    return "^^" if code is None else f"{code.scheme_designator}^{code.value}^{code.meaning}"


def _uncaret(part: str) -> Code | None:
    fields = [*part.split("^"), "", ""][:3]
    return Code(fields[1], fields[0], fields[2] or fields[1]) if fields[1] else None


@cache
def _table() -> dict[str, tuple[str, str, str, RGB, bool]]:
    return {row[1].lower(): row for row in STRUCTURES}


@cache
def _colours() -> dict[str, RGB]:
    return {row[2]: row[3] for row in STRUCTURES}
