"""Write DICOM Segmentation objects: binary (every reader knows them) or label maps.

References
----------
PS3.3 §A.51, §A.51.3 (Segmentation IOD), §C.8.20 (Segmentation modules).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicomdock.dicom.uid import new_uid
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, items, text
from dicomdock.imaging.authoring import (
    AUTHORIZED,
    MOST_LETTERS,
    NOT_AUTHORIZED,
    Authorship,
    begin,
    contribute,
    drafted,
    finish,
    named_version,
    next_series_number,
    surrogate_series,
    undrafted,
)
from dicomdock.imaging.segmentation.segmentation import Segment, Segmentation
from dicomdock.imaging.segmentation.stacked import take_planes_out
from dicomdock.imaging.source_images import Placed, place_sources, stack_sources
from dicomdock.imaging.terminology import Code, code_item, to_cielab

Kind = Literal["BINARY", "LABELMAP"]

EARLIER_VERSION = Code("EARLIER_VERSION", "99DICOMDOCK", "Earlier version of this object")

COMPRESSIONS = {
    "none": ExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg2000": JPEG2000Lossless,
    "jpegls": JPEGLSLossless,
}
"""Transfer syntaxes of a label map, by name; ``jpegls`` is the smallest, ``rle`` is read by most programs."""

NAMED = 3  # segments that the description of a series names
_NUMBERED = re.compile(r"Segment \d+")

MAX_BYTES = 8 << 30  # of the array that overlapping segments take while they are written


def segmentation_to_dicom(
    segmentation: Segmentation,
    sources: Sequence[Dataset],
    *,
    kind: Kind = "BINARY",
    compression: str = "rle",
    authorship: Authorship | None = None,
    accepted_by: str = "",
) -> Dataset:
    """Write a segmentation as a DICOM object that belongs to the study of its images.

    A segmentation that was read from a SEG becomes a new version of it: the same series number and label, the
    version in its description, the instance number counted on, and a reference to the version before. It goes
    to a series of its own, because a series belongs to the equipment that made it.

    Parameters
    ----------
    segmentation : at least one segment; segments without voxels are written too.
    sources : the instances of the series it was drawn on, with or without pixels.
    kind : ``BINARY`` is read everywhere; ``LABELMAP`` is small with many segments, which must not overlap.
    compression : of a label map: ``none``, ``rle``, ``jpeg2000`` or ``jpegls``.
    authorship : how it presents itself; else made from the version before, or from the source series.
    accepted_by : the person who has accepted what a tool made; it is then no draft.

    Raises
    ------
    GeometryError
        There is no segment, segments overlap in a label map, or the sources are other images.
    """
    import highdicom as hd

    if not segmentation.segments:
        raise GeometryError("A segmentation without segments cannot be written.")
    if not sources:
        raise GeometryError("A segmentation needs the images it was drawn on.")
    overlapping = segmentation.overlapping
    if overlapping and kind == "LABELMAP":
        raise GeometryError("Segments overlap, which a label map cannot hold; write it as BINARY.")
    authorship = authorship or _successor(segmentation, sources)
    frames = segmentation.source_frames
    if segmentation.spatial:
        placed = place_sources(segmentation.geometry, sources, preferred=frames)
        placed.require_frame_of_reference()
    else:
        placed = stack_sources(segmentation.geometry, sources, frames)
    used = _used_slices(segmentation)
    syntax = COMPRESSIONS[compression] if kind == "LABELMAP" else ExplicitVRLittleEndian
    try:
        dataset = hd.seg.Segmentation(
            source_images=placed.surrogates(),
            pixel_array=_pixels(segmentation, used, overlapping=overlapping),
            segmentation_type=kind,
            segment_descriptions=[
                _description(hd, one, at) for at, one in enumerate(segmentation.segments, 1)
            ],
            **surrogate_series(),
            content_label=content_label(authorship.label),
            content_description=authorship.description or segmentation.name or None,
            transfer_syntax_uid=syntax,
            **_spatial(hd, segmentation, used),
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise GeometryError(f"The segmentation cannot be written: {error}") from error
    return _completed(dataset, segmentation, placed, authorship, str(syntax), accepted_by)


def content_label(name: str) -> str:
    """Return a Content Label of what is wanted: capitals, digits, blank and underscore, 16 characters."""
    label = re.sub(r"[^A-Z0-9_ ]+", "_", name.upper()).strip("_ ")[:16]
    return label or "SEGMENTATION"


def earlier_version_of(dataset: Dataset) -> str:
    """Return the SOP Instance UID of the version that an object was made from; empty where it names none."""
    for item in items(dataset, "ReferencedInstanceSequence"):
        purpose = first(item, "PurposeOfReferenceCodeSequence")
        if purpose is not None and text(purpose, "CodeValue") == EARLIER_VERSION.value:
            return text(item, "ReferencedSOPInstanceUID")
    return ""


def _successor(segmentation: Segmentation, sources: Sequence[Dataset]) -> Authorship:
    before = segmentation.origin
    if before is None:
        named = segmentation.name or named_by(segmentation.segments) or "Segmentation"
        return Authorship(named, next_series_number(sources), description=segmentation.name)
    version = before.instance_number + 1
    return Authorship(
        named_version(before.series_description or "Segmentation", version),
        max(before.series_number, 1),
        instance_number=version,
        label=before.label or "SEGMENTATION",
        description=segmentation.name,
    )


def named_by(segments: Sequence[Segment]) -> str:
    """Return a description by the names of segments; empty where they have none of their own."""
    labels = [label for one in segments if (label := one.label.strip()) and not _NUMBERED.fullmatch(label)]
    if not labels:
        return ""
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return f"{', '.join(labels[:NAMED])}"[: MOST_LETTERS - len(more)] + more


def _used_slices(segmentation: Segmentation) -> range:
    """Return the slices from the first to the last that holds something; the first one where none does."""
    boxes = [one.mask for one in segmentation.segments if one.mask.array.size]
    if not boxes:
        return range(1)
    return range(min(box.start[0] for box in boxes), max(box.stop[0] for box in boxes))


def _pixels(segmentation: Segmentation, used: range, *, overlapping: bool) -> npt.NDArray[Any]:
    _, rows, columns = segmentation.shape
    part = slice(used.start, used.stop)
    if not overlapping:
        return segmentation.to_array()[part]
    shape = (len(used), rows, columns, len(segmentation.segments))
    if int(np.prod(shape, dtype=np.int64)) > MAX_BYTES:
        raise GeometryError("So many overlapping segments need more memory than there is.")
    pixels = np.zeros(shape, np.uint8)
    for at, segment in enumerate(segmentation.segments):
        (k, j, i) = segment.mask.box
        pixels[k.start - used.start : k.stop - used.start, j, i, at] = segment.mask.array
    return pixels


def _spatial(hd: Any, segmentation: Segmentation, used: range) -> dict[str, Any]:
    """Return each slice's position: exactly where the segmentation's own grid has it."""
    geometry = segmentation.geometry
    directions = geometry.directions
    _, rows, columns = geometry.spacing
    normal = np.cross(directions[:, 2], directions[:, 1])
    between = abs(float(geometry.affine[:3, 0] @ normal))
    corners = geometry.to_lps([[k, 0, 0] for k in used])
    return {
        "plane_orientation": hd.PlaneOrientationSequence(
            "PATIENT", [float(value) for value in (*directions[:, 2], *directions[:, 1])]
        ),
        "plane_positions": [
            hd.PlanePositionSequence("PATIENT", [float(v) for v in corner]) for corner in corners
        ],
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=[rows, columns], slice_thickness=between, spacing_between_slices=between
        ),
    }


def _description(hd: Any, segment: Segment, number: int) -> Any:  # of a package that is imported late
    words = segment.terminology
    algorithm = None
    if segment.algorithm != "MANUAL":
        algorithm = hd.AlgorithmIdentificationSequence(
            name=(segment.algorithm_name or "unknown")[:64],
            family=Code("123109", "DCM", "Manual Processing"),
            version="-",
        )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=(segment.label or f"Segment {number}")[:64],
        segmented_property_category=words.category,
        segmented_property_type=words.kind,
        algorithm_type=segment.algorithm,
        algorithm_identification=algorithm,
        tracking_uid=segment.tracking_uid or new_uid(),
        tracking_id=segment.tracking_id or segment.label or f"Segment {number}",
        anatomic_regions=[words.region] if words.region is not None else None,
        display_color=hd.color.CIELabColor.from_dicom_value(to_cielab(segment.colour)),
    )


def _completed(
    made: Dataset,
    segmentation: Segmentation,
    placed: Placed,
    authorship: Authorship,
    syntax: str,
    accepted_by: str,
) -> Dataset:
    """Add what highdicom leaves out: our patient, study and equipment, modifiers, and the version before."""
    dataset = Dataset()
    begin(dataset, text(made, "SOPClassUID"), "SEG", placed.headers[0], authorship)
    for element in made:
        if element.keyword not in dataset:
            dataset.add(element)
    placed.resolve(dataset)
    if not segmentation.spatial:
        take_planes_out(dataset, placed.headers)
    dataset.ContentCreatorName = authorship.creator or segmentation.creator
    _authorize(dataset, segmentation, accepted_by)
    for item, segment in zip(_described(dataset), segmentation.segments, strict=True):
        # The family of the algorithm is not known, and the sequence is optional; its name stays in the
        # segment.
        if "SegmentationAlgorithmIdentificationSequence" in item:
            del item.SegmentationAlgorithmIdentificationSequence
        if segment.description:
            item.SegmentDescription = segment.description[:1024]
        if segment.terminology.modifier is not None:
            kind = item.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = [code_item(segment.terminology.modifier)]
        if segment.terminology.region is not None and segment.terminology.region_modifier is not None:
            region = item.AnatomicRegionSequence[0]
            region.AnatomicRegionModifierSequence = [code_item(segment.terminology.region_modifier)]
    if segmentation.origin is not None:
        before = Dataset()
        before.ReferencedSOPClassUID = segmentation.origin.sop_class
        before.ReferencedSOPInstanceUID = segmentation.origin.instance
        before.PurposeOfReferenceCodeSequence = [code_item(EARLIER_VERSION)]
        dataset.ReferencedInstanceSequence = [before]
    return finish(dataset, syntax)


def _authorize(dataset: Dataset, segmentation: Segmentation, accepted_by: str) -> None:
    """State who contributed, and whether a person has accepted it (PS3.3 §C.12.1, SOP Instance Status)."""
    if segmentation.contributors:
        contribute(dataset, segmentation.contributors)
    if accepted_by:
        dataset.SOPInstanceStatus = AUTHORIZED
        dataset.SOPAuthorizationDateTime = f"{dataset.ContentDate}{dataset.ContentTime}"
        dataset.SOPAuthorizationComment = f"Accepted by {accepted_by}"
        dataset.SeriesDescription = undrafted(dataset.SeriesDescription)
    elif segmentation.draft:
        dataset.SOPInstanceStatus = NOT_AUTHORIZED
        dataset.SeriesDescription = drafted(dataset.SeriesDescription)


def _described(dataset: Dataset) -> list[Dataset]:
    """Return the items of our segments: a label map has one more, for the background."""
    return [item for item in dataset.SegmentSequence if int(item.SegmentNumber) > 0]
