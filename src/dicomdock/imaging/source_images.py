"""The images that a derived object refers to: which of them lie on its slices.

References
----------
PS3.3 §C.7.6.16.2.6 (Derivation Image), §C.12.1.1.1 (Common Instance Reference).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import text
from dicomdock.imaging.authoring import reference
from dicomdock.imaging.geometry import Plane, VolumeGeometry, planes_of
from dicomdock.imaging.geometry.grid import GRID_TOLERANCE

MOST_ROUNDING = 0.5  # voxels: farther away than this a plane is nearer to another voxel

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_SURROGATE = "1.2.3."  # followed by a number; never leaves this package
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")


@dataclass(frozen=True)
class Placed:
    """Images in the order of a grid's slices.

    Parameters
    ----------
    headers : the instances that lie on slices of the grid, each once; all of them where none does.
    slices : slice k -> instance and frame, where an image lies exactly on it.
    planes : the frames that lie on slices of the grid, one each; all of them where none does.
    """

    headers: tuple[Dataset, ...]
    slices: dict[int, tuple[str, int]]
    planes: tuple[Plane, ...]

    def require_frame_of_reference(self) -> None:
        """Refuse sources that state no frame of reference, which an object with frames must name."""
        if not self.planes[0].frame_of_reference:
            named = [text(header, "SOPInstanceUID") for header in self.headers]
            raise GeometryError("The source images state no frame of reference.", named)

    def surrogates(self) -> list[Dataset]:
        """Return a plain single-frame image for each plane, with nothing but identity and geometry.

        Libraries that write objects check and copy much of their sources; real headers hold values that they
        refuse, and frames in places where they do not look. ``resolve`` puts the real references in
        afterwards.
        """
        lead = self.headers[0]
        images = []
        for number, plane in enumerate(self.planes, 1):
            assert plane.along_row is not None and plane.along_column is not None, "sources are placed"
            image = _bare(lead)
            image.SOPClassUID, image.SOPInstanceUID = _CT_IMAGE, f"{_SURROGATE}{number}"
            image.FrameOfReferenceUID, image.Modality = plane.frame_of_reference, "CT"
            image.Rows, image.Columns = plane.rows, plane.columns
            image.ImagePositionPatient = list(plane.origin or ())
            image.ImageOrientationPatient = [*plane.along_row, *plane.along_column]
            image.PixelSpacing, image.SliceThickness = list(plane.spacing or ()), plane.thickness or 1
            images.append(image)
        return images

    def resolve(self, dataset: Dataset) -> None:
        """Refer to the real instances and frames in an object that was made with surrogates."""
        real = {text(header, "SOPInstanceUID"): header for header in self.headers}
        planes = {f"{_SURROGATE}{number}": plane for number, plane in enumerate(self.planes, 1)}
        for item in _items(dataset):
            plane = planes.get(text(item, "ReferencedSOPInstanceUID"))
            if plane is not None:
                header = real[plane.instance]
                item.ReferencedSOPClassUID = header.SOPClassUID
                item.ReferencedSOPInstanceUID = header.SOPInstanceUID
                if "NumberOfFrames" in header:
                    item.ReferencedFrameNumber = plane.frame
        series = Dataset()
        series.SeriesInstanceUID = self.headers[0].SeriesInstanceUID
        series.ReferencedInstanceSequence = [reference(header) for header in self.headers]
        dataset.ReferencedSeriesSequence = [series]


def place_sources(
    geometry: VolumeGeometry, sources: Sequence[Dataset], *, preferred: Collection[tuple[str, int]] = ()
) -> Placed:
    """Find the images that lie on the slices of a grid.

    Parameters
    ----------
    sources : instances of one series, with or without pixels.
    preferred : instances and frames (0 for all) that win where several lie on one slice (echoes, time
        points).

    Raises
    ------
    GeometryError
        None of them is an image with a place in the patient.
    """
    headers: dict[str, Dataset] = {}
    planes: list[Plane] = []
    for source in sources:
        try:
            found = [plane for plane in planes_of(source) if plane.placed]
        except GeometryError:
            continue
        if found:
            headers[text(source, "SOPInstanceUID")] = source
            planes += found
    if not planes:
        raise GeometryError(
            "The source images state no position in the patient.",
            [text(one, "SOPInstanceUID") for one in sources],
        )
    slices: dict[int, Plane] = {}

    def rank(plane: Plane) -> tuple[bool, bool, int, int]:
        named = (plane.instance, plane.frame) in preferred
        return not named, (plane.instance, 0) not in preferred, plane.number, plane.frame

    for plane in sorted(planes, key=rank):
        k = _slice_of(geometry, plane)
        if k is not None:
            slices.setdefault(k, plane)
    used = [plane for _, plane in sorted(slices.items())] or planes
    named = dict.fromkeys(plane.instance for plane in used)
    on_slices = {k: (plane.instance, plane.frame) for k, plane in slices.items()}
    return Placed(tuple(headers[uid] for uid in named), on_slices, tuple(used))


def stack_sources(
    geometry: VolumeGeometry, sources: Sequence[Dataset], images: Sequence[tuple[str, int]]
) -> Placed:
    """Find the images of a stack without a position in the patient.

    The planes lie on the grid of the stack, in a frame of reference that is none.

    Parameters
    ----------
    sources : instances of one series, with or without pixels.
    images : SOP Instance UID and 1-based frame of each slice.

    Raises
    ------
    GeometryError
        An image of the stack is not among the sources.
    """
    headers: dict[str, Dataset] = {}
    planes: dict[tuple[str, int], Plane] = {}
    wanted = {uid for uid, _ in images}
    for source in sources:
        if (uid := text(source, "SOPInstanceUID")) in wanted:
            headers[uid] = source
            planes.update({(uid, plane.frame): plane for plane in planes_of(source)})
    missing = [uid for uid, frame in images if (uid, frame) not in planes]
    if missing or len(images) != geometry.shape[0]:
        raise GeometryError("The images that the segments were drawn on are not all there.", missing)
    origins = geometry.to_lps([[k, 0, 0] for k in range(len(images))])
    placed = tuple(
        replace(
            planes[image],
            origin=(float(x), float(y), float(z)),
            along_row=(1.0, 0.0, 0.0),
            along_column=(0.0, 1.0, 0.0),
            spacing=geometry.spacing[1:],
            frame_of_reference=f"{_SURROGATE}0",
        )
        for image, (x, y, z) in zip(images, origins, strict=True)
    )
    return Placed(
        tuple(headers[uid] for uid in dict.fromkeys(uid for uid, _ in images)),
        dict(enumerate(images)),
        placed,
    )


def slim(header: Dataset) -> Dataset:
    """Return a copy with nothing but identity; patient and study come into a new object later."""
    copy = _bare(header)
    for keyword in (*_IDENTITY, "FrameOfReferenceUID", "Modality", "NumberOfFrames"):
        if keyword in header:
            copy.add(header[keyword])
    return copy


def _bare(header: Dataset) -> Dataset:
    copy = Dataset()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", *_LOSSY):
        if keyword in header:
            copy.add(header[keyword])
    for keyword in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
    ):
        setattr(copy, keyword, "")
    copy.StudyDate = copy.StudyTime = None
    return copy


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """Return every item of every sequence, at any depth."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def _slice_of(geometry: VolumeGeometry, plane: Plane) -> int | None:
    """Return the slice that a plane is; None where it is none, or another part of it."""
    if (plane.rows, plane.columns) != geometry.shape[1:] or plane.spacing is None:
        return None
    assert plane.along_row is not None and plane.along_column is not None and plane.origin is not None
    down = np.array(plane.along_column) * plane.spacing[0] * (plane.rows - 1)
    across = np.array(plane.along_row) * plane.spacing[1] * (plane.columns - 1)
    corners = np.array(plane.origin) + np.array([np.zeros(3), down, across])
    at = geometry.to_index(corners)
    k = int(np.round(at[0, 0]))
    due = np.array([[k, 0, 0], [k, plane.rows - 1, 0], [k, 0, plane.columns - 1]])
    # A plane lies off the grid by what the decimals of its position cannot state, in voxels here.
    slack = np.minimum(math.sqrt(3) / 2 * plane.rounding / np.array(geometry.spacing), MOST_ROUNDING)
    close = bool((np.abs(at - due) <= np.maximum(10 * GRID_TOLERANCE, slack)).all())
    return k if close and 0 <= k < geometry.shape[0] else None
