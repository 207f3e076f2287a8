"""Segmentations of images without a position in the patient: their frames lie on images, not in a space.

Such an object has no Frame of Reference and states no planes; a frame's pixels are those of the image that it
is derived from.

References
----------
PS3.3 §A.51.5 (Segmentation Functional Group Macros), §C.7.6.16.2.6 (Derivation Image).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, items, numbers, text
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.geometry.projection import orientation_of
from dicomdock.imaging.segmentation.frames import Frame, functional_groups, segment_number

Image = tuple[str, int]
"""SOP Instance UID and 1-based frame; frame 0 where it is not named."""

STACK = "1"
"""Stack ID of the images of an object; it has one stack."""


def has_planes(dataset: Dataset) -> bool:
    """Return whether any frame of an object with functional groups states a position."""
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    return any(
        first(one, name) is not None
        for one in (shared, *groups)
        for name in ("PlanePositionSequence", "PlanePositionSlideSequence")
    )


def stacked_frames(
    dataset: Dataset, images: Sequence[Image | None], onto: VolumeGeometry | None
) -> tuple[list[Frame], VolumeGeometry, list[int], tuple[Image, ...]]:
    """Place the frames of an object on the images that they are derived from.

    Parameters
    ----------
    images : the images of a stack in its order; none for the images that the object itself names.
    onto : the grid of that stack.

    Returns
    -------
    The frames, the grid of the stack, the slice k of each frame, and the image of each slice.

    Raises
    ------
    GeometryError
        A frame names no image or one that is not in the stack, or has another size.
    """
    uid = text(dataset, "SOPInstanceUID")
    shared, groups, shape = functional_groups(dataset)
    if onto is not None and onto.shape[1:] != shape:
        raise GeometryError("The segmentation has another number of rows or columns than its images.", [uid])
    drawn = [_image_of(group, shared, dataset, uid) for group in groups]
    known = [one for one in images if one is not None] or _in_order(drawn)
    places = _places(drawn, known, uid)
    if onto is None:
        measures = first(groups[0], "PixelMeasuresSequence") or first(shared, "PixelMeasuresSequence")
        spacing = numbers(measures, "PixelSpacing", 2)
        rows, columns = spacing if spacing is not None and min(spacing) > 0 else (1.0, 1.0)
        onto = VolumeGeometry.of_stack((len(known), *shape), rows, columns)
    frames = [
        Frame(segment_number(group, shared), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), None, shape)
        for group in groups
    ]
    return frames, onto, places, tuple(known)


def frames_on_images(dataset: Dataset) -> dict[tuple[int, Image], int]:
    """Return the 1-based frame of an object for each segment and image; a single frame is also frame 1.

    Raises
    ------
    GeometryError
        A frame names no image.
    """
    shared, groups, _ = functional_groups(dataset)
    found: dict[tuple[int, Image], int] = {}
    for number, group in enumerate(groups, 1):
        instance, frame = _image_of(group, shared, dataset, text(dataset, "SOPInstanceUID"))
        found[segment_number(group, shared), (instance, frame or 1)] = number
    return found


def take_planes_out(dataset: Dataset, headers: Sequence[Dataset]) -> None:
    """Take the planes out of an object that was made on the grid of a stack; its frames are numbered instead.

    The Dimension Index goes by In-Stack Position Number where it went by Image Position (Patient).

    Parameters
    ----------
    headers : of the images; Patient Orientation is theirs, where all have the same.
    """
    for name in ("FrameOfReferenceUID", "PositionReferenceIndicator", "DimensionOrganizationType"):
        dataset.pop(name, None)
    dataset.PatientOrientation = _common_orientation(headers)
    for item in dataset.SharedFunctionalGroupsSequence:
        for name in ("PlaneOrientationSequence", "PixelMeasuresSequence", "PlanePositionSequence"):
            item.pop(name, None)
    by_position = Tag("ImagePositionPatient")
    at = None
    for number, item in enumerate(dataset.DimensionIndexSequence):
        if item.DimensionIndexPointer == by_position:
            at = number
            item.DimensionIndexPointer = Tag("InStackPositionNumber")
            item.FunctionalGroupPointer = Tag("FrameContentSequence")
            item.DimensionDescriptionLabel = "In-Stack Position Number"
    assert at is not None, "an object of planes is indexed by their position"
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.pop("PlanePositionSequence", None)
        content = group.FrameContentSequence[0]
        content.StackID = STACK
        indices = content.DimensionIndexValues
        content.InStackPositionNumber = indices if isinstance(indices, int) else indices[at]


def _common_orientation(headers: Sequence[Dataset]) -> list[str]:
    """Return the Patient Orientation of all images; empty, which the standard allows, where they differ."""
    stated = {orientation_of(one) for one in headers}
    return list(stated.pop() or ()) if len(stated) == 1 else []


def _image_of(group: Dataset, shared: Dataset | None, dataset: Dataset, uid: str) -> Image:
    """Return the image that a frame is derived from; the only one of the object where it names none."""
    for place in (group, shared):
        for derivation in items(place, "DerivationImageSequence"):
            for source in items(derivation, "SourceImageSequence"):
                named = text(source, "ReferencedSOPInstanceUID")
                return named, integer(source, "ReferencedFrameNumber") or 0
    series = items(dataset, "ReferencedSeriesSequence")
    whole = [one for each in series for one in items(each, "ReferencedInstanceSequence")]
    if len(whole) != 1:
        raise GeometryError("A frame of the segmentation names no image that it was drawn on.", [uid])
    return text(whole[0], "ReferencedSOPInstanceUID"), 0


def _in_order(drawn: Sequence[Image]) -> list[Image]:
    """Return images once each: instances as they come, the frames of each by their numbers."""
    instances = {instance: at for at, instance in enumerate(dict.fromkeys(one[0] for one in drawn))}
    return sorted(set(drawn), key=lambda one: (instances[one[0]], one[1]))


def _places(drawn: Sequence[Image], known: Sequence[Image], uid: str) -> list[int]:
    """Return the slice of each image; one that names no frame is the only one of its instance."""
    slices = {one: k for k, one in enumerate(known)}
    frames = Counter(instance for instance, _ in known)
    slices.update({(one[0], 0): k for k, one in enumerate(known) if frames[one[0]] == 1})
    places = [slices.get(one) for one in drawn]
    if None in places:
        raise GeometryError("The segmentation was drawn on images that are not among these.", [uid])
    return [k for k in places if k is not None]
