"""Segmentation: segments on the grid of a series in the archive, saved as DICOM SEG and sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.api import instances as reading
from dicomdock.api.home import Home
from dicomdock.api.source_images import images_drawn_on, images_of_object, instances_of
from dicomdock.api.volume import Volume, home_of, images_of
from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError
from dicomdock.imaging import segmentation as imaging
from dicomdock.imaging.attributes import text
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.mesh import SMOOTHING, Mesh, meshes_of
from dicomdock.imaging.references import references_of
from dicomdock.imaging.rtstruct import (
    images_of_contours,
    is_structure_set,
    read_structures,
    structures_to_dicom,
)
from dicomdock.imaging.segmentation import Algorithm, read_segmentation, segmentation_to_dicom
from dicomdock.imaging.terminology import RGB, Terminology
from dicomdock.imaging.volume import Volume as AnyVolume

if TYPE_CHECKING:
    from dicomdock.api.statistics import Statistics
    from dicomdock.transfer import PushReport

Kind = Literal["BINARY", "LABELMAP", "STRUCTURES"]
"""What a segmentation is stored as: DICOM SEG of either type, or an RT Structure Set."""


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation(imaging.Segmentation):
    """Segments that share the grid of their images; they may overlap.

    Parameters
    ----------
    images : the series it was drawn on, in the archive; None where that is not known.
    archive : what keeps that.
    """

    images: Resource | None = None
    archive: Home | None = None

    @classmethod
    def from_array(
        cls,
        array: npt.NDArray[Any],
        source: AnyVolume | VolumeGeometry,
        *,
        names: Sequence[str] | Mapping[int, str] = (),
        terminologies: Sequence[Terminology] = (),
        colours: Sequence[RGB] = (),
        algorithm: Algorithm = "SEMIAUTOMATIC",
        algorithm_name: str = "dicomdock",
        name: str = "",
    ) -> Self:
        """Make a segmentation of an array.

        Parameters
        ----------
        array : whole numbers (k, j, i), where each value but 0 is a segment; or (n, k, j, i), not 0 where a
            voxel belongs to segment n, for segments that overlap.
        source : the volume it was made from; of ``Archive.volume``, so that ``save`` knows where to.
        names : of the segments in ascending order of value, or by value. Where one is missing, ``Segment 1``.
        terminologies, colours : likewise in order; else guessed from the names.
        algorithm, algorithm_name : how it was made.
        name : of the whole; the description of its series.

        Raises
        ------
        GeometryError
            The array does not have the source's shape.
        """
        made = super().from_array(
            array,
            source,
            names=names,
            terminologies=terminologies,
            colours=colours,
            algorithm=algorithm,
            algorithm_name=algorithm_name,
            name=name,
        )
        if not isinstance(source, Volume):
            return cls.of(made)
        return cls.of(made, source.series, source.archive)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        volume: Volume,
        *,
        names: Mapping[int, str] | None = None,
        resample: bool = False,
    ) -> Self:
        """Read a NIfTI or NRRD label map, or a ``.seg.nrrd`` of Slicer, onto the grid of a volume.

        Voxels that are the volume's own, also with axes turned, are taken as they are. Names, codes and
        colours come from the file beside it, where ``Archive.export_as`` wrote one.

        Parameters
        ----------
        names : of the segments, by value.
        resample : take the nearest voxels where the grids differ.

        Raises
        ------
        InvalidInput
            The file's name states neither format, or no voxel has a value that was named.
        GeometryError
            It is not a label map, or its grid is not the volume's.
        """
        from dicomdock.api.files import on_grid, read_labels

        return cls.of(
            on_grid(read_labels(Path(path), names or {}), [volume], Path(path), resample=resample),
            volume.series,
            volume.archive,
        )

    def to_file(self, path: Path | str) -> None:
        """Write a NIfTI label map (``.nii.gz``, ``.nii``), Slicer's ``.seg.nrrd``, or meshes.

        Meshes are smoothed, in mm, LPS: ``.stl`` holds all segments as one, ``.obj`` (``.mtl`` beside it) and
        ``.glb`` (glTF) each with its name and colour.

        Raises
        ------
        InvalidInput
            The name is of another kind.
        GeometryError
            Segments overlap, which NIfTI cannot hold, or have no place in the patient.
        """
        from dicomdock.api.files import mesh_format_of, write_meshes, write_segmentation

        self.require_spatial()

        form = mesh_format_of(Path(path))
        if form is not None:
            write_meshes(self.meshes(), Path(path), form)
        else:
            write_segmentation(self, Path(path))

    def meshes(self, smoothing: int = SMOOTHING) -> list[Mesh]:
        """Return the surface of each segment that has voxels, in mm, LPS.

        Parameters
        ----------
        smoothing : rounds, which keep the size; 0 for the surface between the voxels, whose area the
            statistics state.

        Raises
        ------
        GeometryError
            The segments have no place in the patient.
        """
        return list(meshes_of(self.require_spatial(), smoothing))

    def save(
        self,
        archive: Home | None = None,
        images: Resource | str | None = None,
        kind: Kind = "BINARY",
    ) -> Resource:
        """Store the segmentation in the archive, in the study of its images.

        Saving the same segmentation again changes nothing. One that was read and changed becomes a new
        version, which refers to the one before.

        Parameters
        ----------
        archive : another than its images are from.
        images : the series that it was drawn on; else the archive looks for it.
        kind : ``BINARY``, a DICOM SEG that every program reads; ``LABELMAP``, one that is smaller for many
            segments; or ``STRUCTURES``, an RT Structure Set.

        Returns
        -------
        The new instance.

        Raises
        ------
        InvalidInput
            It knows no archive or images, and none were given.
        NotInArchive
            Its images are not in the archive.
        GeometryError
            It has no segments, or they overlap in a label map.
        """
        home = home_of(archive or self.archive)
        source = images_of(images or self.images or images_drawn_on(home, self))

        def make() -> list[Dataset]:
            headers = reading.headers_of(reading.paths_of(home, source))
            if kind == "STRUCTURES":
                return [structures_to_dicom(self, headers)]
            return [segmentation_to_dicom(self, headers, kind=kind)]

        return home.save_once(self, make, "structures" if kind == "STRUCTURES" else "segmentation")

    def push(self, server: str, archive: Home | None = None) -> PushReport:
        """Send the segmentation to a server, after ``save``.

        Parameters
        ----------
        server : name of its profile; empty for the default one.
        archive : another than its images are from.

        Returns
        -------
        PushReport
            ``complete`` states whether the server has it; ``results`` why not.
        """
        place = self.save(archive)
        home = archive or self.archive
        assert home is not None, "save needs it too"
        return home.push(server, place)

    def statistics(
        self,
        images: Resource | str | None = None,
        archive: Home | None = None,
        *,
        volume: str | None = None,
        suv_type: str = "",
    ) -> Statistics:
        """Measure each segment over its images: size, surface, diameters, values, and the uptake of PET.

        On images without a position in the patient: area, longest diameter and values, for each image.

        Parameters
        ----------
        images : another series than it was drawn on, of the same frame of reference: the PET of a PET/CT.
        archive : another than its images are from.
        volume : the name of the volume, where the series holds several.
        suv_type : SUV Type (0054,1006) of PET: ``BW``, ``LBM`` (James), ``LBMJAMES128``, ``LBMJANMA``
            (Janmahasatian) or ``BSA``; empty for that of the images, else body weight.

        Raises
        ------
        InvalidInput
            The SUV Type is another.
        NotInArchive
            Its images are not in the archive.
        GeometryError
            They have another frame of reference, or several volumes, or none that it lies on.
        """
        from dicomdock.api.statistics import measure

        home = home_of(archive or self.archive)
        series = images_of(images or self.images or images_drawn_on(home, self))
        return measure(self, home, series, volume, suv_type)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.geometry.shape))
        names = ", ".join(segment.label for segment in self.segments)
        where = f" of {self.images}" if self.images else ""
        return f"<Segmentation {size}: {names or 'no segments'}{where}>"

    @classmethod
    def of(
        cls, found: imaging.Segmentation, images: Resource | None = None, archive: Home | None = None
    ) -> Self:
        """Make one of what imaging reads.

        Parameters
        ----------
        images, archive : where its images are.
        """
        values = {one.name: getattr(found, one.name) for one in fields(imaging.Segmentation)}
        if images is not None:
            values["source_series"] = images.series
        return cls(**values, images=images, archive=archive)


def read(archive: Home, resource: Resource) -> Segmentation:
    """Read a segmentation or structure set of the archive, onto the grid of its images."""
    dataset = reading.read_single(archive, resource)
    series, volumes, why_none = images_of_object(archive, resource, dataset)
    place = _structures if is_structure_set(dataset) else _segments
    found = place(dataset, volumes, why_none)
    return Segmentation.of(found, series, archive)


def _structures(dataset: Dataset, volumes: Sequence[Volume], why_none: str) -> imaging.Segmentation:
    if not volumes:
        raise GeometryError(
            f"The structure set cannot be put on its images. {why_none}"
            if why_none
            else "The images that the structure set was drawn on are not in the archive; pull them first."
            if references_of(dataset) or images_of_contours(dataset)
            else "The structure set does not name the images that it was drawn on.",
            [text(dataset, "SOPInstanceUID")],
        )
    named = {uid for uids in references_of(dataset).values() for uid in uids}
    volume = max(volumes, key=lambda one: len(named & instances_of(one)))  # the first of several alike
    instances = instances_of(volume)
    frame = volume.frame_of_reference
    return read_structures(dataset, volume.geometry, frame_of_reference=frame, instances=instances)


def _segments(dataset: Dataset, volumes: Sequence[Volume], why_none: str) -> imaging.Segmentation:
    stacks = [volume for volume in volumes if not volume.spatial]
    if stacks:
        return _on_stack(dataset, stacks)
    found = read_segmentation(dataset, onto=volumes[0].geometry if volumes else None)
    for volume in volumes:
        if found.fits(volume.geometry):
            return found.onto(volume.geometry).on_images_of(volume.frame_of_reference)
    if volumes:
        remark = "Its grid is not that of its images; 'onto' resamples it."
    elif why_none:
        remark = f"It keeps its own grid, as its images form no volume. {why_none}"
    else:
        remark = "Its images are not in the archive; it keeps its own grid."
    return replace(found, remarks=(*found.remarks, remark))


def _on_stack(dataset: Dataset, stacks: Sequence[Volume]) -> imaging.Segmentation:
    """Read a segmentation onto that of the stacks whose images it was drawn on."""
    refused: GeometryError | None = None
    for stack in stacks:
        try:
            return read_segmentation(dataset, onto=stack.geometry, images=stack.sources)
        except GeometryError as error:
            refused = refused or error
    assert refused is not None, "there is a stack"
    raise refused
