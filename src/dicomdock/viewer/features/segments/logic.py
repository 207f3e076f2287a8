"""The segment editor: what is drawn on the shown series, its undo, its names, and that no work is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from trame_slicer.segmentation import (
    SegmentationEditableAreaMode,
    SegmentationEffectNoTool,
    SegmentationEffectPaint,
    SegmentationOverwriteMode,
)

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.dataset import READ_ERRORS
from dicomdock.errors import DicomdockError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.references import references_of
from dicomdock.imaging.rtstruct import is_structure_set, read_structures
from dicomdock.imaging.segmentation import Segmentation, read_segmentation
from dicomdock.imaging.terminology import Terminology, colour_for
from dicomdock.viewer.autosave import KEEP_SECONDS, Shelf
from dicomdock.viewer.engine import SegmentEditor
from dicomdock.viewer.features.segments.computing import ComputingLogic
from dicomdock.viewer.features.segments.state import DrawingRow, SegmentsState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notes
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.segmentation_nodes import Drawing, middle_of, put_in_scene
from dicomdock.viewer.shell.state import ShellState
from dicomdock.viewer.study import read_instance


class SegmentsLogic:
    """Drawing on the series that is shown.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    series : what is shown.
    archive, settings : where drawings are read from, and unsaved ones are kept.
    notes : tells the user.
    """

    def __init__(
        self, server: Any, app: Any, series: SeriesLogic, archive: Archive, settings: Settings, notes: Notes
    ) -> None:
        self.app, self.state, self.series = app, PageState(server.state, SegmentsState), series
        self.archive, self.settings, self.notes = archive, settings, notes
        self.editor = app.segmentation_editor
        self.logic = SegmentEditor(server, app)
        self.drawing: Drawing | None = None
        self._references: dict[str, tuple[str, ...]] = {}
        self._held: dict[str, Segmentation] = {}  # what the disk would not take, by series
        self._full = self._taking = False
        self.on_tool: list[Callable[[bool], None]] = []

        self.computing = ComputingLogic(server, self, self.state, notes)

        control = server.controller
        control.new_drawing = self.begin
        control.open_drawing = self.open
        control.name_segment = self.name_segment
        self.editor.active_effect_name_changed.connect(self._effect_changed)
        self.editor.show_3d_changed.connect(lambda _: self._effect_changed(""))
        self.editor.segmentation_modified.connect(self._modified)
        series.on_shown.append(self._series_changed)
        series.on_complete.append(self._series_complete)
        series.on_studied.append(self._list)
        shell = PageState(server.state, ShellState)
        shell.bind_changes({shell.name.tool: self._tool_changed})

    def set_ui(self, ui: Any) -> None:
        """Tie the editor's panel to what it does."""
        self.logic.set_ui(ui)
        self.computing.take_over(ui)

    # What the user does

    def begin(self) -> None:
        """Begin a new segmentation of the shown series, with one segment."""
        volume, series = self.series.volume, self.series.series
        if volume is None or series is None or self._taking or not self._editable():
            return
        base = Segmentation(
            volume.geometry,
            (),
            volume.frame_of_reference,
            series.uid,
            tuple(one for one in self.series.scanned.sources if one is not None),
        )
        self._take(base, "Segmentation", changed=False)
        self.editor.add_empty_segment(segment_name="Segment 1")
        assert self.drawing is not None
        self.drawing.changes = 0  # an empty segment is no work to be kept
        self.logic.forget_steps()
        self._tell()

    def open(self, uid: str) -> None:
        """Open a segmentation or structure set of the study, to be looked at and worked on."""
        series = self.series.study.find(uid) if self.series.study is not None else None
        if series is not None and not self.state.data.busy and self._editable():
            asyncio.get_running_loop().create_task(self._open(series))

    def name_segment(self, words: str) -> None:
        """Name the active segment by a structure; it takes the structure's codes and colour."""
        segment_id = self.editor.active_segment_id
        words = words.strip()
        if not segment_id or not words:
            return
        said = self.editor.get_segment_properties(segment_id)
        terminology = Terminology.suggest(words)
        number = self.editor.get_segment_ids().index(segment_id) + 1
        said.name, said.terminology_tag = words, terminology.to_slicer()
        if terminology != Terminology():
            said.color = [part / 255 for part in colour_for(terminology, number)]
        self.editor.set_segment_properties(segment_id, said)
        self.logic.show_properties(segment_id)
        with self.state as data:
            data.structure = ""

    def undo(self) -> None:
        """Take back the last step."""
        self.logic.undo()

    def redo(self) -> None:
        """Do it again."""
        self.logic.redo()

    def paint(self) -> None:
        """Take the brush; begin a segmentation where there is none."""
        if self.drawing is None:
            self.begin()
        if self.drawing is not None:
            self.editor.set_active_effect_type(SegmentationEffectPaint)

    def put_away(self) -> None:
        """Put the brush away."""
        self.editor.deactivate_effect()

    @property
    def tool_on(self) -> bool:
        """A brush or another effect is in hand."""
        name = self.editor.active_effect_name
        return bool(name) and name != SegmentationEffectNoTool.get_effect_name()

    # Keeping

    async def keep_watch(self) -> None:
        """Keep unsaved work in the state folder, again and again."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            drawing = self.drawing
            if drawing is None or drawing.changes == drawing.kept or drawing.changes == drawing.saved:
                continue
            changes, value = drawing.changes, drawing.value()
            try:
                await asyncio.to_thread(self._shelf().keep, drawing.series, value)
            except OSError as error:
                self._not_kept(error)
            else:
                drawing.kept, self._full = changes, False
                if not drawing.unsaved:  # it was saved while this was written
                    self._shelf().drop(drawing.series)

    def keep_now(self) -> None:
        """Keep unsaved work before it leaves the scene."""
        drawing = self.drawing
        if drawing is None or not drawing.unsaved or drawing.kept == drawing.changes:
            return
        value = drawing.value()
        try:
            self._shelf().keep(drawing.series, value)
        except OSError as error:
            self._held[drawing.series] = value
            self._not_kept(error)

    def close(self) -> None:
        """Keep unsaved work, and compute nothing any more."""
        self.keep_now()
        self.computing.stop()

    def _not_kept(self, error: OSError) -> None:
        """Tell it once, until it has worked again."""
        if not self._full:
            self._full = True
            self.notes.bad(
                f"What you draw cannot be kept on disk ({error.strerror or error}); it would be lost if the"
                " viewer fell. Free some space, or save it now."
            )

    def drop(self) -> None:
        """Forget what is drawn and not saved."""
        if self.drawing is not None:
            self.drawing.saved = self.drawing.kept = self.drawing.changes
            self._shelf().drop(self.drawing.series)
            self._tell()

    def saved(self, drawing: Drawing, base: Segmentation, changes: int) -> None:
        """A drawing is in the archive; what is drawn from now on is the next version."""
        drawing.base, drawing.saved = base, changes
        if drawing.changes == changes:
            self._shelf().drop(drawing.series)
        self._tell()

    # Inner

    def _shelf(self) -> Shelf:
        assert self.series.study is not None
        return Shelf(self.settings, self.series.study.uid)

    def _editable(self) -> bool:
        volume = self.series.volume
        if volume is None:
            return False
        if not self.series.complete:
            self.notes.say("Drawing begins when all images of the series are here.")
            return False
        if volume.colour or not volume.spatial:
            self.notes.say(
                "These pictures have no place in the patient, so no segments can be drawn on them."
            )
            return False
        return True

    async def _open(self, series: Any) -> None:
        volume = self.series.volume
        with self.state as data:
            data.busy = f"Opening {series.name}"
        try:
            found = await asyncio.to_thread(self._read, series, self.series.scanned, volume.geometry)
        except (DicomdockError, *READ_ERRORS) as error:
            self.notes.bad(f"{series.name} cannot be opened: {error}")
            return
        finally:
            with self.state:
                data.busy = ""
        if self.series.volume is not volume:
            return  # the user went on to another series meanwhile
        self._take(found, series.name, changed=False)
        self._bring_into_view()
        with self.state:
            data.drawing_uid = series.uid
        for remark in found.remarks[:2]:
            self.notes.say(remark)

    def _read(self, series: Any, scanned: Any, shown: VolumeGeometry) -> Segmentation:
        """Read the newest object of a series on the scanned slices, onto the grid that is shown."""
        newest = max(self.archive.instances(series.resource), key=lambda one: one.path.stat().st_mtime)
        dataset = read_instance(newest.path)
        if not is_structure_set(dataset):
            return read_segmentation(dataset, onto=scanned.geometry).onto(shown)
        return read_structures(
            dataset,
            scanned.geometry,
            frame_of_reference=scanned.frame_of_reference,
            instances=[one[0] for one in scanned.sources if one],
        ).onto(shown)

    def _bring_into_view(self) -> None:
        """Go to what is drawn, unless the axial view shows some of it."""
        assert self.drawing is not None
        at = self.series.views.slice_at()
        masks = [segment.mask for segment in self.drawing.base.segments if segment.mask.array.size]
        shown = at is not None and any(
            mask.start[0] <= at < mask.stop[0] and mask.array[at - mask.start[0]].any() for mask in masks
        )
        if masks and not shown:
            self.series.views.look_at(self.drawing.base.geometry.to_lps(middle_of(masks)))

    def _take(self, base: Segmentation, name: str, *, changed: bool) -> None:
        self.keep_now()
        before, shown = self.drawing, self.series.shown
        assert shown is not None and self.series.series is not None
        node = put_in_scene(self.editor, base, name)
        # Where segments overlap, what is drawn in one must not take voxels from the others.
        overlap, overwrite = SegmentationOverwriteMode.ALLOW_OVERLAP, SegmentationOverwriteMode.OVERWRITE_ALL
        if base.overlapping or self.editor.get_overwrite_mode() is overlap:
            self.editor.set_overwrite_mode(overlap if base.overlapping else overwrite)
        self.editor.set_editable_area(SegmentationEditableAreaMode.EVERYWHERE)
        self._tie(Drawing(node, base, self.series.series.uid, changes=int(changed)), shown)
        if before is not None:
            self.app.scene.RemoveNode(before.node)
        with self.state as data:
            data.drawing_name, data.drawing_uid = name, ""
        self._tell()

    def _tie(self, drawing: Drawing, shown: Any) -> None:
        """Let the editor work on a drawing over a volume of the scene; that is no change of it."""
        self.drawing, self._taking = None, True  # the page's answers to what follows must not begin another
        try:
            self.editor.set_active_segmentation(drawing.node, shown.node)
            self.logic.apply_display()
        finally:
            self.drawing, self._taking = drawing, False

    def _modified(self) -> None:
        if self.drawing is not None:
            self.drawing.changes += 1
            self._tell()

    def _tell(self) -> None:
        unsaved = self.drawing is not None and self.drawing.unsaved
        if self.state.data.unsaved != unsaved:
            with self.state as data:
                data.unsaved = unsaved

    def _effect_changed(self, _name: str) -> None:
        for tell in self.on_tool:
            tell(self.tool_on)

    def _tool_changed(self, tool: str) -> None:
        if tool != "segment":
            self.put_away()
        elif self.drawing is None and self.series.complete and not self.state.data.drawings:
            self.begin()

    def _series_changed(self) -> None:
        """Another series is shown: what was drawn on the one before goes to the shelf."""
        series, shown = self.series.series, self.series.shown
        if self.drawing is None:
            return
        if series is not None and self.drawing.series == series.uid and self.series.complete:
            self._tie(self.drawing, shown)  # the same images anew
            return
        self.keep_now()
        node, self.drawing = self.drawing.node, None
        self.editor.clear()
        self.app.scene.RemoveNode(node)
        with self.state as data:
            data.drawing_name = data.drawing_uid = ""
        self._tell()

    def _series_complete(self) -> None:
        series, volume = self.series.series, self.series.volume
        if series is None or volume is None or self.drawing is not None:
            return
        self._list()
        found = self._held.pop(series.uid, None) or self._shelf().take(series.uid)
        if found is None:
            return
        if found.geometry.matches(volume.geometry):
            self._take(found, found.name or "Unsaved segmentation", changed=True)
            self._keep_no_more()
            self._bring_into_view()
            self.notes.say("What was drawn last time and not saved is here again.")

    def _keep_no_more(self) -> None:
        """Note that what is drawn now is what the disk has."""
        if self.drawing is not None:
            self.drawing.kept = self.drawing.changes

    def _list(self) -> None:
        """List what was drawn on the shown series; all of the study's where it is not said."""
        study, shown = self.series.study, self.series.series
        if study is None:
            return
        found = []
        for one in study.series:
            if one.kind not in ("segmentation", "structures"):
                continue
            named = self._refers(one)
            if not named or shown is None or shown.uid in named:
                found.append(DrawingRow(one.uid, one.name, one.kind))
        with self.state as data:
            data.drawings = found

    def _refers(self, series: Any) -> tuple[str, ...]:
        if series.uid not in self._references:
            named: tuple[str, ...] = ()
            for one in self.archive.instances(series.resource)[:1]:
                with contextlib.suppress(DicomdockError, *READ_ERRORS):
                    named = tuple(references_of(read_instance(one.path, pixels=False)))
            self._references[series.uid] = named
        return self._references[series.uid]
