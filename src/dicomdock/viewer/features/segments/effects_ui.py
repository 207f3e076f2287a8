"""The settings of the segment editor's tools, of its masks, and of how segments are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trame.widgets import html
from trame_server.utils.typed_state import TypedState
from trame_slicer.app.ui import (
    DrawEffectState,
    IslandsState,
    LogicalOperatorsSegmentationMode,
    LogicalOperatorsState,
    PaintEffectState,
    ScissorsEffectState,
    SliderState,
    SmoothingEffectMode,
    SmoothingState,
    ThresholdState,
    VolumeIntensityRangeMaskState,
)
from trame_slicer.segmentation import (
    BrushInteractionMode,
    SegmentationEffectDraw,
    SegmentationEffectErase,
    SegmentationEffectIslands,
    SegmentationEffectLogicalOperators,
    SegmentationEffectPaint,
    SegmentationEffectScissors,
    SegmentationEffectSmoothing,
    SegmentationEffectThreshold,
    SegmentationIslandsMode,
    SegmentationOpacityEnum,
    SegmentationOverwriteMode,
)
from trame_slicer.segmentation.scissors_effect_parameters import (
    ScissorsEffectFillMode,
    ScissorsEffectRangeMode,
)
from undo_stack import Signal

from dicomdock.viewer.features.segments.fields import choices, folded, number, selection, slider, value_range
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, checkbox, shown

SEGMENTS, SERIES = names_of(SegmentsState), names_of(SeriesState)

ISLANDS = {
    SegmentationIslandsMode.KEEP_LARGEST_ISLAND: "Keep largest",
    SegmentationIslandsMode.REMOVE_SMALL_ISLANDS: "Remove small",
    SegmentationIslandsMode.SPLIT_TO_SEGMENTS: "Split",
    SegmentationIslandsMode.KEEP_SELECTED: "Keep clicked",
    SegmentationIslandsMode.REMOVE_SELECTED: "Remove clicked",
    SegmentationIslandsMode.ADD_SELECTED: "Add clicked",
}
OPERATORS_OF_TWO = (
    LogicalOperatorsSegmentationMode.COPY,
    LogicalOperatorsSegmentationMode.ADD,
    LogicalOperatorsSegmentationMode.SUBTRACT,
    LogicalOperatorsSegmentationMode.INTERSECT,
)
OUTLINES = {
    BrushInteractionMode.CONTINUOUS: "Freehand",
    BrushInteractionMode.POINT_BY_POINT: "Point by point",
}
CUTS = {
    ScissorsEffectRangeMode.UNLIMITED: "All slices",
    ScissorsEffectRangeMode.POSITIVE: "From this slice up",
    ScissorsEffectRangeMode.NEGATIVE: "From this slice down",
    ScissorsEffectRangeMode.SYMMETRIC: "Slices around this one",
}
DRAWN = {
    SegmentationOpacityEnum.BOTH: "Filled and outlined",
    SegmentationOpacityEnum.FILL: "Filled",
    SegmentationOpacityEnum.OUTLINE: "Outlined",
}


class EffectSignals:
    """What the buttons of an effect report; an effect connects those that it knows."""

    def __init__(self) -> None:
        self.apply_clicked, self.auto_threshold_clicked, self.use_as_mask_clicked = (
            Signal(),
            Signal(),
            Signal(),
        )


def effect_settings(server: Any, editor: Any, signals: Mapping[type[Any], EffectSignals]) -> None:
    """Build the settings of the tool that is in hand.

    Parameters
    ----------
    server : trame's.
    editor : the typed state of the segment editor.
    signals : of each effect's buttons.
    """
    state, active = server.state, editor.name.active_effect_name

    def settings(*effects: type[Any]) -> Any:
        names = [effect.get_effect_name() for effect in effects]
        return html.Div(classes="settings", v_if=f"{names}.includes({active})")

    with settings(SegmentationEffectPaint, SegmentationEffectErase):
        _brush(TypedState(state, PaintEffectState))
    with settings(SegmentationEffectDraw):
        draw = TypedState(state, DrawEffectState).name
        choices("Outline", draw.brush_interaction_mode, _options(OUTLINES.items()))
        _outline_hint(draw.brush_interaction_mode)
    with settings(SegmentationEffectScissors):
        _scissors(TypedState(state, ScissorsEffectState).name)
    with settings(SegmentationEffectThreshold):
        _threshold(TypedState(state, ThresholdState).name, signals[SegmentationEffectThreshold])
    with settings(SegmentationEffectIslands):
        _islands(TypedState(state, IslandsState).name, signals[SegmentationEffectIslands])
    with settings(SegmentationEffectSmoothing):
        _smoothing(TypedState(state, SmoothingState), signals[SegmentationEffectSmoothing])
    with settings(SegmentationEffectLogicalOperators):
        _operators(
            TypedState(state, LogicalOperatorsState).name,
            editor.name.segment_list,
            signals[SegmentationEffectLogicalOperators],
        )


def masking(server: Any, editor: Any) -> None:
    """Build the settings of where tools may draw."""
    area = editor.name.segment_edit_area
    mask = TypedState(server.state, VolumeIntensityRangeMaskState).name
    with folded("Masking", "masking"):
        selection(
            "Editable area",
            area.mask_select.current_id,
            (),
            of=(area.mask_select.items, "one.id", "one.title"),
        )
        selection(
            "Overwrite mode",
            area.overwrite_mode,
            _options((one, _title(one)) for one in SegmentationOverwriteMode),
        )
        with html.Div(v_if=SEGMENTS.grey):
            checkbox(mask.is_enabled, "Only values in a range")
            with html.Div(v_if=mask.is_enabled):
                value_range("Only values", "only", mask.threshold_slider)
                checkbox(mask.is_visible, "Show that range")


def display(editor: Any) -> None:
    """Build the settings of how segments are drawn, and begin with the usual ones."""
    initial, name = editor.data.segment_display, editor.name.segment_display
    for given, slide in (
        (initial.border_thickness, SliderState(min_value=0, max_value=20, value=1, step=1)),
        (initial.opacity_2d, SliderState(min_value=0, max_value=1, value=0.5, step=0.01)),
        (initial.opacity_3d, SliderState(min_value=0, max_value=1, value=1, step=0.01)),
    ):
        TypedState.from_dataclass(given, slide)
    with folded("Display", "segment-display"):
        selection("Drawn", name.opacity_mode, _options(DRAWN.items()))
        slider("Width of the outline", name.border_thickness, "pixels")
        slider("Opacity in 2D", name.opacity_2d)
        slider("Opacity in 3D", name.opacity_3d)


def _options(titles: Iterable[tuple[Any, str]]) -> list[tuple[int, str]]:
    """Return what is chosen from, each by the value that trame's state has for it."""
    return [(one.value, title) for one, title in titles]


def _title(one: Any) -> str:
    return str(one.name).replace("_", " ").capitalize()


def _brush(brush: Any) -> None:
    """Build the settings of a brush; its size is in mm (``ranges``)."""
    slider("Brush size", brush.name.brush_diameter_slider, shown(SEGMENTS.unit))
    with html.Div(v_if=SERIES.kind_3d):
        checkbox(brush.name.use_sphere_brush, "Sphere, through several slices")


def _outline_hint(mode: str) -> None:
    by_points = f"{mode} === {BrushInteractionMode.POINT_BY_POINT.value}"
    html.P(shown(f"{by_points} ? 'Click around it; a right click ends.' : 'Drag around it.'"))


def _scissors(name: Any) -> None:
    choices("Outline", name.brush_interaction_mode, _options(OUTLINES.items()))
    _outline_hint(name.brush_interaction_mode)
    choices("Operation", name.fill_mode, _options((one, _title(one)) for one in ScissorsEffectFillMode))
    with html.Div(v_if=SERIES.kind_3d):
        selection("Cut through", name.range_mode, _options(CUTS.items()))
        with html.Div(v_if=f"{name.range_mode} === {ScissorsEffectRangeMode.SYMMETRIC.value}"):
            number("Distance", name.symmetric_distance, "mm")


def _threshold(name: Any, signals: EffectSignals) -> None:
    value_range("Threshold", "threshold", name.threshold_slider)
    with html.Div(classes="row"):
        button("Automatic", signals.auto_threshold_clicked, testid="auto-threshold")
        button("Apply", signals.apply_clicked)
        button("Use as mask", signals.use_as_mask_clicked, testid="use-as-mask")


def _islands(name: Any, signals: EffectSignals) -> None:
    choices("Islands", name.mode, _options(ISLANDS.items()))
    with html.Div(v_if=f"{name.mode} === {SegmentationIslandsMode.REMOVE_SMALL_ISLANDS.value}"):
        number("Minimum size", name.minimum_size, "voxels")
    clicked = [one.value for one in SegmentationIslandsMode.get_interactive_modes()]
    html.P("Click an island in a view.", v_if=f"{clicked}.includes({name.mode})")
    with html.Div(classes="row", v_if=f"!{clicked}.includes({name.mode})"):
        button("Apply", signals.apply_clicked)


def _smoothing(smoothing: Any, signals: EffectSignals) -> None:
    name, mode = smoothing.name, SmoothingEffectMode
    selection("Smoothing method", name.mode, _options((one, _title(one)) for one in mode))
    kernels = [one.value for one in (mode.MEDIAN, mode.OPENING, mode.CLOSING)]
    with html.Div(v_if=f"{kernels}.includes({name.mode})"):
        number("Kernel size", name.kernel_size, shown(SEGMENTS.unit))
    with html.Div(v_if=f"{name.mode} === {mode.GAUSSIAN.value}"):
        number("Standard deviation", name.standard_deviation, shown(SEGMENTS.unit))
    with html.Div(v_if=f"{name.mode} === {mode.JOINT.value}"):
        number("Smoothing factor, 0 to 1", name.smoothing_factor)
    with html.Div(classes="row"):
        button("Apply", signals.apply_clicked)
    html.P("Or smooth with the brush:")
    _brush(smoothing.get_sub_state(name.brush))


def _operators(name: Any, segments: Any, signals: EffectSignals) -> None:
    selection(
        "Logical operator",
        name.logical_operator,
        _options((one, _title(one)) for one in LogicalOperatorsSegmentationMode),
    )
    two = f"{[one.value for one in OPERATORS_OF_TWO]}.includes({name.logical_operator})"
    others = f"{segments.segments}.filter((one) => one.segment_id !== {segments.active_segment_id})"
    chosen = f"{others}.some((one) => one.segment_id === {name.reference_segment_id})"
    with html.Div(v_if=two):
        selection(
            "Reference segment", name.reference_segment_id, (), of=(others, "one.segment_id", "one.name")
        )
    with html.Div(classes="row"):
        button("Apply", signals.apply_clicked, disabled=f"{two} && !{chosen}")
