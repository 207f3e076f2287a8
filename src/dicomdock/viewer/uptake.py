"""PET in Standardized Uptake Values of the type that the user chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import Window
from dicomdock.imaging.statistics import BODIES, scaled_to_suv, suv_factor
from dicomdock.imaging.volume import Volume

SUV_WINDOWS = tuple(Window(most / 2, most, f"0 to {most}", "LINEAR_EXACT") for most in (5, 10, 20))
"""Usual windows of PET in g/ml; the first one is what it is shown in."""


@dataclass(frozen=True, eq=False)
class Uptake:
    """A PET volume in Standardized Uptake Values.

    Parameters
    ----------
    suv_type : SUV Type (0054,1006) that was asked for; empty for that of the images, else by body weight.
    volume : in them; None where it is not PET, is in them already, or an input is missing.
    why_not : the sentence that names the missing input; empty where there is none.
    """

    suv_type: str = ""
    volume: Volume | None = None
    why_not: str = ""


class SuvFactors:
    """What the values of a volume are multiplied by, for each SUV Type.

    Parameters
    ----------
    volume, headers : PET, and the headers of all of its images, which are not held. None: no uptake.
    """

    def __init__(self, volume: Volume | None = None, headers: Sequence[Dataset] = ()) -> None:
        self._factors: dict[str, tuple[str, float | None]] = {}
        self._why_not: dict[str, str] = {}
        if volume is None or not headers:
            return
        for one in ("", *BODIES):
            try:
                self._factors[one] = suv_factor(volume, headers, one)
            except GeometryError as error:
                self._why_not[one] = error.reason

    def uptake(self, volume: Volume, suv_type: str) -> Uptake:
        """Compute the volume in Standardized Uptake Values of a type; takes a while."""
        found, factor = self._factors.get(suv_type, (suv_type, None))
        if factor is None:
            return Uptake(suv_type, None, self._why_not.get(suv_type, ""))
        scaled = scaled_to_suv(volume, found, factor, np.float32)
        return Uptake(suv_type, replace(scaled, windows=SUV_WINDOWS) if scaled.units == "GML" else scaled)
