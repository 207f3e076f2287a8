"""Segmentation: named segments on a grid, wherever they come from and whatever they are written as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import Contributor
from dicomdock.imaging.geometry import Shape, VolumeGeometry
from dicomdock.imaging.segmentation.label_map import masks_of
from dicomdock.imaging.segmentation.mask import Mask, overlap
from dicomdock.imaging.segmentation.resampling import lost, resampled
from dicomdock.imaging.terminology import RGB, Terminology, colour_for
from dicomdock.imaging.volume import Volume

Algorithm = Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"]


_OTHER_FRAME = "It states another frame of reference than the images it refers to; check that it fits."


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment.

    Parameters
    ----------
    label : its name.
    mask : its voxels in the segmentation's grid.
    terminology : what it is, in codes.
    colour : red, green, blue, 0 to 255.
    algorithm, algorithm_name : how it was made; a name is needed unless it is ``MANUAL``.
    description : in words; may be empty.
    tracking_id, tracking_uid : identify the same structure across objects; both or neither.
    """

    label: str
    mask: Mask
    terminology: Terminology = field(default_factory=Terminology)
    colour: RGB = (128, 174, 128)
    algorithm: Algorithm = "SEMIAUTOMATIC"
    algorithm_name: str = "dicomdock"
    description: str = ""
    tracking_id: str = ""
    tracking_uid: str = ""


@dataclass(frozen=True)
class Origin:
    """The object a segmentation was read from.

    Parameters
    ----------
    sop_class, instance, series : UIDs.
    series_number, instance_number, series_description, label : as stored.
    """

    sop_class: str
    instance: str
    series: str
    series_number: int = 1
    instance_number: int = 1
    series_description: str = ""
    label: str = ""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Segments that share a grid; they may overlap.

    Parameters
    ----------
    geometry : the grid, in mm, LPS.
    segments : in the order of their numbers.
    frame_of_reference : UID; may be empty.
    source_series : Series Instance UID of the images it was drawn on; may be empty.
    source_frames : their SOP Instance UIDs and 1-based frames, as far as they are named; frame 0 for all of
        them. Of a stack without a position in the patient one for each slice, in their order.
    origin : the object it was read from; None for a new one.
    name : of the whole; may be empty.
    remarks : what the user should know, one sentence each.
    draft : a tool made it, and no person has accepted it yet.
    contributors : the programs that made it, before it was changed here.
    creator : who draws it, as a DICOM person name; may be empty. It is written, and not read: what is changed
        of an object is not its first creator's.
    spatial : False on images without a position in the patient: its grid measures nothing, and each slice is
        an image of its own.
    """

    geometry: VolumeGeometry
    segments: tuple[Segment, ...]
    frame_of_reference: str = ""
    source_series: str = ""
    source_frames: tuple[tuple[str, int], ...] = ()
    origin: Origin | None = None
    name: str = ""
    remarks: tuple[str, ...] = ()
    draft: bool = False
    contributors: tuple[Contributor, ...] = ()
    creator: str = ""
    spatial: bool = True

    @classmethod
    def from_array(
        cls,
        array: npt.NDArray[Any],
        source: Volume | VolumeGeometry,
        *,
        names: Sequence[str] | Mapping[int, str] = (),
        terminologies: Sequence[Terminology] = (),
        colours: Sequence[RGB] = (),
        algorithm: Algorithm = "SEMIAUTOMATIC",
        algorithm_name: str = "dicomdock",
        name: str = "",
    ) -> Segmentation:
        """Make a segmentation of an array.

        Parameters
        ----------
        array : whole numbers (k, j, i), where each value but 0 is a segment; or (n, k, j, i), not 0 where a
            voxel belongs to segment n, for segments that overlap.
        source : the volume, or its grid.
        names : of the segments in ascending order of value, or by value. Where one is missing, ``Segment 1``.
        terminologies, colours : likewise in order; else guessed from the names.

        Raises
        ------
        GeometryError
            The array does not have the source's shape.
        """
        geometry = source if isinstance(source, VolumeGeometry) else source.geometry
        if array.shape[-3:] != geometry.shape or array.ndim not in (3, 4):
            raise GeometryError(f"The array's shape is {array.shape}, that of the images {geometry.shape}.")
        if array.ndim == 3:
            masks = masks_of(array)
        else:
            masks = {number: Mask.of(one) for number, one in enumerate(array, 1)}
        return cls.from_masks(
            masks,
            source,
            names=names,
            terminologies=terminologies,
            colours=colours,
            algorithm=algorithm,
            algorithm_name=algorithm_name,
            name=name,
        )

    @classmethod
    def from_masks(
        cls,
        masks: Mapping[int, Mask],
        source: Volume | VolumeGeometry,
        *,
        names: Sequence[str] | Mapping[int, str] = (),
        terminologies: Sequence[Terminology] = (),
        colours: Sequence[RGB] = (),
        algorithm: Algorithm = "SEMIAUTOMATIC",
        algorithm_name: str = "dicomdock",
        name: str = "",
    ) -> Segmentation:
        """Make a segmentation of the mask of each value; parameters as for ``from_array``."""
        geometry = source if isinstance(source, VolumeGeometry) else source.geometry
        segments = []
        for at, (value, mask) in enumerate(masks.items()):
            named = (
                names.get(value, "") if isinstance(names, Mapping) else (names[at] if at < len(names) else "")
            )
            label = named or f"Segment {value}"
            terminology = terminologies[at] if at < len(terminologies) else Terminology.suggest(label)
            colour = colours[at] if at < len(colours) else colour_for(terminology, at + 1)
            segments.append(Segment(label, mask, terminology, colour, algorithm, algorithm_name))
        if isinstance(source, VolumeGeometry):
            return cls(geometry, tuple(segments), name=name)
        frames = tuple(one for one in source.sources if one is not None)
        frame_of_reference = source.frame_of_reference if source.spatial else ""
        return cls(
            geometry,
            tuple(segments),
            frame_of_reference,
            source_frames=frames,
            name=name,
            spatial=source.spatial,
        )

    @property
    def source_instances(self) -> tuple[str, ...]:
        """SOP Instance UIDs of the images it was drawn on, each once."""
        return tuple(dict.fromkeys(instance for instance, _ in self.source_frames))

    @property
    def shape(self) -> Shape:
        """Slices, rows, columns of the grid."""
        return self.geometry.shape

    @property
    def overlapping(self) -> bool:
        """True when a voxel belongs to more than one segment."""
        return overlap(segment.mask for segment in self.segments)

    def to_array(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """Return the segments as numbers (k, j, i), from 1; where segments overlap the later one shows."""
        labels = np.zeros(self.shape, np.uint8 if len(self.segments) < 256 else np.uint16)
        for number, segment in enumerate(self.segments, 1):
            labels[segment.mask.box][segment.mask.array] = number
        return labels

    def to_masks(self) -> npt.NDArray[np.bool_]:
        """Return each segment's voxels, (n, k, j, i); overlaps are kept."""
        masks = np.zeros((len(self.segments), *self.shape), np.bool_)
        for number, segment in enumerate(self.segments):
            masks[number][segment.mask.box] = segment.mask.array
        return masks

    def fits(self, source: Volume | VolumeGeometry) -> bool:
        """Return whether every voxel of it is a voxel of another grid, so that ``onto`` changes nothing.

        On images without a position in the patient, the images must be the same.

        Parameters
        ----------
        source : a volume, or its grid, which is then one in the patient.
        """
        if isinstance(source, Volume):
            if not (self.spatial and source.spatial):
                return self.lies_on(source)
            source = source.geometry
        try:
            return self.spatial and self._turned(source)._shifted(source) is not None
        except GeometryError:
            return False

    def lies_on(self, volume: Volume) -> bool:
        """Return whether its grid is that of a volume, and its images too where these have no position."""
        if self.spatial != volume.spatial or not self.geometry.matches(volume.geometry):
            return False
        return self.spatial or self.source_frames == volume.sources

    def shares_grid(self, other: Segmentation) -> bool:
        """Return whether both lie on one grid, and on the same images where these have no position."""
        if self.spatial != other.spatial or not self.geometry.matches(other.geometry):
            return False
        return self.spatial or self.source_frames == other.source_frames

    def require_spatial(self) -> Self:
        """Return it, or refuse it where it lies on images without a position in the patient.

        Raises
        ------
        GeometryError
            It does.
        """
        if not self.spatial:
            raise GeometryError(
                "The segments lie on images without a position in the patient, so they have no place in mm.",
                self.source_instances,
            )
        return self

    def on_images_of(self, frame_of_reference: str) -> Self:
        """Return it, with a remark where it states another Frame of Reference UID than its images."""
        if (
            not (self.frame_of_reference and frame_of_reference)
            or self.frame_of_reference == frame_of_reference
        ):
            return self
        return replace(self, remarks=(*self.remarks, _OTHER_FRAME))

    def onto(self, geometry: VolumeGeometry) -> Self:
        """Return the segmentation on another grid.

        Where its voxels are voxels of that grid nothing is resampled: boxes are only moved, and the slices of
        a tilted gantry are shifted by whole voxels, to the straightened volume and back. Else each voxel
        takes the nearest value, and a remark says so. Voxels outside the grid are left away; of shifted
        slices a remark says how many.

        Raises
        ------
        GeometryError
            The segments lie on images without a position in the patient, and on no other grid than theirs.
        """
        if not self.spatial and self.geometry.matches(geometry):
            return self
        self.require_spatial()
        turned = self._turned(geometry)
        try:
            moved = turned._shifted(geometry)
        except GeometryError:
            moved = None
        moved = moved or turned._slid(geometry)
        if moved is not None:
            return moved
        segments = tuple(
            replace(segment, mask=resampled(segment.mask, self.geometry, geometry))
            for segment in self.segments
        )
        notes = ["The segmentation was resampled to the grid of the images."]
        notes += lost(self.segments, segments, self.geometry, geometry)
        return replace(self, geometry=geometry, segments=segments, remarks=(*self.remarks, *notes))

    def _turned(self, geometry: VolumeGeometry) -> Self:
        """Return the same voxels with axes in the order and sense of another grid's."""
        order, flips, grid = self.geometry.turned(geometry)
        if grid is self.geometry:
            return self
        segments = tuple(
            replace(one, mask=one.mask.turned(order, flips, grid.shape)) for one in self.segments
        )
        return replace(self, geometry=grid, segments=segments)

    def _shifted(self, geometry: VolumeGeometry) -> Self | None:
        offset = geometry.offset_of(self.geometry)
        if offset is None:
            return None
        segments = [replace(one, mask=one.mask.moved(offset, geometry.shape)) for one in self.segments]
        return replace(self, geometry=geometry, segments=tuple(segments))

    def _slid(self, geometry: VolumeGeometry) -> Self | None:
        offsets = geometry.slides_of(self.geometry)
        if offsets is None:
            return None
        segments = [replace(one, mask=one.mask.slid(offsets, geometry.shape)) for one in self.segments]
        lost = sum(
            one.mask.count - kept.mask.count for one, kept in zip(self.segments, segments, strict=True)
        )
        remarks = (f"{lost} voxels beyond the images are left out.",) if lost else ()
        return replace(self, geometry=geometry, segments=tuple(segments), remarks=(*self.remarks, *remarks))
