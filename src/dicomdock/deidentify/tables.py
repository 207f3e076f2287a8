"""The tables of PS3.15 Annex E as data, and the types of attributes that decide between their actions.

Made by ``scripts/make_confidentiality_profile.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

_CURVES = range(0x5000, 0x5100)
_OVERLAYS = range(0x6000, 0x6100)

Codes = Mapping[str, str]
"""The action code by ``basic`` or the name of an option."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Annex E of one edition.

    Parameters
    ----------
    edition : of PS3.15, such as ``2026c``.
    attributes : table E.1-1, by tag.
    concepts : table E.3.4-1, by ``scheme|code value|value type`` of a concept name.
    safe_private : table E.3.10-1: creator, group and element within the block -> VR.
    sop_classes, iods, nested : the types 1 and 2 of attributes, as their file describes them.
    """

    edition: str
    attributes: Mapping[int, Codes]
    concepts: Mapping[str, Codes]
    safe_private: Mapping[tuple[str, int, int], str]
    sop_classes: Mapping[str, str]
    iods: Mapping[str, Mapping[str, str]]
    nested: Mapping[str, str]

    def codes(self, tag: int) -> Codes | None:
        """Return the action codes of a standard attribute; None where it is not listed."""
        group = tag >> 16
        if group in _CURVES or group in _OVERLAYS:  # an overlay without its data is none
            return {"basic": "X"}
        return self.attributes.get(tag)

    def type_of(self, sop_class: str, parent: str, keyword: str) -> str:
        """Return the type of an attribute: 1, 2 or 3; 3 too where its IOD does not have it.

        Parameters
        ----------
        sop_class : of the instance.
        parent : keyword of the sequence that holds it; empty at the top level.

        References
        ----------
        PS3.5 §7.4 (Data Element Type); PS3.15 §E.1.1, note on Standard Extended SOP Classes.
        """
        if parent:
            return self.nested.get(f"{parent}/{keyword}", "3")
        iod = self.iods.get(self.sop_classes.get(sop_class, ""))
        if iod is None:  # a class that the tables do not know: what is there may have to be there
            return "1"
        return iod.get(keyword, "3")


@cache
def tables() -> Tables:
    """Return the tables of the edition that this version carries."""
    annex, types = _read("confidentiality.json"), _read("attribute_types.json")
    return Tables(
        annex["edition"],
        {
            int(tag, 16): codes
            for tag, codes in annex["attributes"].items()
            if "x" not in tag and tag != "private"
        },
        annex["concepts"],
        {(creator, int(tag[:4], 16), int(tag[6:], 16)): vr for creator, tag, vr in annex["safe_private"]},
        types["sop_classes"],
        types["iods"],
        types["nested"],
    )


@cache
def words(name: str) -> frozenset[str]:
    """Return the words of a file of the data that lists some."""
    return frozenset(_file(name).read_text("utf-8").split())


def _read(name: str) -> Any:
    return json.loads(_file(name).read_bytes())


def _file(name: str) -> Traversable:
    return resources.files(__package__).joinpath("data", name)
