"""Which windows are offered: each once, though headers name and state them otherwise."""

from __future__ import annotations

import pytest

from dicomdock.imaging.geometry import Window


@pytest.mark.viewer
def test_a_window_is_offered_once(viewer_installed: None) -> None:
    from dicomdock.viewer.features.window.logic import CT_WINDOWS, MOST, offered

    header = [Window(35, 90, "BRAIN"), Window(400, 1800, "WINDOW2"), Window(400, 1800, "WINDOW3")]
    names = [one.name for one in offered(header, CT_WINDOWS)]
    assert names == ["BRAIN", "Bone (WINDOW2)", "Lung", "Abdomen", "Mediastinum"]
    smooth = Window(400, 1800, "Soft", "SIGMOID")
    assert offered([*header, smooth], ())[2:] == [smooth]
    # Whoever looks for a usual window finds it by its name, also where the header states it without one.
    assert [one.name for one in offered([Window(40, 80), Window(50, 350, "Mediastinum")], CT_WINDOWS)] == [
        "Brain (header)",
        "Mediastinum",
        "Lung",
        "Abdomen",
        "Bone",
    ]
    many = [Window(at, 100) for at in range(20)]
    assert offered(many, CT_WINDOWS) == many[:MOST]
