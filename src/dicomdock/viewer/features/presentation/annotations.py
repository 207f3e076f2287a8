"""What a presentation state draws, as nodes of the scene that a slice view shows on their image alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import slicer
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.presentation_state.state import Point
from dicomdock.viewer.scene import LPS

COLOUR = (1.0, 0.85, 0.2)
LINE_WIDTH = 2  # pixels
HALF = 0.45  # of the distance between slices that lines reach to both sides, so that no neighbour shows them

Placed = tuple[int, Any]
"""A slice k, and what is on it."""


def places_of(geometry: VolumeGeometry, k: float, points: Any) -> np.ndarray:
    """Take columns and rows of a slice, as annotations count them, to points in mm, LPS."""
    at = np.asarray(points, np.float64).reshape(-1, 2)
    return geometry.to_lps(np.stack([np.full(len(at), float(k)), at[:, 1] - 0.5, at[:, 0] - 0.5], axis=1))


def add_lines(app: Any, geometry: VolumeGeometry, lines: Iterable[tuple[int, np.ndarray]], view: Any) -> Any:
    """Draw lines on slices in one view: as walls through them, of which the view shows the cut."""
    points: list[np.ndarray] = []
    cells, count = vtkCellArray(), 0
    for k, line in lines:
        walls = np.concatenate([places_of(geometry, k + side, line) for side in (-HALF, HALF)]) * LPS
        for at in range(count, count + len(line) - 1):
            cells.InsertNextCell(4)
            for corner in (at, at + 1, at + 1 + len(line), at + len(line)):
                cells.InsertCellPoint(corner)
        points.append(walls)
        count += len(walls)
    surface, corners = vtkPolyData(), vtkPoints()
    corners.SetData(numpy_to_vtk(np.concatenate(points), deep=True))
    surface.SetPoints(corners)
    surface.SetPolys(cells)
    node = app.scene.AddNewNodeByClass("vtkMRMLModelNode", "presentation graphics")
    node.SetAndObservePolyData(surface)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*COLOUR)
    display.SetVisibility(True)
    display.SetVisibility3D(False)
    display.SetVisibility2D(True)
    display.SetSliceIntersectionThickness(LINE_WIDTH)
    display.SetViewNodeIDs((view.get_view_node().GetID(),))
    return node


def add_texts(
    app: Any, geometry: VolumeGeometry, texts: Sequence[tuple[int, tuple[str, Point]]], view: Any
) -> Any:
    """Write texts on slices in one view."""
    node = app.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "presentation texts")
    node.CreateDefaultDisplayNodes()
    for k, (text, point) in texts:
        at = node.AddControlPoint(*(places_of(geometry, k, [point])[0] * LPS))
        node.SetNthControlPointLabel(at, text)
    node.SetLocked(True)
    display = node.GetDisplayNode()
    display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.Vertex2D)  # texts without marks
    display.SetTextScale(2.6)
    display.SetColor(*COLOUR)
    display.SetSelectedColor(*COLOUR)
    display.SetPointLabelsVisibility(True)
    display.SetPropertiesLabelVisibility(False)
    display.SetVisibility3D(False)
    display.SetViewNodeIDs((view.get_view_node().GetID(),))
    return node
