"""Isodose lines: surfaces of equal value in the scene, of which slices show where they cut them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D
from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter

from dicomdock.viewer.scene import ShownVolume

LINE_WIDTH = 2  # pixels

Colour = tuple[float, float, float]


def add_isodoses(app: Any, dose: ShownVolume, levels: Sequence[tuple[float, Colour]]) -> list[Any]:
    """Put surfaces of equal dose into the scene, drawn as lines on slices; return their nodes.

    Parameters
    ----------
    levels : value and colour of each.
    """
    to_ras = vtkMatrix4x4()
    dose.node.GetIJKToRASMatrix(to_ras)
    turn = vtkTransform()
    turn.SetMatrix(to_ras)
    nodes = []
    for value, colour in levels:
        edges, turned = vtkFlyingEdges3D(), vtkTransformPolyDataFilter()
        edges.SetInputData(dose.node.GetImageData())
        edges.SetValue(0, value)
        edges.ComputeNormalsOff()
        edges.ComputeGradientsOff()
        edges.ComputeScalarsOff()
        turned.SetTransform(turn)
        turned.SetInputConnection(edges.GetOutputPort())
        turned.Update()
        node = app.scene.AddNewNodeByClass("vtkMRMLModelNode", "isodose")
        node.SetAndObservePolyData(turned.GetOutput())
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*colour)
        display.SetVisibility(True)
        display.SetVisibility3D(False)
        display.SetVisibility2D(True)
        display.SetSliceIntersectionThickness(LINE_WIDTH)
        nodes.append(node)
    return nodes
