"""The page of one study: its arrival while it comes, then its series."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

from nicegui import ui

from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import check_uid
from dicomdock.dock import formatting, widgets
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.shell import Visit
from dicomdock.dock.pages.study_actions import ActionBar
from dicomdock.dock.pages.study_missing import MissingLine
from dicomdock.dock.pages.study_panel import StudyPanel
from dicomdock.dock.pages.transfer_rows import percent, remaining, words
from dicomdock.dock.service import LOCAL, Dock
from dicomdock.dock.services import open_study
from dicomdock.dock.services.events import ArchiveChanged, TransferChanged
from dicomdock.dock.services.studies import Found, Listing
from dicomdock.errors import InvalidInput
from dicomdock.transfer import Transfer


def page(dock: Dock, visit: Visit) -> None:
    """Build the page of one study."""
    try:
        uid = check_uid(visit.parts["study"], tolerant=True)
    except InvalidInput as error:
        with widgets.empty("There is no such study", str(error)):
            widgets.button("All studies", lambda: ui.navigate.to("/"))
        return
    view = StudyPage(dock, uid, wanted=visit.query.get("open", ""))
    ui.timer(0, view.begin, once=True)


class StudyPage:
    """The state of one open study page.

    Parameters
    ----------
    dock : gives the study.
    uid : of the study.
    wanted : what is to be opened as soon as some of it is here: a series, or ``opening.WHOLE``; else empty.
    """

    def __init__(self, dock: Dock, uid: str, *, wanted: str = "") -> None:
        self._dock = dock
        self._uid = uid
        self._wanted = wanted
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
            self._missing = MissingLine(dock, uid)
            self._panel = StudyPanel(dock, self._selection_changed, self._open_series)
            self._empty = ui.element("div").classes("fill")
        self._actions = ActionBar(dock)
        dock.events.subscribe(ArchiveChanged, self._archive_changed)
        dock.events.subscribe(TransferChanged, self._transfer_changed)
        self._transfer: Transfer | None = None

    async def begin(self) -> None:
        """Show the study, and open it where that is wanted."""
        if self._wanted:
            # Coming back to this page, or loading it again, does not open the study again.
            plain = json.dumps(f"/study/{quote(self._uid, safe='')}")
            ui.run_javascript(f"history.replaceState(history.state, '', {plain})")
        await self.look()

    async def look(self) -> None:
        """Look up the study and its transfer, and show both."""
        listing = Listing(self._dock, {"StudyInstanceUID": self._uid}, [LOCAL])
        await self._dock.run(listing.take, listing.streams[0])
        self._study = listing.found.get(self._uid)
        self._transfer = await self._dock.run(self._find_transfer)
        self._show_transfer()
        coming = {self._uid} if self._transfer is not None and not self._transfer.ended else set()
        await self._panel.show(self._study, coming)
        self._selection_changed()
        await self._missing.look(coming=bool(coming))
        if self._wanted != "" and await self._dock.run(open_study.is_known, self._dock, self._uid):
            await self._open()
        self._empty.clear()
        if self._study is None and self._transfer is None:
            with (
                self._empty,
                widgets.empty(
                    "This study is not here", "Find it on a server and download it.", testid="not-here"
                ),
            ):
                widgets.button("Find studies", lambda: ui.navigate.to("/"), kind="main")

    async def _open(self) -> None:
        """Open what is wanted, in the way the user likes; without a viewer this page is what there is."""
        wanted, self._wanted = self._wanted, ""
        way = await self._dock.run(open_study.way, self._dock)
        if way == "slicer":
            ui.navigate.to(open_study.slicer_link(self._dock, self._uid))
        elif way == "viewer":
            resource = Resource(self._uid, None if wanted == open_study.WHOLE else wanted)
            self._opening.set_visibility(True)
            try:
                place = await self._dock.run(open_study.start, self._dock, resource)
            finally:
                self._opening.set_visibility(False)
            ui.navigate.to(place)

    def _open_series(self, uid: str) -> None:
        ui.navigate.to(open_study.address(Resource(self._uid, uid)))

    def _find_transfer(self) -> Transfer | None:
        for transfer in self._dock.queue.latest():
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
        told = [
            words(transfer),
            f"{formatting.duration(left)} left" if left is not None else "",
            transfer.message,
        ]
        self._words.set_text(", ".join(part for part in told if part))
        self._stop.set_visibility(transfer.state in ("queued", "running"))
        self._again.set_visibility(needs_us)

    async def _cancel(self) -> None:
        if self._transfer is not None:
            await self._dock.run(self._dock.queue.request, self._transfer.id, "cancel")
            await self.look()

    async def _resume(self) -> None:
        if self._transfer is not None:
            await self._dock.run(self._dock.resume, self._transfer.id)

    async def _archive_changed(self, event: ArchiveChanged) -> None:
        if event.study in ("", self._uid):
            await self.look()

    async def _transfer_changed(self, event: TransferChanged) -> None:
        if self._transfer is None or event.transfer == self._transfer.id:
            self._transfer = await self._dock.run(self._find_transfer)
            self._show_transfer()

    def _selection_changed(self) -> None:
        study, series = self._study, self._panel.selected
        if study is None:
            self._actions.show(Selection())
            return
        selection = Selection({study.uid: study}, {uid: (study.uid, item) for uid, item in series.items()})
        self._actions.show(selection)
        self._actions.status.set_text(selection.words + (" selected" if series else ""))
