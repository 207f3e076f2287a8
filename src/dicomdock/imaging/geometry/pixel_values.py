"""How the stored numbers of an image become values: rescale, real-world mapping, dose, units and padding.

References
----------
PS3.3 §C.11.1 (Modality LUT), §C.7.6.16.2.9 and §C.7.6.16.2.11 (the macros of a frame), §C.8.8.3 (RT Dose),
§C.7.5.1.1.2 (padding).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, number, text, written
from dicomdock.imaging.geometry.plane import PixelFormat, Plane
from dicomdock.imaging.geometry.windows import is_inverse, windows_of
from dicomdock.imaging.suv import UPTAKE_UNITS, suv_type_of

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
_NO_UNITS = ("", "US", "SUV")
"""Rescale Types that state no unit: unspecified, and a word that says neither which SUV nor of what."""

MAX_BITS = 64
"""Bits Allocated are at most this, for double floating point (PS3.3 §C.7.6.3.1)."""


def pixels_of(header: Dataset, sop_class: str) -> PixelFormat:
    """Return how the pixels of an instance are stored, and the scaling of a dose.

    Raises
    ------
    GeometryError
        No image has as many bits as it claims.
    """
    allocated = integer(header, "BitsAllocated") or 16
    stored = integer(header, "BitsStored") or allocated
    if not (1 <= allocated <= MAX_BITS and stored >= 1):
        raise GeometryError(
            f"The image claims {allocated} bits for a sample, of which {stored} are stored.",
            [text(header, "SOPInstanceUID")],
        )
    samples = integer(header, "SamplesPerPixel") or 1
    dose = number(header, "DoseGridScaling") if sop_class == RT_DOSE else None
    floating = (sop_class == PARAMETRIC_MAP and "BitsStored" not in header) or any(
        name in header for name in ("FloatPixelData", "DoubleFloatPixelData")
    )
    return PixelFormat(
        photometric=text(header, "PhotometricInterpretation").upper()
        or ("RGB" if samples == 3 else "MONOCHROME2"),
        bits_allocated=allocated,
        bits_stored=min(stored, allocated),
        signed=integer(header, "PixelRepresentation") == 1,
        slope=dose or 1.0,
        floating=floating,
        inverse=is_inverse(header),
        units=text(header, "DoseUnits").upper() if dose else "",
        dose_type=text(header, "DoseType").upper() if dose else "",
    )


def pixel_format_of(header: Dataset, *, floating: bool = False) -> PixelFormat:
    """Return how the numbers of an instance become values.

    Parameters
    ----------
    header : of an instance; of an enhanced one with the functional groups of a frame laid over it.
    floating : the pixel data are known to be floating point, which a header without them need not show.
    """
    pixels = pixels_of(header, text(header, "SOPClassUID"))
    pixels = replace(pixels, floating=pixels.floating or floating)
    plane = Plane("", 1, 1, 1, modality=text(header, "Modality"), pixels=pixels)
    return described(plane, [header], "", header).pixels


def described(plane: Plane, places: Sequence[Dataset | None], image_type: str, header: Dataset) -> Plane:
    """Add what the datasets in ``places`` (the nearest first) say about values, windows and kind."""
    pixels = plane.pixels
    # Dose Grid Scaling alone makes a dose of what is stored (PS3.3 §C.8.8.3), whatever rescale is beside it.
    modality = () if text(header, "SOPClassUID") == RT_DOSE else places
    rescale = next((place for place in modality if number(place, "RescaleSlope") is not None), None)
    fault, usable = _rescale_fault(modality)
    pixels = replace(pixels, fault=fault)
    if rescale is not None and usable:
        stated = text(rescale, "RescaleType")
        units = pixels.units if stated.upper() in _NO_UNITS else stated
        pixels = replace(
            pixels,
            slope=number(rescale, "RescaleSlope") or 1.0,
            intercept=number(rescale, "RescaleIntercept") or 0.0,
            rescaled=True,
            units=units,
        )
    if any(first(place, "ModalityLUTSequence") is not None for place in modality):
        pixels = replace(pixels, lut=True, slope=1.0, intercept=0.0, rescaled=True, fault="")
    # Units (0054,1001) is what the values of PET are in; a Rescale Type beside it adds nothing.
    units = next((found for place in places if (found := text(place, "Units"))), "")
    if (
        not units
        and rescale is not None
        and usable
        and any(text(place, "Modality") == "CT" for place in places)
    ):
        units = "HU"
    if units:
        pixels = replace(pixels, units=units)
    elif plane.modality == "PT" or pixels.units.upper() in UPTAKE_UNITS:
        pixels = replace(pixels, units="")
    if pixels.units in UPTAKE_UNITS:
        stated = text(header, "SUVType")
        pixels = replace(pixels, suv_type=suv_type_of(pixels.units, stated) or stated)
    pixels = replace(pixels, padding=_padding(header, pixels))
    windows = next((seen for place in places if (seen := windows_of(place, header))), ())
    kinds = image_type.upper().split("\\")
    localizer = any(word in ("LOCALIZER", "SCOUT") for word in kinds[2:])
    return replace(plane, pixels=pixels, windows=windows, localizer=localizer)


def _rescale_fault(places: Sequence[Dataset | None]) -> tuple[str, bool]:
    """Return what is wrong with the rescale that the nearest of ``places`` states, and whether it is usable.

    A slope of 0 would leave nothing of the image, and is written by programs that mean 1, as dcm2niix has it.
    """
    for place in places:
        slope, intercept = (written(place, keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
        if not slope and not intercept:
            continue
        if not slope:
            return "There is a Rescale Intercept without a Rescale Slope; values are as stored.", False
        for name, stated in (("Slope", slope), ("Intercept", intercept)):
            if stated and number(place, f"Rescale{name}") is None:
                return (
                    f"The Rescale {name} is {stated!r}, which is not a number; values are as stored.",
                    False,
                )
        return (
            "The Rescale Slope is 0, and was taken as 1." if number(place, "RescaleSlope") == 0 else ""
        ), True
    return "", True


def _padding(header: Dataset, pixels: PixelFormat) -> tuple[float, float] | None:
    """Return the values of padding, after the rescale (PS3.3 §C.7.5.1.1.2)."""
    if pixels.lut or pixels.colour:
        return None
    stated = ((number(header, value), number(header, limit)) for value, limit in _PADDING)
    value, limit = next((found for found in stated if found[0] is not None), (None, None))
    if value is None:
        return None
    ends = [value, value if limit is None else limit]
    if not pixels.floating:
        ends = [_as_stored(end, pixels) for end in ends]
    ends = [end * pixels.slope + pixels.intercept for end in ends]
    return min(ends), max(ends)


def _as_stored(value: float, pixels: PixelFormat) -> float:
    """Return a number of the pixel data by its bits, where its VR has another sign than the pixels."""
    if not pixels.signed:
        return value + (1 << pixels.bits_allocated) if value < 0 else value
    for bits in (pixels.bits_allocated, pixels.bits_stored):
        if value >= 1 << bits - 1:
            value -= 1 << bits
    return value


_PADDING = (
    ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
)


def mapped_to_real_world(plane: Plane, header: Dataset, mapping: Dataset | None) -> Plane:
    """Return a plane of real-world values; without a mapping that is a line they stay numbers without a unit.

    The windows of the header, which are for the values before, are moved with them.
    """
    slope, intercept = number(mapping, "RealWorldValueSlope"), number(mapping, "RealWorldValueIntercept")
    before = plane.pixels
    if not slope or before.lut:
        return replace(plane, pixels=replace(before, units="", suv_type=""))
    pixels = replace(
        before,
        slope=slope,
        intercept=intercept or 0.0,
        units=text(first(mapping, "MeasurementUnitsCodeSequence"), "CodeValue"),
    )
    pixels = replace(pixels, padding=_padding(header, pixels))
    if (pixels.slope, pixels.intercept) == (before.slope, before.intercept):
        return replace(plane, pixels=pixels)
    factor = pixels.slope / before.slope
    windows = [
        replace(
            window,
            center=(window.center - half - before.intercept) * factor + pixels.intercept,
            width=(window.width - 2 * half) * abs(factor),
            function="LINEAR_EXACT" if half else window.function,
        )
        for window in plane.windows
        if window.table is None
        for half in (0.5 if window.function == "LINEAR" and window.width > 1 else 0.0,)
    ]
    return replace(plane, pixels=pixels, windows=tuple(windows))
