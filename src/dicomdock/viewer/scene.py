"""Values of ``imaging`` as nodes of Slicer's scene, and back: volumes, segments, places.

Slicer thinks in RAS and (i, j, k), ``imaging`` in LPS and (k, j, i).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from dicomdock.imaging.geometry import VolumeGeometry, Window
from dicomdock.imaging.measurements import quantity_of, unit_text
from dicomdock.imaging.presentation import STEPS, Grey, curve_of, window_of
from dicomdock.imaging.segmentation import Mask
from dicomdock.imaging.terminology import RGB, fractions
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.pixels import valid
from dicomdock.viewer.loaded import COVERED
from dicomdock.viewer.palettes import colour_node

LPS = np.array((-1.0, -1.0, 1.0))
"""Factors between RAS and LPS, either way."""

SAME_PLACE = 1e-4  # mm, between matrices that mean the same grid
BYTES = Window(127.5, 255.0, function="LINEAR_EXACT")
"""Values of 8 bits as they are."""

OVERLAY_COLOURS = "overlay colours"

GREY, INVERTED = "vtkMRMLColorTableNodeGrey", "vtkMRMLColorTableNodeInvertedGrey"


def matrix_of(array: Any) -> vtkMatrix4x4:
    """Return a 4 x 4 array as VTK's matrix."""
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=float).ravel().tolist())
    return matrix


def array_of(matrix: vtkMatrix4x4) -> np.ndarray:
    """Return VTK's matrix as a 4 x 4 array."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def add_points(node: Any, points: Iterable[Any]) -> None:
    """Add points, in mm, RAS, to a node of markups; what draws it hears of them once."""
    before = node.StartModify()
    for one in points:
        node.AddControlPoint(*one)
    node.EndModify(before)


@dataclass(eq=False)
class ShownVolume:
    """A volume in the scene; its array is the scene's own memory, so what is written to it can be shown.

    Parameters
    ----------
    volume : the values.
    node : Slicer's node of it.
    shading : the window that was chosen last, before any change by hand.
    table : Slicer's node of its shades of grey, where these are not a straight line; None else.
    palette : name of the colours that it is shown in (``palettes``); empty for its own shades of grey.
    inverse : low values are shown bright; None for as the volume states.
    alone : where it is one image of a series whose other images are not known yet, what is said of them; else
        empty.
    """

    volume: Volume
    node: Any
    shading: Window = BYTES
    table: Any = None
    palette: str = ""
    inverse: bool | None = None
    alone: str = ""

    @property
    def grey(self) -> bool:
        """It has one value a voxel, so it has a window."""
        return not self.volume.colour

    @property
    def unit(self) -> str:
        """The unit of its values as numbers are shown with it; empty where none is stated."""
        return unit_text(quantity_of(self.volume)[1]) or self.volume.units

    def changed(self) -> None:
        """Let views draw what was written to the array."""
        image = self.node.GetImageData()
        image.GetPointData().GetScalars().Modified()
        image.Modified()
        self.node.Modified()

    def set_window(self, window: Window) -> None:
        """Show values by a window or VOI lookup table, as ``imaging.presentation`` makes grey of them."""
        display = self.node.GetDisplayNode()
        if display is None or not self.grey:
            return
        curve = curve_of(window)
        self.shading = window
        before = display.StartModify()
        display.SetAutoWindowLevel(0)
        display.SetAndObserveColorNodeID(self._colours(curve.shades))
        display.SetWindowLevel(curve.high - curve.low, (curve.high + curve.low) / 2)
        display.EndModify(before)

    @property
    def window(self) -> Window:
        """The window that is shown, also after it was changed by hand."""
        display = self.node.GetDisplayNode()
        if display is None or not self.grey:
            return BYTES
        half, level = display.GetWindow() / 2, display.GetLevel()
        return window_of(level - half, level + half, self.shading)

    @property
    def inverted(self) -> bool:
        """Whether low values are shown bright."""
        return self.volume.inverted if self.inverse is None else self.inverse

    def invert(self, inverse: bool) -> None:
        """Show low values bright, or dark; colours and windows stay."""
        display = self.node.GetDisplayNode()
        if display is None or not self.grey:
            return
        self.inverse = inverse
        display.SetAndObserveColorNodeID(self._colours(curve_of(self.shading).shades))

    def hide_padding(self) -> None:
        """Draw only values from the least to the greatest of the image, where padding lies beyond."""
        values, padding = self.volume.array, self.volume.padding
        display = self.node.GetDisplayNode()
        if padding is None or display is None or not self.grey:
            return
        image = values[valid(values, padding)]
        if not image.size:
            return
        low, high = float(image.min()), float(image.max())
        if padding[1] < low or padding[0] > high:
            display.SetThreshold(low, high)
            display.SetApplyThreshold(True)

    def remove(self, app: Any) -> None:
        """Take it out of the scene, with what it is drawn in 3D by: the scene leaves that where it is."""
        displays = [self.node.GetNthDisplayNode(at) for at in range(self.node.GetNumberOfDisplayNodes())]
        looks = [one.GetVolumePropertyNode() for one in displays if hasattr(one, "GetVolumePropertyNode")]
        app.scene.RemoveNode(self.node)
        for look in filter(None, looks):
            app.scene.RemoveNode(look)
        if self.table is not None:
            app.scene.RemoveNode(self.table)
            self.table = None

    def _colours(self, shades: Grey | None) -> str:
        """Return the ID of the colours that the 256 steps of the window are shown in."""
        if self.palette:
            return colour_node(self.node.GetScene(), self.palette)
        if shades is None:
            return INVERTED if self.inverted else GREY
        if self.table is None:
            self.table = self.node.GetScene().AddNewNodeByClass("vtkMRMLColorTableNode", "shades")
            self.table.SetTypeToUser()
            self.table.SetNumberOfColors(STEPS)
            self.table.GetLookupTable().SetRange(0, STEPS - 1)
        for step, shade in enumerate(255 - shades if self.inverted else shades):
            self.table.SetColor(step, str(step), *[float(shade) / 255] * 3, 1.0)
        return str(self.table.GetID())


def add_volume(app: Any, volume: Volume, name: str) -> ShownVolume:
    """Put a volume into the scene without copying its values."""
    kind = "vtkMRMLVectorVolumeNode" if volume.colour else "vtkMRMLScalarVolumeNode"
    array = volume.array
    if array.dtype == np.bool_ or array.dtype.byteorder == ">" or not array.flags.c_contiguous:
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    slices, rows, columns = volume.geometry.shape
    image = vtkImageData()
    image.SetDimensions(columns, rows, slices)
    flat = array.reshape(-1, 3) if volume.colour else array.reshape(-1)
    scalars = numpy_to_vtk(flat, deep=False)
    scalars.SetName("values")
    image.GetPointData().SetScalars(scalars)
    node = app.scene.AddNewNodeByClass(kind, name)
    node.SetIJKToRASMatrix(matrix_of(volume.geometry.ijk_to_ras))
    # Before the image is there: else VTK walks through all of it for a window that is not wanted.
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(0)
    node.SetAndObserveImageData(image)
    if volume.colour:  # colours are what they are
        display.SetWindowLevel(255.0, 127.5)
    else:
        display.SetAndObserveColorNodeID(INVERTED if volume.inverted else GREY)
        display.SetInterpolate(True)
    return ShownVolume(volume, node)


def add_overlays(
    app: Any, covered: npt.NDArray[np.uint8], geometry: VolumeGeometry, shutter_color: RGB
) -> Any:
    """Put what overlays and shutters cover into the scene, without copying it.

    Parameters
    ----------
    covered : 1 where overlays are, drawn in white; ``COVERED`` behind a shutter.
    shutter_color : of what is behind a shutter.
    """
    slices, rows, columns = covered.shape
    image = vtkImageData()
    image.SetDimensions(columns, rows, slices)
    image.GetPointData().SetScalars(numpy_to_vtk(covered.reshape(-1), deep=False))
    node = app.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "overlays")
    node.SetIJKToRASMatrix(matrix_of(geometry.ijk_to_ras))
    node.CreateDefaultDisplayNodes()
    colours = app.scene.GetFirstNodeByName(OVERLAY_COLOURS)
    if colours is None:
        colours = app.scene.AddNewNodeByClass("vtkMRMLColorTableNode", OVERLAY_COLOURS)
        colours.SetTypeToUser()
        colours.SetNumberOfColors(3)
        colours.GetLookupTable().SetRange(0, COVERED)
        colours.SetColor(0, "nothing", 0.0, 0.0, 0.0, 0.0)
        colours.SetColor(1, "overlay", 1.0, 1.0, 1.0, 1.0)
    colours.SetColor(COVERED, "behind a shutter", *fractions(shutter_color), 1.0)
    node.GetDisplayNode().SetAndObserveColorNodeID(colours.GetID())
    node.SetAndObserveImageData(image)
    return node


def set_segment(node: Any, segment_id: str, mask: Mask, geometry: VolumeGeometry) -> None:
    """Return a segment its voxels; only the box that holds them stays in memory."""
    if not mask.array.size:
        return
    box = slicer.vtkOrientedImageData()
    (k0, j0, i0), (k1, j1, i1) = mask.start, mask.stop
    box.SetExtent(i0, i1 - 1, j0, j1 - 1, k0, k1 - 1)
    voxels = np.ascontiguousarray(mask.array, np.uint8).reshape(-1)
    box.GetPointData().SetScalars(numpy_to_vtk(voxels, deep=True))
    box.SetImageToWorldMatrix(matrix_of(geometry.ijk_to_ras))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(box, node, segment_id, logic.MODE_REPLACE, box.GetExtent())


def mask_of(node: Any, segment_id: str, geometry: VolumeGeometry) -> Mask:
    """Read a segment's voxels on the grid of its images."""
    labelmap = slicer.vtkOrientedImageData()
    if not node.GetBinaryLabelmapRepresentation(segment_id, labelmap) or labelmap.IsEmpty():
        return Mask.of(np.zeros((1, 1, 1), bool))
    matrix = vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    if np.abs(array_of(matrix) - geometry.ijk_to_ras).max() > SAME_PLACE:
        labelmap = _resampled(labelmap, geometry)
    i0, i1, j0, j1, k0, k1 = labelmap.GetExtent()
    scalars = labelmap.GetPointData().GetScalars()
    if scalars is None or i1 < i0 or j1 < j0 or k1 < k0:
        return Mask.of(np.zeros((1, 1, 1), bool))
    found = vtk_to_numpy(scalars).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1) != 0
    # A labelmap may reach beyond the grid (a brush at the edge); what lies there is no voxel of the images.
    low = np.maximum((-k0, -j0, -i0), 0)
    high = np.minimum(np.array(geometry.shape) - (k0, j0, i0), found.shape)
    if (high <= low).any():
        return Mask.of(np.zeros((1, 1, 1), bool))
    inside = found[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    cut = Mask.of(inside)
    if not cut.array.size:
        return cut
    offset = np.array(cut.start) + low + (k0, j0, i0)
    return Mask((int(offset[0]), int(offset[1]), int(offset[2])), cut.array)


def _resampled(labelmap: Any, geometry: VolumeGeometry) -> Any:
    grid = slicer.vtkOrientedImageData()
    grid.SetImageToWorldMatrix(matrix_of(geometry.ijk_to_ras))
    grid.SetDimensions(*geometry.shape[::-1])
    out = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        labelmap, grid, out, False, False
    )
    return out
