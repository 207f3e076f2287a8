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
from dicomdock.imaging.geometry.pixel_values import (
    PARAMETRIC_MAP,
    RT_DOSE,
    described,
    mapped_to_real_world,
    pixels_of,
)
from dicomdock.imaging.geometry.plane import Plane, Vector
from dicomdock.imaging.geometry.projection import orientation_of, side_of
from dicomdock.imaging.geometry.siemens import is_mosaic, tiles
from dicomdock.imaging.geometry.split_keys import split_keys_of

UNIT_TOLERANCE = 0.01
"""Of a direction's length from 1, and of the cosine between rows and columns: beyond it the header is not a
frame."""

MAX_FRAMES = 100_000  # frames of one instance; a header that claims more would only exhaust memory

_SEGMENTATION = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
WHOLE_SLIDE = (
    "The instance is a tiled whole-slide image, which has no slices; programs for pathology such as QuPath or"
    " Slim show it."
)

_MOSAICS = "The images are mosaics of slices in one instance, which cannot be divided."

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
        pixels=pixels_of(header, sop_class),
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
    base = described(base, [header], text(header, "ImageType"), header)
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
    mapped = text(header, "SOPClassUID") == PARAMETRIC_MAP

    def group(item: Dataset, keyword: str) -> Dataset | None:
        return first(item, keyword) or first(shared, keyword)

    planes = []
    for at, item in enumerate(groups):
        kinds = [found for name in _FRAME_TYPES if (found := group(item, name)) is not None]
        frame_types = [stated for kind in kinds if (stated := text(kind, "FrameType"))]
        image_type = frame_types[0] if frame_types else text(header, "ImageType")
        values = [group(item, "PixelValueTransformationSequence"), group(item, "FrameVOILUTSequence"), header]
        plane = described(replace(base, frame=at + 1), values, image_type, header)
        if mapped:
            plane = mapped_to_real_world(plane, header, group(item, "RealWorldValueMappingSequence"))
        stating = [found for name in _SPLIT_KEY_GROUPS if (found := group(item, name)) is not None]
        plane = replace(plane, split_keys=split_keys_of([*stating, header], image_type))
        orientation = group(item, "PlaneOrientationSequence")
        planes.append(
            _placed(
                plane, group(item, "PlanePositionSequence"), orientation, group(item, "PixelMeasuresSequence")
            )
        )
    return planes


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
    if sop_class == RT_DOSE:
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
