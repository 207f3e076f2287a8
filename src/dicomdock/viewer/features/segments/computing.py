"""Compute for the segment editor in another process, and put the result into the scene as one step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from slicer import vtkSlicerSegmentEditorLogic
from trame_slicer.app.logic.segmentation import (
    IslandsEffectLogic,
    LogicalOperatorsEffectLogic,
    SmoothingEffectLogic,
)
from trame_slicer.app.ui import LogicalOperatorsSegmentationMode as Operator
from trame_slicer.segmentation import (
    SegmentationEffectIslands,
    SegmentationEffectLogicalOperators,
    SegmentationEffectSmoothing,
)
from trame_slicer.segmentation import SegmentationIslandsMode as Islands
from trame_slicer.segmentation.segmentation_effect_smoothing import SmoothingEffectMode as Smoothing
from trame_slicer.segmentation.segmentation_undo_command import SegmentationLabelMapUndoCommand
from trame_slicer.utils import vtk_image_to_np

from dicomdock.errors import GeometryError
from dicomdock.imaging.segmentation import Mask
from dicomdock.viewer.engine import next_colour
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.process.computing import Computer, Stopped
from dicomdock.viewer.scene import mask_of

ROOM = 0.05  # of the extent of the seeds that growing may reach beyond them, as in 3D Slicer
LEAST_ROOM = 5  # voxels
APART = 1e6  # mm between images that have no position: none is a neighbour of another
EVERYWHERE = float("inf")  # reach of what is about the whole grid
SMALLEST_ISLAND = 1000  # voxels that an island must have to remain, unless the user sets another number


@dataclass(frozen=True)
class Job:
    """What to compute.

    Parameters
    ----------
    title : what the user reads meanwhile.
    filter : the function of ``filters``.
    given : its parameters, behind the masks.
    position : index (k, j, i) that goes before them; None where there is none.
    reach : mm around the segments that it may look at or set; None for that of growing.
    masked : the editor's masks apply to the result; else the result replaces the segment as it is.
    intensities : it wants the values of the images too.
    """

    title: str
    filter: str
    given: tuple[Any, ...] = ()
    position: tuple[int, ...] | None = None
    reach: float | None = 0.0
    masked: bool = False
    intensities: bool = False


class ComputingLogic:
    """Computes segments.

    Parameters
    ----------
    server : trame's.
    segments : the segment editor (``SegmentsLogic``).
    state : of the panel of segments.
    notifications : shows messages to the user.
    """

    def __init__(
        self, server: Any, segments: Any, state: PageState[SegmentsState], notifications: Notifications
    ) -> None:
        self.state, self.segments, self.notifications = state, segments, notifications
        self.editor = segments.editor
        self._computer = Computer()

        control = server.controller
        control.grow_from_seeds = self._grow
        control.fill_between = lambda: self._active(Job("Filling between slices", "between_slices"))
        control.apply_margin = self._margin
        control.stop_computing = self.stop
        self.on_stop: list[Callable[[], None]] = []  # others that are busy for the segments
        self._smoothing, self._islands, self._operators = (
            segments.logic.effect(kind)
            for kind in (SmoothingEffectLogic, IslandsEffectLogic, LogicalOperatorsEffectLogic)
        )
        islands = self.editor.get_effect(SegmentationEffectIslands)
        islands.set_minimum_island_size(SMALLEST_ISLAND)
        islands.select_island_at_position = self._island_at

    def take_over(self, ui: Any) -> None:
        """Let the Apply buttons of trame-slicer's panels use these computations; its own block the page."""
        for effect, work in (
            (SegmentationEffectSmoothing, self._smooth),
            (SegmentationEffectIslands, self._apply_islands),
            (SegmentationEffectLogicalOperators, self._operate),
        ):
            clicked = ui.get_effect_ui(effect).apply_clicked
            clicked.disconnect_all()
            clicked.connect(work)

    def stop(self) -> None:
        """Stop what runs."""
        self._computer.stop()
        for callback in self.on_stop:
            callback()

    def _grow(self) -> None:
        seeds = [one for one, mask in self._masks(self.editor.get_segment_ids()).items() if mask.array.size]
        self._start(Job("Growing from seeds", "from_seeds", reach=None, intensities=True), seeds)

    def _margin(self) -> None:
        millimetres = self.state.data.margin_mm or 0.0
        if millimetres:
            self._active(
                Job("Moving the margin", "with_margin", (self._spacing, millimetres), reach=abs(millimetres))
            )

    def _smooth(self) -> None:
        options = self._smoothing.data
        kernel, deviation = float(options.kernel_size), float(options.standard_deviation)
        # trame-slicer has two enumerations of these, one for the panel and one for the filters.
        match Smoothing[options.mode.name]:
            case Smoothing.MEDIAN:
                self._active(Job("Smoothing", "median", (self._spacing, kernel), reach=kernel, masked=True))
            case Smoothing.OPENING:
                self._active(Job("Smoothing", "opening", (self._spacing, kernel), reach=kernel, masked=True))
            case Smoothing.CLOSING:
                self._active(Job("Smoothing", "closing", (self._spacing, kernel), reach=kernel, masked=True))
            case Smoothing.GAUSSIAN:
                reach = 4 * deviation
                self._active(
                    Job("Smoothing", "gaussian", (self._spacing, deviation), reach=reach, masked=True)
                )
            case Smoothing.JOINT:
                job = Job("Smoothing jointly", "joint", (float(options.smoothing_factor),), reach=kernel)
                self._start(job, self.editor.active_segmentation.get_visible_segment_ids())

    def _apply_islands(self) -> None:
        options = self._islands.data
        match Islands[options.mode.name]:
            case Islands.KEEP_LARGEST_ISLAND:
                self._active(Job("Looking for the largest island", "largest_island"))
            case Islands.REMOVE_SMALL_ISLANDS:
                least = int(options.minimum_size or 0)
                self._active(Job("Removing small islands", "without_small_islands", (least,)))
            case Islands.SPLIT_TO_SEGMENTS:
                self._active(Job("Splitting islands", "split_islands"))

    def _island_at(self, position: Sequence[float], mode: Islands | None = None) -> None:
        """Keep, remove or add the island at a position in RAS."""
        mode = mode or self.editor.get_effect(SegmentationEffectIslands).get_island_mode()
        volume = self.segments.series.volume
        if volume is None:
            return
        index = tuple(
            int(part) for part in np.rint(volume.geometry.to_index(np.array(position) * (-1, -1, 1)))
        )
        active = self.editor.active_segment_id
        if mode is Islands.ADD_SELECTED:
            for other, mask in self._masks(self.editor.get_segment_ids()).items():
                if other != active and _holds(mask, index):
                    self._start(
                        Job("Adding the island", "add_island", position=index), [active, other], put=1
                    )
                    return
        elif mode.is_interactive() and _holds(self._masks([active])[active], index):
            keep = mode is Islands.KEEP_SELECTED
            self._active(Job("Looking for the island", "island_at", (keep,), index))

    def _operate(self) -> None:
        options = self._operators.data
        operator = Operator[options.logical_operator.name]
        whole = operator in (Operator.INVERT, Operator.FILL)
        job = Job("Computing", "combine", (operator.name.lower(),), reach=EVERYWHERE if whole else 0.0)
        alone = whole or operator is Operator.CLEAR
        others = [] if alone or not options.reference_segment_id else [options.reference_segment_id]
        self._start(job, [self.editor.active_segment_id, *others], put=1, empty=True)

    @property
    def _spacing(self) -> tuple[float, ...]:
        volume = self.segments.series.volume
        between, rows, columns = (float(step) for step in volume.geometry.spacing)
        return between if volume.spatial else APART, rows, columns

    def _active(self, job: Job) -> None:
        self._start(job, [self.editor.active_segment_id])

    def _masks(self, ids: Sequence[str]) -> dict[str, Mask]:
        current = self.segments.current
        return {one: mask_of(current.node, one, current.base.geometry) for one in ids} if current else {}

    def _start(self, job: Job, ids: Sequence[str], *, put: int | None = None, empty: bool = False) -> None:
        """Compute segments from segments.

        Parameters
        ----------
        job : what.
        ids : from which segments.
        put : how many of them the result is for; None for all, and for new ones where it has more.
        empty : it makes sense for segments without voxels too.
        """
        if self.segments.current is None or self.state.data.busy or not all(ids):
            return
        masks = self._masks(ids)
        if not empty and not any(mask.array.size for mask in masks.values()):
            self.notifications.info("Draw the segment first.")
            return
        with self.state as data:
            data.busy = job.title
        asyncio.get_running_loop().create_task(self._run(job, masks, put))

    async def _run(self, job: Job, masks: dict[str, Mask], put: int | None) -> None:
        current = self.segments.current
        changes = current.changes
        try:
            box = self._box(job, masks.values())
            found = await self._report_time(job, self._ask(job, masks.values(), box))
        except (GeometryError, Stopped) as error:
            self.notifications.info(str(error))
        else:
            if self.segments.current is not current or current.changes != changes:
                self.notifications.info("The segments were changed meanwhile; what was computed is dropped.")
            else:
                self._put(job, list(masks)[:put], found, box)
        finally:
            with self.state as data:
                data.busy = ""

    def _ask(self, job: Job, masks: Any, box: tuple[slice, ...]) -> Any:
        volume = self.segments.series.volume
        given = list(job.given)
        if job.position is not None:
            given.insert(0, tuple(at - side.start for at, side in zip(job.position, box, strict=True)))
        if job.intensities:
            given.append(np.ascontiguousarray(volume.array[box]))
        cut = [np.ascontiguousarray(mask.whole(volume.geometry.shape)[box]) for mask in masks]
        return self._computer.run(job.filter, cut, *given)

    async def _report_time(self, job: Job, work: Any) -> Any:
        """Wait for a computation, and show every second how long it has taken."""
        task = asyncio.ensure_future(work)
        seconds = 0
        while not (await asyncio.wait({task}, timeout=1.0))[0]:
            seconds += 1
            with self.state as data:
                data.busy = f"{job.title}, {seconds} s"
        return task.result()

    def _box(self, job: Job, masks: Any) -> tuple[slice, ...]:
        """Return the part of the grid that the computation is about."""
        geometry = self.segments.series.volume.geometry
        boxes = [mask for mask in masks if mask.array.size]
        if not boxes or job.reach == EVERYWHERE:
            return tuple(slice(0, size) for size in geometry.shape)
        start = np.min([mask.start for mask in boxes], axis=0)
        stop = np.max([mask.stop for mask in boxes], axis=0)
        if job.reach is None:
            room = np.maximum(LEAST_ROOM, ((stop - start) * ROOM).astype(int))
        else:
            room = np.ceil(job.reach / np.array(geometry.spacing)).astype(int) + 2
        low, high = np.maximum(start - room, 0), np.minimum(stop + room, geometry.shape)
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))

    def _put(self, job: Job, ids: list[str], found: list[Any], box: tuple[slice, ...]) -> None:
        segmentation = self.editor.active_segmentation
        with segmentation.group_undo_commands(job.title):
            if len(found) > len(ids):
                ids = [*ids, *self._named_after(ids[0], len(found) - len(ids))]
            with SegmentationLabelMapUndoCommand.push_state_change(segmentation):
                for segment_id, mask in zip(ids, found, strict=True):
                    self._set(segment_id, mask, box, masked=job.masked)
        segmentation.trigger_modified()

    def put(self, title: str, segment_id: str, mask: Mask) -> None:
        """Let a segment have other voxels in a box, as far as the editor's masks allow; one step of undo.

        Parameters
        ----------
        mask : the voxels of the box; those outside of it stay.
        """
        segmentation, logic = self.editor.active_segmentation, vtkSlicerSegmentEditorLogic
        with (
            segmentation.group_undo_commands(title),
            SegmentationLabelMapUndoCommand.push_state_change(segmentation),
        ):
            self._modify(segment_id, mask, logic.ModificationModeAdd)
            self._modify(segment_id, Mask(mask.start, ~mask.array), logic.ModificationModeRemove)
        segmentation.trigger_modified()

    def _named_after(self, segment_id: str, count: int) -> list[str]:
        """Add segments that are the same kind of thing as another one."""
        like = self.editor.get_segment_properties(segment_id)
        made = []
        for number in range(2, count + 2):
            name = f"{like.name} {number}"
            # Pieces of one thing: distinguished by colours of the sequence, not by its own.
            add = self.editor.active_segmentation.add_empty_segment
            made.append(add(segment_name=name, segment_color=next_colour(self.editor)))
            properties = self.editor.get_segment_properties(made[-1])
            properties.terminology_tag = like.terminology_tag
            self.editor.set_segment_properties(made[-1], properties)
        return made

    def _set(self, segment_id: str, found: Any, box: tuple[slice, ...], *, masked: bool) -> None:
        """Let a segment consist of these voxels alone.

        Only what it gains and loses is changed: to set it anew would take all that it shares with other
        segments from these, where segments may not overlap.
        """
        shape = self.segments.current.base.geometry.shape
        old = self._masks([segment_id])[segment_id].whole(shape)
        new = np.zeros(shape, bool)
        new[box] = found
        for part, mode in (
            (new & ~old, vtkSlicerSegmentEditorLogic.ModificationModeAdd),
            (old & ~new, vtkSlicerSegmentEditorLogic.ModificationModeRemove),
        ):
            self._modify(segment_id, Mask.of(part), mode, masked=masked)

    def _modify(self, segment_id: str, part: Mask, mode: int, *, masked: bool = True) -> None:
        """Add these voxels to a segment, or remove them, as far as the editor's masks allow."""
        if not part.array.any():
            return
        labelmap = self.editor.create_modifier_labelmap()
        vtk_image_to_np(labelmap)[part.box] = part.array
        # To go through all voxels of a large volume would take most of a second.
        extent = [end for side in reversed(part.box) for end in (side.start, side.stop - 1)]
        self.editor.editor_logic.ModifySegmentByLabelmap(
            self.segments.current.node, segment_id, labelmap, mode, extent, True, not masked
        )


def _holds(mask: Mask, index: tuple[int, ...]) -> bool:
    inside = tuple(at - start for at, start in zip(index, mask.start, strict=True))
    within = all(0 <= at < size for at, size in zip(inside, mask.array.shape, strict=True))
    return within and bool(mask.array[inside])
