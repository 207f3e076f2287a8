"""Coded names of structures, their colours, and Slicer's terminology entries."""

from __future__ import annotations

from dicomdock.imaging.terminology.code import Code, code_item, code_of
from dicomdock.imaging.terminology.colour import RGB, fractions, from_cielab, to_cielab
from dicomdock.imaging.terminology.terminology import (
    ALTERED,
    ANATOMY,
    LEFT,
    OBJECT,
    RIGHT,
    SUBSTANCE,
    TISSUE,
    Terminology,
    colour_for,
    next_name,
)

__all__ = [
    "ALTERED",
    "ANATOMY",
    "LEFT",
    "OBJECT",
    "RGB",
    "RIGHT",
    "SUBSTANCE",
    "TISSUE",
    "Code",
    "Terminology",
    "code_item",
    "code_of",
    "colour_for",
    "fractions",
    "from_cielab",
    "next_name",
    "to_cielab",
]
