"""The page of one study: its arrival while it comes, then its series."""

from __future__ import annotations

import json
import time

from nicegui import ui

from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import check_uid
from dicomdock.dock import formatting, widgets
from dicomdock.dock.addresses import WHOLE, open_address, study_address
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.study_actions import ActionBar
from dicomdock.dock.pages.study_missing import MissingLine
from dicomdock.dock.pages.study_panel import StudyPanel
from dicomdock.dock.pages.transfer_rows import percent, remaining, words
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services.events import ArchiveChanged, TransferChanged
from dicomdock.dock.services.sources import LOCAL
from dicomdock.dock.services.studies import Found
from dicomdock.errors import InvalidInput
from dicomdock.transfer import Transfer


def page(services: Services, visit: Visit) -> None:
    """Build the page of one study."""
    try:
        uid = check_uid(visit.parts["study"], tolerant=True)
    except InvalidInput as error:
        with widgets.empty("There is no such study", str(error)):
            widgets.button("All studies", lambda: ui.navigate.to("/"))
        return
    view = StudyPage(services, uid, wanted=visit.query.get("open", ""), source=visit.query.get("source", ""))
    ui.timer(0, view.begin, once=True)


class StudyPage:
    """The state of one open study page.

    Parameters
    ----------
    services : of the dock.
    uid : of the study.
    wanted : what is to be opened as soon as some of it is here: a series, or ``WHOLE``; else empty.
    source : the server that is searched where the archive does not have the study; empty for none.
    """

    def __init__(self, services: Services, uid: str, *, wanted: str = "", source: str = "") -> None:
        self._run = services.run
        self._finder = services.finder
        self._sources = services.sources
        self._transfers = services.transfers
        self._open_study = services.open_study
        self._slicer = services.slicer
        self._uid = uid
        self._wanted = wanted
        self._source = source
        self._study: Found | None = None
        with ui.element("div").classes("study-page"):
            with (
                ui.element("div")
                .classes("arrival")
                .props('role="status" data-testid="arrival"') as self._arrival
            ):
                with ui.element("span").classes("bar wide"):
                    self._done = ui.element("span").classes("bar-done")
                self._words = ui.label().classes("num")
                ui.element("span").classes("spacer")
                self._stop = widgets.button("Cancel", self._cancel, testid="cancel")
                self._again = widgets.button("Try again", self._resume, kind="main", testid="try-again")
            self._arrival.set_visibility(False)
            self._opening = ui.label("Opening the viewer …").classes("arrival").props('role="status"')
            self._opening.set_visibility(False)
            self._missing = MissingLine(services.run, services.local, services.requests, uid)
            self._panel = StudyPanel(
                services.run, services.finder, self._selection_changed, self._open_series
            )
            self._empty = ui.element("div").classes("fill")
        self._actions = ActionBar(ActionServices.of(services))
        services.events.subscribe(ArchiveChanged, self._archive_changed)
        services.events.subscribe(TransferChanged, self._transfer_changed)
        self._transfer: Transfer | None = None

    async def begin(self) -> None:
        """Show the study, and open it where that is wanted."""
        if self._wanted:
            # Coming back to this page, or loading it again, does not open the study again.
            plain = json.dumps(study_address(self._uid))
            ui.run_javascript(f"history.replaceState(history.state, '', {plain})")
        await self.look()

    async def look(self) -> None:
        """Look up the study and its transfer, and show both."""
        self._study = await self._run(self._finder.study, self._uid, LOCAL)
        if self._study is None and self._source in await self._run(self._sources.names):
            self._study = await self._run(self._finder.study, self._uid, self._source)
        self._transfer = await self._run(self._find_transfer)
        self._show_transfer()
        coming = {self._uid} if self._transfer is not None and not self._transfer.ended else set()
        await self._panel.show(self._study, coming)
        self._selection_changed()
        await self._missing.look(coming=bool(coming))
        if self._wanted != "" and await self._run(self._open_study.is_known, self._uid):
            await self._open()
        self._empty.clear()
        if self._study is None and self._transfer is None:
            with (
                self._empty,
                widgets.empty(
                    "This study is not on this computer",
                    "Find it on a server and download it.",
                    testid="not-here",
                ),
            ):
                widgets.button("Find studies", lambda: ui.navigate.to("/"), kind="main")

    async def _open(self) -> None:
        """Open what is wanted, in the way the user likes; without a viewer this page is what there is."""
        wanted, self._wanted = self._wanted, ""
        where = await self._run(self._open_study.where)
        if where == "slicer":
            ui.navigate.to(self._slicer.link(self._uid))
        elif where == "viewer":
            resource = Resource(self._uid, None if wanted == WHOLE else wanted)
            self._opening.set_visibility(True)
            try:
                url = await self._run(self._open_study.open, resource)
            finally:
                self._opening.set_visibility(False)
            # Back leads to where this page was opened from, not to a page that opens the study again.
            ui.run_javascript(f"location.replace({json.dumps(url)})")

    def _open_series(self, uid: str) -> None:
        ui.navigate.to(open_address(Resource(self._uid, uid)))

    def _find_transfer(self) -> Transfer | None:
        for transfer in self._transfers.queue.latest():
            if transfer.kind == "pull" and any(one.split("/")[0] == self._uid for one in transfer.resources):
                return transfer
        return None

    def _show_transfer(self) -> None:
        transfer = self._transfer
        fresh = transfer is not None and (not transfer.ended or time.time() - transfer.updated < 60)
        needs_us = transfer is not None and transfer.state in ("failed", "partly", "cancelled", "paused")
        self._arrival.set_visibility(fresh or needs_us)
        if transfer is None:
            return
        share = percent(transfer)
        self._done.style(f"width: {share if share is not None else 0}%")
        left = remaining(transfer)
        parts = [
            words(transfer),
            f"{formatting.duration(left)} left" if left is not None else "",
            transfer.message,
        ]
        self._words.set_text(", ".join(part for part in parts if part))
        self._stop.set_visibility(transfer.state in ("queued", "running"))
        self._again.set_visibility(needs_us)

    async def _cancel(self) -> None:
        if self._transfer is not None:
            await self._run(self._transfers.request, self._transfer.id, "cancel")
            await self.look()

    async def _resume(self) -> None:
        if self._transfer is not None:
            await self._run(self._transfers.resume, self._transfer.id)

    async def _archive_changed(self, event: ArchiveChanged) -> None:
        if event.study in ("", self._uid):
            await self.look()

    async def _transfer_changed(self, event: TransferChanged) -> None:
        if self._transfer is None or event.transfer == self._transfer.id:
            self._transfer = await self._run(self._find_transfer)
            self._show_transfer()

    def _selection_changed(self) -> None:
        study, series = self._study, self._panel.selected
        if study is None:
            self._actions.show(Selection())
            return
        selection = Selection({study.uid: study}, {uid: (study.uid, item) for uid, item in series.items()})
        self._actions.show(selection)
        self._actions.status.set_text(selection.words + (" selected" if series else ""))
