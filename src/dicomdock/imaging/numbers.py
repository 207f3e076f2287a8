"""Numbers as people read them."""

from __future__ import annotations


def number_text(value: float, digits: int = 4) -> str:
    """Return a number with so many significant digits, and never fewer than stand before the point.

    It has no exponent from 0.0001 up to 10^15: an area is 25340 mm², not 2.534e+04.
    """
    whole = 10**digits - 0.5 <= abs(value) < 1e15
    return f"{value:.0f}" if whole else f"{value:.{digits}g}"


def cell_text(value: object, digits: int = 4, missing: str = "–") -> str:
    """Return what stands in a cell of a table: a number, a text, or a mark where there is nothing."""
    if value is None:
        return missing
    return number_text(value, digits) if isinstance(value, float) else str(value)
