"""The views by their tags, and the layouts that they are put together to."""

from __future__ import annotations

from trame_slicer.views import Layout, LayoutDirection, ViewLayoutDefinition

AXIAL, SAGITTAL, CORONAL, THREED = "Red", "Yellow", "Green", "ThreeD"
OTHER, THIRD, FOURTH = "Other", "Third", "Fourth"
BESIDE = (OTHER, THIRD, FOURTH)
"""Views of other series beside the first."""

PLANES = ("Sagittal", "Coronal", "Axial")
"""By the axis of LPS that slices are stacked along."""

NAMES = {AXIAL: "Axial", SAGITTAL: "Sagittal", CORONAL: "Coronal", **dict.fromkeys(BESIDE, "Axial")}
FOUR_VIEWS = "Four views"
COMPARE, FOUR_SERIES = "Compare", "Four series"
SEVERAL = {COMPARE: (AXIAL, OTHER), FOUR_SERIES: (AXIAL, *BESIDE)}
"""The layouts of several series, with their views."""

BACKGROUND = "#0b0d10"


def definitions() -> dict[str, Layout]:
    """Return the layouts by their names."""
    axial = ViewLayoutDefinition.axial_view(AXIAL)
    sagittal = ViewLayoutDefinition.sagittal_view(SAGITTAL)
    coronal = ViewLayoutDefinition.coronal_view(CORONAL)
    other, third, fourth = (
        ViewLayoutDefinition.slice_view("Axial", label=tag, color="#5B8DEF") for tag in BESIDE
    )
    threed = ViewLayoutDefinition.threed_view(name=THREED, background_color=BACKGROUND)
    across, down = LayoutDirection.Horizontal, LayoutDirection.Vertical
    return {
        FOUR_VIEWS: Layout(down, [Layout(across, [axial, sagittal]), Layout(across, [coronal, threed])]),
        "Axial and two": Layout(across, [axial, Layout(down, [sagittal, coronal])]),
        "Axial": Layout(down, [axial]),
        "Sagittal": Layout(down, [sagittal]),
        "Coronal": Layout(down, [coronal]),
        "3D": Layout(down, [threed]),
        COMPARE: Layout(across, [axial, other]),
        FOUR_SERIES: Layout(down, [Layout(across, [axial, other]), Layout(across, [third, fourth])]),
    }
