"""Colours between red, green, blue and DICOM's encoded CIELab.

References
----------
PS3.3 §C.10.7.1.1 (Encoding of CIELab Values); sRGB, IEC 61966-2-1, white point D65 like dcmtk's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RGB = tuple[int, int, int]

_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.95047, 1.0, 1.08883])
_KNEE = (6 / 29) ** 3  # below it CIELab is linear


def fractions(rgb: Sequence[int]) -> list[float]:
    """Return red, green, blue from 0 to 1, as drawing libraries take them, of those from 0 to 255."""
    return [part / 255 for part in rgb]


def to_cielab(rgb: Sequence[int]) -> tuple[int, int, int]:
    """Return the three unsigned 16-bit numbers of Recommended Display CIELab Value.

    Parameters
    ----------
    rgb : red, green, blue, 0 to 255.
    """
    part = np.asarray(rgb, dtype=float) / 255
    linear = np.where(part > 0.04045, ((part + 0.055) / 1.055) ** 2.4, part / 12.92)
    xyz = _TO_XYZ @ linear / _WHITE
    f = np.where(xyz > _KNEE, np.cbrt(xyz), xyz * (841 / 108) + 4 / 29)
    lightness, a, b = 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])
    coded = np.clip([lightness * 65535 / 100, (a + 128) * 257, (b + 128) * 257], 0, 65535)
    one, two, three = (round(float(value)) for value in coded)
    return one, two, three


def from_cielab(values: Sequence[float]) -> RGB:
    """Return red, green, blue of a Recommended Display CIELab Value, clipped to what screens show."""
    lightness, a, b = values[0] * 100 / 65535, values[1] / 257 - 128, values[2] / 257 - 128
    middle = (lightness + 16) / 116
    f = np.array([middle + a / 500, middle, middle - b / 200])
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 108 / 841) * _WHITE
    linear = np.clip(np.linalg.solve(_TO_XYZ, xyz), 0, 1)
    part = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    red, green, blue = (round(float(value) * 255) for value in np.clip(part, 0, 1))
    return red, green, blue
