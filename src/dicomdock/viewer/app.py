"""Workstation: the page of one viewer, and the parts behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trame_slicer.module
from pydicom.dataset import Dataset
from trame.app import TrameApp
from trame_slicer.core import SlicerApp
from trame_vuetify.ui.vuetify3 import VAppLayout

from dicomdock.archive import Archive
from dicomdock.resource import Resource
from dicomdock.settings import Settings
from dicomdock.viewer import shell_ui
from dicomdock.viewer.guard import Guard
from dicomdock.viewer.notes import Notes
from dicomdock.viewer.series_logic import SeriesLogic
from dicomdock.viewer.views_logic import Views

STATIC = Path(__file__).with_name("static")
# Without a picture of our own, trame's page asks a foreign host for one.
FAVICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%235b8def'/%3E"
    "%3Cpath d='M4 11V5h3.2a3 3 0 0 1 0 6z' fill='%23fff'/%3E%3C/svg%3E"
)
MODULE = {
    "serve": {"__dicomdock": str(STATIC)},
    "scripts": ["__dicomdock/viewer.js"],
    "styles": ["__dicomdock/viewer.css"],
}
CPU_RAY_CASTING = "vtkMRMLCPURayCastVolumeRenderingDisplayNode"


class Workstation(TrameApp):
    """One viewer: one scene, one page.

    Parameters
    ----------
    server : trame's.
    settings : where the archive is.
    secret : opens the page.
    """

    def __init__(self, server: Any, settings: Settings, secret: str) -> None:
        super().__init__(server)
        self.server.enable_module(trame_slicer.module)
        self.server.enable_module(MODULE)
        self._guard = Guard(secret)
        self.settings = settings
        self.archive = Archive.open(settings)
        self.slicer = SlicerApp()
        self.slicer.volume_rendering._logic.SetDefaultRenderingMethod(CPU_RAY_CASTING)
        self.state.update({"trame__title": "dicomdock", "trame__favicon": FAVICON, "tool": "series"})
        self.notes = Notes(self.server)
        self.views = Views(self.server, self.slicer)
        self.series = SeriesLogic(self.server, self.slicer, self.views, self.archive, self.notes)
        with VAppLayout(self.server, theme="dark") as self.ui:
            shell_ui.build(self)
        self.ctrl.on_server_bind.add(lambda bound: self._guard.install(bound.app))
        self.ctrl.on_server_ready.add_task(self._watch)

    def open(self, resource: Resource, *, pulling: bool = False) -> None:
        """Show a study; on the event loop."""
        self.series.open(resource, pulling=pulling)

    def expect(self, series: str, headers: Sequence[Dataset]) -> None:
        """Take the metadata of a series that is being fetched; on the event loop."""
        self.series.expect(series, headers)

    async def _watch(self, **_: Any) -> None:
        await asyncio.gather(self.series.watch())

    def close(self) -> None:
        """Keep what has to be kept."""
        self.archive.close()
