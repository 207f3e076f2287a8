"""Segments computed from segments: pure functions on voxels, run in a process of their own (``computing``).

All arrays are (k, j, i) and have one shape; masks are of bool. Spacing is in mm along k, j and i. Slicer's
own filters do the work, so that results are those of 3D Slicer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkThreshold, vtkWindowedSincPolyDataFilter
from vtkmodules.vtkFiltersGeneral import vtkDiscreteMarchingCubes
from vtkmodules.vtkFiltersGeometry import vtkGeometryFilter
from vtkmodules.vtkImagingGeneral import vtkImageGaussianSmooth, vtkImageMedian3D
from vtkmodules.vtkImagingMorphological import vtkImageOpenClose3D
from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

from dicomdock.errors import GeometryError

Masks = list[npt.NDArray[np.bool_]]
Spacing = tuple[float, float, float]

MOST_ISLANDS = 50  # that become segments; more than that are noise
GAUSSIAN_REACH = 4.0  # standard deviations that the filter looks at, as in 3D Slicer
JOINT_STEPS = 100  # iterations of joint smoothing, as in 3D Slicer


def from_seeds(masks: Masks, values: npt.NDArray[Any]) -> Masks:
    """Let every segment grow along like intensities, from its seeds (GrowCut).

    Raises
    ------
    GeometryError
        Fewer than two segments have voxels.
    """
    if sum(mask.any() for mask in masks) < 2:
        raise GeometryError("Growing needs seeds of two segments at least: one inside, one around it.")
    grow = slicer.vtkImageGrowCutSegment()
    grow.SetIntensityVolume(_image(values))
    grow.SetSeedLabelVolume(_image(_labels(masks)))
    return _split(_run(grow), len(masks))


def between_slices(masks: Masks) -> Masks:
    """Fill a segment between the slices on which it was drawn.

    Raises
    ------
    GeometryError
        It was drawn on one slice alone, or nowhere, or on all slices already.
    """
    drawn = [np.flatnonzero(masks[0].any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not any(_gap(places) for places in drawn):
        raise GeometryError("Draw the segment on two slices at least, with some between them left free.")
    fill = slicer.vtkITKMorphologicalContourInterpolator()
    fill.SetInputData(_image(masks[0]))
    return [_run(fill) != 0]


def with_margin(masks: Masks, spacing: Spacing, millimetres: float) -> Masks:
    """Grow a segment by a margin, or shrink it by a negative one.

    Raises
    ------
    GeometryError
        Nothing would be left.
    """
    margin = slicer.vtkITKImageMargin()
    margin.SetInputData(_image(masks[0], spacing))
    margin.CalculateMarginInMMOn()
    margin.SetOuterMarginMM(millimetres)
    moved = _run(margin) != 0
    if not moved.any():
        raise GeometryError("The segment is thinner than that margin; nothing of it would be left.")
    return [moved]


def largest_island(masks: Masks) -> Masks:
    """Keep the largest connected part."""
    return [_islands(masks[0]) == 1]


def without_small_islands(masks: Masks, least: int) -> Masks:
    """Remove connected parts of fewer voxels than this.

    Raises
    ------
    GeometryError
        Nothing would be left.
    """
    remaining = _islands(masks[0], least) != 0
    if not remaining.any():
        raise GeometryError(
            f"All parts of the segment have fewer than {least} voxels; nothing would be left."
        )
    return [remaining]


def split_islands(masks: Masks) -> Masks:
    """Return each connected part, the largest one first.

    Raises
    ------
    GeometryError
        There is one part only, or too many.
    """
    islands = _islands(masks[0])
    count = int(islands.max())
    if count == 1:
        raise GeometryError("The segment is in one piece; there is nothing to split.")
    if count > MOST_ISLANDS:
        raise GeometryError(f"The segment has {count} pieces; remove the small ones first.")
    return _split(islands, count)


def median(masks: Masks, spacing: Spacing, kernel: float) -> Masks:
    """Smooth by the median in a box of this size in mm."""
    smooth = vtkImageMedian3D()
    smooth.SetInputData(_image(masks[0]))
    smooth.SetKernelSize(*_kernel(kernel, spacing))
    return [_run(smooth) != 0]


def opening(masks: Masks, spacing: Spacing, kernel: float) -> Masks:
    """Remove what is thinner than an ellipsoid of this size in mm."""
    return [_open_close(masks[0], _kernel(kernel, spacing), 1, 0)]


def closing(masks: Masks, spacing: Spacing, kernel: float) -> Masks:
    """Fill what is narrower than an ellipsoid of this size in mm."""
    return [_open_close(masks[0], _kernel(kernel, spacing), 0, 1)]


def gaussian(masks: Masks, spacing: Spacing, deviation: float) -> Masks:
    """Smooth by a Gaussian of this standard deviation in mm; what is above one half belongs to it."""
    smooth = vtkImageGaussianSmooth()
    smooth.SetInputData(_image(masks[0].astype(np.float32)))
    smooth.SetStandardDeviations(*(deviation / step for step in reversed(spacing)))
    smooth.SetRadiusFactors(*[GAUSSIAN_REACH] * 3)
    return [_run(smooth) >= 0.5]


def joint(masks: Masks, factor: float) -> Masks:
    """Smooth all segments together, so that no gaps come between them.

    Parameters
    ----------
    factor : 0 hardly to 1 strongly.

    Raises
    ------
    GeometryError
        Segments overlap.
    """
    if np.add.reduce([mask.astype(np.uint8) for mask in masks]).max() > 1:
        raise GeometryError("Segments that overlap cannot be smoothed jointly; smooth them one by one.")
    image = _image(_labels(masks))
    # Surfaces of all labels share their points here, so that neighbours move together.
    surfaces = vtkDiscreteMarchingCubes()
    surfaces.SetInputData(image)
    surfaces.GenerateValues(len(masks), 1, len(masks))
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(surfaces.GetOutputPort())
    smooth.SetNumberOfIterations(JOINT_STEPS)
    smooth.BoundarySmoothingOff()
    smooth.FeatureEdgeSmoothingOff()
    smooth.SetPassBand(10.0 ** (-4.0 * factor))
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    one = vtkThreshold()
    one.SetInputConnection(smooth.GetOutputPort())
    one.SetThresholdFunction(vtkThreshold.THRESHOLD_BETWEEN)
    surface = vtkGeometryFilter()
    surface.SetInputConnection(one.GetOutputPort())
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputConnection(surface.GetOutputPort())
    stencil.SetOutputWholeExtent(image.GetExtent())
    inside = vtkImageStencilToImage()
    inside.SetInputConnection(stencil.GetOutputPort())
    inside.SetOutputScalarTypeToUnsignedChar()
    smoothed = []
    for number, mask in enumerate(masks, 1):
        one.SetLowerThreshold(number)
        one.SetUpperThreshold(number)
        smoothed.append(_run(inside) != 0 if mask.any() else mask)
    return smoothed


def combine(masks: Masks, operator: str) -> Masks:
    """Combine a segment with another one, or with nothing: the operators of 3D Slicer by their names."""
    first, last = masks[0], masks[-1]
    match operator:
        case "copy":
            return [last]
        case "add":
            return [first | last]
        case "subtract":
            return [first & ~last]
        case "intersect":
            return [first & last]
        case "invert":
            return [~first]
        case "fill":
            return [np.ones_like(first)]
        case _:
            return [np.zeros_like(first)]


def island_at(masks: Masks, index: tuple[int, int, int], keep: bool) -> Masks:
    """Keep the connected part at an index alone, or all but it."""
    islands = _islands(masks[0])
    there = islands == islands[index]
    return [there if keep else masks[0] & ~there]


def add_island(masks: Masks, index: tuple[int, int, int]) -> Masks:
    """Add the connected part of another segment at an index."""
    islands = _islands(masks[1])
    return [masks[0] | (islands == islands[index])]


def _gap(places: npt.NDArray[np.intp]) -> bool:
    return bool(places.size > 1 and (np.diff(places) > 1).any())


def _kernel(millimetres: float, spacing: Spacing) -> list[int]:
    """Return the nearest odd number of voxels along i, j, k."""
    return [max(1, round((millimetres / step + 1) / 2) * 2 - 1) for step in reversed(spacing)]


def _open_close(mask: npt.NDArray[np.bool_], kernel: list[int], opened: int, closed: int) -> Any:
    smooth = vtkImageOpenClose3D()
    smooth.SetInputData(_image(mask))
    smooth.SetOpenValue(opened)
    smooth.SetCloseValue(closed)
    smooth.SetKernelSize(*kernel)
    return _run(smooth) != 0


def _islands(mask: npt.NDArray[np.bool_], least: int = 0) -> Any:
    """Number the parts that are connected by faces, the largest one 1; smaller ones than ``least`` are 0."""
    islands = slicer.vtkITKIslandMath()
    islands.SetInputData(_image(mask.astype(np.uint32)))
    islands.SetFullyConnected(False)
    islands.SetMinimumSize(least)
    return _run(islands)


def _labels(masks: Sequence[npt.NDArray[np.bool_]]) -> Any:
    labels = np.zeros(masks[0].shape, np.uint8 if len(masks) < 256 else np.uint16)
    for number, mask in enumerate(masks, 1):
        labels[mask] = number
    return labels


def _split(labels: Any, count: int) -> Masks:
    return [labels == number for number in range(1, count + 1)]


def _run(algorithm: Any) -> Any:
    algorithm.Update()
    image = algorithm.GetOutput()
    i, j, k = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i)


def _image(array: npt.NDArray[Any], spacing: Spacing = (1.0, 1.0, 1.0)) -> vtkImageData:
    image = vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.SetSpacing(*reversed(spacing))
    flat = np.ascontiguousarray(array.view(np.uint8) if array.dtype == np.bool_ else array).reshape(-1)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    return image
