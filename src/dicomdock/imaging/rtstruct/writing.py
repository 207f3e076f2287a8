"""Write segmentations as RT Structure Sets: the outlines of each segment's pixels on each slice.

References
----------
PS3.3 §A.19 (RT Structure Set IOD), §C.8.8.5, §C.8.8.6, §C.8.8.8 (Structure Set, ROI Contour, RT ROI
Observations).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import text
from dicomdock.imaging.authoring import (
    Authorship,
    begin,
    decimal_string,
    finish,
    named_version,
    next_series_number,
    reference,
)
from dicomdock.imaging.rtstruct.polygons import keyholes, trace
from dicomdock.imaging.rtstruct.reading import RT_STRUCTURE_SET
from dicomdock.imaging.segmentation import Segment, Segmentation, named_by
from dicomdock.imaging.source_images import Placed, place_sources
from dicomdock.imaging.terminology import TISSUE, code_item

_STUDY_REFERENCE = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, which the attribute still asks for


def structures_to_dicom(
    segmentation: Segmentation, sources: Sequence[Dataset], *, authorship: Authorship | None = None
) -> Dataset:
    """Write a segmentation as an RT Structure Set that refers to its images.

    Outlines follow the edges of the pixels, so that whoever fills them gets the same voxels. Holes are
    joined to the outline around them by keyholes: readers that know ``CLOSED_PLANAR`` alone, as many do, see
    them too.

    Parameters
    ----------
    segmentation : on the grid of the images.
    sources : the instances of the series it was drawn on, with or without pixels.

    Raises
    ------
    GeometryError
        There is no segment, or the segmentation does not lie on the images' slices.
    """
    if not segmentation.segments:
        raise GeometryError("A segmentation without segments cannot be written.")
    if not sources:
        raise GeometryError("A structure set needs the images it was drawn on.")
    placed = place_sources(segmentation.geometry, sources, preferred=segmentation.source_frames)
    if not placed.slices:
        raise GeometryError(
            "The segmentation does not lie on slices of the images; put it onto their grid first."
        )
    images = {text(header, "SOPInstanceUID"): header for header in placed.headers}
    lead = placed.headers[0]
    frame = text(lead, "FrameOfReferenceUID") or segmentation.frame_of_reference
    if not frame:
        raise GeometryError("The source images state no frame of reference.", list(images))
    dataset = Dataset()
    described = authorship or _presented(segmentation, sources)
    begin(dataset, RT_STRUCTURE_SET, "RTSTRUCT", lead, described)
    del dataset.ContentDate, dataset.ContentTime
    dataset.OperatorsName = described.creator
    dataset.StructureSetLabel = described.label[:16]
    if described.description:
        dataset.StructureSetDescription = described.description[:1024]
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = UID(frame), ""
    dataset.ReferencedFrameOfReferenceSequence = [_references(placed, frame)]
    numbered = list(enumerate(segmentation.segments, 1))
    dataset.StructureSetROISequence = [_roi(one, number, frame) for number, one in numbered]
    dataset.ROIContourSequence = [
        _contours(segmentation, one, number, placed, images) for number, one in numbered
    ]
    dataset.RTROIObservationsSequence = [_observation(one, number) for number, one in numbered]
    dataset.ApprovalStatus = "UNAPPROVED"
    return finish(dataset)


def _presented(segmentation: Segmentation, sources: Sequence[Dataset]) -> Authorship:
    before = segmentation.origin
    if before is None:
        named = segmentation.name or named_by(segmentation.segments) or "Structures"
        return Authorship(named, next_series_number(sources, offset=500), label="STRUCTURES")
    version = before.instance_number + 1
    return Authorship(
        named_version(before.series_description or "Structures", version),
        max(before.series_number, 1),
        instance_number=version,
        label=before.label or "STRUCTURES",
    )


def _references(placed: Placed, frame: str) -> Dataset:
    lead = placed.headers[0]
    series = Dataset()
    series.SeriesInstanceUID = lead.SeriesInstanceUID
    series.ContourImageSequence = [reference(header) for header in placed.headers]
    study = Dataset()
    study.ReferencedSOPClassUID = UID(_STUDY_REFERENCE)
    study.ReferencedSOPInstanceUID = lead.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    item = Dataset()
    item.FrameOfReferenceUID = UID(frame)
    item.RTReferencedStudySequence = [study]
    return item


def _roi(segment: Segment, number: int, frame: str) -> Dataset:
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = UID(frame)
    item.ROIName = segment.label[:64]
    if segment.description:
        item.ROIDescription = segment.description[:1024]
    item.ROIGenerationAlgorithm = segment.algorithm
    return item


def _contours(
    segmentation: Segmentation, segment: Segment, number: int, placed: Placed, images: dict[str, Dataset]
) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(segment.colour)
    mask = segment.mask
    traced = [
        (mask.start[0] + at, keyholes(trace(plane))) for at, plane in enumerate(mask.array) if plane.any()
    ]
    contours: list[Dataset] = []
    for k, loops in traced:
        for loop in loops:
            contour = Dataset()
            if k in placed.slices:
                instance, frame = placed.slices[k]
                image = reference(images[instance])
                if "NumberOfFrames" in images[instance]:
                    image.ReferencedFrameNumber = frame
                contour.ContourImageSequence = [image]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(loop)
            indices = np.column_stack([np.full(len(loop), k), loop + np.array(mask.start[1:])])
            points = segmentation.geometry.to_lps(indices)
            contour.ContourData = [decimal_string(float(value)) for value in points.reshape(-1)]
            contour.ContourNumber = len(contours) + 1
            contours.append(contour)
    if contours:
        item.ContourSequence = contours
    return item


def _observation(segment: Segment, number: int) -> Dataset:
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    item.RTROIInterpretedType = ""
    item.ROIInterpreter = ""
    if segment.terminology.kind != TISSUE:
        item.RTROIIdentificationCodeSequence = [code_item(segment.terminology.kind)]
    return item
