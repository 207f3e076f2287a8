"""Read DICOM Segmentation objects: binary, fractional and label maps, sparse or not.

References
----------
PS3.3 §A.51, §A.51.3 (Segmentation IOD), §C.8.20 (Segmentation modules).
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, items, numbers, text
from dicomdock.imaging.authoring import NOT_AUTHORIZED, contributors_of, undrafted
from dicomdock.imaging.codecs import iter_pixels
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation.frames import Frame, frames_of, grid_of
from dicomdock.imaging.segmentation.label_map import masks_of
from dicomdock.imaging.segmentation.mask import EMPTY, Mask
from dicomdock.imaging.segmentation.segmentation import Algorithm, Origin, Segment, Segmentation
from dicomdock.imaging.segmentation.stacked import has_planes, stacked_frames
from dicomdock.imaging.terminology import TISSUE, Code, Terminology, code_of, colour_for, from_cielab

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"

FRACTION = 0.5
"""Part of the greatest fractional value from which on a voxel counts as belonging to the segment."""

MAX_VOXELS = 1 << 33  # of one segmentation's grid

MOST_SCATTERED, SCATTER = 256 << 20, 64
"""Voxels of the boxes of all segments: so many, or so many times those of the frames."""

_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
_BACKGROUND = Code("125040", "DCM", "Background")


def is_segmentation(header: Dataset) -> bool:
    """Return whether an instance is a DICOM Segmentation."""
    return text(header, "SOPClassUID") in (SEGMENTATION_STORAGE, LABELMAP_STORAGE)


@reading("The segmentation")
def is_draft(dataset: Dataset) -> bool:
    """Return whether a segmentation is what a tool made and nobody has accepted."""
    return text(dataset, "SOPInstanceStatus").upper() == NOT_AUTHORIZED


def read_segmentation(
    instance: Instance,
    *,
    onto: VolumeGeometry | None = None,
    images: Sequence[tuple[str, int] | None] = (),
) -> Segmentation:
    """Read a DICOM Segmentation.

    It keeps its own grid, which may hold fewer slices than the images. With ``onto`` it is put on that grid
    when its voxels are voxels of it; else it keeps its own, and ``Segmentation.onto`` resamples it on wish.
    One that states no positions lies on the images that its frames are derived from, and is not ``spatial``.

    Parameters
    ----------
    instance : a Segmentation Storage or Label Map Segmentation Storage instance.
    onto : the grid of the images it will be shown on.
    images : of a stack without a position in the patient, whose grid is ``onto``: its images in their order,
        as SOP Instance UIDs and 1-based frames. Frames are placed by their images then, whatever positions
        they state.

    Raises
    ------
    GeometryError
        It is not a segmentation, its slices lie on no regular grid or on other images, or it cannot be
        decoded.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    if not is_segmentation(dataset):
        raise GeometryError("The instance is not a DICOM Segmentation.", [uid])
    spatial = not images and has_planes(dataset)
    stack: tuple[tuple[str, int], ...] = ()
    if spatial:
        frames = frames_of(dataset, onto)
        geometry, places = grid_of(frames, onto, uid)
    else:
        frames, geometry, places, stack = stacked_frames(dataset, images, onto if images else None)
    if int(np.prod(geometry.shape, dtype=np.int64)) > MAX_VOXELS:
        raise GeometryError(f"The segmentation claims a grid of {geometry.shape} voxels.", [uid])
    try:
        masks, remarks = _masks(dataset, frames, places, geometry)
    except READ_ERRORS as error:
        raise GeometryError(f"The segmentation cannot be decoded: {error}", [uid]) from error
    remarks += _undescribed(dataset, masks)
    segments = tuple(
        _segment(item, masks.get(integer(item, "SegmentNumber") or 0, EMPTY), at)
        for at, item in segment_items(dataset)
    )
    series, sources = _sources(dataset)
    result = Segmentation(
        geometry,
        segments,
        text(dataset, "FrameOfReferenceUID") if spatial else "",
        series,
        stack or sources,
        origin_of(dataset),
        undrafted(text(dataset, "SeriesDescription")) or text(dataset, "ContentLabel"),
        tuple(remarks),
        is_draft(dataset),
        contributors_of(dataset),
        spatial=spatial,
    )
    if spatial and onto is not None and result.fits(onto):
        return result.onto(onto)
    return result


def segment_items(dataset: Dataset) -> Iterator[tuple[int, Dataset]]:
    """Yield the items of the Segment Sequence that are segments of ``read_segmentation``, in its order.

    Each comes with its place in the sequence, from 1: the background of a label map is left out.
    """
    for at, item in enumerate(items(dataset, "SegmentSequence"), 1):
        if code_of(item, "SegmentedPropertyTypeCodeSequence") != _BACKGROUND:
            yield at, item


def _masks(
    dataset: Dataset, frames: Sequence[Frame], places: Sequence[int], geometry: VolumeGeometry
) -> tuple[dict[int, Mask], list[str]]:
    kind = text(dataset, "SegmentationType").upper()
    if kind == "LABELMAP" or text(dataset, "SOPClassUID") == LABELMAP_STORAGE:
        depth = integer(dataset, "BitsAllocated") or 8
        if int(np.prod(geometry.shape, dtype=np.int64)) * max(1, depth // 8) > _room(frames):
            raise GeometryError(f"The few frames of the label map span {geometry.shape} voxels.")
        labels = np.zeros(geometry.shape, np.uint8 if depth <= 8 else np.uint16)
        for k, pixels in zip(places, _pixels(dataset, frames), strict=True):
            labels[k] = pixels
        return masks_of(labels), []
    threshold = 1
    remarks = []
    if kind == "FRACTIONAL":
        most = integer(dataset, "MaximumFractionalValue") or 255
        threshold = max(1, int(np.ceil(most * FRACTION)))
        words = text(dataset, "SegmentationFractionalType").lower() or "fraction"
        remarks.append(f"The segmentation is fractional; a {words} of {FRACTION:.0%} or more is shown.")
    found: dict[int, dict[int, npt.NDArray[np.bool_]]] = defaultdict(dict)
    for frame, k, pixels in zip(frames, places, _pixels(dataset, frames), strict=True):
        inside = pixels >= threshold
        planes = found[frame.segment]
        planes[k] = planes[k] | inside if k in planes else inside
    masks = {}
    room = _room(frames)
    for segment, planes in found.items():
        masks[segment] = Mask.of_slices(planes, most=room)
        room -= masks[segment].array.size
    return masks, remarks


def _undescribed(dataset: Dataset, masks: Mapping[int, Mask]) -> Iterator[str]:
    """Return a sentence for each segment that has voxels and is not in the Segment Sequence."""
    described = {integer(item, "SegmentNumber") or 0 for item in items(dataset, "SegmentSequence")}
    for number, mask in sorted(masks.items()):
        if number not in described and mask.count:
            voxels = f"{mask.count:,} voxels of segment {number}"
            yield f"{voxels}, which the object does not describe, are left out."


def _room(frames: Sequence[Frame]) -> int:
    """Return how many voxels the boxes of all segments may hold together."""
    rows, columns = frames[0].shape
    return max(MOST_SCATTERED, SCATTER * len(frames) * rows * columns)


def _pixels(dataset: Dataset, frames: Sequence[Frame]) -> Iterator[npt.NDArray[Any]]:
    """Return the stored numbers of every frame."""
    rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == _DEFLATED_FRAMES:
        size = (rows * columns * bits + 7) // 8
        for data in generate_frames(dataset.PixelData, number_of_frames=len(frames)):
            inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size)
            if bits == 1:
                yield _unpacked(inflated, 0, rows, columns)
            else:
                yield np.frombuffer(inflated, f"<u{bits // 8}").reshape(rows, columns)
    elif bits == 1 and not syntax.is_encapsulated:
        for at in range(len(frames)):
            yield _unpacked(dataset.PixelData, at, rows, columns)
    else:
        yield from iter_pixels(dataset, raw=True, allow_excess_frames=False)


def _unpacked(data: bytes, at: int, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Return one frame of packed bits; frames follow each other without padding (PS3.5 §8.1.1)."""
    begin, size = at * rows * columns, rows * columns
    packed = np.frombuffer(data, np.uint8)[begin // 8 : (begin + size + 7) // 8]
    bits = np.unpackbits(packed, bitorder="little")[begin % 8 : begin % 8 + size]
    return bits.reshape(rows, columns)


def _segment(item: Dataset, mask: Mask, at: int) -> Segment:
    category = code_of(item, "SegmentedPropertyCategoryCodeSequence")
    kind = code_of(item, "SegmentedPropertyTypeCodeSequence")
    kind_item = first(item, "SegmentedPropertyTypeCodeSequence")
    region_item = first(item, "AnatomicRegionSequence")
    terminology = Terminology(
        category or TISSUE,
        kind or TISSUE,
        code_of(kind_item, "SegmentedPropertyTypeModifierCodeSequence"),
        code_of(item, "AnatomicRegionSequence"),
        code_of(region_item, "AnatomicRegionModifierSequence"),
    )
    colour = numbers(item, "RecommendedDisplayCIELabValue", 3)
    stated = text(item, "SegmentAlgorithmType").upper()
    algorithm: Algorithm = "AUTOMATIC" if stated == "AUTOMATIC" else "MANUAL"
    if stated == "SEMIAUTOMATIC":
        algorithm = "SEMIAUTOMATIC"
    return Segment(
        text(item, "SegmentLabel") or terminology.words,
        mask,
        terminology,
        from_cielab(colour) if colour else colour_for(terminology, at),
        algorithm,
        text(item, "SegmentAlgorithmName"),
        text(item, "SegmentDescription"),
        text(item, "TrackingID"),
        text(item, "TrackingUID"),
    )


def _sources(dataset: Dataset) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return the series, instances and frames that a segmentation refers to."""
    series = first(dataset, "ReferencedSeriesSequence")
    whole = [text(item, "ReferencedSOPInstanceUID") for item in items(series, "ReferencedInstanceSequence")]
    frames = {
        (text(source, "ReferencedSOPInstanceUID"), integer(source, "ReferencedFrameNumber") or 0): None
        for group in items(dataset, "PerFrameFunctionalGroupsSequence")
        for derivation in items(group, "DerivationImageSequence")
        for source in items(derivation, "SourceImageSequence")
    }
    framed = {instance for instance, _ in frames}
    frames.update({(uid, 0): None for uid in whole if uid not in framed})
    return text(series, "SeriesInstanceUID"), tuple(frames)


def origin_of(dataset: Dataset, label: str = "ContentLabel") -> Origin:
    """Return what names the object that a segmentation was read from.

    Parameters
    ----------
    label : keyword of the attribute that holds its label.
    """
    return Origin(
        text(dataset, "SOPClassUID"),
        text(dataset, "SOPInstanceUID"),
        text(dataset, "SeriesInstanceUID"),
        integer(dataset, "SeriesNumber") or 1,
        integer(dataset, "InstanceNumber") or 1,
        text(dataset, "SeriesDescription"),
        text(dataset, label),
    )
