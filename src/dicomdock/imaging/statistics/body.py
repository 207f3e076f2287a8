"""Body size of a patient that Standardized Uptake Values are normalised to, by SUV Type.

References
----------
PS3.3 §C.8.9.1 (SUV Type), PS3.16 CID 85; QIBA, SUV computation (James); Janmahasatian et al., Clin
Pharmacokinet 44 (2005) 1051; Du Bois and Du Bois, Arch Intern Med 17 (1916) 863.
"""

from __future__ import annotations

from types import MappingProxyType

from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import number, text

SIZES = (0.2, 2.8)
"""Metres that a patient's size lies between: a size in centimetres is not taken for one in metres."""

_JAMES = MappingProxyType({"M": (1.10, 120.0), "F": (1.07, 148.0)})
_JAMES_128 = MappingProxyType({**_JAMES, "M": (1.10, 128.0)})
_JANMAHASATIAN = MappingProxyType({"M": (6680.0, 216.0), "F": (8780.0, 244.0)})


NAMES = MappingProxyType(
    {
        "BW": "by body weight",
        "LBM": "by lean body mass (James)",
        "LBMJAMES128": "by lean body mass (James, 128 multiplier)",
        "LBMJANMA": "by lean body mass (Janmahasatian)",
        "BSA": "by body surface area",
    }
)

BODIES = tuple(NAMES)
"""Values of SUV Type (0054,1006) that are computed."""


def body_size(header: Dataset, suv_type: str) -> float:
    """Return the body weight or lean body mass in g, or the body surface area in cm2.

    Parameters
    ----------
    header : of a PET image.
    suv_type : one of ``BODIES``.

    Raises
    ------
    GeometryError
        Weight, size or sex is missing or cannot be true; the sentence names it.
    """
    by = "" if suv_type == "BW" else f" {NAMES[suv_type]}"
    weight = number(header, "PatientWeight")
    if weight is None or weight <= 0:
        raise GeometryError(f"No SUV is computed{by}: the patient's weight is not stated.")
    if suv_type == "BW":
        return weight * 1000
    size = number(header, "PatientSize")
    if size is None or size <= 0:
        raise GeometryError(f"No SUV is computed{by}: the patient's size is not stated.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise GeometryError(f"No SUV is computed{by}: the patient's size is stated as {size:g} m.")
    sex = text(header, "PatientSex").upper()
    if suv_type != "BSA" and sex not in _JAMES:
        raise GeometryError(f"No SUV is computed{by}: the patient's sex is not stated as male or female.")
    found = _size(suv_type, weight, size, sex)
    if found <= 0:
        raise GeometryError(
            f"No SUV is computed{by}: the formula has no mass for {weight:g} kg at {size:g} m."
        )
    return found


def _size(suv_type: str, weight: float, size: float, sex: str) -> float:
    """Return what a formula makes of kilograms and metres: g, or cm2."""
    if suv_type == "BSA":
        return float(71.84 * weight**0.425 * (size * 100) ** 0.725)
    if suv_type == "LBMJANMA":
        constant, linear = _JANMAHASATIAN[sex]
        return 9270 * weight / (constant + linear * weight / size**2) * 1000
    linear, square = (_JAMES if suv_type == "LBM" else _JAMES_128)[sex]
    return (linear * weight - square * (weight / (size * 100)) ** 2) * 1000
