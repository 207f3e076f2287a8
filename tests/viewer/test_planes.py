"""Which plane a view shows, by its name."""

from __future__ import annotations

import pytest


@pytest.mark.viewer
@pytest.mark.usefixtures("viewer_installed")
@pytest.mark.parametrize(
    ("normal", "usual", "named"),
    [
        ((0, 0, 1), "Axial", "Axial"),
        ((0, 0, -1), "Sagittal", "Axial"),  # a single slice, seen by every view
        ((0.1, 0.98, 0.1), "Coronal", "Coronal"),
        ((0.55, 0.0, 0.83), "Sagittal", "Sagittal"),  # oblique images, along their own planes
    ],
)
def test_a_view_is_named_after_what_it_shows(
    normal: tuple[float, float, float], usual: str, named: str
) -> None:
    from dicomdock.viewer.features.views.planes import plane_shown

    assert plane_shown(normal, usual) == named
