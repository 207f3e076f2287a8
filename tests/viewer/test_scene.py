"""What is put into the scene and taken out again leaves nothing there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from dicomdock.imaging.geometry import Window
from dicomdock.imaging.segmentation import Mask, Segment, Segmentation
from dicomdock.imaging.volume import Volume
from tests.viewer.conftest import AFFINE, grid

SHAPE = (4, 20, 20)

# The viewer's modules are imported by the tests: to import 3D Slicer's engine costs seconds in each worker.
pytestmark = pytest.mark.viewer


@pytest.fixture(scope="module")
def app(viewer_installed: None) -> Iterator[Any]:
    """Yield Slicer's application, with a scene of its own."""
    from trame_slicer.core import SlicerApp

    made = SlicerApp()
    yield made
    made.io_manager.cache_dir.cleanup()


def _ramp() -> Volume:
    return Volume(np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE), grid(SHAPE, AFFINE))


def _measure(app: Any) -> Callable[[], None]:
    from dicomdock.viewer.features.measure.kinds import KINDS
    from dicomdock.viewer.features.measure.nodes import Drawn

    def nothing(*_: object, **__: object) -> None: ...

    made = [
        Drawn(app.scene, kind, kind, _ramp().geometry, nothing, nothing, nothing, "1.2") for kind in KINDS
    ]
    for one in made:
        while one.next_part() is not None:
            pass
    return lambda: [one.remove() for one in made] and None


def _show(app: Any) -> Callable[[], None]:
    """Show a volume on slices, by shades of its own, and in 3D by two looks."""
    from dicomdock.viewer.scene import add_volume

    shown = add_volume(app, _ramp(), "ramp")
    shown.set_window(Window(500, 900, function="SIGMOID"))
    for look in ("CT-Bone", "MR-Default"):
        app.volume_rendering.apply_preset(app.volume_rendering.create_display_node(shown.node, look), look)
    return lambda: shown.remove(app)


def _segment(app: Any) -> Callable[[], None]:
    """Open a segmentation over a volume in the editor."""
    from dicomdock.viewer.scene import add_volume
    from dicomdock.viewer.segmentation_nodes import put_in_scene

    shown, box = add_volume(app, _ramp(), "ramp"), np.ones(SHAPE, bool)
    segmentation = Segmentation(shown.volume.geometry, (Segment("Box", Mask.of(box)),))
    node = put_in_scene(app.segmentation_editor, segmentation, "box")
    app.segmentation_editor.set_active_segmentation(node, shown.node)
    app.segmentation_editor.show_3d(True)

    def close() -> None:
        app.segmentation_editor.clear()
        app.scene.RemoveNode(node)
        shown.remove(app)

    return close


def _draw_over(app: Any) -> Callable[[], None]:
    """Draw overlays and isodose lines."""
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    from dicomdock.viewer.isodose import add_isodoses
    from dicomdock.viewer.scene import add_overlays

    nodes = [
        add_overlays(app, np.zeros(SHAPE, np.uint8), _ramp().geometry, (0, 0, 0)),
        *add_isodoses(app, [(vtkPolyData(), (1.0, 0.0, 0.0))]),
    ]
    return lambda: [app.scene.RemoveNode(one) for one in nodes] and None


@pytest.mark.parametrize("put", [_measure, _show, _segment, _draw_over])
def test_what_is_taken_away_leaves_no_nodes(app: Any, put: Callable[[Any], Callable[[], None]]) -> None:
    put(app)()  # the editor and overlays keep one node of their own for all that follow
    before = _nodes(app)
    take_away = put(app)
    assert _nodes(app).total() > before.total()
    take_away()
    assert _nodes(app) == before


def _nodes(app: Any) -> Counter[str]:
    return Counter(app.scene.GetNthNode(at).GetClassName() for at in range(app.scene.GetNumberOfNodes()))


def test_a_spline_through_points_of_a_circle_measures_the_circle(app: Any) -> None:
    from dicomdock.viewer.features.measure.kinds import measured
    from dicomdock.viewer.features.measure.nodes import Drawn
    from dicomdock.viewer.scene import LPS

    def nothing(*_: object, **__: object) -> None: ...

    volume, radius = _ramp(), 6.0
    middle = volume.geometry.to_lps([2, 10, 10])
    turns = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    circle = [middle + radius * np.array([np.cos(one), np.sin(one), 0]) for one in turns]
    for kind, points, numbers in (
        ("spline", circle, {"Area": np.pi * radius**2, "Perimeter": 2 * np.pi * radius}),
        ("curve", circle[:5], {"Length": np.pi * radius}),
    ):
        drawn = Drawn(app.scene, kind, kind, volume.geometry, nothing, nothing, nothing, "1.2")
        drawn.put([point * LPS for point in points])
        found = measured(kind, kind, [point * LPS for point in drawn.line()], volume, None)
        values = {one.quantity: one.number for one in found.values}
        drawn.remove()
        assert {name: values[name] for name in numbers} == pytest.approx(numbers, rel=0.01)
