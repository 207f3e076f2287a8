"""The segment editor: the segmentation of the shown series, its undo, its names, and its autosave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from trame_slicer.segmentation import (
    SegmentationEditableAreaMode,
    SegmentationEffectErase,
    SegmentationEffectIslands,
    SegmentationEffectNoTool,
    SegmentationEffectPaint,
    SegmentationEffectScissors,
    SegmentationEffectSmoothing,
    SegmentationOverwriteMode,
)

from dicomdock import rpc
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.errors import DicomdockError, GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.references import references_of
from dicomdock.imaging.rtstruct import is_structure_set, read_structures
from dicomdock.imaging.segmentation import Segmentation, read_segmentation
from dicomdock.imaging.terminology import Terminology, colour_for, fractions
from dicomdock.viewer.autosave import AUTOSAVE_SECONDS
from dicomdock.viewer.engine import SegmentEditor
from dicomdock.viewer.features.segments.autosave import SegmentationAutosave
from dicomdock.viewer.features.segments.beginning import empty_segments
from dicomdock.viewer.features.segments.codes import Codes
from dicomdock.viewer.features.segments.computing import ComputingLogic
from dicomdock.viewer.features.segments.ranges import Ranges
from dicomdock.viewer.features.segments.state import SegmentationRow, SegmentsState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import mask_of
from dicomdock.viewer.segmentation_nodes import SegmentationNode, middle_of, put_in_scene
from dicomdock.viewer.shell.state import ShellState
from dicomdock.viewer.study import newest, read_instance

_NEED_VOXELS = {
    SegmentationEffectErase.get_effect_name(): "erase",
    SegmentationEffectScissors.get_effect_name(): "cut",
    SegmentationEffectIslands.get_effect_name(): "take islands of",
    SegmentationEffectSmoothing.get_effect_name(): "smooth",
}
"""What tools do to voxels that must be there, by the names of their effects."""


class SegmentsLogic:
    """The segmentation of the series that is shown.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    series : what is shown.
    archive, settings : where segmentations are read from, and where unsaved ones are autosaved.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        archive: Archive,
        settings: Settings,
        notifications: Notifications,
    ) -> None:
        self.app, self.state, self.series = app, PageState(server.state, SegmentsState), series
        self.archive, self.notifications = archive, notifications
        self.editor = app.segmentation_editor
        self.logic = SegmentEditor(server, app)
        self.current: SegmentationNode | None = None
        self.wanted: Sequence[rpc.WantedSegment] = ()  # new segmentations begin with those of their series
        self._references: dict[str, tuple[str, ...]] = {}
        self._autosaved = SegmentationAutosave(series, settings, notifications)
        self._replacing = False
        self.on_tool: list[Callable[[bool], None]] = []
        self.on_opened: list[Callable[[], None]] = []  # another segmentation is open, or none

        self.on_opened.append(Ranges(server, self.editor, series, self.state).opened)
        self.codes = Codes(self.editor, self.state)
        self.computing = ComputingLogic(server, self, self.state, notifications)

        control = server.controller
        control.new_drawing = self.begin
        control.open_drawing = self.open
        control.name_segment = self.name_segment
        control.colour_segment = self.colour_segment
        self.editor.active_effect_name_changed.connect(self._effect_changed)
        for changed in (self.editor.active_effect_name_changed, self.editor.active_segment_id_changed):
            changed.connect(self._say_if_empty)
        self.editor.show_3d_changed.connect(lambda _: self._effect_changed(""))
        self.editor.segmentation_modified.connect(self._modified)
        series.on_shown.append(self._series_changed)
        series.on_complete.append(self._series_complete)
        series.on_studied.append(self._update_list)
        shell = PageState(server.state, ShellState)
        shell.bind_changes({shell.name.tool: self._tool_changed})

    def set_ui(self, ui: Any) -> None:
        """Tie the editor's panel to what it does."""
        self.logic.set_ui(ui)
        self.computing.take_over(ui)

    def begin(self) -> None:
        """Begin a new segmentation of the shown series, with the segments that are wanted or one."""
        volume, series = self.series.volume, self.series.series
        if volume is None or series is None or self._replacing or not self._editable():
            return
        base = Segmentation(
            volume.geometry,
            empty_segments(self.wanted, series.uid),
            volume.frame_of_reference if volume.spatial else "",
            series.uid,
            tuple(one for one in self.series.scanned.sources if one is not None),
            spatial=volume.spatial,
        )
        self._replace(base, "Segmentation", changed=False)
        self.logic.forget_steps()

    def open(self, uid: str) -> None:
        """Open a segmentation or structure set of the study, to be looked at and worked on."""
        series = self.series.study.find(uid) if self.series.study is not None else None
        if series is not None and not self.state.data.busy and self._editable():
            asyncio.get_running_loop().create_task(self._open(series))

    def name_segment(self, segment_id: str, text: str) -> None:
        """Name a segment after a structure, with the structure's codes and colour."""
        text = text.strip()
        properties = self.editor.get_segment_properties(segment_id)
        if properties is None or not text or text == properties.name:
            return
        terminology = Terminology.suggest(text)
        number = self.editor.get_segment_ids().index(segment_id) + 1
        properties.name, properties.terminology_tag = text, terminology.to_slicer()
        if terminology != Terminology():
            properties.color = fractions(colour_for(terminology, number))
        self.editor.set_segment_properties(segment_id, properties)

    def colour_segment(self, segment_id: str, colour: str) -> None:
        """Set the colour of a segment, as ``#rrggbb``."""
        properties = self.editor.get_segment_properties(segment_id)
        if properties is not None:
            properties.color_hex = colour
            self.editor.set_segment_properties(segment_id, properties)

    def undo(self) -> None:
        """Undo the last step."""
        self.logic.undo()

    def redo(self) -> None:
        """Redo the last undone step."""
        self.logic.redo()

    def paint(self) -> None:
        """Activate the brush; begin a segmentation where there is none."""
        if self.current is None:
            self.begin()
        if self.current is not None:
            self.editor.set_active_effect_type(SegmentationEffectPaint)

    def deselect_tool(self) -> None:
        """Deactivate the tool."""
        self.editor.deactivate_effect()

    @property
    def tool_active(self) -> bool:
        """Whether a brush or another effect is active."""
        name = self.editor.active_effect_name
        return bool(name) and name != SegmentationEffectNoTool.get_effect_name()

    async def autosave(self) -> None:
        """Write unsaved work to the state folder, again and again."""
        while True:
            await asyncio.sleep(AUTOSAVE_SECONDS)
            if self.current is not None:
                await self._autosaved.write(self.current)

    def _autosave_now(self) -> None:
        """Write unsaved work before it leaves the scene."""
        if self.current is not None:
            self._autosaved.write_now(self.current)

    def is_only_in_memory(self) -> bool:
        """Return whether there is unsaved work that the state folder does not take, after one more try."""
        return self._autosaved.is_only_in_memory(self.current)

    def close(self) -> None:
        """Write unsaved work, and stop what is being computed."""
        self._autosave_now()
        self.computing.stop()

    def discard(self) -> None:
        """Discard what is not saved."""
        if self.current is not None:
            self.current.saved = self.current.autosaved = self.current.changes
            self._autosaved.remove(self.current.series, self.current.base)
            self._update_unsaved()

    def saved(self, current: SegmentationNode, base: Segmentation, changes: int) -> None:
        """Note that a segmentation is in the archive; what is changed from now on is the next version."""
        before = current.base
        current.base, current.saved = base, changes
        if current.changes == changes:
            self._autosaved.remove(current.series, before)
        self._update_unsaved()

    def _editable(self) -> bool:
        volume = self.series.volume
        if volume is None:
            return False
        if not self.series.complete:
            self.notifications.info("You can draw when all images of the series have arrived.")
            return False
        return True

    async def _open(self, series: Any) -> None:
        volume = self.series.volume
        with self.state as data:
            data.busy = f"Opening {series.name}"
        try:
            found = await asyncio.to_thread(self._read, series, self.series.scanned, volume.geometry)
        except (DicomdockError, *READ_ERRORS) as error:
            self.notifications.error(f"{series.name} cannot be opened: {error}")
            return
        finally:
            with self.state:
                data.busy = ""
        if self.series.volume is not volume:
            return  # the user went on to another series meanwhile
        self._replace(found, series.name, changed=False)
        self._bring_into_view()
        with self.state:
            data.drawing_uid = series.uid
        first, others = found.remarks[:2], " ".join(found.remarks[2:])
        for remark in filter(None, (*first, others)):
            self.notifications.info(remark)

    def _read(self, series: Any, scanned: Any, shown: VolumeGeometry) -> Segmentation:
        """Read the newest object of a series on the scanned slices, onto the grid that is shown."""
        dataset = read_instance(self.archive, newest(self.archive.instances(series.resource)))
        if not is_structure_set(dataset):
            images = () if scanned.spatial else scanned.sources
            found = read_segmentation(dataset, onto=scanned.geometry, images=images)
            if scanned.spatial:
                found.require_spatial()
            return found.onto(shown).on_images_of(scanned.frame_of_reference)
        if not scanned.spatial:
            raise GeometryError("These images have no position in the patient, so no contours lie on them.")
        return read_structures(
            dataset,
            scanned.geometry,
            frame_of_reference=scanned.frame_of_reference,
            instances=[one[0] for one in scanned.sources if one],
        ).onto(shown)

    def _bring_into_view(self) -> None:
        """Go to a segment, unless the axial view shows one."""
        assert self.current is not None
        at = self.series.views.slice_at()
        masks = [segment.mask for segment in self.current.base.segments if segment.mask.array.size]
        shown = at is not None and any(
            mask.start[0] <= at < mask.stop[0] and mask.array[at - mask.start[0]].any() for mask in masks
        )
        if masks and not shown:
            self.series.views.look_at(self.current.base.geometry.to_lps(middle_of(masks)))

    def _replace(self, base: Segmentation, name: str, *, changed: bool) -> SegmentationNode:
        self._autosave_now()
        before, shown = self.current, self.series.shown
        assert shown is not None and self.series.series is not None
        node = put_in_scene(self.editor, base, name)
        # Where segments overlap, what is drawn in one must not take voxels from the others.
        overlap, overwrite = SegmentationOverwriteMode.ALLOW_OVERLAP, SegmentationOverwriteMode.OVERWRITE_ALL
        if base.overlapping or self.editor.get_overwrite_mode() is overlap:
            self.editor.set_overwrite_mode(overlap if base.overlapping else overwrite)
        self.editor.set_editable_area(SegmentationEditableAreaMode.EVERYWHERE)
        current = SegmentationNode(node, base, self.series.series.uid, changes=int(changed))
        self._attach(current, shown)
        if before is not None:
            self.app.scene.RemoveNode(before.node)
        with self.state as data:
            data.drawing_name, data.drawing_uid = name, ""
        for callback in self.on_opened:
            callback()
        self._update_unsaved()
        return current

    def _attach(self, current: SegmentationNode, shown: Any) -> None:
        """Let the editor work on a segmentation over a volume of the scene; that is not a change of it."""
        # The page's answers to what follows must not begin another.
        self.current, self._replacing = None, True
        try:
            self.editor.set_active_segmentation(current.node, shown.node)
            self.series.views.space.add(current.node.GetDisplayNode())
            self.logic.apply_display()
        finally:
            self.current, self._replacing = current, False

    def _modified(self) -> None:
        if self.current is not None:
            self.current.changes += 1
            self._update_unsaved()

    def _update_unsaved(self) -> None:
        unsaved = self.current is not None and self.current.unsaved
        if self.state.data.unsaved != unsaved:
            with self.state as data:
                data.unsaved = unsaved

    def _effect_changed(self, _name: str) -> None:
        for callback in self.on_tool:
            callback(self.tool_active)

    def _say_if_empty(self, _name: str) -> None:
        """Say so where the tool in hand has nothing to work on: it would do nothing, and say nothing."""
        current, active = self.current, self.editor.active_segment_id
        if current is None or not active or self.editor.active_effect_name not in _NEED_VOXELS:
            return
        if not mask_of(current.node, active, current.base.geometry).array.size:
            name = self.editor.get_segment_properties(active).name
            self.notifications.info(
                f"{name} is empty: there is nothing to {_NEED_VOXELS[self.editor.active_effect_name]} yet."
            )

    def _tool_changed(self, tool: str) -> None:
        if tool != "segment":
            self.deselect_tool()
        elif self.current is None and self.series.complete and not self.state.data.drawings:
            self.begin()

    def _series_changed(self) -> None:
        """Autosave the segmentation of the series before, and remove it from the scene."""
        series, shown = self.series.series, self.series.shown
        if self.current is None:
            return
        same = shown is not None and self.current.base.lies_on(shown.volume)
        if series is not None and self.current.series == series.uid and self.series.complete and same:
            self._attach(self.current, shown)  # the same images in a new node
            return
        self._autosave_now()
        node, self.current = self.current.node, None
        self.editor.clear()
        self.app.scene.RemoveNode(node)
        with self.state as data:
            data.drawing_name = data.drawing_uid = ""
        for callback in self.on_opened:
            callback()
        self._update_unsaved()

    def _series_complete(self) -> None:
        series, volume = self.series.series, self.series.volume
        if series is None or volume is None or self.current is not None:
            return
        self._update_list()
        found = self._autosaved.read(series.uid)
        fitting = next((one for one in found if one.fits(volume)), None)
        if fitting is None:
            if found:
                self.notifications.info(
                    "Unsaved segments of this series belong to another of its volumes, and come back there."
                )
            return
        name = fitting.name or "Unsaved segmentation"
        current = self._replace(fitting.onto(volume.geometry), name, changed=True)
        self._autosaved.restored(current, fitting, volume)
        self._bring_into_view()
        self.notifications.info("The unsaved segments of last time were restored.")

    def _update_list(self) -> None:
        """List the segmentations of the shown series; also those that do not name their series."""
        study, shown = self.series.study, self.series.series
        if study is None:
            return
        found = []
        for one in study.series:
            if one.kind not in ("segmentation", "structures"):
                continue
            named = self._refers(one)
            if not named or shown is None or shown.uid in named:
                found.append(SegmentationRow(one.uid, one.name, one.kind))
        with self.state as data:
            data.drawings = found

    def _refers(self, series: Any) -> tuple[str, ...]:
        if series.uid not in self._references:
            named: tuple[str, ...] = ()
            for one in self.archive.instances(series.resource)[:1]:
                with contextlib.suppress(DicomdockError, *READ_ERRORS):
                    named = tuple(references_of(read_instance(self.archive, one, pixels=False)))
            self._references[series.uid] = named
        return self._references[series.uid]
