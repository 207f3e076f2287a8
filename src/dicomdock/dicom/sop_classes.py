"""What kind of object an instance is, by its SOP Class alone: for lists, before anything is opened.

References
----------
PS3.4 §B.5 (Standard SOP Classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal[
    "image",
    "segmentation",
    "structures",
    "report",
    "key images",
    "parametric map",
    "document",
    "presentation",
    "other",
]

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_KINDS: Mapping[str, Kind] = {
    "66.4": "segmentation",
    "66.7": "segmentation",
    "481.3": "structures",
    "30": "parametric map",
    "88.59": "key images",
}
_FAMILIES: Mapping[str, Kind] = {"88": "report", "104": "document", "11": "presentation"}
_NO_IMAGES = ("9", "66", "67", "78", "79", "90", "131", "200", "201", "481")
"""Families of objects without pixels: waveforms, registrations, value maps, refractions, protocols, plans."""

_IMAGES = ("481.1", "481.2")  # RT Image and RT Dose, which have pixels all the same


def kind_of(sop_class: str) -> Kind:
    """Return what an instance is by its SOP Class UID; one that is not known counts as an image."""
    if not sop_class.startswith(_STORAGE):
        return "other"
    number = sop_class.removeprefix(_STORAGE)
    family = number.split(".")[0]
    if number in _KINDS:
        return _KINDS[number]
    if family in _FAMILIES:
        return _FAMILIES[family]
    return "other" if family in _NO_IMAGES and number not in _IMAGES else "image"
