"""Coded concepts, in a Dataset and out of it.

References
----------
PS3.3 §8 (Code Sequence Macro).
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr._snomed_dict import mapping
from pydicom.sr.coding import Code as _PydicomCode

from dicomdock.imaging.attributes import first, text


class Code(_PydicomCode):
    """A coded concept: value, scheme, meaning, version. Equal when value and scheme are; SRT and SCT are
    one scheme. A version states which edition of the scheme a program had, not what the code means.

    It is pydicom's code, which may also be compared with nothing.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PydicomCode) and _identity(self) == _identity(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash("".join(_identity(self)))


def _identity(code: _PydicomCode) -> tuple[str, str]:
    """Return scheme and value; those of SNOMED CT for a code of its predecessor."""
    if code.scheme_designator == "SRT" and code.value in mapping["SRT"]:
        return "SCT", mapping["SRT"][code.value]
    return code.scheme_designator, code.value


def code_item(code: Code) -> Dataset:
    """Make the item of a code sequence."""
    item = Dataset()
    if len(code.value) <= 16:
        item.CodeValue = code.value
    elif code.value.startswith(("urn:", "http")):
        item.URNCodeValue = code.value
    else:
        item.LongCodeValue = code.value
    if not code.value.startswith(("urn:", "http")) or code.scheme_designator:
        item.CodingSchemeDesignator = code.scheme_designator
    if code.scheme_version:
        item.CodingSchemeVersion = code.scheme_version
    item.CodeMeaning = code.meaning[:64]
    return item


def code_of(dataset: Dataset | None, keyword: str) -> Code | None:
    """Read the first item of a code sequence; None where it is absent or has no value."""
    item = first(dataset, keyword)
    value = text(item, "CodeValue") or text(item, "LongCodeValue") or text(item, "URNCodeValue")
    if not value:
        return None
    version = text(item, "CodingSchemeVersion") or None
    return Code(value, text(item, "CodingSchemeDesignator"), text(item, "CodeMeaning") or value, version)
