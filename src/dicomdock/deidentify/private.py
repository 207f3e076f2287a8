"""Private attributes: of these only what the standard lists as safe stays, and only what is a number.

References
----------
PS3.15 §E.3.10, table E.3.10-1.
"""

from __future__ import annotations

import re

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from dicomdock.deidentify.tables import Tables
from dicomdock.dicom.element_encoding import VALUE_BYTES

_NUMBER = re.compile(rb"[\d +\-.eE\\\0]*")


class PrivateRules:
    """Which private elements of a data set stay, each in the block of its own data set."""

    def __init__(self, dataset: Dataset, tables: Tables) -> None:
        self._dataset, self._tables = dataset, tables

    def safe(self, tag: BaseTag) -> DataElement | None:
        """Return a private element that may stay, or the one that reserves its block; else None."""
        if tag.is_private_creator:
            creator = str(self._dataset[tag].value or "").strip()
            stays = any(
                self._value(other) is not None
                for other in self._dataset.keys()  # noqa: SIM118
                if other.is_private and other.private_creator == tag and not other.is_private_creator
            )
            return DataElement(tag, "LO", creator) if stays else None
        return self._value(tag)

    def _value(self, tag: BaseTag) -> DataElement | None:
        creator_tag = Tag(tag.group, tag.element >> 8)
        if tag.element >> 8 == 0 or creator_tag not in self._dataset:
            return None
        creator = str(self._dataset[creator_tag].value or "").strip()
        vr = self._tables.safe_private.get((creator, tag.group, tag.element & 0xFF), "")
        value = self._dataset.get_item(tag).value
        if not isinstance(value, bytes):
            value = _encoded(self._dataset[tag], vr)
        if vr in ("DS", "IS") and value is not None and _NUMBER.fullmatch(value):
            return DataElement(tag, vr, value.decode("ascii").strip(" \0"))
        if vr in VALUE_BYTES and value and len(value) % VALUE_BYTES[vr] == 0:
            return DataElement(tag, self._dataset[tag].VR, self._dataset[tag].value)
        return None


def _encoded(element: DataElement, vr: str) -> bytes | None:
    """Return the bytes of a value that was decoded already; None where it is not of the listed VR."""
    if vr != element.VR:
        return None
    if vr in VALUE_BYTES:
        return bytes(VALUE_BYTES[vr] * element.VM)
    values = element.value if element.VM > 1 else [element.value]
    return "\\".join(map(str, values)).encode("ascii", "replace")
