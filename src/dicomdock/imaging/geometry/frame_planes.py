"""Planes of an instance, from its header: single images, enhanced multi-frame, and the multi-frame kinds
before it.

References
----------
PS3.3 §C.7.6.2 (Image Plane), §C.7.6.16 (Multi-frame Functional Groups), §C.8.8.3 (RT Dose), §C.8.4.15 (NM).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, items, number, numbers, rounding, text, written
from dicomdock.imaging.dataset import reading
from dicomdock.imaging.geometry.plane import PixelFormat, Plane, Vector
from dicomdock.imaging.geometry.projection import orientation_of, side_of
from dicomdock.imaging.geometry.siemens import is_mosaic, tiles
from dicomdock.imaging.geometry.split_keys import split_keys_of
from dicomdock.imaging.geometry.windows import is_inverse, windows_of
from dicomdock.imaging.suv import UPTAKE_UNITS, suv_type_of

UNIT_TOLERANCE = 0.01
"""Of a direction's length from 1, and of the cosine between rows and columns: beyond it the header is not a
frame."""

MAX_FRAMES = 100_000  # frames of one instance; a header that claims more would only exhaust memory

_SEGMENTATION = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
WHOLE_SLIDE = (
    "The instance is a tiled whole-slide image, which has no slices; programs for pathology such as QuPath or"
    " Slim show it."
)
_NO_UNITS = ("", "US", "SUV")
"""Rescale Types that state no unit: unspecified, and a word that says neither which SUV nor of what."""

_MOSAICS = "The images are mosaics of slices in one instance, which cannot be divided."

MAX_BITS = 64
"""Bits Allocated are at most this, for double floating point (PS3.3 §C.7.6.3.1)."""

MAX_PIXELS = 65535
"""Rows and columns are unsigned integers of 16 bits (PS3.3 §C.7.6.3.1)."""

_NUCLEAR = "1.2.840.10008.5.1.4.1.1.20"


@reading("The image header")
def planes_of(header: Dataset) -> list[Plane]:
    """Read an instance's planes from its attributes; its pixels need not be there.

    Parameters
    ----------
    header : an image instance, with or without pixel data.

    Raises
    ------
    GeometryError
        It is not an image, or one whose frames form no slices (segmentations, whole-slide images).
    """
    instance = text(header, "SOPInstanceUID")
    sop_class = text(header, "SOPClassUID")
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if not rows or not columns or rows < 0 or columns < 0:
        raise GeometryError(
            f"The instance is not an image: it has no rows and columns ({_kind(header)}).", [instance]
        )
    if max(rows, columns) > MAX_PIXELS:
        raise GeometryError(f"The instance claims {columns} x {rows} pixels.", [instance])
    if sop_class in _SEGMENTATION:
        raise GeometryError(
            "The instance is a segmentation; open it over the series it was drawn on.", [instance]
        )
    if sop_class == _WHOLE_SLIDE:
        raise GeometryError(WHOLE_SLIDE, [instance])
    frames = integer(header, "NumberOfFrames") or 1
    if not 1 <= frames <= MAX_FRAMES:
        raise GeometryError(
            f"The instance claims {frames} frames; at most {MAX_FRAMES} are read.", [instance]
        )
    frame_time, frame_time_by = _frame_time(header)
    base = Plane(
        instance,
        1,
        rows,
        columns,
        frame_of_reference=text(header, "FrameOfReferenceUID"),
        modality=text(header, "Modality"),
        number=integer(header, "InstanceNumber") or 0,
        pixels=_pixels(header, sop_class),
        frame_time=frame_time,
        frame_time_by=frame_time_by,
        orientation=orientation_of(header),
        side=side_of(header),
    )
    groups = items(header, "PerFrameFunctionalGroupsSequence")
    if is_mosaic(header) and (groups or frames > 1):
        base = replace(base, remark=_MOSAICS)
    if groups:
        return _enhanced(header, base, groups[:frames])
    base = _described(base, [header], text(header, "ImageType"), header)
    if frames == 1:
        whole = _placed(base, header, header, header)
        slices, why_none = tiles(whole, header) if is_mosaic(header) else ([whole], "")
        return slices or [_placed(replace(base, remark=why_none), header, header, header)]
    return _classic(header, base, frames, sop_class)


def _kind(header: Dataset) -> str:
    uid = header.get("SOPClassUID")
    return str(getattr(uid, "name", uid)) if uid else "no SOP Class UID"


def _frame_time(header: Dataset) -> tuple[float | None, str]:
    """Return the time between frames, or that of the rate at which they are to be shown (PS3.3 §C.7.6.5).

    The name of the attribute that states it comes with it.
    """
    time = number(header, "FrameTime")
    if time and time > 0:
        return time, "Frame Time"
    for keyword, name in (
        ("RecommendedDisplayFrameRate", "Recommended Display Frame Rate"),
        ("CineRate", "Cine Rate"),
    ):
        rate = number(header, keyword)
        if rate and rate > 0:
            return 1000 / rate, name
    return None, ""


def _pixels(header: Dataset, sop_class: str) -> PixelFormat:
    allocated = integer(header, "BitsAllocated") or 16
    stored = integer(header, "BitsStored") or allocated
    if not (1 <= allocated <= MAX_BITS and stored >= 1):
        raise GeometryError(
            f"The image claims {allocated} bits for a sample, of which {stored} are stored.",
            [text(header, "SOPInstanceUID")],
        )
    samples = integer(header, "SamplesPerPixel") or 1
    dose = number(header, "DoseGridScaling") if sop_class == _RT_DOSE else None
    floating = (sop_class == _PARAMETRIC_MAP and "BitsStored" not in header) or any(
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
    pixels = _pixels(header, text(header, "SOPClassUID"))
    pixels = replace(pixels, floating=pixels.floating or floating)
    plane = Plane("", 1, 1, 1, modality=text(header, "Modality"), pixels=pixels)
    return _described(plane, [header], "", header).pixels


def _described(plane: Plane, places: Sequence[Dataset | None], image_type: str, header: Dataset) -> Plane:
    """Add what the datasets in ``places`` (the nearest first) say about values, windows and kind."""
    pixels = plane.pixels
    # Dose Grid Scaling alone makes a dose of what is stored (PS3.3 §C.8.8.3), whatever rescale is beside it.
    modality = () if text(header, "SOPClassUID") == _RT_DOSE else places
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


def _placed(
    plane: Plane, position: Dataset | None, orientation: Dataset | None, measures: Dataset | None
) -> Plane:
    """Add origin, directions and spacing, as far as the header states them soundly."""
    spacing = numbers(measures, "PixelSpacing", 2)
    calibrated = (
        spacing
        or numbers(measures, "ImagerPixelSpacing", 2)
        or numbers(measures, "NominalScannedPixelSpacing", 2)
    )
    if spacing is None and calibrated is None:
        calibrated = _ultrasound_spacing(measures)
    usable = calibrated if calibrated and min(calibrated) > 0 else None
    thickness = number(measures, "SpacingBetweenSlices") or number(measures, "SliceThickness")
    plane = replace(
        plane,
        spacing=(usable[0], usable[1]) if usable else None,
        thickness=abs(thickness) if thickness else None,
        split_keys=plane.split_keys or split_keys_of([measures]),
    )
    origin = numbers(position, "ImagePositionPatient", 3)
    axes = numbers(orientation, "ImageOrientationPatient", 6)
    if origin is None or axes is None or plane.remark:
        return plane
    along_row, along_column = _unit(axes[:3]), _unit(axes[3:])
    if along_row is None or along_column is None or abs(_dot(along_row, along_column)) > UNIT_TOLERANCE:
        return replace(plane, remark="Image Orientation (Patient) is not two perpendicular unit vectors.")
    if usable is None:
        stated = written(measures, "PixelSpacing")
        why = f"their Pixel Spacing, {stated}, cannot be used" if stated else "state no Pixel Spacing"
        return replace(plane, remark=f"The images have a position in the patient, but {why}.")
    return replace(
        plane,
        origin=(origin[0], origin[1], origin[2]),
        along_row=along_row,
        along_column=along_column,
        rounding=rounding(position, "ImagePositionPatient"),
    )


def _unit(vector: Sequence[float]) -> Vector | None:
    length = math.sqrt(sum(value * value for value in vector))
    if abs(length - 1) > UNIT_TOLERANCE:
        return None
    return (vector[0] / length, vector[1] / length, vector[2] / length)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _ultrasound_spacing(header: Dataset | None) -> tuple[float, float] | None:
    """Return the spacing of the only calibrated region, whose deltas are in centimetres (PS3.3 §C.8.5.5)."""
    regions = items(header, "SequenceOfUltrasoundRegions")
    if (
        len(regions) != 1
        or integer(regions[0], "PhysicalUnitsXDirection") != 3
        or integer(regions[0], "PhysicalUnitsYDirection") != 3
    ):
        return None
    down, across = number(regions[0], "PhysicalDeltaY"), number(regions[0], "PhysicalDeltaX")
    return (abs(down) * 10, abs(across) * 10) if down and across else None


def _enhanced(header: Dataset, base: Plane, groups: Sequence[Dataset]) -> list[Plane]:
    shared = first(header, "SharedFunctionalGroupsSequence")
    mapped = text(header, "SOPClassUID") == _PARAMETRIC_MAP

    def group(item: Dataset, keyword: str) -> Dataset | None:
        return first(item, keyword) or first(shared, keyword)

    planes = []
    for at, item in enumerate(groups):
        kinds = [found for name in _FRAME_TYPES if (found := group(item, name)) is not None]
        frame_types = [stated for kind in kinds if (stated := text(kind, "FrameType"))]
        image_type = frame_types[0] if frame_types else text(header, "ImageType")
        values = [group(item, "PixelValueTransformationSequence"), group(item, "FrameVOILUTSequence"), header]
        plane = _described(replace(base, frame=at + 1), values, image_type, header)
        if mapped:
            plane = _mapped(plane, header, group(item, "RealWorldValueMappingSequence"))
        stating = [found for name in _SPLIT_KEY_GROUPS if (found := group(item, name)) is not None]
        plane = replace(plane, split_keys=split_keys_of([*stating, header], image_type))
        orientation = group(item, "PlaneOrientationSequence")
        planes.append(
            _placed(
                plane, group(item, "PlanePositionSequence"), orientation, group(item, "PixelMeasuresSequence")
            )
        )
    return planes


def _mapped(plane: Plane, header: Dataset, mapping: Dataset | None) -> Plane:
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


_FRAME_TYPES = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XRay3DFrameTypeSequence",
    "ParametricMapFrameTypeSequence",
)
_SPLIT_KEY_GROUPS = (
    "FrameContentSequence",
    "MREchoSequence",
    "MRDiffusionSequence",
    "MRModifierSequence",
    "MRMetaboliteMapSequence",
    "CardiacSynchronizationSequence",
    "TemporalPositionSequence",
    "MRTimingAndRelatedParametersSequence",
    "CTReconstructionSequence",
)


def _classic(header: Dataset, base: Plane, frames: int, sop_class: str) -> list[Plane]:
    """Place the frames of a multi-frame instance of the time before functional groups."""
    plane = _placed(base, header, header, header)
    offsets: Sequence[float] | None = None
    if sop_class == _RT_DOSE:
        offsets = numbers(header, "GridFrameOffsetVector", frames)
        if offsets is not None and plane.origin is not None and offsets[0] != 0:
            # An axial grid may state patient z coordinates in place of offsets (PS3.3 §C.8.8.3.2).
            offsets = [value - offsets[0] for value in offsets]
    elif sop_class == _NUCLEAR and "RECON" in text(header, "ImageType").upper():
        detector = first(header, "DetectorInformationSequence")
        plane = _placed(base, detector, detector, header)
        step = number(header, "SpacingBetweenSlices")
        offsets = [step * at for at in range(frames)] if step else None
    framed = [replace(plane, frame=at + 1) for at in range(frames)]
    if offsets is None or plane.origin is None:
        return [replace(one, origin=None, along_row=None, along_column=None) for one in framed]
    origin, normal = plane.origin, plane.normal
    return [
        replace(one, origin=(origin[0] + normal[0] * d, origin[1] + normal[1] * d, origin[2] + normal[2] * d))
        for one, d in zip(framed, offsets, strict=True)
    ]
