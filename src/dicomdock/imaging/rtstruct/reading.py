"""Read RT Structure Sets as segmentations: contours become voxels at the slices they lie on.

References
----------
PS3.3 §A.19 (RT Structure Set IOD), §C.8.8.5, §C.8.8.6 (Structure Set, ROI Contour).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, items, numbers, text
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.references import references_of
from dicomdock.imaging.rtstruct.polygons import Points, fill
from dicomdock.imaging.segmentation import Mask, Segment, Segmentation
from dicomdock.imaging.segmentation.reading import origin_of
from dicomdock.imaging.terminology import TISSUE, Terminology, code_of, colour_for

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

PLANAR_TOLERANCE = 0.2
"""Slices: how far the points of one contour may lie apart along the slices and still be a contour on one."""

SLICE_TOLERANCE = 0.5
"""Slices: a contour belongs to the nearest slice when it is no farther away, so to any slice it lies in."""

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


def is_structure_set(header: Dataset) -> bool:
    """Tell whether an instance is an RT Structure Set."""
    return text(header, "SOPClassUID") == RT_STRUCTURE_SET


@reading("The structure set")
def read_structures(
    instance: Instance,
    geometry: VolumeGeometry,
    *,
    frame_of_reference: str = "",
    instances: Collection[str] = (),
) -> Segmentation:
    """Read a structure set onto the grid of its images.

    Contours on one slice are filled together by the even-odd rule, so that a contour inside another is a
    hole.
    Contours that cannot be shown on the grid are left out, and ``remarks`` says how many and why; so are
    points and
    open lines, which enclose nothing.

    Parameters
    ----------
    instance : an RT Structure Set Storage instance.
    geometry : the grid of the images.
    frame_of_reference : of the images; a structure set of another one is read with a remark.
    instances : SOP Instance UIDs of the images, to tell which of the references do not exist.

    Raises
    ------
    GeometryError
        It is no structure set, or has no regions.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    if not is_structure_set(dataset):
        raise GeometryError("The instance is not an RT Structure Set.", [uid])
    names = {integer(item, "ROINumber"): item for item in items(dataset, "StructureSetROISequence")}
    contours = {integer(item, "ReferencedROINumber"): item for item in items(dataset, "ROIContourSequence")}
    observed = {
        integer(item, "ReferencedROINumber"): item for item in items(dataset, "RTROIObservationsSequence")
    }
    if not names:
        raise GeometryError("The structure set has no regions.", [uid])
    reader = _Reader(geometry)
    segments = []
    for at, (number, roi) in enumerate(names.items(), 1):
        drawn = contours.get(number)
        mask = reader.mask(drawn)
        segments.append(_segment(roi, drawn, observed.get(number), mask, at))
    series, named = _drawn_on(dataset)
    remarks = reader.remarks()
    frames = {text(roi, "ReferencedFrameOfReferenceUID") for roi in names.values()} - {""}
    if frame_of_reference and frames and frame_of_reference not in frames:
        remarks.append(
            "The structure set names another frame of reference than the images; check that they fit."
        )
    if instances and (lost := [one for one in named if one not in instances]):
        remarks.append(f"The structure set refers to {len(lost)} images that are not in the series.")
    return Segmentation(
        geometry,
        tuple(segments),
        frame_of_reference or next(iter(sorted(frames)), ""),
        series,
        tuple((one, 0) for one in named),
        origin_of(dataset, "StructureSetLabel"),
        text(dataset, "StructureSetName") or text(dataset, "StructureSetLabel"),
        tuple(remarks),
    )


def _drawn_on(dataset: Dataset) -> tuple[str, tuple[str, ...]]:
    """Give the series and instances that it was drawn on; by its contours where it names no series."""
    for series, instances in references_of(dataset).items():
        return series, instances
    named: dict[str, None] = {}
    for roi in items(dataset, "ROIContourSequence"):
        for contour in items(roi, "ContourSequence"):
            image = first(contour, "ContourImageSequence")
            if image is not None:
                named[text(image, "ReferencedSOPInstanceUID")] = None
    return "", tuple(named)


class _Reader:
    """Turns contours into masks and counts what it has to leave out."""

    def __init__(self, geometry: VolumeGeometry) -> None:
        self.geometry = geometry
        self.open = self.across = self.beyond = self.broken = 0

    def mask(self, drawn: Dataset | None) -> Mask:
        slices: dict[int, list[Points]] = defaultdict(list)
        for k, points in self._placed(drawn):
            slices[k].append(points)
        return Mask.of_slices({k: fill(contours, self.geometry.shape[1:]) for k, contours in slices.items()})

    def _placed(self, drawn: Dataset | None) -> Iterator[tuple[int, Points]]:
        for contour in items(drawn, "ContourSequence"):
            if text(contour, "ContourGeometricType").upper() not in _CLOSED:
                self.open += 1
                continue
            data = numbers(contour, "ContourData")
            if data is None or len(data) % 3 or len(data) < 9:
                self.broken += 1
                continue
            at = self.geometry.to_index(np.reshape(data, (-1, 3)))
            if np.ptp(at[:, 0]) > 2 * PLANAR_TOLERANCE:
                self.across += 1
                continue
            place = float(at[:, 0].mean())
            k = int(np.round(place))
            if abs(place - k) > SLICE_TOLERANCE or not 0 <= k < self.geometry.shape[0]:
                self.beyond += 1
                continue
            yield k, at[:, 1:]

    def remarks(self) -> list[str]:
        told = (
            (self.open, "are points or open lines, which enclose nothing"),
            (self.across, "do not lie in the plane of the slices"),
            (self.beyond, "lie beyond the images"),
            (self.broken, "have no usable points"),
        )
        return [f"{count} contours {why}; they are left out." for count, why in told if count]


def _segment(
    roi: Dataset, drawn: Dataset | None, observed: Dataset | None, mask: Mask, number: int
) -> Segment:
    label = text(roi, "ROIName") or text(observed, "ROIObservationLabel") or f"Region {number}"
    kind = code_of(observed, "RTROIIdentificationCodeSequence")
    category = code_of(observed, "SegmentedPropertyCategoryCodeSequence")
    terminology = Terminology(category or TISSUE, kind) if kind else Terminology.suggest(label)
    rgb = numbers(drawn, "ROIDisplayColor", 3)
    colour = (
        (int(rgb[0]) & 255, int(rgb[1]) & 255, int(rgb[2]) & 255) if rgb else colour_for(terminology, number)
    )
    generated = text(roi, "ROIGenerationAlgorithm").upper()
    return Segment(
        label,
        mask,
        terminology,
        colour,
        "AUTOMATIC" if generated == "AUTOMATIC" else "MANUAL" if generated == "MANUAL" else "SEMIAUTOMATIC",
        "unknown" if generated != "MANUAL" else "",
        text(roi, "ROIDescription"),
    )
