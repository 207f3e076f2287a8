"""Attributes of a Dataset as plain values, read tolerantly: absent or unreadable is None, never an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import DSdecimal, DSfloat

from dicomdock.dicom.read_errors import READ_ERRORS


def numbers(dataset: Dataset | None, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """Return an attribute's finite numbers; None where it is absent, unreadable or not ``count`` of them."""
    if dataset is None:
        return None
    try:
        value = _value(dataset, keyword)
        if value is None or value == "":
            return None
        items = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        found = tuple(float(item) for item in items)
    except READ_ERRORS:
        return None
    if not found or not all(map(math.isfinite, found)) or (count is not None and len(found) != count):
        return None
    return found


def rounding(dataset: Dataset | None, keyword: str) -> float:
    """Return the unit of the last decimal that an attribute's text gives, 0 for binary numbers.

    The values 10.5 and -3.25 are given in hundredths: the last zero of the first is left out.
    """
    if dataset is None:
        return 0.0
    try:
        value = _value(dataset, keyword)
        items = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        stated = [one.original_string for one in items if isinstance(one, (DSfloat, DSdecimal))]
        exponents = [int(Decimal(one.strip()).as_tuple().exponent) for one in stated if one]
    except (*READ_ERRORS, ArithmeticError):
        return 0.0
    return 10.0 ** min(exponents) if exponents else 0.0


def number(dataset: Dataset | None, keyword: str) -> float | None:
    """Return an attribute's first number, or None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def integer(dataset: Dataset | None, keyword: str) -> int | None:
    """Return an attribute's first number as an integer, or None."""
    found = number(dataset, keyword)
    return None if found is None else int(found)


def text(dataset: Dataset | None, keyword: str) -> str:
    """Return an attribute's text, empty where it is absent; several values are joined by a backslash."""
    return "\\".join(texts(dataset, keyword))


def texts(dataset: Dataset | None, keyword: str) -> tuple[str, ...]:
    """Return an attribute's values as texts."""
    if dataset is None:
        return ()
    try:
        value = _value(dataset, keyword)
    except READ_ERRORS:
        return ()
    if value is None or value == "":
        return ()
    items = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return tuple(str(item).strip() for item in items)


def written(dataset: Dataset | None, keyword: str) -> str:
    """Return an attribute's text as it stands in the file, also where it is not a value of its VR."""
    if dataset is None or keyword not in dataset:
        return ""
    if known := text(dataset, keyword):
        return known
    try:
        raw = dataset.get_item(keyword)
    except READ_ERRORS:
        return ""
    value = raw.value if raw is not None else None
    return value.decode("ascii", "replace").strip(" \0")[:64] if isinstance(value, bytes) else ""


def items(dataset: Dataset | None, keyword: str) -> Sequence[Dataset]:
    """Return a sequence's items, none where it is absent."""
    if dataset is None:
        return ()
    try:
        value = _value(dataset, keyword)
    except READ_ERRORS:
        return ()
    return value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else ()


def first(dataset: Dataset | None, keyword: str) -> Dataset | None:
    """Return a sequence's first item, or None."""
    found = items(dataset, keyword)
    return found[0] if found else None


def private(dataset: Dataset, group: int, creator: str, element: int) -> Any:
    """Return the value of a private element, as pydicom reads it.

    Parameters
    ----------
    group, creator, element : its block, and the low byte of its element number.

    Raises
    ------
    KeyError
        There is none. Other ``READ_ERRORS``: it cannot be read.

    References
    ----------
    PS3.5 §7.8 (Private Data Elements).
    """
    # pydicom sorts the whole data set to look; most have no element of the group, which is seen at once.
    tags = dataset.keys()
    if not any(tag >> 16 == group for tag in tags):
        raise KeyError(creator)
    return dataset.private_block(group, creator)[element].value


def _value(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an attribute; None where it is absent.

    ``Dataset.get`` does the same, but raises and catches an error for what is absent, which is most of what a
    header is asked for.
    """
    tag = _tag_of(keyword)
    if tag is None:
        return dataset.get(keyword)
    return dataset[tag].value if tag in dataset else None


@lru_cache(maxsize=1024)
def _tag_of(keyword: str) -> BaseTag | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None else BaseTag(tag)
