"""Segments computed from what was drawn: grown from seeds, filled between slices, with another margin."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from trame_slicer.segmentation import ModificationMode
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData

from dicomdock.errors import GeometryError

ROOM = 5  # percent of the extent of the seeds that growing may reach beyond them
LEAST_ROOM = 5  # voxels


def from_seeds(editor: Any) -> None:
    """Let every segment grow along like intensities, from what was drawn of it (GrowCut).

    Raises
    ------
    GeometryError
        Fewer than two segments have voxels.
    """
    masks = _masks(editor)
    if len(masks) < 2:
        raise GeometryError("Growing needs seeds of two segments at least: one inside, one around it.")
    intensities = editor.active_segment_modifier.get_source_image_data()
    values = _array(intensities)
    labels = np.zeros(values.shape, np.uint8)
    for number, mask in enumerate(masks.values(), 1):
        labels[mask] = number
    box = _box(labels)
    grow = slicer.vtkImageGrowCutSegment()
    grow.SetIntensityVolume(_image(values[box]))
    grow.SetSeedLabelVolume(_image(labels[box]))
    grow.Update()
    grown = np.zeros(values.shape, np.uint8)
    grown[box] = _array(grow.GetOutput())
    modifier = editor.active_segment_modifier
    with modifier.group_undo_commands("Grow from seeds"):
        for number, segment_id in enumerate(masks, 1):
            _set(editor, segment_id, grown == number)


def between_slices(editor: Any) -> None:
    """Fill the active segment between the slices on which it was drawn.

    Raises
    ------
    GeometryError
        Nothing was drawn.
    """
    segment_id = editor.active_segment_id
    mask = _masks(editor).get(segment_id)
    if mask is None:
        raise GeometryError("Draw the segment on some slices first.")
    box = _box(mask, least=1)
    fill = slicer.vtkITKMorphologicalContourInterpolator()
    fill.SetInputData(_image(mask[box].astype(np.uint8)))
    fill.Update()
    filled = np.zeros(mask.shape, bool)
    filled[box] = _array(fill.GetOutput()) != 0
    _set(editor, segment_id, filled)


def with_margin(editor: Any, millimetres: float) -> None:
    """Grow the active segment by a margin, or shrink it by a negative one.

    Raises
    ------
    GeometryError
        Nothing was drawn, or nothing would be left.
    """
    segment_id = editor.active_segment_id
    mask = _masks(editor).get(segment_id)
    if mask is None:
        raise GeometryError("Draw the segment first.")
    spacing = editor.active_volume_node.GetSpacing()
    reach = [int(np.ceil(abs(millimetres) / step)) + 2 for step in reversed(spacing)]
    box = _box(mask, least=max(reach))
    image = _image(mask[box].astype(np.uint8), spacing)
    margin = slicer.vtkITKImageMargin()
    margin.SetInputData(image)
    margin.CalculateMarginInMMOn()
    margin.SetOuterMarginMM(millimetres)
    margin.Update()
    moved = np.zeros(mask.shape, bool)
    moved[box] = _array(margin.GetOutput()) != 0
    if not moved.any():
        raise GeometryError("The segment is thinner than that margin; nothing of it would be left.")
    _set(editor, segment_id, moved)


def _masks(editor: Any) -> dict[str, Any]:
    """Give the voxels of each segment that has some, on the grid of the images."""
    found = {}
    for segment_id in editor.get_segment_ids():
        mask = np.array(editor.get_segment_labelmap(segment_id, as_numpy_array=True)) != 0
        if mask.any():
            found[segment_id] = mask
    return found


def _set(editor: Any, segment_id: str, mask: Any) -> None:
    modifier = editor.active_segment_modifier
    labelmap = modifier.create_modifier_labelmap()
    _array(labelmap)[...] = mask
    # What a filter made replaces the segment; the editor's masking is for what is drawn by hand.
    modifier.apply_labelmap(
        labelmap, segment_id=segment_id, modification_mode=ModificationMode.Set, do_bypass_masking=True
    )


def _box(labels: Any, *, least: int = LEAST_ROOM) -> tuple[slice, ...]:
    """Give the part of a grid that holds something, and some room around."""
    box = []
    for axis, size in enumerate(labels.shape):
        others = tuple(other for other in range(3) if other != axis)
        there = np.flatnonzero(labels.any(axis=others))
        room = max(least, (there[-1] - there[0]) * ROOM // 100)
        box.append(slice(max(0, int(there[0]) - room), min(size, int(there[-1]) + room + 1)))
    return tuple(box)


def _array(image: Any) -> Any:
    i, j, k = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i)


def _image(array: Any, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> vtkImageData:
    image = vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.SetSpacing(*spacing)
    flat = np.ascontiguousarray(array).reshape(-1)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    return image
