"""Values of attributes as texts."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue


def text(dataset: Dataset, keyword: str) -> str:
    """Return the value of an attribute as a text; empty where there is none."""
    value = dataset.get(keyword)
    return "" if value is None else str(value)


def texts(dataset: Dataset, keyword: str) -> list[str]:
    """Return each value of an attribute as a text."""
    value = dataset.get(keyword)
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, (list, tuple, MultiValue)) else [str(value)]
