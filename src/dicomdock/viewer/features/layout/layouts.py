"""The views by their tags, and the layouts that they are put together to."""

from __future__ import annotations

from collections.abc import Sequence

from trame_slicer.views import Layout, LayoutDirection, ViewLayoutDefinition

AXIAL, SAGITTAL, CORONAL, THREED = "Red", "Yellow", "Green", "ThreeD"
OTHER = "Other"
BESIDE = (OTHER, "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth")
"""Views of other series beside the first."""

PLANES = ("Sagittal", "Coronal", "Axial")
"""By the axis of LPS that slices are stacked along."""

NAMES = {AXIAL: "Axial", SAGITTAL: "Sagittal", CORONAL: "Coronal", **dict.fromkeys(BESIDE, "Axial")}
FOUR_VIEWS = "Four views"
COMPARE, FOUR_SERIES = "Compare", "Four series"
_BY_NAME = {(1, 1): NAMES[AXIAL], (1, 2): COMPARE, (2, 2): FOUR_SERIES}
GRIDS = {
    _BY_NAME.get((rows, columns), f"{rows} x {columns} series"): (rows, columns)
    for rows in (1, 2, 3)
    for columns in (1, 2, 3)
}
"""The layouts of a series in each view, with their rows and columns."""
SEVERAL = {
    name: (AXIAL, *BESIDE)[: rows * columns] for name, (rows, columns) in GRIDS.items() if rows * columns > 1
}
"""The layouts of several series, with their views row by row."""

LISTED = (FOUR_VIEWS, "Axial and two", "Axial", "Sagittal", "Coronal", "3D", COMPARE, FOUR_SERIES)
"""The layouts that are chosen by their names; other grids are chosen by their rows and columns."""

OF_IMAGES = tuple(name for name in LISTED if name in (NAMES[AXIAL], *SEVERAL))
"""Those of ``LISTED`` that suit images without a position in the patient."""

LAYOUTS = frozenset((*LISTED, *GRIDS))
"""The names of all layouts."""

BACKGROUND = "#0b0d10"


def definitions() -> dict[str, Layout]:
    """Return the layouts by their names."""
    axial = ViewLayoutDefinition.axial_view(AXIAL)
    sagittal = ViewLayoutDefinition.sagittal_view(SAGITTAL)
    coronal = ViewLayoutDefinition.coronal_view(CORONAL)
    beside = [ViewLayoutDefinition.slice_view("Axial", label=tag, color="#5B8DEF") for tag in BESIDE]
    threed = ViewLayoutDefinition.threed_view(name=THREED, background_color=BACKGROUND)
    across, down = LayoutDirection.Horizontal, LayoutDirection.Vertical
    return {
        FOUR_VIEWS: Layout(down, [Layout(across, [axial, sagittal]), Layout(across, [coronal, threed])]),
        "Axial and two": Layout(across, [axial, Layout(down, [sagittal, coronal])]),
        "Axial": Layout(down, [axial]),
        "Sagittal": Layout(down, [sagittal]),
        "Coronal": Layout(down, [coronal]),
        "3D": Layout(down, [threed]),
        **{name: _grid([axial, *beside], *GRIDS[name]) for name in SEVERAL},
    }


def _grid(views: Sequence[ViewLayoutDefinition], rows: int, columns: int) -> Layout:
    lines = [views[row * columns : (row + 1) * columns] for row in range(rows)]
    return Layout(LayoutDirection.Vertical, [Layout(LayoutDirection.Horizontal, line) for line in lines])
