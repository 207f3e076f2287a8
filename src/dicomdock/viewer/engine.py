"""The seam to trame-slicer: the only file that overrides or touches what it does not promise to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import slicer
from trame.widgets import html
from trame_client.widgets.core import HTML_CTX, AbstractElement
from trame_rca.widgets.rca import RemoteControlledArea
from trame_server.utils.asynchronous import create_task
from trame_slicer.app.logic.segmentation import SegmentEditorLogic
from trame_slicer.rca_view.rca_view_factory import RcaWindow
from trame_slicer.segmentation import (
    ModificationMode,
    ScissorsEffectFillMode,
    ScissorsEffectRangeMode,
    SegmentationEffectThreshold,
    SegmentationEffectVolumeIntensityMask,
    SegmentationThresholdPipeline2D,
)
from trame_slicer.utils import vtk_image_to_np
from trame_slicer.views import (
    CursorId,
    IViewFactory,
    NoScheduleRendering,
    ScheduledRenderStrategy,
    SliceView,
    ThreeDView,
    ViewLayout,
    ViewLayoutDefinition,
    ViewType,
)
from vtkmodules.vtkCommonCore import vtkCommand
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkInteractionWidgets import vtkEvent

from dicomdock.imaging.terminology import Terminology, colour_for, fractions, next_name
from dicomdock.viewer.frames import FrameScheduler
from dicomdock.viewer.line import Line
from dicomdock.viewer.mouse import Grabbed, LeftButton, MouseArea, PathDrawn

FRAMES_A_SECOND = 30.0
FRAMES_ELSEWHERE = 6.0  # in views that the mouse is not in; they share the processor with the one it is in
EVENT_MS = 10  # between two messages of the mouse

# What viewer.js subscribes to.
STATE_TOPIC = "dicomdock.state"  # a scene's new number
VALUE_TOPIC = "dicomdock.value"  # the values under the mouse, as text

UNDO_STEPS = 10
CPU_RAY_CASTING = "vtkMRMLCPURayCastVolumeRenderingDisplayNode"

Overlay = Callable[[Any, str, Any], None]


def render_volumes_on_the_processor(app: Any) -> None:
    """Let volumes be rendered by the processor: on software GL the default takes seconds for each picture."""
    app.volume_rendering._logic.SetDefaultRenderingMethod(CPU_RAY_CASTING)


def project_greatest_values(view: Any, *, on: bool) -> None:
    """Let a 3D view project the greatest values of a volume in parallel, or compose it in perspective."""
    node = view._view_node
    node.SetRaycastTechnique(node.MaximumIntensityProjection if on else node.Composite)
    if on:
        view.set_render_mode_to_orthographic()
    else:
        view.set_render_mode_to_perspective()


def projects_greatest_values(view: Any) -> bool:
    """Return whether a 3D view does."""
    node = view._view_node
    return bool(node.GetRaycastTechnique() == node.MaximumIntensityProjection)


def turn_camera(view: Any, degrees: float) -> None:
    """Turn the camera of a 3D view about what is up in it, through what it looks at."""
    camera = view.get_camera_node().GetCamera()
    camera.Azimuth(degrees)
    camera.OrthogonalizeViewUp()


def _drag_with_left_button(view: Any, how: str) -> None:
    """Let a drag with the left button move (``move``) or enlarge (``zoom``) the picture of a slice view.

    Anything else leaves it to the interaction mode. Points of a measurement can always be dragged.
    """
    group = view._displayable_manager_group
    widget = group.GetDisplayableManagerByClassName("vtkMRMLCrosshairDisplayableManager")
    widget = widget.GetSliceIntersectionWidget()
    event, none = vtkCommand.LeftButtonPressEvent, vtkEvent.NoModifier
    if how == "move":
        state, begin, end = "TranslateSlice", "TranslateSliceStart", "TranslateSliceEnd"
    elif how == "zoom":
        state, begin, end = "ZoomSlice", "ZoomSliceStart", "ZoomSliceEnd"
    else:
        widget.SetEventTranslation(widget.WidgetStateIdle, event, none, widget.WidgetEventNone)
        return
    widget.SetEventTranslationClickAndDrag(
        widget.WidgetStateIdle,
        event,
        none,
        getattr(widget, f"WidgetState{state}"),
        getattr(widget, f"WidgetEvent{begin}"),
        getattr(widget, f"WidgetEvent{end}"),
    )


def leave_out_other_slices(views: Sequence[Any]) -> None:
    """Let slice views take no notice of the models that show the slices of others in 3D.

    A slice view never draws these, yet each would be drawn anew whenever another one moves. Its own model
    tells it of another window, and of other colours.
    """
    for view in views:
        group = view._displayable_manager_group
        manager = group.GetDisplayableManagerByClassName("vtkMRMLModelSliceDisplayableManager")
        for other in views:
            if other is not view:
                manager.RemoveDisplayableNode(other._logic.GetSliceModelNode())


@contextmanager
def rendered_once() -> Iterator[None]:
    """Build elements of a page without rendering each of them at its end.

    trame renders an element, and so all that is in it, whenever one of them is complete; the layout that
    holds them renders them all at its own end.
    """
    render_at_end = AbstractElement.__exit__
    AbstractElement.__exit__ = lambda element, *_: HTML_CTX.exit(element)
    try:
        yield
    finally:
        AbstractElement.__exit__ = render_at_end


def next_colour(editor: Any) -> list[float]:
    """Return the colour of the sequence for one more segment of the active segmentation.

    Without a colour the engine gives it one by chance, which can be a grey that no one sees on the images.
    """
    return fractions(colour_for(Terminology(), len(editor.get_segment_ids()) + 1))


class _Preview(SegmentationThresholdPipeline2D):
    """Draws what a threshold takes over the volume that is segmented, in the views that show it.

    trame-slicer draws it in every view: over another volume in one that compares, and with errors of VTK in
    one without any.
    """

    def OnViewModified(self, *_: Any) -> None:  # noqa: N802 (theirs)
        if self._has_volume():
            super().OnViewModified()
        else:
            self.actor.SetVisibility(False)

    def _UpdateThreshold(self) -> None:  # noqa: N802
        if self._has_volume():
            super()._UpdateThreshold()
        else:
            self.actor.SetVisibility(False)

    def _has_volume(self) -> bool:
        view, volume = self._view, self._ActiveVolumeNode
        if view is None or volume is None:
            return False
        return volume.GetID() in (view.get_background_volume_id(), view.get_foreground_volume_id())


def preview_thresholds_on_their_volume() -> None:
    """Let previews of thresholds be drawn on the volume that is segmented alone; before effects are made."""

    def create(_effect: Any, view_node: Any, _parameter: Any) -> SegmentationThresholdPipeline2D | None:
        return _Preview() if isinstance(view_node, slicer.vtkMRMLSliceNode) else None

    for effect in (SegmentationEffectThreshold, SegmentationEffectVolumeIntensityMask):
        effect._create_pipeline = create


def change_what_is_outlined(effect: Any) -> None:
    """Let scissors and outlines change what lies inside of what is drawn, or outside, and nothing else.

    trame-slicer's set the whole segment anew. Where segments may not overlap, that takes everything that it
    shares with others from these, on other slices too.
    """

    def apply(points: Any, view: Any) -> None:
        outline = effect._stencil_polydata_from_display_coordinates(points, view)
        inside = vtk_image_to_np(effect._polydata_to_oriented_image(outline)) != 0
        reached = effect._create_bounding_mask(inside, view.get_view_node()) != 0
        if effect._fill_mode in (ScissorsEffectFillMode.ERASE_INSIDE, ScissorsEffectFillMode.FILL_INSIDE):
            chosen = inside & reached
        elif effect._range_mode == ScissorsEffectRangeMode.SYMMETRIC:
            chosen = ~(inside & reached)  # slices beyond lie outside too
        else:
            chosen = ~inside & reached
        fills = effect._fill_mode in (ScissorsEffectFillMode.FILL_INSIDE, ScissorsEffectFillMode.FILL_OUTSIDE)
        labelmap = effect.modifier.create_modifier_labelmap()
        vtk_image_to_np(labelmap)[:] = chosen
        effect.modifier.apply_labelmap(
            labelmap, modification_mode=ModificationMode.Add if fills else ModificationMode.Remove
        )

    effect.apply_points_display_coordinates = apply


def cut_shown_image(scissors: Any, alone: Callable[[], bool]) -> None:
    """Let scissors in a slice view cut the image that it shows and no other.

    Parameters
    ----------
    scissors : the effect.
    alone : whether images are no slices of one volume now.
    """
    all_slices = scissors._create_bounding_mask

    def bounding_mask(segment: Any, view_node: Any) -> Any:
        if not alone() or not isinstance(view_node, slicer.vtkMRMLSliceNode):
            return all_slices(segment, view_node)
        to_image, to_ras = vtkMatrix4x4(), view_node.GetSliceToRAS()
        scissors.modifier.create_modifier_labelmap().GetWorldToImageMatrix(to_image)
        k = round(to_image.MultiplyPoint([to_ras.GetElement(row, 3) for row in range(4)])[2])
        chosen = np.zeros(segment.shape, bool)
        chosen[max(k, 0) : k + 1] = True
        return chosen

    scissors._create_bounding_mask = bounding_mask


class SegmentEditor(SegmentEditorLogic):
    """trame-slicer's segment editor, with what its buttons do as methods.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    """

    def __init__(self, server: Any, app: Any) -> None:
        super().__init__(server, app)
        self._undo_stack.set_undo_limit(UNDO_STEPS)

    def undo(self) -> None:
        """Undo the last step."""
        self._on_undo_clicked()

    def redo(self) -> None:
        """Redo the step that was undone last."""
        self._on_redo_clicked()

    def forget_steps(self) -> None:
        """Forget all steps: what is there now is the beginning."""
        self._undo_stack.clear()

    def apply_display(self) -> None:
        """Draw the active segmentation as the panel's display settings say."""
        self._on_segment_display_changed(self.data.segment_display)

    def _on_segment_editor_changed(self, *changed: Any) -> None:
        # It takes the switch of the segments in 3D for what the segmentation is drawn as, which a new one is
        # not yet; the switch is the user's.
        wanted = self.data.segment_display.show_3d
        super()._on_segment_editor_changed(*changed)
        self.data.segment_display.show_3d = wanted

    def _on_add_segment_clicked(self) -> None:
        editor = self.segmentation_editor
        name = next_name(editor.get_segment_names())
        editor.add_empty_segment(segment_name=name, segment_color=next_colour(editor))

    def effect(self, kind: type[Any]) -> Any:
        """Return the logic of an effect."""
        return next(one for one in self._effect_logic if isinstance(one, kind))


@dataclass(frozen=True)
class _RemoteView:
    layout: ViewLayout
    view: Any
    adapter: MouseArea
    scheduler: FrameScheduler


class _Strategy(ScheduledRenderStrategy):
    def __init__(self, scheduler: FrameScheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    def schedule_render(self) -> None:
        self._scheduler.schedule_render()


class RemoteViewFactory(IViewFactory):
    """Makes views of one type, whose pictures are sent to the page with their numbers.

    Parameters
    ----------
    server : trame's.
    make : constructor of the view.
    view_type : which views.
    overlay : builds what lies over a view's pictures.
    line : to the page.
    """

    def __init__(self, server: Any, make: Any, view_type: ViewType, overlay: Overlay, line: Line) -> None:
        super().__init__()
        self._server, self._make, self.view_type, self._overlay = server, make, view_type, overlay
        self._line = line
        self.drag = LeftButton()

    def can_create_view(self, view: ViewLayoutDefinition) -> bool:
        """Return whether a view is of this factory's type."""
        return bool(view.view_type == self.view_type)

    def states(self) -> dict[str, int]:
        """Return the number of the scene's current state in each view."""
        return {tag: one.scheduler.state for tag, one in self._views.items()}

    def publish(self, tag: str, topic: str, message: Any) -> None:
        """Send a message to the page of one of the views."""
        if tag in self._views and (streamer := self._views[tag].adapter.streamer) is not None:
            streamer.publish(topic, message)

    def area(self, tag: str) -> MouseArea | None:
        """Return what takes the mouse in one of the views; None where it is not of this factory."""
        return self._views[tag].adapter if tag in self._views else None

    def _get_slicer_view(self, view: _RemoteView) -> Any:
        return view.view

    def _create_view(self, view: ViewLayoutDefinition, scene: Any, app_logic: Any) -> _RemoteView:
        tag = view.singleton_tag
        # Until its own scheduler is there, each of its properties would draw the empty view once more.
        made = self._make(
            scene=scene, app_logic=app_logic, name=tag, scheduled_render_strategy=NoScheduleRendering()
        )
        made.set_view_properties(view.properties)
        cursor = f"{tag}_active_view_cursor"
        self._server.state.setdefault(cursor, CursorId.DEFAULT.value)
        window = RcaWindow(made.render_window(), state=self._server.state, active_view_cursor=cursor)

        def announce(state: int) -> None:
            if adapter.streamer is not None:
                adapter.streamer.publish(STATE_TOPIC, {"name": tag, "state": state})

        scheduler = FrameScheduler(window, FRAMES_ELSEWHERE, announce, self._line)
        adapter = MouseArea(made, window, tag, scheduler, self.drag)
        with ViewLayout(self._server, template_name=tag) as layout, rendered_once():
            self._build(tag, made, scheduler, cursor)
        made.set_scheduled_render(_Strategy(scheduler))

        async def register() -> None:
            await self._server.ready
            self._server.controller.rc_area_register(adapter)

        create_task(register())
        return _RemoteView(layout, made, adapter, scheduler)

    def _build(self, tag: str, view: Any, scheduler: FrameScheduler, cursor: str) -> None:
        def at(rate: float) -> Callable[[], None]:
            def change() -> None:
                scheduler.target_fps = rate

            return change

        with html.Div(
            classes="view",
            style=(f"{{ cursor: {cursor} }}",),
            mouseenter=at(FRAMES_A_SECOND),
            mouseleave=at(FRAMES_ELSEWHERE),
            raw_attrs=[f'data-view="{tag}"'],
        ):
            with (
                AbstractElement("dicomdock-trails"),
                RemoteControlledArea(
                    name=tag,
                    display="none",  # the picture below shows what comes
                    style="position:relative;width:100%;height:100%",
                    send_mouse_move=True,
                    event_throttle_ms=EVENT_MS,
                ),
            ):
                AbstractElement("dicomdock-picture", raw_attrs=[f'name="{tag}"'])
            self._overlay(self._server, tag, view)


_NO_KEYS = dict.fromkeys(("shiftKey", "altKey", "ctrlKey", "metaKey"), 0)


class RemoteViews:
    """The views of the page.

    Parameters
    ----------
    factories : what made them.
    """

    def __init__(self, factories: Sequence[RemoteViewFactory]) -> None:
        self._factories = factories

    def states(self) -> dict[str, int]:
        """Return the number of the scene's current state in each view."""
        return {tag: state for factory in self._factories for tag, state in factory.states().items()}

    def drag_places(
        self, how: Literal["", "ends", "path"], drawn: PathDrawn, ended: Callable[[], None]
    ) -> None:
        """Let a drag place points; see ``LeftButton``. A path is drawn on slices alone."""
        for factory in self._factories:
            on_slices = factory.view_type == ViewType.SLICE_VIEW
            factory.drag.how = how if on_slices or how != "path" else "ends"
            factory.drag.drawn, factory.drag.ended = drawn, ended

    def follow_drags(self, *, on: bool) -> None:
        """Let the engine see the whole way of each drag on slices; see ``LeftButton``."""
        for factory in self._factories:  # in 3D it looks for what is under each point, which takes long
            factory.drag.followed = on and factory.view_type == ViewType.SLICE_VIEW

    def drag_picture(
        self, how: str, views: Iterable[Any], scrolled: Callable[[str, float], float] | None
    ) -> None:
        """Let a drag with the left button move or enlarge the picture, or scroll.

        See ``_drag_with_left_button`` and ``LeftButton``.
        """
        for factory in self._factories:
            factory.drag.picture = how in ("move", "zoom")
            factory.drag.scrolled = scrolled if factory.view_type == ViewType.SLICE_VIEW else None
        for view in views:
            _drag_with_left_button(view, how)

    def take_drags(self, grabbed: Grabbed, dropped: Callable[[], None]) -> None:
        """Let things in the views be dragged; see ``LeftButton``."""
        for factory in self._factories:
            factory.drag.grabbed, factory.drag.dropped = grabbed, dropped

    def take_clicks(self, clicked: Callable[[str], None] | None) -> None:
        """Call a function with the view that is clicked, instead of what clicks do; None for as usual."""
        for factory in self._factories:
            factory.drag.clicked = clicked

    def size(self, tag: str) -> tuple[int, int]:
        """Return how wide and high a view is, in pixels of the page."""
        width, height = self._area(tag).image_size
        scale = self._area(tag).scale_factor
        return round(width / scale), round(height / scale)

    def mouse(self, tag: str, at: tuple[float, float], *kinds: str) -> None:
        """Let a view take something for what the mouse did, in pixels of the page from its lower left."""
        width, height = self.size(tag)
        for kind in kinds:
            event = {"type": kind, "x": round(at[0]), "y": round(at[1]), "w": width, "h": height, **_NO_KEYS}
            self._area(tag).on_interaction("keys", event)

    def _area(self, tag: str) -> MouseArea:
        return next(found for factory in self._factories if (found := factory.area(tag)) is not None)

    def show_value(self, tag: str, text: str) -> None:
        """Show the values under the mouse in a view."""
        for factory in self._factories:
            factory.publish(tag, VALUE_TOPIC, {"name": tag, "text": text})


def remote_views(server: Any, manager: Any, slice_overlay: Overlay, threed_overlay: Overlay) -> RemoteViews:
    """Let a view manager make its views for the page."""
    line = Line()
    factories = (
        RemoteViewFactory(server, SliceView, ViewType.SLICE_VIEW, slice_overlay, line),
        RemoteViewFactory(server, ThreeDView, ViewType.THREE_D_VIEW, threed_overlay, line),
    )
    for factory in factories:
        manager.register_factory(factory)
    return RemoteViews(factories)
