"""Dummy values: what stands where an attribute must have a value and may not have its own."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

TEXT = "REMOVED"

_DUMMIES: dict[str, Any] = {
    "AE": TEXT,
    "AS": "000Y",
    "CS": TEXT,
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "FD": 0.0,
    "FL": 0.0,
    "IS": "0",
    "LO": TEXT,
    "LT": TEXT,
    "OB": b"\0\0",
    "OD": bytes(8),
    "OF": bytes(4),
    "OL": bytes(4),
    "OV": bytes(8),
    "OW": b"\0\0",
    "PN": TEXT,
    "SH": TEXT,
    "SL": 0,
    "SS": 0,
    "ST": TEXT,
    "SV": 0,
    "TM": "000000",
    "UC": TEXT,
    "UL": 0,
    "UN": b"\0\0",
    "UR": "about:blank",
    "US": 0,
    "UT": TEXT,
    "UV": 0,
}


def dummy(vr: str) -> Any:
    """Return a value of a Value Representation that says nothing; None for those that have none."""
    return _DUMMIES.get(vr)


def code() -> Dataset:
    """Return a coded concept that says nothing."""
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = TEXT, "99REMOVED", TEXT
    return made
