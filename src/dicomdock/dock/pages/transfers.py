"""The Transfers page: what runs, what waits, what ended, and which instances failed and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from nicegui import ui

from dicomdock.dock import formatting, widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.transfer_rows import STATES, goes, names, percent, remaining, title, words
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import TransferChanged
from dicomdock.dock.services.threads import Run
from dicomdock.dock.services.transfers import Transfers
from dicomdock.transfer import Item, Transfer

COLUMNS = (
    widgets.Column("direction", "", 92),
    widgets.Column("what", "What", "minmax(140px, 2fr)"),
    widgets.Column("server", "Server", "minmax(90px, 1fr)", yields=1),
    widgets.Column("progress", "Progress", "minmax(100px, 3fr)", "progress", sortable=False),
    widgets.Column("left", "Time left", 90, "num", sortable=False, yields=2),
    widgets.Column("when", "Started", 128, yields=3),
)
FAILURES = (
    widgets.Column("reason", "Why", "minmax(150px, 3fr)"),
    widgets.Column("instance", "Instance", "minmax(120px, 2fr)"),
)


def page(services: Services, visit: Visit) -> None:
    """Build the page."""
    view = TransfersPage(services.run, services.transfers, services.local, visit.query.get("id", ""))
    services.events.subscribe(TransferChanged, view.changed)
    ui.timer(0, view.load, once=True)


class TransfersPage:
    """The state of one open Transfers page."""

    def __init__(self, run: Run, transfers: Transfers, local: LocalArchive, current: str) -> None:
        self._run = run
        self._service = transfers
        self._local = local
        self._current = current
        self._transfers: dict[str, Transfer] = {}
        self._names: dict[str, str] = {}
        self._ticked: list[str] = []
        self._shows = 0
        with ui.element("div").classes("studies-body"):
            with ui.element("section").classes("studies-list").props('aria-label="Transfers"'):
                self._grid = widgets.Grid(
                    COLUMNS,
                    label="Transfers",
                    on_current=self._walked,
                    on_select=self._select,
                    on_open=self._open,
                    testid="transfers",
                )
                self._empty = ui.element("div").classes("studies-empty")
            with ui.element("aside").classes("study-panel").props('aria-label="The transfer"') as self._panel:
                with ui.element("div").classes("study-head"):
                    self._title = ui.label().classes("study-title").props('role="heading" aria-level="2"')
                    self._line = ui.label().classes("muted num").props('data-testid="transfer-words"')
                    self._message = ui.label().classes("bad-text").props('data-testid="transfer-message"')
                self._failures = widgets.Grid(
                    FAILURES, label="Instances that failed", selectable=False, testid="failures"
                )
            self._panel.set_visibility(False)
        with ui.element("footer").classes("actions").props('aria-label="Actions"'):
            self._status = ui.label().classes("status").props('role="status" data-testid="status"')
            ui.element("span").classes("spacer")
            self._buttons: dict[str, tuple[ui.button, Callable[[Transfer], bool]]] = {}
            self._button("Pause", "pause", "p", self._request("pause"), goes)
            self._button("Resume", "play_arrow", "g", self._resume, lambda one: one.worth_resuming)
            self._button("Cancel", "close", "c", self._request("cancel"), lambda one: not one.ended)
            self._button("Remove from the list", "delete_sweep", "", self._forget, lambda one: one.ended)

    def _button(
        self, label: str, icon: str, key: str, do: Callable[..., object], can: Callable[[Transfer], bool]
    ) -> None:
        testid = f"transfer-{label.split()[0].lower()}"
        self._buttons[label] = (widgets.button(label, do, icon=icon, key=key, testid=testid), can)

    async def load(self) -> None:
        """Show all transfers."""
        transfers = await self._run(lambda: self._service.queue.latest())
        self._transfers = {str(transfer.id): transfer for transfer in transfers}
        self._names = await self._run(names, self._local, transfers)
        self._grid.set_rows(self._row(transfer) for transfer in transfers)
        self._empty.clear()
        if not transfers:
            with (
                self._empty,
                widgets.empty(
                    "No transfers yet", "Downloads and uploads are listed here.", testid="no-transfers"
                ),
            ):
                widgets.button("Find studies", lambda: ui.navigate.to("/"))
        if self._current in self._transfers:
            self._grid.set_current(self._current)
        self._show_buttons()

    def _row(self, transfer: Transfer) -> widgets.Row:
        left = remaining(transfer)
        cells = {
            "direction": "Download" if transfer.kind == "pull" else "Upload",
            "what": title(transfer, self._names),
            "server": transfer.server,
            "progress": (percent(transfer), words(transfer)),
            "left": formatting.duration(left) if left is not None else "",
            "when": formatting.ago(time.time() - transfer.created),
        }
        bad = transfer.state in ("failed", "partly")
        return widgets.Row(str(transfer.id), cells, {"when": -transfer.created}, tone="bad" if bad else "")

    async def changed(self, event: TransferChanged) -> None:
        """Show a transfer as it is now."""
        transfer = await self._run(lambda: self._service.queue.get(event.transfer))
        known = self._transfers.get(str(transfer.id))
        self._transfers[str(transfer.id)] = transfer
        if known is None:
            await self.load()
            return
        if transfer.ended and not known.ended:
            self._names |= await self._run(names, self._local, [transfer])
        self._grid.patch_rows([self._row(transfer)])
        if str(transfer.id) == self._current:
            await self._show(transfer)
        self._show_buttons()

    async def _walked(self, key: str) -> None:
        self._current = key
        if key in self._transfers:
            await self._show(self._transfers[key])
        self._show_buttons()

    async def _show(self, transfer: Transfer) -> None:
        self._panel.set_visibility(True)
        verb = "Download from" if transfer.kind == "pull" else "Upload to"
        self._title.set_text(f"{verb} {transfer.server}: {title(transfer, self._names)}")
        self._line.set_text(words(transfer))
        self._message.set_text(transfer.message)
        failed: Sequence[Item] = await self._run(
            lambda: self._service.queue.items(transfer.id, "failed", "missing", "unconfirmed")
        )
        self._failures.set_visibility(bool(failed))
        rows = (
            widgets.Row(
                item.resource,
                {"reason": item.reason or item.status, "instance": item.resource.split("/")[-1]},
            )
            for item in failed
        )
        self._shows += 1
        shown = self._shows
        await self._failures.set_many_rows(rows, lambda: shown == self._shows)

    def _select(self, keys: list[str]) -> None:
        self._ticked = keys
        self._show_buttons()

    def _chosen(self) -> list[Transfer]:
        keys = self._ticked or [self._current]
        return [self._transfers[key] for key in keys if key in self._transfers]

    def _show_buttons(self) -> None:
        chosen = self._chosen()
        for button, can in self._buttons.values():
            button.set_enabled(any(can(transfer) for transfer in chosen))
        count = sum(STATES[one.state] in ("running", "waiting") for one in self._transfers.values())
        self._status.set_text(f"{formatting.number(count)} running or waiting")

    def _request(self, request: Literal["pause", "cancel"]) -> Callable[[], object]:
        async def ask() -> None:
            for transfer in self._chosen():
                if not transfer.ended:
                    await self._run(self._service.request, transfer.id, request)

        return ask

    async def _resume(self) -> None:
        for transfer in self._chosen():
            if transfer.worth_resuming:
                await self._run(self._service.resume, transfer.id)

    async def _forget(self) -> None:
        for transfer in self._chosen():
            if transfer.ended:
                await self._run(self._service.queue.forget, transfer.id)
        self._panel.set_visibility(False)
        await self.load()

    def _open(self, key: str) -> None:
        transfer = self._transfers.get(key)
        studies = {resource.split("/")[0] for resource in transfer.resources} if transfer else set()
        if len(studies) == 1:
            ui.navigate.to(f"/study/{next(iter(studies))}")
