"""From values to grey: the VOI transformation and the presentation that a header states, for every user.

References
----------
PS3.3 §C.11.2 (VOI LUT), §C.11.6 (Softcopy Presentation LUT); PS3.4 §N.2 (the pipeline).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import text
from dicomdock.imaging.geometry import Window

Grey: TypeAlias = npt.NDArray[np.uint8]


def windowed(values: npt.NDArray[Any], window: Window) -> Grey:
    """Return values as 8-bit grey by a window (PS3.3 §C.11.2.1.2); what is no number is black."""
    scaled = values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32)
    scaled = np.nan_to_num(scaled, nan=-np.inf if values.dtype.kind == "f" else 0.0)
    if window.function == "SIGMOID":
        with np.errstate(over="ignore"):
            scaled = 1 / (1 + np.exp(-4 * (scaled - window.center) / window.width))
    elif window.function == "LINEAR_EXACT":
        scaled = (scaled - window.center) / window.width + 0.5
    else:
        scaled = (scaled - (window.center - 0.5)) / max(window.width - 1, 1e-6) + 0.5
    shown: Grey = (scaled.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return shown


def looked_up(values: npt.NDArray[Any], table: Dataset) -> Grey:
    """Return values as 8-bit grey by an item of the VOI LUT Sequence (PS3.3 §C.11.2.1.1).

    Values beyond its ends take the last entry on their side. pydicom's own wraps indexes round in tables of
    8-bit entries.
    """
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    data = table.LUTData
    if isinstance(data, bytes):
        order = ">u2" if table.original_encoding[1] is False else "<u2"
        entries = np.frombuffer(data, np.uint8 if len(data) == count else order)
    else:
        entries = np.asarray(data, np.uint16)
    index = np.rint(values - float(first)).clip(0, min(count or 65536, len(entries)) - 1).astype(np.int64)
    return to_bytes(entries[index].astype(np.uint16), bits)


def is_inverse(header: Dataset) -> bool:
    """Return whether low values are shown bright, by photometric interpretation or presentation LUT."""
    return (
        text(header, "PhotometricInterpretation").upper() == "MONOCHROME1"
        or text(header, "PresentationLUTShape") == "INVERSE"
    )


def to_bytes(samples: npt.NDArray[Any], bits: int = 16) -> Grey:
    """Return samples of some bits as 8 bits each."""
    if samples.dtype == np.uint8:
        return samples
    shift = max(0, (bits if samples.dtype.itemsize > 1 else 8) - 8)
    return (samples.astype(np.uint32) >> shift).clip(0, 255).astype(np.uint8)
