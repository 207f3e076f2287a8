"""Workstation: the page of one viewer, and the parts behind it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from base64 import b64encode
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import trame_slicer.module
from trame.app import TrameApp
from trame.ui.html import DivLayout
from trame_slicer.core import SlicerApp

from dicomdock import rpc
from dicomdock.api import archive as api
from dicomdock.archive import Archive
from dicomdock.config.preferences import THEMES, Preferences
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.resource import Resource
from dicomdock.viewer.dock_client import DockClient, RequestFailed
from dicomdock.viewer.engine import (
    preview_thresholds_on_their_volume,
    render_volumes_on_the_processor,
    rendered_once,
)
from dicomdock.viewer.features.compare.logic import CompareLogic
from dicomdock.viewer.features.curved.logic import CurvedLogic
from dicomdock.viewer.features.derive.logic import DerivingLogic
from dicomdock.viewer.features.dose.logic import DoseLogic
from dicomdock.viewer.features.fusion.logic import FusionLogic
from dicomdock.viewer.features.hanging.logic import HangingLogic
from dicomdock.viewer.features.key_images.logic import KeyImagesLogic
from dicomdock.viewer.features.layout.layouts import AXIAL, NAMES
from dicomdock.viewer.features.layout.logic import LayoutLogic
from dicomdock.viewer.features.measure.logic import MeasuringLogic
from dicomdock.viewer.features.objects.logic import OthersLogic
from dicomdock.viewer.features.oblique.logic import ObliqueLogic
from dicomdock.viewer.features.overlays.logic import OverlaysLogic
from dicomdock.viewer.features.presentation.logic import PresentationLogic
from dicomdock.viewer.features.priors.logic import PriorsLogic
from dicomdock.viewer.features.prompts.logic import PromptsLogic
from dicomdock.viewer.features.registration.by_hand import ByHandLogic
from dicomdock.viewer.features.registration.landmarks import LandmarksLogic
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.segments.logic import SegmentsLogic
from dicomdock.viewer.features.send.logic import SendingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.series.thumbnails import Thumbnails
from dicomdock.viewer.features.source_images.logic import SourcesLogic
from dicomdock.viewer.features.statistics.logic import StatisticsLogic
from dicomdock.viewer.features.timepoints.logic import TimePointsLogic
from dicomdock.viewer.features.tools.logic import ToolsLogic
from dicomdock.viewer.features.views.cine import Cine
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.features.views.turning import Turning
from dicomdock.viewer.features.volume.logic import VolumeLogic
from dicomdock.viewer.features.window.logic import WindowLogic
from dicomdock.viewer.guard import Guard
from dicomdock.viewer.idle_shutdown import IdleShutdown
from dicomdock.viewer.index_page import FAVICON, TITLE
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState, answer_changes
from dicomdock.viewer.registrations import Registrations
from dicomdock.viewer.shell import ui
from dicomdock.viewer.shell.download import offer
from dicomdock.viewer.shell.keys import NAMED
from dicomdock.viewer.shell.own_keys import OwnKeys
from dicomdock.viewer.shell.picture import png_of
from dicomdock.viewer.shell.state import ShellState
from dicomdock.viewer.shell.tabs import Tabs

STATIC = Path(__file__).with_name("static")
# Of Vuetify nothing is loaded but its copy of Material Design Icons: the rest, a megabyte, delays the images.
ICONS = Path(str(resources.files("trame_vuetify") / "module" / "v3-serve"))
MODULE = {
    "serve": {"__dicomdock": str(STATIC), "__icons": str(ICONS)},
    "scripts": ["__dicomdock/viewer.js", "__dicomdock/menu.js"],
    "styles": ["__icons/css/mdi.css", "__dicomdock/viewer.css"],
    "vue_use": ["dicomdock"],
}


class Workstation(TrameApp):
    """One viewer: one scene, one page.

    Parameters
    ----------
    server : trame's.
    settings : where the archive is.
    guard : decides who may talk to it.
    send : writes an event to the dock.
    exit_process : ends the process.
    """

    def __init__(
        self,
        server: Any,
        settings: Settings,
        guard: Guard,
        send: Callable[[rpc.Event], None],
        exit_process: Callable[[], None],
    ) -> None:
        super().__init__(server)
        self.server.enable_module(trame_slicer.module)
        self.server.enable_module(MODULE)
        self._guard = guard
        self.settings = settings
        self.archive = Archive.open(settings)
        preview_thresholds_on_their_volume()
        self.slicer = app = SlicerApp()
        render_volumes_on_the_processor(app)
        self.state.update({"trame__title": TITLE, "trame__favicon": FAVICON})
        self.shell = PageState(self.server.state, ShellState)
        self.focus = AXIAL
        self.notifications = Notifications(self.server)
        self.keys = OwnKeys(self.server, settings, self.notifications)
        self.tabs = Tabs(self.server, send)
        self.idle_shutdown = IdleShutdown(
            self.server,
            settings.viewer_patience,
            self.must_stay,
            exit_process,
            lambda page: send(rpc.PageChanged(page)),
        )
        self.dock = DockClient(send)
        self.views = Views(self.server, app)
        self.series = SeriesLogic(
            self.server, app, self.views, self.archive, self.notifications, self.tabs.report
        )
        self.layout = LayoutLogic(self.server, self.series)
        self.window = WindowLogic(self.server, self.series)
        self.overlays = OverlaysLogic(self.server, app, self.series, self.views)
        self.volume = VolumeLogic(self.server, app, self.series, self.views)
        self.segments = SegmentsLogic(
            self.server, app, self.series, self.archive, settings, self.notifications
        )
        self.prompts = PromptsLogic(
            self.server, app, self.series, self.segments, settings, self.notifications
        )
        self.saving = SavingLogic(
            self.server,
            self.series,
            self.segments,
            self.archive,
            self.dock,
            self.notifications,
            settings,
        )
        self.sending = SendingLogic(self.server, self.series, self.saving, self.archive, self.dock)
        self.measuring = MeasuringLogic(
            self.server, app, self.series, self.saving, settings, self.notifications
        )
        self.curved = CurvedLogic(self.server, self.series, self.views, self.measuring, self.window)
        self.tools = ToolsLogic(
            self.server,
            self.series,
            self.segments,
            self.saving,
            api.Archive(self.archive, settings),
            settings,
            self.notifications,
            self.measuring.labelled_points,
        )
        self.sources = SourcesLogic(
            self.server, self.series, self.saving, self.measuring, self.archive, self.dock, self.notifications
        )
        self.key_images = KeyImagesLogic(
            self.server, self.series, self.views, self.saving, self.notifications
        )
        self.presentation = PresentationLogic(
            self.server,
            app,
            self.series,
            self.views,
            self.overlays,
            self.archive,
            self.notifications,
        )
        self.others = OthersLogic(
            self.server,
            app,
            self.series,
            self.segments,
            self.measuring,
            self.key_images,
            self.archive,
            self.notifications,
        )
        self.deriving = DerivingLogic(
            self.server, self.series, self.segments, self.saving, self.notifications
        )
        registrations = Registrations(self.archive, lambda: self.series.study, self.notifications.error)
        self.compare = CompareLogic(
            self.server,
            app,
            self.series,
            self.views,
            registrations,
            self.window.palette_of,
            self.notifications,
        )
        self.landmarks = LandmarksLogic(
            self.server,
            app,
            self.series,
            self.views,
            self.compare,
            registrations,
            self.saving,
            self.notifications,
        )
        self.oblique = ObliqueLogic(self.server, self.series, self.views)
        self.fusion = FusionLogic(self.server, app, self.series, self.views, registrations)
        self.by_hand = ByHandLogic(
            self.server, self.series, self.fusion, registrations, self.saving, self.notifications
        )
        self.volume.above = lambda: self.fusion.drawn
        self.fusion.on_drawn.append(self.volume.above_changed)
        self.dose = DoseLogic(
            self.server, app, self.series, self.fusion, self.archive, settings, self.notifications
        )
        self.statistics = StatisticsLogic(
            self.server, self.series, self.segments, self.saving, self.archive, self.notifications
        )
        self.window.on_window.append(self.compare.look_alike)
        self.thumbnails = Thumbnails(self.server, self.archive, settings)
        self.priors = PriorsLogic(
            self.server, self.series, self.compare, self.archive, self.dock, self.notifications
        )
        self.hanging = HangingLogic(
            self.server, self.series, self.compare, self.priors, settings, self.notifications
        )
        self.timepoints = TimePointsLogic(
            self.server, self.series, self.segments, self.views, self.archive, self.notifications
        )
        self.turning = Turning(self.server, self.views, lambda: self.focus, self.notifications)
        self.cine = Cine(self.server, self.series, self.views)
        self.measuring.on_place.append(self.prompts.drop)
        # Before: a brush that is put away when its panel closes would end the placing.
        self.measuring.on_place.append(self.segments.deselect_tool)
        self.segments.on_tool.append(self.volume.painting)
        self.segments.on_tool.append(lambda on: self.views.mouse.tool(on=on))
        self.views.on_slice = self._moved
        self.ctrl.undo, self.ctrl.redo = self.undo, self.redo
        self.ctrl.take_picture, self.ctrl.copy_picture = self.take_picture, self.copy_picture
        self.ctrl.measure_by_menu = self.measure
        self.ctrl.leave = self.leave
        self.ctrl.reset = self.reset
        self.shell.bind_changes(
            {
                self.shell.name.theme: self._theme_changed,
                self.shell.name.help_open: lambda _: self.keys.ask_no_more(),
            }
        )
        with DivLayout(self.server, classes="page") as self.ui, rendered_once():
            ui.build(self)
        self.views.mouse.interaction("window")
        answer_changes(self.server)
        self.ctrl.trigger("act")(self._act)
        self.ctrl.trigger("alone")(self.layout.alone)
        self.ctrl.trigger("copied")(self._copied)
        self.ctrl.on_server_bind.add(lambda bound: self._guard.install(bound.app))
        self.ctrl.on_server_ready.add_task(self._watch)
        self.ctrl.on_client_connected.add(self._page_loaded)

    def open(
        self,
        resource: Resource,
        *,
        pulling: bool = False,
        coming: Sequence[DicomJson] = (),
        has_list: bool = False,
        segments: Sequence[rpc.WantedSegment] = (),
    ) -> None:
        """Show a study; on the event loop."""
        with self.shell as data:
            data.has_list = has_list
            data.theme = Preferences(self.settings).theme
        self.keys.read()
        self.segments.wanted = segments
        self.series.open(resource, pulling=pulling, coming=coming)
        self.idle_shutdown.opened()

    def is_busy(self) -> bool:
        """Return whether something is being computed, written or sent."""
        computing, saving = self.segments.state.data.busy, self.saving.state.data.saving
        others = self.sending.state.data.sending or self.deriving.state.data.deriving or self.tools.running
        return bool(computing) or saving or others

    def must_stay(self) -> bool:
        """Return whether the end of the viewer would interrupt work, or lose what cannot be autosaved."""
        if self.is_busy():
            return True
        return self.segments.is_only_in_memory() or self.measuring.is_only_in_memory()

    def escape(self) -> None:
        """Close the dialog, stop the measurement or deactivate the tool, whichever is first."""
        shell, send, save = self.shell.data, self.sending.state.data, self.saving.state.data
        measuring = self.measuring.state.data
        if send.send_open or shell.help_open or save.leaving_open or measuring.report_asked:
            send.send_open = shell.help_open = save.leaving_open = False
            measuring.report_asked = ""
        elif measuring.measuring:
            self.measuring.stop()
        elif self.prompts.placing:
            self.prompts.finish()
            self.views.mouse.interaction("window")
        elif self.landmarks.state.data.landmarks_on:
            self.landmarks.end()
        elif shell.glass:
            shell.glass = False
        elif self.segments.tool_active:
            self.segments.deselect_tool()
        else:
            shell.tool = ""

    def undo(self) -> None:
        """Undo the last step of measuring while its panel is open, else of segmenting."""
        (self.measuring if self.shell.data.tool == "measure" else self.segments).undo()

    def redo(self) -> None:
        """Redo what ``undo`` undid."""
        (self.measuring if self.shell.data.tool == "measure" else self.segments).redo()

    def reset(self) -> None:
        """Show the series as it was opened: its window, its usual planes, fitted into the views."""
        self.oblique.straighten()
        for view in self.views.slices():
            self.views.arrange(view.get_singleton_tag(), None)
        with self.views.state as data:
            data.slab, data.left, data.aligned, data.crosshair, data.lines = 0, "window", True, False, False
        self.window.reset()
        self.views.fit()

    def measure(self, kind: str) -> None:
        """Let the user place a measurement, with its panel open."""
        self.shell.data.tool = "measure"
        self.measuring.place(kind)

    def take_picture(self, view: str = "") -> None:
        """Save a picture of a view, or of all."""
        picture = self._picture(view)
        if picture:
            offer(self.server, "dicomdock.png", picture, "image/png")

    def copy_picture(self, view: str) -> None:
        """Put a picture of a view on the clipboard."""
        self.server.js_call("page", "copy", b64encode(self._picture(view)).decode())

    def _copied(self, done: bool) -> None:
        if done:
            self.notifications.info("The picture was copied.")
        else:
            self.notifications.error("This browser does not let the page copy pictures; save it instead.")

    def _picture(self, tag: str) -> bytes:
        """Return a view, or all, as a PNG without what is only in the user's hand."""
        with self.views.aids.without_handles():
            return png_of([one for one in self.views.visible() if tag in ("", one.get_singleton_tag())])

    def _theme_changed(self, theme: str) -> None:
        """Show the page in the chosen colours, and let the pages of the dock have them too."""
        preferences = Preferences(self.settings)
        if theme not in THEMES:
            return
        self.server.js_call("page", "wear", theme)
        if theme != preferences.theme:
            with contextlib.suppress(OSError):  # a home that cannot be written: until the page is left
                preferences.set("theme", theme)

    async def leave(self) -> None:
        """Lead the page back to the list of studies or cases."""
        try:
            address = await self.dock.list_address()
        except RequestFailed as error:
            self.notifications.error(str(error))
        else:
            self.server.js_call("page", "go", address)

    def close(self) -> None:
        """Write unsaved work, and close the archive."""
        self.segments.close()
        self.prompts.close()
        self.tools.close()
        self.measuring.close()
        self.archive.close()

    async def _watch(self, **_: Any) -> None:
        await asyncio.gather(
            self.series.watch(),
            self.segments.autosave(),
            self.measuring.autosave(),
            self.prompts.server.watch(),
        )

    async def _act(self, name: str, view: str = "") -> None:
        """Do what a key stands for; ``view`` is the one that the mouse is in."""
        if view in NAMES:
            self.focus = view
        action = NAMED.get(name)
        if action is None:
            return
        with self.state:
            done = action.does(self)
        if inspect.isawaitable(done):
            await done

    def _page_loaded(self, *_: Any) -> None:
        """Look for what was stored since: a page that is loaded anew shows what the study has now."""
        if self.series.study is not None:
            self.series.refresh()

    def _moved(self, tag: str) -> None:
        self.compare.follow(tag)
        self.presentation.moved(tag)
