"""Make a new volume of another: smoothed, resampled, masked or cropped; the result says what was done."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import Shape, VolumeGeometry
from dicomdock.imaging.segmentation import Mask
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume, resample
from dicomdock.imaging.volume.pixels import Array
from dicomdock.imaging.volume.volume import AIR

GAUSSIAN_BLUR = Code("113088", "DCM", "Gaussian blur")
RESAMPLING = Code("113085", "DCM", "Spatial resampling")
MASKING = Code("113047", "DCM", "Pixel by pixel mask")
CROPPING = Code("113077", "DCM", "Volume editing")

REACH = 3.0  # standard deviations that the blur's kernel extends to; what lies beyond weighs 0.3 %
MOST_VOXELS = 1 << 28  # of a resampled volume; interpolation takes several times their 16 bits


@dataclass(frozen=True, eq=False)
class Derivation:
    """A volume made of another, and how.

    Parameters
    ----------
    volume : the result.
    code : what was done (PS3.16 CID 7203).
    words : the same with its numbers, for Derivation Description.
    """

    volume: Volume
    code: Code
    words: str


def smoothed(volume: Volume, width: float) -> Derivation:
    """Blur with a Gaussian.

    Parameters
    ----------
    width : standard deviation in mm, the same in all directions.
    """
    if volume.colour or width <= 0:
        raise GeometryError("Only grey volumes are smoothed, by a width above 0 mm.")
    values: Array = volume.array.astype(np.float32)
    for axis, spacing in enumerate(volume.geometry.spacing):
        values = _blurred(values, width / spacing, axis)
    array = _like(values, volume.array.dtype)
    return Derivation(replace(volume, array=array, plan=None), GAUSSIAN_BLUR, f"Gaussian blur, {width:g} mm")


def resampled(volume: Volume, spacing: tuple[float, float, float]) -> Derivation:
    """Interpolate linearly to another voxel size over the same extent.

    Parameters
    ----------
    spacing : mm between slices, rows, columns.

    Raises
    ------
    GeometryError
        The voxels would be too many, or have no size.
    """
    if min(spacing) <= 0:
        raise GeometryError("Voxels have a size above 0 mm.")
    grid = volume.geometry
    ratio = np.array(spacing) / grid.spacing
    count = float(np.prod(np.array(grid.shape) / ratio))
    if count > MOST_VOXELS:
        raise GeometryError(
            f"Voxels of that size would be {count:,.0f}, more than the {MOST_VOXELS:,} that fit;"
            " choose larger ones."
        )
    sizes = [max(1, int(np.round(size / part))) for size, part in zip(grid.shape, ratio, strict=True)]
    affine = grid.affine.copy()
    affine[:3, :3] *= ratio
    # Both grids cover the same room, from outer edge to outer edge of their voxels.
    affine[:3, 3] = grid.to_lps((ratio - 1) / 2)
    target = VolumeGeometry((sizes[0], sizes[1], sizes[2]), affine)
    padded, around = _edged(volume.array, grid)
    array = resample(padded, around, target, linear=True, fill=_outside(volume))
    words = f"Resampled to {spacing[0]:g} x {spacing[1]:g} x {spacing[2]:g} mm"
    return Derivation(replace(volume, array=array, geometry=target, sources=(), plan=None), RESAMPLING, words)


def masked(volume: Volume, mask: Mask, *, keep: bool = True) -> Derivation:
    """Blank what a segment does not hold, or (``keep=False``) what it holds: air in HU, else 0.

    Parameters
    ----------
    mask : on the volume's grid.
    """
    inside = mask.whole(volume.geometry.shape)
    blank = ~inside if keep else inside
    array = volume.array.copy()
    array[blank] = _outside(volume)
    words = "Blanked outside a segment" if keep else "Blanked inside a segment"
    return Derivation(replace(volume, array=array, plan=None), MASKING, words)


def cropped(volume: Volume, start: Shape, stop: Shape) -> Derivation:
    """Cut out the voxels from ``start`` up to, without, ``stop`` (k, j, i)."""
    shape = volume.geometry.shape
    if any(not 0 <= low < high <= size for low, high, size in zip(start, stop, shape, strict=True)):
        raise GeometryError(f"The box {start} to {stop} does not lie in a volume of {shape}.")
    box = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
    sources = volume.sources[start[0] : stop[0]]
    geometry = volume.geometry.part(start, stop)
    array = volume.array[box].copy()
    made = replace(volume, array=array, geometry=geometry, sources=sources, plan=None)
    return Derivation(made, CROPPING, "Cropped")


def _blurred(values: npt.NDArray[np.float32], width: float, axis: int) -> npt.NDArray[np.float32]:
    """Blur along one axis; beyond the edge the last value goes on."""
    reach = min(int(np.ceil(REACH * width)), values.shape[axis] - 1)
    if reach < 1:
        return values
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    edges = [(reach, reach) if at == axis else (0, 0) for at in range(values.ndim)]
    padded = np.pad(values, edges, mode="edge")
    blurred = np.zeros_like(values)
    for at, weight in enumerate(weights):
        shifted = [slice(None)] * values.ndim
        shifted[axis] = slice(at, at + values.shape[axis])
        blurred += weight * padded[tuple(shifted)]
    return blurred


def _edged(array: Array, geometry: VolumeGeometry) -> tuple[Array, VolumeGeometry]:
    """Repeat the outermost voxels, so that interpolation reaches their outer edges too."""
    padded = np.pad(array, [(1, 1)] * 3 + [(0, 0)] * (array.ndim - 3), mode="edge")
    k, j, i = geometry.shape
    return padded, geometry.part((-1, -1, -1), (k + 1, j + 1, i + 1))


def _outside(volume: Volume) -> int:
    return AIR if volume.units == "HU" and volume.array.dtype.kind != "u" else 0


def _like(values: Array, dtype: np.dtype[np.generic]) -> Array:
    return np.round(values).astype(dtype) if dtype.kind in "iu" else values.astype(dtype)
