"""Dose-volume histograms: how much of a structure receives how much dose.

The dose is interpolated linearly at the centre of each voxel of the structure, on the grid that the structure
lies on; each counts with the volume of a voxel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.dose.reading import Dose
from dicomdock.imaging.segmentation import Mask, Segmentation
from dicomdock.imaging.volume import resample

BIN_GY = 0.1
"""Width of a bin in Gy, where none is given; of a relative dose it is a hundredth of the greatest value."""
MOST_BINS = 20_000
SHARES = (98, 95, 50, 2)
"""Percent of the volume that the doses ``at_least`` belong to: D98, D95, D50, D2."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DoseHistogram:
    """The dose in one structure; its numbers are None where the dose grid does not cover it.

    Parameters
    ----------
    label : of the structure.
    volume : of its voxels, in ml.
    covered : the part of it inside the dose grid, in ml.
    minimum, mean, maximum : of the dose in its voxels, in the unit of the dose.
    at_least : for each of ``SHARES`` the dose that this share of the volume receives at least.
    doses, volumes : the cumulative histogram: the volume in ml that receives at least each dose.
    """

    label: str
    volume: float
    covered: float
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None
    at_least: tuple[float, ...] | None = None
    doses: tuple[float, ...] = ()
    volumes: tuple[float, ...] = ()


def histograms(
    dose: Dose, structures: Segmentation, bin_width: float | None = None
) -> Iterator[DoseHistogram]:
    """Yield the dose-volume histogram of each structure.

    Parameters
    ----------
    bin_width : in the unit of the dose; by default ``BIN_GY``, or a hundredth of the greatest relative dose.

    Raises
    ------
    GeometryError
        Dose and structures have different frames of reference or state none, or the values are differences.
    InvalidInput
        The width of a bin is not positive, or there would be more than ``MOST_BINS``.
    """
    if dose.kind == "ERROR":
        raise GeometryError("There is no dose-volume histogram of differences (Dose Type ERROR).")
    frames = (dose.volume.frame_of_reference, structures.frame_of_reference)
    for frame, whose in zip(frames, ("dose", "structures"), strict=True):
        if not frame:
            raise GeometryError(f"No dose is computed: the frame of reference of the {whose} is not stated.")
    if frames[0] != frames[1]:
        raise GeometryError("The dose and the structures have different frames of reference.")
    greatest = float(dose.volume.array.max())
    width = bin_width or (BIN_GY if dose.units == "GY" else greatest / 100 or 1.0)
    if not (math.isfinite(width) and width > 0):
        raise InvalidInput("The width of a bin is a positive number.")
    if greatest / width > MOST_BINS:
        raise InvalidInput(f"Bins of {width:g} would be more than {MOST_BINS:,}; name a greater width.")
    voxel = abs(float(np.linalg.det(structures.geometry.affine[:3, :3]))) / 1000
    for segment in structures.segments:
        inside = _doses(dose, structures, segment.mask)
        found = inside[np.isfinite(inside)]
        volume, covered = inside.size * voxel, found.size * voxel
        if not inside.size or found.size < inside.size:
            yield DoseHistogram(segment.label, volume, covered)
            continue
        yield histogram(segment.label, found, voxel, width)


def histogram(label: str, doses: Numbers, voxel: float, width: float) -> DoseHistogram:
    """Return the cumulative histogram and the numbers of doses in equal voxels.

    Parameters
    ----------
    doses : at least one.
    voxel : the volume of each, in ml.
    width : of a bin.
    """
    ordered = np.sort(doses)
    edges = np.arange(int(max(ordered[-1], 0) / width) + 2) * width
    reached = (ordered.size - np.searchsorted(ordered, edges, side="left")) * voxel
    shares = np.quantile(ordered, [1 - share / 100 for share in SHARES])
    volume = ordered.size * voxel
    return DoseHistogram(
        label,
        volume,
        volume,
        float(ordered[0]),
        float(ordered.mean()),
        float(ordered[-1]),
        tuple(map(float, shares)),
        tuple(edges.tolist()),
        tuple(reached.tolist()),
    )


def _doses(dose: Dose, structures: Segmentation, mask: Mask) -> Numbers:
    """Return the dose at the voxels of a mask; nan outside the dose grid."""
    if not mask.array.any():
        return np.zeros(0)
    start, shape = mask.start, mask.array.shape
    grid = structures.geometry.part(start, tuple(np.add(start, shape)))
    array = dose.volume.array.astype(np.float64, copy=False)
    values: Numbers = resample(array, dose.volume.geometry, grid, linear=True, fill=np.nan)[mask.array]
    return values
