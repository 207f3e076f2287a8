"""NIfTI, the research world's format, to and from volumes and segmentations; as bytes, gzipped or not.

NIfTI counts (i, j, k) and lies in RAS; both are turned to our (k, j, i) and LPS. It knows neither patient
nor study:
those come from the images that a segmentation is written with.

References
----------
NIfTI-1.1, https://nifti.nimh.nih.gov/nifti-1
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError, UnreadableFile
from dicomdock.imaging.dataset import reading
from dicomdock.imaging.formats.unpack import allowance, boxes, unpack
from dicomdock.imaging.geometry import VolumeGeometry, VolumePlan
from dicomdock.imaging.segmentation import Mask, Segmentation
from dicomdock.imaging.segmentation.label_map import masks_of
from dicomdock.imaging.volume import Volume

UNPLACED = "The file does not state how the image lies in the patient."
"""The remark on volumes and segmentations of a file without a geometry."""

MOST_TIME_POINTS = 32767
"""Volumes of one file: as many as the 16 bits of NIfTI-1 can count."""

_GZIP = b"\x1f\x8b"
_SIZES = {348: "Nifti1Image", 540: "Nifti2Image"}
_LENGTHS = {"Nifti1Image": 348, "Nifti2Image": 540}
_HEADER = 540
_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@reading("The NIfTI file", UnreadableFile)
def volumes_from_nifti(data: bytes) -> list[Volume]:
    """Read the volumes of a NIfTI file: one, or one for each time point.

    Raises
    ------
    UnreadableFile
        It is not a NIfTI-1 or -2 file, not of three or four dimensions, or has more time points than NIfTI-1
        can hold.
    """
    return _volumes(data, most=MOST_TIME_POINTS)


def _volumes(data: bytes, *, most: int) -> list[Volume]:
    array, affine, remarks = _read(data)
    colour = array.dtype.names is not None
    if colour:
        array = np.stack([array[name] for name in ("R", "G", "B")], axis=-1)
    spatial = array.ndim - colour
    while spatial > 3 and array.shape[spatial - 1] == 1:
        array, spatial = array.squeeze(spatial - 1), spatial - 1
    if spatial == 2:
        array, spatial = array[:, :, None], 3
    if spatial not in (3, 4):
        raise UnreadableFile(f"A NIfTI file of {spatial} dimensions holds no volumes.")
    count = 1 if spatial == 3 else array.shape[3]
    if count > most == 1:
        raise UnreadableFile("A label map has three dimensions and no colours.")
    if count > most:
        raise UnreadableFile(f"The NIfTI file holds {count:,} volumes; {most:,} are read at most.")
    parts = [array] if spatial == 3 else [array[:, :, :, at] for at in range(count)]
    geometry = VolumeGeometry.from_ijk_to_ras(array.shape[2::-1], affine)
    volumes = []
    for at, part in enumerate(parts):
        values = np.ascontiguousarray(part.transpose(2, 1, 0, *range(3, part.ndim)))
        name = f"time point {at + 1}" if len(parts) > 1 else ""
        volumes.append(Volume(values, geometry, name=name, remarks=remarks))
    return volumes


def volume_to_nifti(volume: Volume, *, compress: bool = True) -> bytes:
    """Write a volume as NIfTI-1.

    Parameters
    ----------
    compress : gzip it (``.nii.gz``).
    """
    array = volume.array
    if volume.colour:
        array = np.ascontiguousarray(array).view(_RGB)[..., 0]
    return _write(array, volume.geometry, compress=compress)


def series_to_nifti(
    volumes: Iterable[Volume], count: int, *, step: float = 0.0, compress: bool = True
) -> bytes:
    """Write volumes of one grid as the time points of one NIfTI-1 file.

    Parameters
    ----------
    volumes : grey; they are used up one after the other.
    count : how many they are.
    step : seconds from one volume to the next; 0 where that is not known.
    """
    array: npt.NDArray[Any] | None = None
    geometry: VolumeGeometry | None = None
    for at, volume in enumerate(volumes):
        if array is None or geometry is None:
            geometry = volume.geometry
            array = np.zeros((count, *geometry.shape), volume.array.dtype)
        array = array.astype(np.result_type(array, volume.array), copy=False)
        array[at] = volume.array
    assert array is not None and geometry is not None, "there is a volume"
    return _write(array, geometry, compress=compress, step=step)


def gradients_to_text(volumes: Sequence[VolumePlan]) -> tuple[str, str] | None:
    """Return FSL's ``bval`` and ``bvec`` of diffusion volumes; None where none states a b-value.

    A volume that states none among others that do has 0: some scanners write it only where a gradient is on.
    Directions are along the axes of the voxels; FSL takes the first axis reversed where voxels are
    right-handed.
    """
    values, directions = [], []
    if all(_b_value(plan) is None for plan in volumes):
        return None
    for plan in volumes:
        b_value = _b_value(plan) or 0.0
        gradient = _gradient(plan)
        vector = np.array(gradient if gradient and b_value else (0.0, 0.0, 0.0))
        along = plan.geometry.directions.T @ vector  # k, j, i
        if np.linalg.det(plan.geometry.ijk_to_ras[:3, :3]) > 0:
            along[2] *= -1
        values.append(f"{b_value:g}")
        directions.append(along[::-1] + 0.0)
    lines = [" ".join(f"{value:.6g}" for value in row) for row in np.array(directions).T]
    return " ".join(values) + "\n", "\n".join(lines) + "\n"


def undirected(volumes: Sequence[VolumePlan]) -> int:
    """Return how many diffusion volumes state a b-value above 0 and no gradient direction."""
    return sum(bool(_b_value(plan)) and not _gradient(plan) for plan in volumes)


def _b_value(plan: VolumePlan) -> float | None:
    value = plan.lead.split_keys.get("DiffusionBValue")
    return value if isinstance(value, float) else None


def _gradient(plan: VolumePlan) -> tuple[float, ...] | None:
    value = plan.lead.split_keys.get("DiffusionGradientOrientation")
    return value if isinstance(value, tuple) else None


@reading("The NIfTI file", UnreadableFile)
def segmentation_from_nifti(
    data: bytes,
    source: Volume | VolumeGeometry | None = None,
    *,
    names: Sequence[str] | Mapping[int, str] = (),
    name: str = "",
) -> Segmentation:
    """Read a label map: each value but 0 is a segment.

    Parameters
    ----------
    source : put it on this grid. Voxels that are the grid's own, also with axes turned, are taken as they
        are.
    names : of the segments, in ascending order of value, or by value.
    name : of the whole.

    Raises
    ------
    UnreadableFile
        It is not a label map.
    """
    masks, geometry, remarks = masks_from_nifti(data)
    made = Segmentation.from_masks(masks, geometry, names=names, name=name)
    return attached(replace(made, remarks=remarks), source)


@reading("The NIfTI file", UnreadableFile)
def masks_from_nifti(data: bytes) -> tuple[dict[int, Mask], VolumeGeometry, tuple[str, ...]]:
    """Return the mask of each value of a label map but 0, its grid, and what the user should know.

    Raises
    ------
    UnreadableFile
        It is not a label map.
    """
    (volume,) = _volumes(data, most=1)
    if volume.colour:
        raise UnreadableFile("A label map has three dimensions and no colours.")
    return masks_of(volume.array, most=boxes(len(data))), volume.geometry, volume.remarks


def segmentation_to_nifti(
    segmentation: Segmentation, *, compress: bool = True, values: Mapping[str, int] | None = None
) -> bytes:
    """Write the segments as a label map.

    Parameters
    ----------
    values : of the segments by label, up to 65535; else they are numbered from 1.

    Raises
    ------
    GeometryError
        Segments overlap, which a label map cannot hold.
    """
    if segmentation.overlapping:
        raise GeometryError("Segments overlap, which a NIfTI label map cannot hold; NRRD can.")
    array = segmentation.to_array()
    if values is not None:
        array = np.array([0, *(values[one.label] for one in segmentation.segments)], np.uint16)[array]
    return _write(array, segmentation.geometry, compress=compress)


def attached(segmentation: Segmentation, source: Volume | VolumeGeometry | None) -> Segmentation:
    """Put a segmentation from a file on the grid of its images, and into their frame of reference."""
    if source is None:
        return segmentation
    if isinstance(source, VolumeGeometry):
        return segmentation.onto(source)
    frames = tuple(one for one in source.sources if one is not None)
    moved = segmentation.onto(source.geometry)
    return replace(moved, frame_of_reference=source.frame_of_reference, source_frames=frames)


def _read(data: bytes) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64], tuple[str, ...]]:
    import nibabel as nib

    head: bytes | bytearray = unpack(data, _HEADER) if data[:2] == _GZIP else data[:_HEADER]
    kind = next((_SIZES[size] for order in "<>" if (size := _integer(head, order)) in _SIZES), None)
    if kind is None:
        raise UnreadableFile("The bytes are not a NIfTI-1 or NIfTI-2 file.")
    try:
        header = getattr(nib, kind).header_class(bytes(head[: _LENGTHS[kind]]))
        shape = tuple(int(size) for size in header.get_data_shape())
        dtype = header.get_data_dtype()
        begin, scaling = int(header.get_data_offset()), header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        unit = header.get_xyzt_units()[0]
        placed = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        nib.wrapstruct.WrapStructError,
    ) as error:
        raise UnreadableFile(f"The NIfTI file cannot be read: {error}") from error
    slope = 1.0 if scaling[0] is None else float(scaling[0])
    intercept = 0.0 if scaling[1] is None else float(scaling[1])
    scaled = dtype.names is None and math.isfinite(slope) and math.isfinite(intercept)
    scaled = scaled and slope != 0 and (slope, intercept) != (1.0, 0.0)
    values = _values(data, begin, shape, dtype, width=8 if scaled else dtype.itemsize)
    if scaled:
        values = values.astype(np.float64, order="K")
        values *= slope
        values += intercept
    scale = np.diag([*[_MILLIMETRES.get(unit, 1.0)] * 3, 1.0])
    remarks = () if placed else (UNPLACED,)
    return values, scale @ affine, remarks


def _values(
    data: bytes, begin: int, shape: tuple[int, ...], dtype: np.dtype[Any], *, width: int
) -> npt.NDArray[Any]:
    """Return the stored values, as far as the file can hold what its header claims.

    Parameters
    ----------
    begin : bytes before the first value.
    width : bytes that each value will take.
    """
    if not shape or min(shape) < 1 or begin < 0:
        raise UnreadableFile("The NIfTI file's header claims no voxels.")
    count = math.prod(shape)
    size = count * dtype.itemsize
    if data[:2] == _GZIP:
        if begin + count * max(width, dtype.itemsize) > allowance(len(data)):
            raise UnreadableFile(
                f"The NIfTI file of {len(data):,} bytes claims {size:,} bytes of voxels; if that is right,"
                " save it unpacked, as .nii."
            )
        unpacked: bytes | bytearray = unpack(data, begin + size)
    else:
        unpacked = data
    if begin + size > len(unpacked):
        there = max(0, len(unpacked) - begin)
        raise UnreadableFile(f"The NIfTI file claims {size:,} bytes of voxels, and has {there:,}.")
    return np.frombuffer(unpacked, dtype, count, begin).reshape(shape, order="F")


def _integer(data: bytes | bytearray, order: str) -> int:
    return int(struct.unpack_from(f"{order}i", data)[0]) if len(data) >= 4 else 0


def _write(array: npt.NDArray[Any], geometry: VolumeGeometry, *, compress: bool, step: float = 0.0) -> bytes:
    import nibabel

    nib: Any = nibabel  # it is not typed
    image = nib.Nifti1Image(array.transpose(), geometry.ijk_to_ras)
    image.header.set_xyzt_units("mm", "sec" if array.ndim == 4 else "unknown")
    if array.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], step))
    image.set_sform(geometry.ijk_to_ras, code=1)
    image.set_qform(None if geometry.sheared else geometry.ijk_to_ras, code=0 if geometry.sheared else 1)
    data: bytes = image.to_bytes()
    if not compress:
        return data
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    return packer.compress(data) + packer.flush()
