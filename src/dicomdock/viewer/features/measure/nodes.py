"""A measurement in the scene: the nodes that hold its points, and the line that is drawn beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import slicer
from vtkmodules.vtkCommonCore import vtkPoints

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.viewer.features.measure.kinds import CURVE, KINDS, LINE, OPEN_CURVE, POINTS, outline
from dicomdock.viewer.scene import LPS, add_points

COLOUR = (1.0, 0.85, 0.35)
LEADER = 0.15  # thickness of the line that leads to a text, of a point's mark
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
        self.text = ""
        self._text_nodes: tuple[Any, Any] | None = (
            None  # the text that was dragged away, the line that leads there
        )
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
        for node in self._all_nodes():
            node.SetName(name)

    def write(self, words: str) -> None:
        """Write a text beside its first part, or where it was put."""
        self.text = words
        self._putting = True
        for node in self.nodes:
            last = node.GetNumberOfControlPoints() - 1
            for at in range(last + 1):
                here = node is self.nodes[0] and at == last and self._text_nodes is None
                _label(node, at, words if here else "")
        if self._text_nodes is not None:
            _label(self._text_nodes[0], 0, words)
        self._putting = False

    @property
    def text_at(self) -> Any:
        """Where its text begins, in RAS; None where it has no points yet."""
        if self._text_nodes is not None:
            return _points(self._text_nodes[0])[0]
        points = _points(self.nodes[0])
        return points[-1] if points else None

    @property
    def text_put(self) -> tuple[float, ...]:
        """Where its text was put, in RAS; empty where it stands beside the first part."""
        return tuple(map(float, self.text_at)) if self._text_nodes is not None else ()

    @property
    def text_scale(self) -> float:
        """How large its text is, as the engine has it."""
        return float(self.nodes[0].GetDisplayNode().GetTextScale())

    def put_text(self, at: Sequence[float]) -> None:
        """Put its text somewhere, in RAS; a line leads there."""
        if self._text_nodes is None:
            self._text_nodes = self._text_node(POINTS, numbers=True), self._text_node(LINE, numbers=False)
            add_points(self._text_nodes[0], [at])
            self.write(self.text)
        self._text_nodes[0].SetNthControlPointPositionWorld(0, *at)
        self._lead_to_text()

    def show(self, shown: bool) -> None:
        """Draw it, or leave it out."""
        self.shown = shown
        for node in self._all_nodes():
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
        for node in self._all_nodes():
            self._scene.RemoveNode(node)

    def _all_nodes(self) -> list[Any]:
        beside = [] if self._outline is None else [self._outline]
        return [*self.nodes, *beside, *(self._text_nodes or ())]

    def _text_node(self, kind: str, *, numbers: bool) -> Any:
        node = self._scene.AddNewNodeByClass(kind, self.name)
        node.SetLocked(True)
        node.CreateDefaultDisplayNodes()
        for at in range(node.GetNumberOfMeasurements()):
            node.GetNthMeasurement(at).SetEnabled(False)
        display = node.GetDisplayNode()
        _style(display, numbers=numbers, named=False)
        display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.Vertex2D)  # points without marks
        display.SetLineThickness(LEADER)
        self._keep_in_space(display, threed=False)
        _show(node, self.shown)
        return node

    def _lead_to_text(self) -> None:
        points = _points(self.nodes[0])
        if self._text_nodes is None or not points:
            return
        ends = vtkPoints()
        for one in (points[-1], self.text_at):
            ends.InsertNextPoint(*one)
        self._text_nodes[1].SetControlPointPositionsWorld(ends)

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
            self._lead_to_text()
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


def _label(node: Any, at: int, text: str) -> None:
    if node.GetNthControlPointLabel(at) != text:
        node.SetNthControlPointLabel(at, text)


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
