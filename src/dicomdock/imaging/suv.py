"""Which unit a Standardized Uptake Value of a type is in, and of which type values in a unit are.

References
----------
PS3.3 §C.8.9.1.1.3 (Units), §C.8.9.1 (SUV Type), PS3.16 CID 85.
"""

from __future__ import annotations

UPTAKE_UNITS = ("GML", "CM2ML")
"""Units (0054,1001) of Standardized Uptake Values."""


def unit_of(suv_type: str) -> str:
    """Return the Units of a SUV Type: by body surface area in cm2/ml, else in g/ml."""
    return "CM2ML" if suv_type == "BSA" else "GML"


def suv_type_of(units: str, stated: str = "") -> str:
    """Return the SUV Type of values; empty where they are none, or unit and type contradict each other.

    Parameters
    ----------
    units : Units (0054,1001).
    stated : SUV Type (0054,1006); empty where it is absent, which means by body weight, or in cm2/ml by body
        surface area.
    """
    if units not in UPTAKE_UNITS:
        return ""
    found = stated or ("BW" if units == "GML" else "BSA")
    return found if unit_of(found) == units else ""
