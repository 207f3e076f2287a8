"""The walk through a data set: every element as the rules have it, in a new data set.

The data set that is read is not changed. What needs no change is passed on as the bytes it was read with.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, get_entry, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from dicomdock.deidentify import ages, dummies, icc
from dicomdock.deidentify.codes import clean_code
from dicomdock.deidentify.content import CONTENT_SEQUENCES, identifies
from dicomdock.deidentify.descriptors import is_code, safe_words
from dicomdock.deidentify.identity import Identity
from dicomdock.deidentify.private import PrivateRules
from dicomdock.deidentify.profile import CLEAN_STRUCTURED_CONTENT, RETAIN_SAFE_PRIVATE, RETAIN_UIDS
from dicomdock.deidentify.pseudonyms import Pseudonyms, shifted
from dicomdock.deidentify.report import Action, Change
from dicomdock.deidentify.rules import Rule, Rules, Step
from dicomdock.deidentify.unlisted import PUBLIC_ROOTS, SCHEME_UIDS, TERMS, TEXT, holds_uid
from dicomdock.dicom.element_encoding import VALUE_BYTES

_NUMBERS = re.compile(r"[\d\s+\-.eE\\\0]*")
_TIMES = re.compile(r"[\d\s:.+\-\\\0]*")
_BODY_PART = 0x00180015  # a code string, and yet people type into it
_ICC_PROFILE = 0x00282000
_ESCAPE = 0x1B  # begins another character set (PS3.5 §6.1.2.5)
_CODED = TEXT | {"CS", "PN"}
_FLOATS = frozenset({"FL", "FD", "OF", "OD"})
_ACTIONS: dict[Step, Action] = {
    "remove": "removed",
    "empty": "emptied",
    "dummy": "replaced",
    "uid": "remapped",
    "keep": "kept",
    "words": "cleaned",
    "shift": "shifted",
    "pseudonym": "replaced",
}

Element = DataElement | RawDataElement


@dataclass
class Walk:
    """One walk through the data set of an instance.

    Parameters
    ----------
    rules : of the profile for its SOP Class.
    identity : whom the instance names.
    shift : by how much its dates move.
    """

    rules: Rules
    pseudonyms: Pseudonyms
    identity: Identity
    shift: timedelta
    changes: list[Change] = field(default_factory=list)

    def dataset(self, source: Dataset, parent: str = "", path: str = "", *, numbers: bool = True) -> Dataset:
        """Return a data set, or an item of the sequence ``parent``, as the rules have it.

        Parameters
        ----------
        numbers : whether measured values of content items stay.
        """
        made = Dataset()
        private = PrivateRules(source, self.rules.tables)
        for tag in source.keys():  # noqa: SIM118 - iterating a Dataset converts every element
            element = (
                self._private(tag, private)
                if tag.is_private
                else self._standard(source, tag, parent, path, numbers=numbers)
            )
            if element is not None:
                made[tag] = element
        if clean_code(made, self.identity, self.pseudonyms):
            self.changes.append(Change(f"{path}/CodeMeaning" if path else "CodeMeaning", "cleaned"))
        return made

    def _private(self, tag: BaseTag, private: PrivateRules) -> DataElement | None:
        name = f"({tag.group:04X},{tag.element:04X})"
        if RETAIN_SAFE_PRIVATE in self.rules.profile.options and (element := private.safe(tag)) is not None:
            self.changes.append(Change(name, "kept"))
            return element
        self.changes.append(Change(name, "removed"))
        return None

    def _standard(
        self, source: Dataset, tag: BaseTag, parent: str, path: str, *, numbers: bool
    ) -> Element | None:
        keyword = keyword_for_tag(tag) or f"({tag.group:04X},{tag.element:04X})"
        name = f"{path}/{keyword}" if path else keyword
        vr = _vr(tag)
        rule = self.rules.of(tag, keyword, vr, parent)
        if keyword == "MeasuredValueSequence" and not numbers:
            rule = Rule("empty", "empty")
        step, element = self._done(source, tag, vr, rule, name, keyword, numbers=numbers)
        same = step == "uid" and element is not None and element.value == source[tag].value
        if (action := _ACTIONS.get(step)) and not same:
            self.changes.append(Change(name, action))
        return element

    def _done(
        self, source: Dataset, tag: BaseTag, vr: str, rule: Rule, name: str, keyword: str, *, numbers: bool
    ) -> tuple[Step, Element | None]:
        """Return the element as a rule has it, and which of its steps that was."""
        step = rule.step
        if step in ("keep", "pass"):
            raw = source.get_item(tag)
            if _is_sequence(raw, vr):
                return step, self._sequence(source[tag], name, keyword, numbers=numbers)
            if raw is not None and self._may_stay(_readable(source, raw, vr), vr):
                return step, raw if _is_portable(raw) else source[tag]
            if raw is not None and (value := self._cleaned(source, tag, raw, vr)):
                return "words", DataElement(tag, vr, value)
            step = rule.otherwise if rule.otherwise not in ("keep", "pass") else "remove"
        if step == "shift" and vr == "TM":
            return self._done(source, tag, vr, Rule("keep", rule.otherwise), name, keyword, numbers=numbers)
        if step in ("words", "shift", "pseudonym"):
            value = self._changed(step, source[tag], keyword)
            if value:
                return step, DataElement(tag, source[tag].VR if vr in TEXT else vr, value)
            step = rule.otherwise
        return step, self._stripped(step, source, tag, vr, name, keyword)

    def _stripped(
        self, step: Step, source: Dataset, tag: BaseTag, vr: str, name: str, keyword: str
    ) -> DataElement | None:
        """Return an element without what it says; None to leave it out."""
        if step == "remove":
            return None
        if step == "uid":
            values = [self._uid(uid, keyword) for uid in _values(source[tag])]
            return DataElement(tag, "UI", values if len(values) > 1 else (values or [""])[0])
        if step == "empty":
            return DataElement(tag, vr, Sequence() if vr == "SQ" else None)
        if vr == "SQ":
            return self._dummy_sequence(source[tag], name, keyword)
        if vr == "UI":
            return DataElement(tag, "UI", [self._uid(uid, keyword) for uid in _values(source[tag])])
        return DataElement(tag, vr, dummies.dummy(vr))

    def _changed(self, step: Step, element: DataElement, keyword: str) -> Any:
        """Return the value that takes the place of another; empty where there is none."""
        values = [str(value) for value in _values(element)]
        if step == "pseudonym":
            return self._pseudonym(keyword, values)
        if step == "words":
            cleaned = [safe_words(value, self.identity.all_words) for value in values]
            longest = {"SH": 16, "LO": 64}.get(element.VR, 1 << 30)
            return [value[:longest].strip() for value in cleaned] if any(cleaned) else None
        moved = [shifted(value, self.shift) for value in values if value]
        return None if None in moved else moved

    def _pseudonym(self, keyword: str, values: list[str]) -> str:
        value = values[0].strip() if values else ""
        if keyword == "AccessionNumber":
            return self.pseudonyms.name("accession number", value)
        if keyword == "PatientID" and value:
            return self.pseudonyms.name("patient", value)
        return self.identity.patient

    def _sequence(self, element: DataElement, path: str, keyword: str, *, numbers: bool) -> DataElement:
        """Return a sequence, each item by the same rules."""
        items = [*(element.value or ())]
        if keyword == "ContentSequence":
            numbers = numbers and CLEAN_STRUCTURED_CONTENT in self.rules.profile.options
        if keyword in CONTENT_SEQUENCES:
            items = self._content(items, path)
        return _sequence(element.tag, (self.dataset(item, keyword, path, numbers=numbers) for item in items))

    def _content(self, items: list[Dataset], path: str) -> list[Dataset]:
        """Return content items without those whose concept name says that they identify somebody.

        In a tree with references by position such an item stays, as a text that says nothing.
        """
        found = [identifies(item, self.rules.tables, self.rules.profile.options) for item in items]
        recoded = [ages.recoded(item) for item in items]
        items = [new or old for new, old in zip(recoded, items, strict=True)]
        if any(found) or any(recoded):
            self.changes.append(Change(path, "cleaned"))
        if not self.identity.positions:
            return [item for item, out in zip(items, found, strict=True) if not out]
        return [_silent(item) if out else item for item, out in zip(items, found, strict=True)]

    def _dummy_sequence(self, element: DataElement, path: str, keyword: str) -> DataElement:
        """Return a sequence whose items say nothing; structured content keeps its shape and references."""
        if keyword == "ContentSequence":
            return self._sequence(element, path, keyword, numbers=False)
        return _sequence(element.tag, (self._dummy_item(item, keyword, path) for item in element.value or ()))

    def _dummy_item(self, item: Dataset, parent: str, path: str) -> Dataset:
        made = self.dataset(item, parent, path)
        if "CodeMeaning" in item:
            return dummies.code()
        for element in [*made]:
            if element.VR == "SQ":
                element.value = Sequence(
                    self._dummy_item(inner, element.keyword, path) for inner in element.value
                )
            elif element.VR in TEXT or element.VR == "PN":
                made[element.tag] = DataElement(element.tag, element.VR, dummies.TEXT)
            elif element.VR in _FLOATS and isinstance(element.value, (list, MultiValue)):
                made[element.tag] = DataElement(element.tag, element.VR, [0.0] * len(element.value))
            elif element.VR in ("OB", "OW", "UN", *_FLOATS):
                made[element.tag] = DataElement(element.tag, element.VR, dummies.dummy(element.VR))
        return made

    def _uid(self, uid: str, keyword: str) -> str:
        if keyword in SCHEME_UIDS and uid.startswith(PUBLIC_ROOTS):
            return uid
        return self.pseudonyms.uid(uid)

    def _cleaned(self, source: Dataset, tag: BaseTag, raw: Element, vr: str) -> Any:
        """Return what stays of a value that may not stay as it is; empty where nothing does."""
        if vr == "CS":
            return self._codes(_readable(source, raw, vr), typed=tag == _BODY_PART)
        if vr == "AS":
            return ages.shown(_text(raw.value))
        if tag == _ICC_PROFILE and isinstance(raw.value, bytes):
            return icc.cleaned(raw.value)
        return None

    def _codes(self, element: Element, *, typed: bool) -> list[str]:
        """Return code strings with a dummy for each that is not one or names somebody; empty if all do."""
        values = [one.strip(" \0") for one in _text(element.value).split("\\")]
        if not any(one and self._is_code(one, typed=typed) for one in values):
            return []
        return [one if self._is_code(one, typed=typed) else dummies.dummy("CS") for one in values]

    def _is_code(self, value: str, *, typed: bool) -> bool:
        return (
            is_code(value, self.identity.all_words)
            and not self.identity.is_named_in_code(value, typed=typed)
            and not self._holds_uid(value)
        )

    def _holds_uid(self, value: str) -> bool:
        return RETAIN_UIDS not in self.rules.profile.options and holds_uid(value)

    def _may_stay(self, element: Element, vr: str) -> bool:
        """Return whether a value is what its attribute is for, and names nobody."""
        value = element.value
        stated = element.VR or vr
        if stated in ("DS", "IS") or vr in ("DS", "IS"):
            return _NUMBERS.fullmatch(_text(value)) is not None
        if vr == "AS":
            return ages.shown(_text(value)) == _text(value)
        if vr in ("DA", "DT", "TM"):
            return _TIMES.fullmatch(_text(value)) is not None
        if stated in TEXT or stated == "PN" or vr in TEXT:
            if vr not in TEXT:  # text where the dictionary has none
                return False
            listed = keyword_for_tag(element.tag) in TERMS
            named = self.identity.is_named_in_term if listed else self.identity.is_named_in
            return not named(_text(value)) and not self._holds_uid(_text(value))
        if stated == "CS" or vr == "CS":
            typed = element.tag == _BODY_PART
            return all(self._is_code(one, typed=typed) for one in _text(value).split("\\"))
        if element.tag == _ICC_PROFILE:
            return False
        return not isinstance(value, bytes) or len(value) <= _most_bytes(element.tag, vr)


def _vr(tag: BaseTag) -> str:
    """Return the Value Representation of the dictionary, of several the first; UN where it has none."""
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "UN"


def _is_sequence(element: Element | None, vr: str) -> bool:
    return vr == "SQ" or (element is not None and element.VR == "SQ")


def _readable(source: Dataset, raw: Element, vr: str) -> Element:
    """Return an element whose text can be read without its character set."""
    value = raw.value
    is_text = vr in _CODED or (raw.VR or vr) in _CODED
    if not isinstance(value, bytes) or not is_text or (value.isascii() and _ESCAPE not in value):
        return raw
    return source[raw.tag]


def _most_bytes(tag: BaseTag, vr: str) -> int:
    """Return how many bytes an attribute of numbers may have; without a limit where it may have many."""
    size = VALUE_BYTES.get(vr)
    if size is None or not dictionary_has_tag(tag) or "OW" in get_entry(tag)[0]:
        return sys.maxsize
    number = get_entry(tag)[1]
    return size * int(number) if number.isdecimal() else sys.maxsize


def _is_portable(element: Element) -> bool:
    return not isinstance(element, RawDataElement) or element.VR is not None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple, MultiValue)):
        return "\\".join(map(str, value))
    return "" if value is None else str(value)


def _values(element: DataElement) -> list[Any]:
    value = element.value
    if value is None or value == "":
        return []
    return [*value] if isinstance(value, (list, tuple, MultiValue)) else [value]


def _sequence(tag: BaseTag, items: Iterable[Dataset]) -> DataElement:
    return DataElement(tag, "SQ", Sequence([*items]))


def _silent(item: Dataset) -> Dataset:
    """Return a content item of the same place in the tree that says nothing."""
    made = Dataset()
    if "RelationshipType" in item:
        made.RelationshipType = item.RelationshipType
    made.ValueType = "TEXT"
    made.ConceptNameCodeSequence = Sequence([dummies.code()])
    made.TextValue = dummies.TEXT
    if "ContentSequence" in item:
        made.ContentSequence = Sequence([_silent(inner) for inner in item.ContentSequence])
    return made
