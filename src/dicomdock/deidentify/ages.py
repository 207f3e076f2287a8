"""Ages over 89 years: so few people have them that the number points at one; 90 stands for all of them.

References
----------
45 CFR 164.514(b)(2)(i)(C) (HIPAA, Safe Harbor); PS3.5 §6.2 (AS); PS3.16 TID 1007 (Subject Context, Patient).
"""

from __future__ import annotations

import copy
import re

from pydicom.dataset import Dataset

from dicomdock.deidentify.attributes import text

OLDEST = 90
OLDEST_STRING = f"{OLDEST:03}Y"

_AGE = re.compile(r"\s*(\d+)\s*([DWMY]?)[\s\0]*", re.IGNORECASE)
_IN_A_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}
_IN_A_YEAR_UCUM = {
    "a": 1.0, "mo": 12.0, "wk": 365.25 / 7, "d": 365.25, "h": 365.25 * 24, "min": 365.25 * 24 * 60
}  # fmt: skip
_SUBJECT_AGE = ("DCM", "121033")


def shown(age: str) -> str:
    """Return an age string (AS) with 90 years in place of more; empty where it is not one."""
    found = _AGE.fullmatch(age)
    if found is None:
        return ""
    return OLDEST_STRING if int(found[1]) >= OLDEST * _IN_A_YEAR[found[2].upper()] else age


def recoded(item: Dataset) -> Dataset | None:
    """Return the content item of a Subject Age with 90 years in place of more; None for any other."""
    if _first(item, "ConceptNameCodeSequence") != _SUBJECT_AGE:
        return None
    values = item.get("MeasuredValueSequence") or ()
    if not any(map(_is_measured_over, values)):
        return None
    unit, value, made = Dataset(), Dataset(), copy.deepcopy(item)
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "a", "UCUM", "year"
    value.NumericValue, value.MeasurementUnitsCodeSequence = str(OLDEST), [unit]
    made.MeasuredValueSequence = [value]
    return made


def _is_measured_over(value: Dataset) -> bool:
    scheme, unit = _first(value, "MeasurementUnitsCodeSequence")
    try:
        number = float(text(value, "NumericValue"))
    except ValueError:
        return True
    return scheme != "UCUM" or not number < OLDEST * _IN_A_YEAR_UCUM.get(unit, 0.0)


def _first(item: Dataset, keyword: str) -> tuple[str, str]:
    """Return scheme and value of the first code of a sequence."""
    code = next(iter(item.get(keyword) or ()), Dataset())
    return text(code, "CodingSchemeDesignator"), text(code, "CodeValue")
