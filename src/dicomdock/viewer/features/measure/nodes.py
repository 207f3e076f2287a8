"""A measurement in the scene: the nodes that hold its points, and the line that is drawn beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import slicer
from vtkmodules.vtkCommonCore import vtkPoints

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.viewer.features.measure.kinds import CURVE, KINDS, OPEN_CURVE, POINTS, outline
from dicomdock.viewer.scene import LPS, add_points

COLOUR = (1.0, 0.85, 0.35)
OUTLINED = ("ellipse", "rectangle", "arrow")

_MARKUPS = slicer.vtkMRMLMarkupsNode


class Drawn:
    """The nodes of one measurement.

    Parameters
    ----------
    scene : Slicer's.
    kind : one of ``KINDS``.
    name : as the user calls it.
    geometry : of the volume that it lies on.
    changed : called when a point has moved.
    moved : called when the user has let a point go.
    keep_in_space : called with each display node.
    tracking_uid : identifies it in the reports that it is saved in.
    """

    def __init__(
        self,
        scene: Any,
        kind: str,
        name: str,
        geometry: VolumeGeometry,
        changed: Callable[[], None],
        moved: Callable[[], None],
        keep_in_space: Callable[..., None],
        tracking_uid: str,
    ) -> None:
        self.kind, self.name, self.tracking_uid = kind, name, tracking_uid
        self.shown = True
        self._scene, self._geometry, self._changed, self._moved = scene, geometry, changed, moved
        self._keep_in_space = keep_in_space
        self._putting = False
        self.nodes: list[Any] = []
        # Before the points' own: Slicer places points in the node that was added last.
        self._outline = self._outline_node() if kind in OUTLINED else None
        self.next_part()
        self.id = str(self.nodes[0].GetID())

    def next_part(self) -> Any:
        """Add the node of the next part; return None where all are there."""
        parts = KINDS[self.kind].parts
        if len(self.nodes) == len(parts):
            return None
        node = self._scene.AddNewNodeByClass(parts[len(self.nodes)][0], self.name)
        self._display(node, numbers=True, named=not self.nodes and parts[0][0] != POINTS)
        node.SetControlPointLabelFormat("")  # ``write`` has the words
        _show(node, self.shown)
        if parts[0][0] in (CURVE, OPEN_CURVE) and not KINDS[self.kind].smooth:
            node.SetCurveTypeToLinear()
        self.nodes.append(node)
        for event in (_MARKUPS.PointModifiedEvent, _MARKUPS.PointPositionDefinedEvent):
            node.AddObserver(event, self._point_changed)
        node.AddObserver(_MARKUPS.PointEndInteractionEvent, lambda *_: self._moved())
        return node

    def rename(self, name: str) -> None:
        """Call it otherwise."""
        self.name = name
        for node in (*self.nodes, self._outline):
            if node is not None:
                node.SetName(name)

    def write(self, words: str) -> None:
        """Write a text beside its first part."""
        self._putting = True
        for node in self.nodes:
            last = node.GetNumberOfControlPoints() - 1
            for at in range(last + 1):
                text = words if node is self.nodes[0] and at == last else ""
                if node.GetNthControlPointLabel(at) != text:
                    node.SetNthControlPointLabel(at, text)
        self._putting = False

    def show(self, shown: bool) -> None:
        """Draw it, or leave it out."""
        self.shown = shown
        for node in (*self.nodes, self._outline):
            if node is not None:
                _show(node, shown)

    def put(self, points: Sequence[Sequence[float]]) -> None:
        """Place all points, in RAS; none leaves them to the user."""
        rest = list(points)
        if not rest:
            return
        self._putting = True
        for at, (_, count) in enumerate(KINDS[self.kind].parts):
            node = self.nodes[at] if at < len(self.nodes) else self.next_part()
            here = rest if KINDS[self.kind].open_ended else rest[:count]
            add_points(node, here)
            rest = rest[len(here) :]
        self._putting = False
        self._draw_outline()

    def draw(self, points: Sequence[Any]) -> None:
        """Place points of a path, in RAS, behind those that are there; there are no numbers until its end."""
        self._putting = True
        add_points(self.nodes[-1], points)
        self._putting = False

    def points(self) -> list[Any]:
        """Return the points that are placed, in RAS."""
        return [point for node in self.nodes for point in _points(node)]

    def line(self) -> list[Any]:
        """Return what is measured, in RAS: the points, or those of the smooth curve through them."""
        curve = self.nodes[0].GetCurvePointsWorld() if KINDS[self.kind].smooth else None
        if curve is None:
            return self.points()
        points = [np.array(curve.GetPoint(at)) for at in range(curve.GetNumberOfPoints())]
        closed = len(points) > 1 and np.allclose(points[0], points[-1])
        return points[:-1] if closed else points

    @property
    def part_complete(self) -> bool:
        """Whether all points of the present part are placed."""
        return len(_points(self.nodes[-1])) >= KINDS[self.kind].parts[len(self.nodes) - 1][1]

    @property
    def complete(self) -> bool:
        """Whether it has as many points as it needs."""
        return len(self.points()) >= KINDS[self.kind].points

    def remove(self) -> None:
        """Take it out of the scene."""
        for node in (*self.nodes, self._outline):
            if node is not None:
                self._scene.RemoveNode(node)

    def _outline_node(self) -> Any:
        node = self._scene.AddNewNodeByClass(CURVE, self.name)
        node.SetCurveTypeToLinear()
        node.SetLocked(True)
        self._display(node, numbers=False, named=self.kind != "arrow")
        for display in _displays(node):
            display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.Vertex2D)  # points without marks
        return node

    def _display(self, node: Any, *, numbers: bool, named: bool) -> None:
        """Draw a node with what is written to its points on slices, and with its name in 3D.

        Numbers of several measurements would cover each other there. The engine names no single point.
        """
        node.CreateDefaultDisplayNodes()
        on_slices = node.GetDisplayNode()
        in_3d = self._scene.AddNewNodeByClass(on_slices.GetClassName())
        node.AddAndObserveDisplayNodeID(in_3d.GetID())
        for at in range(node.GetNumberOfMeasurements()):
            node.GetNthMeasurement(at).SetEnabled(False)  # the engine would write its own behind the name
        _style(on_slices, numbers=numbers, named=False)
        _style(in_3d, numbers=numbers and self.kind == "point", named=named)
        self._keep_in_space(on_slices, threed=False)
        self._keep_in_space(in_3d, slices=False)

    def _point_changed(self, *_: Any) -> None:
        if not self._putting:  # of some of its points there are no numbers
            self._draw_outline()
            self._changed()

    def _draw_outline(self) -> None:
        if self._outline is None:
            return
        points = [one * LPS for one in _points(self.nodes[0], preview=True)]
        try:
            line = outline(self.kind, points, self._geometry)
        except GeometryError:
            line = []
        places = vtkPoints()
        for one in line:
            places.InsertNextPoint(*(one * LPS))
        self._outline.SetControlPointPositionsWorld(places)


def _show(node: Any, shown: bool) -> None:
    for display in _displays(node):
        display.SetVisibility(shown)


def _displays(node: Any) -> list[Any]:
    return [node.GetNthDisplayNode(at) for at in range(node.GetNumberOfDisplayNodes())]


def _style(display: Any, *, numbers: bool, named: bool) -> None:
    display.SetTextScale(2.6)
    display.SetGlyphScale(1.6)
    display.SetSelectedColor(*COLOUR)
    display.SetColor(*COLOUR)
    display.SetPropertiesLabelVisibility(named)
    display.SetPointLabelsVisibility(numbers)


def _points(node: Any, *, preview: bool = False) -> list[Any]:
    states = {_MARKUPS.PositionDefined, *((_MARKUPS.PositionPreview,) if preview else ())}
    found = []
    for at in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(at) in states:
            point = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(at, point)
            found.append(np.array(point))
    return found
