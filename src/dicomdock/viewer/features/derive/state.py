"""What the page knows of derived images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class DeriveState:
    """The panel of derived images.

    Parameters
    ----------
    smooth_mm, resample_mm : as typed; text where that is not a number.
    deriving : images are being made.
    """

    smooth_mm: float | str = 1.0
    resample_mm: float | str = 1.0
    deriving: bool = False
