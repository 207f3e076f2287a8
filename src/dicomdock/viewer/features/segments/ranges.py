"""What tools of values and sizes have for a volume: a histogram, limits of sliders, a brush that suits it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
from trame_server.utils.typed_state import TypedState
from trame_slicer.app.ui import (
    PaintEffectState,
    ScissorsEffectState,
    SmoothingState,
    ThresholdState,
    VolumeIntensityRangeMaskState,
)
from trame_slicer.segmentation import (
    BrushDiameterMode,
    SegmentationEffectDraw,
    SegmentationEffectScissors,
    SegmentationEffectVolumeIntensityMask,
)
from trame_slicer.segmentation.scissors_effect_parameters import ScissorsEffectRangeMode

from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.pixels import valid
from dicomdock.viewer.engine import change_what_is_outlined, cut_shown_image
from dicomdock.viewer.features.segments.state import HISTOGRAM, SegmentsState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.page_state import PageState

BRUSH_SHARE = 0.03  # of the longer side of a slice, as the diameter that a brush begins with
BRUSH_STEP_MM = 0.1  # of its slider, less for brushes below 1 mm
SAMPLES = 1 << 20  # voxels at most that a histogram counts
SLIDER_STEPS = 1000  # of a range of values that are not whole numbers


class Ranges:
    """Sets the limits of the segment editor's tools for each volume that is shown.

    Parameters
    ----------
    server : trame's.
    editor : trame-slicer's segment editor.
    series : what is shown.
    state : of the segmentation on it.
    """

    def __init__(
        self, server: Any, editor: Any, series: SeriesLogic, state: PageState[SegmentsState]
    ) -> None:
        self._editor, self._series, self._state = editor, series, state
        brushes = (
            TypedState(server.state, PaintEffectState).data,
            TypedState(server.state, SmoothingState).data.brush,
        )
        self._brush_states = brushes
        self._scissors = TypedState(server.state, ScissorsEffectState).data
        self._value_mask = TypedState(server.state, VolumeIntensityRangeMaskState).data
        self._chosen: list[tuple[Any, str, Any]] = []  # for volumes, while a stack of images is shown
        for one in brushes:
            one.brush_diameter_mode = BrushDiameterMode.Absolute
        self._brushes = [one.brush_diameter_slider for one in brushes]
        self._values = [
            TypedState(server.state, one).data.threshold_slider
            for one in (ThresholdState, VolumeIntensityRangeMaskState)
        ]
        self._brush_mm = [one.value for one in self._brushes]  # as set here: another one is the user's
        self._masked: Any = None  # the volume whose values the mask's range is of
        for outlined in (SegmentationEffectScissors, SegmentationEffectDraw):
            change_what_is_outlined(editor.get_effect(outlined))
        cut_shown_image(editor.get_effect(SegmentationEffectScissors), lambda: bool(self._chosen))
        series.on_complete.append(self._complete)

    def opened(self) -> None:
        """Let the mask of values begin with all values, when a segmentation is open on another volume."""
        shown = self._series.shown
        if shown is None or shown.node is self._masked or not self._series.complete:
            return
        self._masked = shown.node
        if not shown.grey:
            return
        mask = self._editor.get_effect(SegmentationEffectVolumeIntensityMask)
        mask.set_mask_range(*shown.node.GetImageData().GetScalarRange())

    def _complete(self) -> None:
        shown = self._series.shown
        if shown is None:
            return
        self._keep_to_one_image(not shown.volume.spatial)
        whole = np.issubdtype(shown.volume.array.dtype, np.integer)
        size, step, most = brush_of(shown.volume)
        with self._state as data:
            data.histogram, data.grey, data.unit = "", shown.grey, unit_of(shown.volume)
            data.fillable = len(shown.volume.array) > 2
            for values in self._values if whole else ():
                values.step = 1
            for at, brush in enumerate(self._brushes):
                brush.min_value, brush.max_value, brush.step = step, most, step
                if brush.value == self._brush_mm[at]:
                    brush.value = self._brush_mm[at] = size
        if not shown.grey:
            self._value_mask.is_enabled = False  # colours have no values to mask by
        else:
            asyncio.get_running_loop().create_task(self._count(shown, whole=whole))

    def _keep_to_one_image(self, alone: bool) -> None:
        """Let brushes and scissors work on one image of a stack, whose others are not slices beside it.

        What was chosen for volumes comes back with the next one.
        """
        through: list[tuple[Any, str, Any]] = [(one, "use_sphere_brush", False) for one in self._brush_states]
        through.append((self._scissors, "range_mode", ScissorsEffectRangeMode.UNLIMITED))
        if alone and not self._chosen:
            self._chosen = [(state, name, getattr(state, name)) for state, name, _ in through]
            for state, name, value in through:
                setattr(state, name, value)
        elif not alone:
            for state, name, value in self._chosen:
                setattr(state, name, value)
            self._chosen = []

    async def _count(self, shown: Any, *, whole: bool) -> None:
        """Look at all values, which takes a second of a gigabyte, beside the event loop."""
        low, high = await asyncio.to_thread(ends_of, shown.volume)
        path = await asyncio.to_thread(histogram, shown.volume, (low, high))
        if self._series.shown is shown:
            with self._state as data:
                data.histogram = path
                for values in () if whole else self._values:
                    values.step = (high - low) / SLIDER_STEPS or 1


def brush_of(volume: Volume) -> tuple[float, float, float]:
    """Return the diameter of a brush for a volume, the step of its slider and the largest one.

    They are in the unit of ``unit_of``.
    """
    _, rows, columns = volume.geometry.shape
    _, down, across = volume.geometry.spacing
    side = max(rows * down, columns * across)
    size = float(f"{side * BRUSH_SHARE:.1g}")
    step = min(BRUSH_STEP_MM, 10 ** math.floor(math.log10(size)) / 10)
    return size, step, float(f"{side / 2:.2g}")


def unit_of(volume: Volume) -> str:
    """Return the unit of sizes on a volume: ``mm``, or ``px`` where its pixels are not calibrated."""
    known = volume.spatial or (volume.plan is not None and volume.plan.lead.spacing is not None)
    return "mm" if known else "px"


def ends_of(volume: Volume) -> tuple[float, float]:
    """Return the least and the greatest value of a volume, of what is a number; 0 and 0 where nothing is."""
    low, high = float(np.fmin.reduce(volume.array, axis=None)), float(np.fmax.reduce(volume.array, axis=None))
    return (low, high) if low <= high else (0.0, 0.0)


def histogram(volume: Volume, ends: tuple[float, float]) -> str:
    """Return the outline of a histogram as the path of an SVG of the size ``HISTOGRAM``.

    Heights are square roots of the counts, and the tallest bar, mostly air, is cut to the height of the next.
    Where all values are one, there is none.
    """
    width, height = HISTOGRAM
    low, high = ends
    if not low < high:
        return ""
    values = volume.array.reshape(-1)
    values = values[:: -(-values.size // SAMPLES)]
    if volume.padding is not None:
        values = values[valid(values, volume.padding)]
    counts, _ = np.histogram(values, bins=width, range=ends)
    tallest = np.sort(counts)[-2]
    shares = np.sqrt(np.minimum(counts / tallest, 1)) if tallest else counts > 0
    steps = "".join(f"V{height * (1 - share):.1f}h1" for share in shares)
    return f"M0 {height}{steps}V{height}z"
