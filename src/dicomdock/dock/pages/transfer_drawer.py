"""The transfer drawer: what runs and waits, at the foot of every page, while the page goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from nicegui import ui

from dicomdock.dock import formatting, widgets
from dicomdock.dock.pages.transfer_rows import goes, names, percent, remaining, title, words
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import Events, TransferChanged
from dicomdock.dock.services.threads import Run
from dicomdock.dock.services.transfers import Transfers
from dicomdock.transfer import Transfer

RequestKind = Literal["pause", "cancel", "resume"]


class TransferDrawer:
    """The drawer of one open page, and the switch in the header that opens it.

    The switch shows how many transfers run or wait, and is there only while some do or the drawer is open.
    What ends while the drawer is open stays in it, with its outcome.

    Parameters
    ----------
    run : does blocking work.
    events : when to look again.
    transfers : what is shown.
    local : names the studies.
    """

    def __init__(self, run: Run, events: Events, transfers: Transfers, local: LocalArchive) -> None:
        self._run = run
        self._events = events
        self._transfers = transfers
        self._local = local
        self._open = False
        self._names: dict[str, str] = {}
        self._rows: dict[int, _Row] = {}

    def switch(self) -> None:
        """Build the switch here."""
        self._switch = widgets.button(
            "", self._turn, icon="expand_less", key="t", testid="transfer-drawer-switch"
        ).classes("drawer-switch")
        with self._switch:
            self._count = ui.label().classes("count").props('data-testid="running-transfers"')
        self._switch.props["aria-controls"] = "transfer-drawer"
        self._switch.props["data-help"] = "Running transfers"
        self._switch.set_visibility(False)

    def build(self) -> None:
        """Build the drawer here, closed."""
        self._drawer = ui.element("aside").classes("drawer")
        self._drawer.props('id="transfer-drawer" aria-label="Running transfers" tabindex="-1"')
        self._drawer.props('data-testid="transfer-drawer"')
        with self._drawer:
            with ui.element("div").classes("drawer-head"):
                ui.label("Running transfers").classes("study-title").props('role="heading" aria-level="2"')
                ui.element("span").classes("spacer")
                with ui.element("a").props('href="/transfers"'):
                    ui.label("All transfers")
                widgets.icon_button("close", "Close", self._turn, testid="transfer-drawer-close")
            self._list = ui.element("div").classes("drawer-list").props('role="list"')
            self._nothing = ui.label("No transfer is running or waiting.").classes("muted drawer-nothing")
        self._drawer.on("keydown.escape", self._turn)
        self._drawer.set_visibility(False)
        self._events.subscribe(TransferChanged, self._changed)
        # A timer would make NiceGUI send the page before the rest of it is built.
        ui.context.client.on_connect(self._look)

    async def _changed(self, _: TransferChanged) -> None:
        await self._look()

    async def _look(self) -> None:
        transfers = await self._run(lambda: self._transfers.queue.latest())
        running = [transfer for transfer in transfers if goes(transfer)]
        self._count.set_text(str(len(running)))
        self._say_switch(len(running))
        if not self._open:
            return
        unnamed = [one for one in transfers if self._is_new(one)]  # a patient is known once images are here
        if unnamed:
            self._names |= await self._run(names, self._local, unnamed)
        with self._list:
            for transfer in running:
                if transfer.id not in self._rows:
                    self._rows[transfer.id] = _Row(transfer, self._request)
        for transfer in transfers:
            if transfer.id in self._rows:
                self._rows[transfer.id].show(transfer, title(transfer, self._names))
        self._nothing.set_visibility(not self._rows)

    def _is_new(self, transfer: Transfer) -> bool:
        row = self._rows.get(transfer.id)
        return goes(transfer) if row is None else transfer.ended and not row.ended

    def _say_switch(self, running: int) -> None:
        self._switch.props["aria-label"] = f"{formatting.counted(running, 'transfer')} running or waiting"
        self._switch.props["aria-expanded"] = str(self._open).lower()
        self._switch.props["icon"] = "expand_more" if self._open else "expand_less"
        self._switch.set_visibility(running > 0 or self._open)
        self._switch.update()

    async def _turn(self) -> None:
        self._open = not self._open
        self._drawer.set_visibility(self._open)
        if self._open:
            self._list.clear()
            self._rows.clear()
        await self._look()
        if self._open:
            ui.run_javascript("document.getElementById('transfer-drawer').focus()")

    def _request(self, number: int, request: RequestKind) -> Callable[[], object]:
        async def ask() -> None:
            if request == "resume":
                await self._run(self._transfers.resume, number)
            else:
                await self._run(self._transfers.request, number, request)
                self._rows[number].await_end()

        return ask


class _Row:
    """One transfer."""

    ended = False

    def __init__(
        self,
        transfer: Transfer,
        request: Callable[[int, RequestKind], Callable[[], object]],
    ) -> None:
        with ui.element("div").classes("drawer-row").props('role="listitem"'):
            ui.label("Download" if transfer.kind == "pull" else "Upload").classes("muted")
            self._what = ui.label().classes("drawer-what")
            ui.label(transfer.server).classes("muted")
            self._bar = ui.element("progress").props('max="100"').classes("wide-bar")
            self._words = ui.label().classes("num drawer-words")
            self._left = ui.label().classes("num muted")
            self._pause = widgets.icon_button("pause", "Pause", request(transfer.id, "pause"))
            self._resume = widgets.icon_button("play_arrow", "Resume", request(transfer.id, "resume"))
            self._cancel = widgets.icon_button("close", "Cancel", request(transfer.id, "cancel"))

    def await_end(self) -> None:
        """Show that it was asked to stop, which may take it a moment."""
        self._words.set_text("stopping …")
        self._pause.set_enabled(False)
        self._cancel.set_enabled(False)

    def show(self, transfer: Transfer, name: str) -> None:
        """Show where the transfer stands."""
        self.ended = transfer.ended
        self._what.set_text(name)
        self._words.set_text(words(transfer))
        left = remaining(transfer)
        self._left.set_text(f"{formatting.duration(left)} left" if left is not None else "")
        done = percent(transfer)
        self._bar.props["aria-label"] = f"{name}, done"
        if done is None:
            self._bar.props.pop("value", None)  # which draws it as moving: the server is still being asked
        else:
            self._bar.props["value"] = done
        self._bar.update()
        if transfer.state != "running":
            self._pause.set_enabled(True)
            self._cancel.set_enabled(True)
        self._pause.set_visibility(goes(transfer))
        self._resume.set_visibility(transfer.state == "paused")
        self._cancel.set_visibility(not transfer.ended)
