"""Which action an attribute gets, by the profile, its options and the type it has in its IOD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import dictionary_has_tag, get_entry

from dicomdock.deidentify.profile import (
    CLEAN_DESCRIPTORS,
    CLEAN_GRAPHICS,
    CLEAN_STRUCTURED_CONTENT,
    RETAIN_FULL_DATES,
    RETAIN_MODIFIED_DATES,
    RETAIN_PATIENT,
    RETAIN_UIDS,
    Profile,
)
from dicomdock.deidentify.tables import Codes, Tables
from dicomdock.deidentify.unlisted import CLEANED_ALWAYS, TEXT, basic_action

Step = Literal["remove", "empty", "dummy", "uid", "keep", "pass", "words", "shift", "pseudonym"]
"""What is done to an element. ``keep`` by an option, ``pass`` what the profile does not address; in sequences
both mean: treat each item by the same rules."""

PSEUDONYMS = frozenset({"PatientID", "PatientName", "AccessionNumber"})
_DATES = frozenset({"DA", "DT", "TM"})
_CODED = frozenset({"CodeMeaning", "CodeValue", "CodingSchemeDesignator", "LongCodeValue"})
_HIDDEN_GROUPS = frozenset({0x0000, 0x0002, 0x0004})
"""Commands, file meta information and directories, which no data set holds (PS3.15 §E.1.1)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done to an attribute.

    Parameters
    ----------
    step : the first choice.
    otherwise : what is done where that is not possible or leaves nothing: no safe word, no valid date.
    """

    step: Step
    otherwise: Step


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a profile for the instances of one SOP Class."""

    profile: Profile
    tables: Tables
    sop_class: str

    def of(self, tag: int, keyword: str, vr: str, parent: str) -> Rule:
        """Return what is done to an element.

        Parameters
        ----------
        tag : of a standard attribute; private ones are decided elsewhere.
        vr : Value Representation as the dictionary has it.
        parent : keyword of the sequence that holds it, empty at the top level.
        """
        group = tag >> 16
        if group in _HIDDEN_GROUPS or not tag & 0xFFFF:
            return _only("remove")
        codes = self.tables.codes(tag)
        if not dictionary_has_tag(tag) and codes is None:
            return _only("remove")
        if codes is None:
            return self._unlisted(tag, keyword, vr, parent)
        last = self._resolved(codes["basic"], keyword, parent)
        if keyword in PSEUDONYMS:
            return Rule("pseudonym", last)
        if keyword in CLEANED_ALWAYS:
            return Rule("words", last)
        return Rule(self._option(codes, vr) or last, last)

    def _option(self, codes: Codes, vr: str) -> Step | None:
        """Return the step that an option asks for in place of the profile's."""
        chosen = {option: codes[option] for option in self.profile.options if option in codes}
        if RETAIN_MODIFIED_DATES in chosen:
            return "shift" if vr in _DATES else None
        if {CLEAN_GRAPHICS, CLEAN_STRUCTURED_CONTENT} & chosen.keys():
            return "keep"
        if {option for option, code in chosen.items() if code == "C"} & {CLEAN_DESCRIPTORS, RETAIN_PATIENT}:
            return "words" if vr in TEXT else None
        return "keep" if "K" in chosen.values() else None

    def _unlisted(self, tag: int, keyword: str, vr: str, parent: str) -> Rule:
        entry = get_entry(tag)
        code = basic_action(keyword, vr, parent, retired=bool(entry[3]))
        options = self.profile.options
        if code == "N":
            return _only("pass")
        if code == "T":
            needed = keyword in _CODED  # a code without its parts is none
            return Rule("pass", "dummy" if needed else self._resolved("X/Z/D", keyword, parent))
        if code == "W":
            return Rule("words", self._resolved("X/Z/D", keyword, parent))
        if code == "U" and RETAIN_UIDS in options:
            return _only("keep")
        last = self._resolved(code, keyword, parent)
        if vr in _DATES and RETAIN_FULL_DATES in options:
            return Rule("keep", last)
        if vr in _DATES and RETAIN_MODIFIED_DATES in options:
            return Rule("shift", last)
        return _only(last)

    def _resolved(self, code: str, keyword: str, parent: str) -> Step:
        """Return the step of an action code; of several the one that the attribute's type allows.

        References
        ----------
        PS3.15 table E.1-1a.
        """
        if code == "X/Z/U*":
            return "pass"
        if code in ("U", "X", "Z", "D"):
            return {"U": "uid", "X": "remove", "Z": "empty", "D": "dummy"}[code]  # type: ignore[return-value]
        kind = self.tables.type_of(self.sop_class, parent, keyword)
        if kind == "3" and "X" in code:
            return "remove"
        return "empty" if kind != "1" and "Z" in code else "dummy"


def _only(step: Step) -> Rule:
    return Rule(step, step)
