"""Read presentation states of grey and of colour images, also those of other programs.

References
----------
PS3.3 §C.10.4 (Displayed Area), §C.10.5 (Graphic Annotation), §C.10.6 (Spatial Transformation), §C.7.6.11
(Display Shutter), §C.7.6.15 (Bitmap Display Shutter), §C.11.8 (Softcopy VOI LUT), §C.11.11 (Presentation
State Relationship).
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import integer, items, number, numbers, text, texts
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry.windows import is_inverse, windows_of
from dicomdock.imaging.overlays import overlay_of
from dicomdock.imaging.presentation_state.state import (
    COLOR,
    READABLE,
    Area,
    Frame,
    Graphic,
    Note,
    PresentationState,
    Shutter,
)
from dicomdock.imaging.terminology import from_cielab

_NOT_APPLIED = {
    "ModalityLUTSequence": "a modality lookup table",
    "PresentationLUTSequence": "a presentation lookup table",
    "MaskSubtractionSequence": "a mask subtraction",
}


def is_presentation_state(header: Dataset) -> bool:
    """Return whether an instance is a Grayscale or Color Softcopy Presentation State."""
    return text(header, "SOPClassUID") in READABLE


@reading("The presentation state")
def read_presentation_state(instance: Instance) -> PresentationState:
    """Read a Grayscale or Color Softcopy Presentation State.

    What is not applied (lookup tables, ICC profiles) is named in ``remarks``.

    Raises
    ------
    GeometryError
        It is none.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    if not is_presentation_state(dataset):
        raise GeometryError("The instance is not a Grayscale or Color Softcopy Presentation State.", [uid])
    graphics: list[Graphic] = []
    notes: list[Note] = []
    for layer in items(dataset, "GraphicAnnotationSequence"):
        images = _images(layer)
        graphics += _graphics(layer, images)
        notes += _notes(layer, images)
    windows = [
        (found[0], _images(item))
        for item in items(dataset, "SoftcopyVOILUTSequence")
        if (found := windows_of(item, dataset))
    ]
    shutter, color = read_shutter(dataset), text(dataset, "SOPClassUID") == COLOR
    left_out = [words for keyword, words in _NOT_APPLIED.items() if keyword in dataset]
    if "BITMAP" in texts(dataset, "ShutterShape") and (shutter is None or shutter.bitmap is None):
        left_out.append("a bitmap shutter without its bitmap")
    if color and "ICCProfile" in dataset and text(dataset, "ColorSpace") != "SRGB":
        left_out.append("an ICC profile")
    slope = number(dataset, "RescaleSlope")
    return PresentationState(
        images=tuple(_referenced(dataset)),
        label=text(dataset, "ContentLabel"),
        description=text(dataset, "ContentDescription"),
        creator=text(dataset, "ContentCreatorName"),
        windows=tuple(windows),
        areas=tuple(_areas(dataset)),
        graphics=tuple(graphics),
        notes=tuple(notes),
        shutter=shutter,
        inverse=not color and is_inverse(dataset),
        rotation=(integer(dataset, "ImageRotation") or 0) % 360,
        flipped=text(dataset, "ImageHorizontalFlip") == "Y",
        slope=1.0 if slope is None else slope,
        intercept=number(dataset, "RescaleIntercept") or 0.0,
        color=color,
        instance=uid,
        remarks=tuple(f"The presentation state has {one}, which is not applied." for one in left_out),
    )


def _referenced(dataset: Dataset) -> Iterator[Frame]:
    for series in items(dataset, "ReferencedSeriesSequence"):
        for one in _images(series):
            yield Frame(one.instance, one.frames, text(series, "SeriesInstanceUID"))


def _images(item: Dataset) -> tuple[Frame, ...]:
    found = []
    for one in items(item, "ReferencedImageSequence"):
        frames = numbers_of(one, "ReferencedFrameNumber")
        found.append(Frame(text(one, "ReferencedSOPInstanceUID"), tuple(int(n) for n in frames)))
    return tuple(found)


def numbers_of(item: Dataset, keyword: str) -> tuple[float, ...]:
    """Return the numbers of an attribute; empty where it is absent."""
    return numbers(item, keyword) or ()


def _areas(dataset: Dataset) -> Iterator[Area]:
    for item in items(dataset, "DisplayedAreaSelectionSequence"):
        begin = numbers_of(item, "DisplayedAreaTopLeftHandCorner")
        end = numbers_of(item, "DisplayedAreaBottomRightHandCorner")
        if len(begin) == len(end) == 2:
            yield Area(
                (int(begin[0]), int(begin[1])),
                (int(end[0]), int(end[1])),
                text(item, "PresentationSizeMode"),
                _images(item),
            )


def _graphics(layer: Dataset, images: tuple[Frame, ...]) -> Iterator[Graphic]:
    for item in items(layer, "GraphicObjectSequence"):
        data = numbers_of(item, "GraphicData")
        points = tuple(zip(data[::2], data[1::2], strict=False))
        if points:
            yield Graphic(
                text(item, "GraphicType"),
                points,
                text(item, "GraphicFilled") == "Y",
                text(item, "GraphicAnnotationUnits") == "DISPLAY",
                images,
            )


def _notes(layer: Dataset, images: tuple[Frame, ...]) -> Iterator[Note]:
    for item in items(layer, "TextObjectSequence"):
        anchor = numbers_of(item, "AnchorPoint")
        corner = numbers_of(item, "BoundingBoxTopLeftHandCorner")
        at, units = (
            (anchor, "AnchorPointAnnotationUnits")
            if len(anchor) == 2
            else (corner, "BoundingBoxAnnotationUnits")
        )
        if len(at) == 2:
            yield Note(
                text(item, "UnformattedTextValue"), (at[0], at[1]), text(item, units) == "DISPLAY", images
            )


def read_shutter(dataset: Dataset) -> Shutter | None:
    """Return the shutter of a presentation state or of an image; None where it has none."""
    kinds = texts(dataset, "ShutterShape")
    box = circle = None
    corners: tuple[tuple[float, float], ...] = ()
    if "RECTANGULAR" in kinds:
        left, right = (
            integer(dataset, "ShutterLeftVerticalEdge"),
            integer(dataset, "ShutterRightVerticalEdge"),
        )
        top, low = (
            integer(dataset, "ShutterUpperHorizontalEdge"),
            integer(dataset, "ShutterLowerHorizontalEdge"),
        )
        if left is not None and right is not None and top is not None and low is not None:
            box = (left, right, top, low)
    if "CIRCULAR" in kinds:
        centre, radius = (
            numbers_of(dataset, "CenterOfCircularShutter"),
            number(dataset, "RadiusOfCircularShutter"),
        )
        if len(centre) == 2 and radius is not None:
            circle = (centre[0], centre[1], radius)
    if "POLYGONAL" in kinds:
        data = numbers_of(dataset, "VerticesOfThePolygonalShutter")
        corners = tuple(zip(data[::2], data[1::2], strict=False))
    bitmap = None
    if "BITMAP" in kinds:
        bitmap = overlay_of(dataset, integer(dataset, "ShutterOverlayGroup") or 0)
        bitmap = bitmap if bitmap is not None and bitmap.data else None
    if box is None and circle is None and not corners and bitmap is None:
        return None
    grey, color = integer(dataset, "ShutterPresentationValue"), None
    if lab := numbers(dataset, "ShutterPresentationColorCIELabValue", 3):
        color = from_cielab(lab)
        grey = int(lab[0]) if grey is None else grey  # lightness is even to the eye, as grey on displays is
    return Shutter(box, circle, corners, bitmap, grey or 0, color)
