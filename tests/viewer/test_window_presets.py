"""Which windows are offered: each once, though headers name and state them otherwise."""

from __future__ import annotations

import pytest

pytest.importorskip("trame_slicer")

from dicomdock.imaging.geometry import Window
from dicomdock.viewer.features.window.logic import CT_WINDOWS, MOST, offered


def test_a_window_is_offered_once() -> None:
    header = [Window(35, 90, "BRAIN"), Window(400, 1800, "WINDOW2"), Window(400, 1800, "WINDOW3")]
    names = [one.name for one in offered(header, CT_WINDOWS)]
    assert names == ["BRAIN", "WINDOW2", "Lung", "Abdomen", "Mediastinum"]
    smooth = Window(400, 1800, "Soft", "SIGMOID")
    assert offered([*header, smooth], ())[2:] == [smooth]
    many = [Window(at, 100) for at in range(20)]
    assert offered(many, CT_WINDOWS) == many[:MOST]
