"""Write a Grayscale Softcopy Presentation State: window, displayed area and annotations.

References
----------
PS3.3 §A.33.1 (IOD), §C.11.10 (identification), §C.11.11 (relationship), §C.10.4, §C.10.5, §C.10.7, §C.11.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import integer, text
from dicomdock.imaging.authoring import (
    Authorship,
    begin,
    decimal_string,
    finish,
    next_series_number,
    reference,
    set_laterality,
)
from dicomdock.imaging.presentation_state.state import (
    GREYSCALE,
    Area,
    Frame,
    Graphic,
    Note,
    PresentationState,
)
from dicomdock.imaging.segmentation import content_label

LAYER = "ANNOTATIONS"


def presentation_state_to_dicom(
    state: PresentationState, sources: Sequence[Dataset], *, authorship: Authorship | None = None
) -> Dataset:
    """Write a state of grey images of one study.

    The rescale of the images is written with it, so that its windows are in the images' own units.

    Parameters
    ----------
    state : with images; ``shutter`` is not written.
    sources : the instances of the state, with or without pixels.

    Raises
    ------
    GeometryError
        The state is of colours, there is no image, a source is missing, in colour, of another study or with
        another rescale.
    """
    known = {text(one, "SOPInstanceUID"): one for one in sources}
    if state.color:
        raise GeometryError("Presentation states of images in colour are read, not written.")
    lost = [one.instance for one in state.images if one.instance not in known]
    if lost or not state.images:
        raise GeometryError("A presentation state needs the images that it is for.", lost)
    used = [known[uid] for uid in dict.fromkeys(one.instance for one in state.images)]
    _require_alike(used)
    lead = used[0]
    dataset = Dataset()
    described = authorship or Authorship(
        state.description or "Presentation state",
        next_series_number([lead], offset=800),
        creator=state.creator,
    )
    begin(dataset, GREYSCALE, "PR", lead, described)
    dataset.PresentationCreationDate, dataset.PresentationCreationTime = (
        dataset.ContentDate,
        dataset.ContentTime,
    )
    set_laterality(dataset, lead)
    del dataset.ContentDate, dataset.ContentTime
    dataset.ContentLabel = content_label(state.label)
    dataset.ContentDescription = state.description[:64]
    dataset.ContentCreatorName = described.creator
    dataset.ReferencedSeriesSequence = _series(state.images, known)
    if "RescaleSlope" in lead:
        dataset.RescaleSlope, dataset.RescaleIntercept = lead.RescaleSlope, lead.RescaleIntercept
        dataset.RescaleType = text(lead, "RescaleType") or ("HU" if text(lead, "Modality") == "CT" else "US")
    dataset.DisplayedAreaSelectionSequence = [_area(one, known) for one in _areas(state, used)]
    if state.windows:
        dataset.SoftcopyVOILUTSequence = [*_windows(state, known)]
    dataset.PresentationLUTShape = "INVERSE" if state.inverse else "IDENTITY"
    if state.rotation or state.flipped:
        dataset.ImageRotation = state.rotation
        dataset.ImageHorizontalFlip = "Y" if state.flipped else "N"
    annotations = [*_annotations(state, known)]
    if annotations:
        layer = Dataset()
        layer.GraphicLayer, layer.GraphicLayerOrder = LAYER, 1
        dataset.GraphicAnnotationSequence, dataset.GraphicLayerSequence = annotations, [layer]
    return finish(dataset)


def _require_alike(used: Sequence[Dataset]) -> None:
    for one in used:
        if (integer(one, "SamplesPerPixel") or 1) != 1:
            raise GeometryError(
                "A grayscale presentation state is for grey images.", [text(one, "SOPInstanceUID")]
            )
    for keyword in ("StudyInstanceUID", "RescaleSlope", "RescaleIntercept"):
        if len({text(one, keyword) for one in used}) > 1:
            raise GeometryError(f"The images of a presentation state differ in {keyword}.")


def _series(images: Iterable[Frame], known: Mapping[str, Dataset]) -> list[Dataset]:
    found: dict[str, Dataset] = {}
    for one in images:
        source = known[one.instance]
        item = found.setdefault(text(source, "SeriesInstanceUID"), Dataset())
        item.SeriesInstanceUID = source.SeriesInstanceUID
        item.ReferencedImageSequence = [*item.get("ReferencedImageSequence", []), _named(one, known)]
    return [*found.values()]


def _named(one: Frame, known: Mapping[str, Dataset]) -> Dataset:
    item = reference(known[one.instance])
    if one.frames and "NumberOfFrames" in known[one.instance]:
        item.ReferencedFrameNumber = list(one.frames)
    return item


def _areas(state: PresentationState, used: Sequence[Dataset]) -> Sequence[Area]:
    if state.areas:
        return state.areas
    sizes = dict.fromkeys((int(one.Columns), int(one.Rows)) for one in used)
    if len(sizes) == 1:
        return [Area((1, 1), next(iter(sizes)))]
    return [
        Area((1, 1), (int(one.Columns), int(one.Rows)), images=(Frame(text(one, "SOPInstanceUID")),))
        for one in used
    ]


def _area(area: Area, known: Mapping[str, Dataset]) -> Dataset:
    item = Dataset()
    if area.images:
        item.ReferencedImageSequence = [_named(one, known) for one in area.images]
    item.DisplayedAreaTopLeftHandCorner = [*area.top_left]
    item.DisplayedAreaBottomRightHandCorner = [*area.bottom_right]
    item.PresentationSizeMode = "SCALE TO FIT"
    lead = known[area.images[0].instance] if area.images else next(iter(known.values()))
    spacing = lead.get("PixelSpacing")
    if spacing and len(spacing) == 2:
        item.PresentationPixelSpacing = spacing
    else:
        item.PresentationPixelAspectRatio = [1, 1]
    return item


def _windows(state: PresentationState, known: Mapping[str, Dataset]) -> Iterable[Dataset]:
    for window, images in state.windows:
        if window.table is not None:
            raise GeometryError("A lookup table is not written into a presentation state; choose a window.")
        item = Dataset()
        if images:
            item.ReferencedImageSequence = [_named(one, known) for one in images]
        item.WindowCenter, item.WindowWidth = decimal_string(window.center), decimal_string(window.width)
        if window.name:
            item.WindowCenterWidthExplanation = window.name[:64]
        if window.function != "LINEAR":
            item.VOILUTFunction = window.function
        yield item


def _annotations(state: PresentationState, known: Mapping[str, Dataset]) -> Iterable[Dataset]:
    for images in dict.fromkeys([*(g.images for g in state.graphics), *(n.images for n in state.notes)]):
        item = Dataset()
        if images:
            item.ReferencedImageSequence = [_named(one, known) for one in images]
        item.GraphicLayer = LAYER
        graphics = [_graphic(one) for one in state.graphics if one.images == images]
        notes = [_note(one) for one in state.notes if one.images == images]
        if graphics:
            item.GraphicObjectSequence = graphics
        if notes:
            item.TextObjectSequence = notes
        yield item


def _graphic(graphic: Graphic) -> Dataset:
    item = Dataset()
    item.GraphicAnnotationUnits = "DISPLAY" if graphic.display else "PIXEL"
    item.GraphicDimensions = 2
    item.NumberOfGraphicPoints = len(graphic.points)
    item.GraphicData = [value for point in graphic.points for value in point]
    item.GraphicType = graphic.form
    if graphic.form in ("CIRCLE", "ELLIPSE") or graphic.points[0] == graphic.points[-1]:
        item.GraphicFilled = "Y" if graphic.filled else "N"
    return item


def _note(note: Note) -> Dataset:
    item = Dataset()
    item.UnformattedTextValue = note.text
    item.AnchorPointAnnotationUnits = "DISPLAY" if note.display else "PIXEL"
    item.AnchorPoint = [*note.point]
    item.AnchorPointVisibility = "N"
    return item
