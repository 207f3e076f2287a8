"""From values to grey: the VOI transformation and the presentation that a header states, for every user.

References
----------
PS3.3 §C.11.2 (VOI LUT), §C.11.6 (Softcopy Presentation LUT); PS3.4 §N.2 (the pipeline).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dicomdock.imaging.geometry import Window

Grey: TypeAlias = npt.NDArray[np.uint8]

STEPS = 256
LEAST_WIDTH = 1e-6  # of a LINEAR window one value wide, which is a threshold
SIGMOID_SPAN = 3.25  # widths beyond which a sigmoid is black or white in 8 bits


def windowed(values: npt.NDArray[Any], window: Window) -> Grey:
    """Return values as 8-bit grey by a window or VOI lookup table; what is not a number is black."""
    if window.table is not None:
        return to_bytes(window.table.apply(values), window.table.bits)
    scaled: npt.NDArray[Any] = values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32)
    if values.dtype.kind == "f":
        scaled = np.nan_to_num(scaled, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    with np.errstate(over="ignore"):
        if window.function == "SIGMOID":
            scaled = 1 / (1 + np.exp(-4 * (scaled - window.center) / window.width))
        else:
            low, high = _ends(window)
            scaled = (scaled - low) / (high - low)
    shown: Grey = (scaled.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return shown


def _ends(window: Window) -> tuple[float, float]:
    """Return the values that a linear window shows black and white (PS3.3 §C.11.2.1.2.1, §C.11.2.1.3.2)."""
    center, width = window.center, window.width
    if window.function == "LINEAR":
        if width - 1 < LEAST_WIDTH:  # a threshold: the value of the centre less a half is black
            return center - 0.5, center - 0.5 + LEAST_WIDTH
        center, width = center - 0.5, width - 1
    return center - width / 2, center + width / 2


@dataclass(frozen=True)
class Curve:
    """A window for a display that spreads 256 steps evenly from one value to another.

    Parameters
    ----------
    low, high : the values that the steps lie between.
    shades : the grey of each step; None where it is the step's own number, as of every linear window.
    """

    low: float
    high: float
    shades: Grey | None = None


def curve_of(window: Window) -> Curve:
    """Return a window as steps: the grey of each is that of ``windowed`` in its middle.

    The steps of a lookup table with up to 256 entries that differ are its entries; of a larger one, and of a
    sigmoid, the steps lie in the range where the grey changes.
    """
    if window.table is not None:
        least, greatest = window.table.active
        low = beyond_low = least - 0.5
        high = low + STEPS - 1 if greatest - least < STEPS else greatest + 0.5
        beyond_high = max(high, greatest)
    elif window.function == "SIGMOID":
        low = beyond_low = window.center - SIGMOID_SPAN * window.width / 2
        high = beyond_high = window.center + SIGMOID_SPAN * window.width / 2
    else:
        return Curve(*_ends(window))
    middles = low + (np.arange(STEPS) + 0.5) * ((high - low) / (STEPS - 1))
    middles[0], middles[-1] = beyond_low, beyond_high  # the first and last step hold all that lies beyond
    return Curve(low, high, windowed(middles, window))


def window_of(low: float, high: float, window: Window) -> Window:
    """Return a window moved to other ends of its curve, as by hand: the way back from ``curve_of``.

    A lookup table keeps its shape and is no longer that of the header.
    """
    center, width = (low + high) / 2, high - low
    if window.function == "LINEAR":
        return replace(window, center=center + 0.5, width=width + 1)
    if window.function == "SIGMOID":
        return replace(window, center=center, width=width / SIGMOID_SPAN)
    return replace(window, center=center, width=width)


def to_bytes(samples: npt.NDArray[Any], bits: int = 16) -> Grey:
    """Return samples of some bits as 8 bits each."""
    if samples.dtype == np.uint8:
        return samples
    shift = max(0, (bits if samples.dtype.itemsize > 1 else 8) - 8)
    return (samples.astype(np.uint32) >> shift).clip(0, 255).astype(np.uint8)
