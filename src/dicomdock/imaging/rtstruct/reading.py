"""Read RT Structure Sets as segmentations: contours become voxels of the slices they lie on.

What the contours of one region in one plane mean together is stated by their Contour Geometric Type:
``CLOSED_PLANAR`` contours are united, so that an inner one is not a hole (a hole is drawn as a keyhole, which
leads the outline in and out again), ``CLOSEDPLANAR_XOR`` contours are combined by exclusive or. plastimatch
reads both kinds the same way. A remark names regions with contours inside others, since some programs mean
holes by them.

References
----------
PS3.3 §A.19 (RT Structure Set IOD), §C.8.8.5, §C.8.8.6 (Structure Set, ROI Contour).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import integer, items, number, numbers, text
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.references import references_of
from dicomdock.imaging.rtstruct.contours import (
    PLANE_TOLERANCE,
    Contour,
    is_regular,
    pieces_of,
    planes_of,
    slice_of,
)
from dicomdock.imaging.rtstruct.polygons import fill
from dicomdock.imaging.segmentation import Mask, Segment, Segmentation
from dicomdock.imaging.segmentation.mask import EMPTY
from dicomdock.imaging.segmentation.reading import origin_of
from dicomdock.imaging.terminology import TISSUE, Terminology, code_of, colour_for

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

PLANAR_TOLERANCE = 0.2
"""Slices: how far the points of one contour may lie apart along the slices and still be a contour on one."""

FAR = 0.4
"""Slices: a region of which every contour lies farther from the centre of its slice is worth a remark."""

NAMED = 5  # regions that one remark names

_UNITED, _XOR = "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"
_OPEN = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")


def is_structure_set(header: Dataset) -> bool:
    """Return whether an instance is an RT Structure Set."""
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

    Where contours lie denser than the slices, each slice takes, of every piece that lies apart, those in the
    plane nearest to its centre.
    A region of another frame of reference than the images is left without voxels, unless the structure set
    names these images for it. Contours that cannot be shown on the grid are left out; so are points and open
    lines, which enclose nothing. ``remarks`` has all of it.

    Parameters
    ----------
    instance : an RT Structure Set Storage instance.
    geometry : the grid of the images.
    frame_of_reference : of the images; empty where it is not known.
    instances : SOP Instance UIDs of the images.

    Raises
    ------
    GeometryError
        It is not a structure set, or has no regions.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    if not is_structure_set(dataset):
        raise GeometryError("The instance is not an RT Structure Set.", [uid])
    regions = items(dataset, "StructureSetROISequence")
    if not regions:
        raise GeometryError("The structure set has no regions.", [uid])
    contours = _contours_of(dataset)
    observed = {
        integer(item, "ReferencedROINumber"): item for item in items(dataset, "RTROIObservationsSequence")
    }
    frames = {text(roi, "ReferencedFrameOfReferenceUID") for roi in regions} - {""}
    images = _Images(frame_of_reference, instances, _frames_of(dataset, instances))
    reader = _Reader(geometry, images, several=len(frames) > 1)
    segments = []
    for at, roi in enumerate(regions, 1):
        number = integer(roi, "ROINumber")
        drawn = contours.get(number, [])
        label = text(roi, "ROIName") or text(observed.get(number), "ROIObservationLabel") or f"Region {at}"
        mask = reader.mask(label, text(roi, "ReferencedFrameOfReferenceUID"), drawn)
        segments.append(_segment(roi, drawn[0] if drawn else None, observed.get(number), label, mask, at))
    series, named = _drawn_on(dataset)
    remarks = [*reader.remarks(), *_misnumbered(regions, contours)]
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


def contours_on(dataset: Dataset, frame_of_reference: str = "", instances: Collection[str] = ()) -> int:
    """Return how many contours of a structure set were drawn on these images; without them, how many it has.

    Parameters
    ----------
    frame_of_reference, instances : of the images, as for ``read_structures``.
    """
    contours = _contours_of(dataset)
    images = _Images(frame_of_reference, instances, _frames_of(dataset, instances))
    return sum(
        len(items(item, "ContourSequence"))
        for roi in items(dataset, "StructureSetROISequence")
        if (drawn := contours.get(integer(roi, "ROINumber")))
        and images.holds(text(roi, "ReferencedFrameOfReferenceUID"), drawn)
        for item in drawn
    )


def images_of_contours(dataset: Dataset) -> tuple[str, ...]:
    """Return the SOP Instance UIDs of the images that contours name, the first of each region first."""
    named: list[list[str]] = [
        [
            text(image, "ReferencedSOPInstanceUID")
            for contour in items(roi, "ContourSequence")
            for image in items(contour, "ContourImageSequence")
        ]
        for roi in items(dataset, "ROIContourSequence")
    ]
    firsts = [uids[0] for uids in named if uids]
    return tuple(dict.fromkeys([*firsts, *(uid for uids in named for uid in uids)]))


def _contours_of(dataset: Dataset) -> dict[int | None, list[Dataset]]:
    contours: dict[int | None, list[Dataset]] = defaultdict(list)
    for item in items(dataset, "ROIContourSequence"):
        contours[integer(item, "ReferencedROINumber")].append(item)
    return contours


def _misnumbered(
    regions: Sequence[Dataset], contours: Mapping[int | None, Sequence[Dataset]]
) -> Iterator[str]:
    """Return what is wrong with the numbers by which regions and contours find each other."""
    counts = Counter(integer(roi, "ROINumber") for roi in regions)
    lost = sum(
        len(items(item, "ContourSequence"))
        for number, drawn in contours.items()
        if number not in counts
        for item in drawn
    )
    if lost:
        yield f"{lost} contours belong to no region of the structure set; they are left out."
    for roi, count in counts.items():
        if count > 1 and contours.get(roi):
            yield f"{count} regions have the ROI Number {roi}, and each has the contours of all of them."


def _drawn_on(dataset: Dataset) -> tuple[str, tuple[str, ...]]:
    """Return the series and instances that it was drawn on; by its contours where it names no series."""
    for series, instances in references_of(dataset).items():
        return series, instances
    return "", images_of_contours(dataset)


def _frames_of(dataset: Dataset, instances: Collection[str]) -> frozenset[str]:
    """Return the frames of reference that the structure set states for some of the images."""
    return frozenset(
        text(frame, "FrameOfReferenceUID")
        for frame in items(dataset, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
        if any(
            text(image, "ReferencedSOPInstanceUID") in instances
            for image in items(series, "ContourImageSequence")
        )
    )


@dataclass(frozen=True, slots=True)
class _Images:
    """The images that a structure set is read onto.

    Parameters
    ----------
    frame_of_reference, instances : their UIDs.
    stated : the frames of reference that the structure set states for them.
    """

    frame_of_reference: str
    instances: Collection[str]
    stated: frozenset[str]

    def holds(self, frame: str, drawn: Sequence[Dataset]) -> bool:
        """Return whether a region of this frame of reference was drawn on the images."""
        if not frame or not self.frame_of_reference or frame == self.frame_of_reference:
            return True
        return frame in self.stated or any(
            text(image, "ReferencedSOPInstanceUID") in self.instances
            for item in drawn
            for contour in items(item, "ContourSequence")
            for image in items(contour, "ContourImageSequence")
        )


class _Reader:
    """Turns contours into masks and counts what it has to leave out."""

    def __init__(self, geometry: VolumeGeometry, images: _Images, *, several: bool) -> None:
        self.geometry = geometry
        self.images = images
        self.several = several  # frames of reference in the structure set
        self.open = self.across = self.beyond = self.broken = self.between = 0
        self.moved = self.not_moved = self.untyped = 0
        self.foreign: list[str] = []
        self.frameless: list[str] = []
        self.relabelled: list[str] = []
        self.nested: list[str] = []
        self.mixed: list[str] = []
        self.sparse: list[str] = []
        self.shifted: list[str] = []
        self.reaching: list[str] = []
        self.empty: list[str] = []
        self.undrawn: list[str] = []

    def mask(self, label: str, frame: str, drawn: Sequence[Dataset]) -> Mask:
        if not self.images.holds(frame, drawn):
            self.foreign.append(label)
            return EMPTY
        if frame and self.images.frame_of_reference not in ("", frame):
            self.relabelled.append(label)
        if not frame and self.several:
            self.frameless.append(label)
        contours = sorted(self._placed(drawn), key=lambda contour: contour.level)
        if len({contour.xor for contour in contours}) > 1:
            self.mixed.append(label)
        chosen = self._nearest(contours)
        used, planes = sorted(chosen), planes_of(contours)
        if len(planes) > 2 and used and len(used) < used[-1] - used[0] + 1 and is_regular(planes):
            self.sparse.append(label)
        if chosen and all(abs(one.level - k) > FAR for k, found in chosen.items() for one in found):
            self.shifted.append(label)
        mask = Mask.of_slices({k: self._filled(found, label) for k, found in chosen.items()})
        if not any(items(item, "ContourSequence") for item in drawn):
            self.undrawn.append(label)
        elif not mask.array.size:
            self.empty.append(label)
        elif any(self._reaches_beyond(one) for found in chosen.values() for one in found):
            self.reaching.append(label)
        return mask

    def _reaches_beyond(self, contour: Contour) -> bool:
        """Return whether a contour encloses more than a pixel beyond the rows and columns of the images."""
        last = np.array(self.geometry.shape[1:]) - 0.5
        return bool(
            (contour.points.min(axis=0) < -1.5).any() or (contour.points.max(axis=0) > last + 1).any()
        )

    def _nearest(self, contours: Sequence[Contour]) -> dict[int, list[Contour]]:
        """Return the contours that each slice takes: of every piece the plane nearest to its centre."""
        within: dict[int, list[Contour]] = defaultdict(list)
        for contour in contours:
            within[slice_of(contour.level)].append(contour)
        chosen: dict[int, list[Contour]] = {}
        for k, found in within.items():
            if not 0 <= k < self.geometry.shape[0]:
                self.beyond += len(found)
                continue
            chosen[k] = []
            for piece in pieces_of(found):
                levels = [abs(contour.level - k) for contour in piece]
                nearest = piece[int(np.argmin(levels))].level
                chosen[k] += [one for one in piece if abs(one.level - nearest) <= PLANE_TOLERANCE]
            self.between += len(found) - len(chosen[k])
        return chosen

    def _placed(self, drawn: Sequence[Dataset]) -> Iterator[Contour]:
        for contour in (one for item in drawn for one in items(item, "ContourSequence")):
            kind = text(contour, "ContourGeometricType").upper()
            if kind not in (_UNITED, _XOR):
                self.open += kind in _OPEN
                self.untyped += kind not in _OPEN
                continue
            data = numbers(contour, "ContourData")
            if data is None or len(data) % 3 or len(data) < 9:
                self.broken += 1
                continue
            at = self.geometry.to_index(np.reshape(data, (-1, 3)) + self._offset(contour))
            if np.ptp(at[:, 0]) > 2 * PLANAR_TOLERANCE:
                self.across += 1
                continue
            yield Contour(float(at[:, 0].mean()), at[:, 1:], kind == _XOR)

    def _offset(self, contour: Dataset) -> npt.NDArray[np.float64]:
        """Return by how much a contour lies beside its points, in mm: its Contour Offset Vector.

        It counts where the thickness of the slab is stated (PS3.3-2020e §C.8.8.6.2; both are retired).
        """
        offset = numbers(contour, "ContourOffsetVector")
        if text(contour, "ContourOffsetVector") == "" or (offset is not None and not np.any(offset)):
            return np.zeros(3)
        thickness = number(contour, "ContourSlabThickness")
        if offset is None or len(offset) != 3 or thickness is None or not thickness > 0:
            self.not_moved += 1
            return np.zeros(3)
        self.moved += 1
        return np.asarray(offset, float)

    def _filled(self, plane: Sequence[Contour], label: str) -> npt.NDArray[np.bool_]:
        """Fill the contours of one plane by what their geometric type says."""
        _, rows, columns = self.geometry.shape
        inside = fill([one.points for one in plane if one.xor], (rows, columns))
        united = [one.points for one in plane if not one.xor]
        # The larger first, so that what lies inside another one is found.
        for points in sorted(united, key=_extent, reverse=True):
            low = np.clip(np.floor(points.min(axis=0)), 0, (rows, columns)).astype(int)
            high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, (rows, columns)).astype(int)
            if (high <= low).any():
                continue
            filled = fill([points - low], (int(high[0] - low[0]), int(high[1] - low[1])))
            part = inside[low[0] : high[0], low[1] : high[1]]
            if filled.any() and part[filled].all() and label not in self.nested:
                self.nested.append(label)
            part |= filled
        return inside

    def remarks(self) -> list[str]:
        counted = (
            (self.open, "are points or open lines, which enclose nothing"),
            (self.untyped, "state no Contour Geometric Type, or one that the standard does not have"),
            (self.across, "do not lie in the plane of the slices"),
            (self.beyond, "lie beyond the images"),
            (self.broken, "have no usable points"),
            (self.between, "lie between slices, of which each takes the nearest"),
        )
        named = (
            (self.foreign, "drawn in another frame of reference than the images; left out"),
            (self.frameless, "of no stated frame of reference, where others have different ones; check them"),
            (
                self.relabelled,
                "in another frame of reference than the images they refer to; check that they fit",
            ),
            (
                self.nested,
                "with contours inside others, which are united: a hole is a keyhole or CLOSEDPLANAR_XOR",
            ),
            (self.mixed, "with both CLOSED_PLANAR and CLOSEDPLANAR_XOR contours, which are united"),
            (self.sparse, "with contours farther apart than the slices; those between are empty"),
            (self.shifted, "drawn between the slices, of which the nearest are filled"),
            (self.reaching, "that reach beyond the images, where they are cut"),
            (self.empty, "without voxels on the images"),
            (self.undrawn, "without contours"),
        )
        found = [f"{count} contours {why}; they are left out." for count, why in counted if count]
        if self.moved:
            found.append(f"{self.moved} contours are moved by their Contour Offset Vector.")
        if self.not_moved:
            found.append(
                f"{self.not_moved} contours have a Contour Offset Vector that cannot be applied (it has not "
                "three values, or no slab thickness is stated); they are where their points are."
            )
        return [*found, *(f"Regions {why}: {_listed(labels)}." for labels, why in named if labels)]


def _extent(points: npt.NDArray[Any]) -> float:
    return float(np.prod(np.ptp(points, axis=0)))


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return f"{', '.join(labels[:NAMED])}{more}"


def _segment(
    roi: Dataset, drawn: Dataset | None, observed: Dataset | None, label: str, mask: Mask, number: int
) -> Segment:
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
