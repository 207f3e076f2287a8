"""The Studies page: find studies in the archive and on servers, look at their series, and act on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages import study_answer, study_list
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.study_actions import ActionBar
from dicomdock.dock.pages.study_filter import Filter, FilterBar, address
from dicomdock.dock.pages.study_loading import OnLoad, StudyLoader
from dicomdock.dock.pages.study_panel import StudyPanel
from dicomdock.dock.pages.study_tools import StudyTools
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services.events import ArchiveChanged, ServerChanged, ServersChanged, TransferChanged
from dicomdock.dock.services.sources import LOCAL
from dicomdock.dock.services.studies import Found, Listing
from dicomdock.errors import InvalidInput

ALL = "all"


async def page(services: Services, visit: Visit) -> None:
    """Build the page; the search starts at once, and its first answers come with the page where they can."""
    names = await services.run(services.sources.names)
    source = visit.query.get("source", LOCAL)
    view = StudiesPage(services, visit, names, source if source in (*names, ALL) else LOCAL)
    ui.timer(0, view.search, once=True)


class StudiesPage:
    """The state of one open Studies page."""

    def __init__(self, services: Services, visit: Visit, names: tuple[str, ...], source: str) -> None:
        self._run = services.run
        self._sources = services.sources
        self._finder = services.finder
        self._downloads = services.downloads
        self._preferences = services.preferences
        self._open_study = services.open_study
        self._demonstration = services.demonstration
        self._source = source
        self._names = names
        self._selected: list[str] = []
        self._narrowed: int | None = None
        sort: Any = services.preferences.get("studies.sort")
        sort = sort if isinstance(sort, dict) else {}
        order = (str(sort.get("by", "date")), bool(sort.get("descending", True)))
        self._current = ""
        with visit.header:
            self._switch()
        self._bar = FilterBar(Filter.from_address(visit.query), self.search)
        with ui.element("div").classes("studies-body"):
            with ui.element("section").classes("studies-list").props('aria-label="Studies"'):
                self._notes = widgets.Redrawn(ui.element("div").classes("notes").props('role="status"'))
                offer = ui.element("div").classes("notes").props('role="status"')
                self._grid = self._make_grid(order)
                self._empty = widgets.Redrawn(ui.element("div").classes("studies-empty"))
            self._panel = StudyPanel(
                services.run, services.finder, self._selection_changed, self._open_series
            )
        self._actions = ActionBar(ActionServices.of(services))
        with self._actions.tools:
            self._tools = StudyTools(services.run, services.preferences, self._grid, self._address)
        self._loader = StudyLoader(
            services.run, self._grid, offer, order, OnLoad(self._say_status, self._settle)
        )
        services.events.subscribe(ArchiveChanged, self._archive_changed)
        services.events.subscribe(TransferChanged, self._transfer_changed)
        services.events.subscribe(ServersChanged, self._servers_changed)
        services.events.subscribe(ServerChanged, self._server_changed)

    # ---- what stands on the page

    @ui.refreshable_method
    def _switch(self) -> None:
        if len(self._names) == 1:
            return
        labels = {LOCAL: "Local", **{name: name for name in self._names[1:]}, ALL: "All"}
        with ui.element("div").classes("segments").props('role="group" aria-label="Where to look"'):
            for number, (name, label) in enumerate(labels.items(), start=1):
                button = ui.element("button").props('type="button"')
                button.props["aria-pressed"] = "true" if name == self._source else "false"
                button.props["data-testid"] = f"source-{name}"
                if number <= 9:
                    button.props["aria-keyshortcuts"] = str(number)
                    button.props["data-help"] = f"Look in {label}"
                with button:
                    ui.label(label)
                button.on("click", lambda name=name: self._go(name))

    @property
    def _listing(self) -> Listing | None:
        return self._loader.listing

    def _address(self) -> str:
        return address(self._source, self._bar.value)

    def _make_grid(self, order: tuple[str, bool]) -> widgets.Grid:
        grid = widgets.Grid(
            study_list.chosen(self._preferences.get("studies.columns")),
            label="Studies",
            sort_by=order[0],
            descending=order[1],
            on_current=self._walked,
            on_open=self._open,
            on_select=self._ticked,
            on_more=lambda: self._loader.more(),
            on_narrowed=self._say_narrowed,
            on_sort=self._sorted,
            on_widths=lambda widths: self._tools.remember("studies.widths", widths),
            testid="studies",
        )
        widths: Any = self._preferences.get("studies.widths")
        if isinstance(widths, dict):
            grid.set_widths(widths)
        return grid

    # ---- searching

    async def search(self) -> None:
        """Search as the fields say; what an earlier search still brings is passed over."""
        if self._listing is not None:
            self._listing.close()
        target = json.dumps(self._address())
        # Not through the context: the button that started this may be replaced meanwhile.
        self._grid.client.run_javascript(
            f"history.replaceState(history.state, '', {target});"
            f"sessionStorage.setItem('dicomdock-list', {target})"
        )
        sources = self._names if self._source == ALL else (self._source,)
        try:
            order = study_list.order(*self._loader.order)
            listing = self._finder.studies(self._bar.value.to_match(), sources, order)
        except InvalidInput as error:
            self._loader.begin(None)
            self._show_notes({"": str(error)})
            return
        self._loader.begin(listing)
        self._empty.clear()
        self._show_notes({})
        self._actions.status.set_text("Searching …")
        self._loader.coming = await self._run(self._downloads.studies)
        await self._loader.first(listing)

    async def _sorted(self, by: str, descending: bool) -> None:
        self._loader.order = (by, descending)
        await self._tools.remember("studies.sort", {"by": by, "descending": descending})
        if await self._loader.reorder() and not self._selected:
            await self.search()

    def _say_narrowed(self, count: int | None) -> None:
        self._narrowed = count
        self._say_status()

    def _settle(self, listing: Listing, waiting: str = "") -> None:
        self._grid.set_more(listing.more and not waiting)
        self._show_notes(listing.errors, (waiting, *listing.warnings) if waiting else listing.warnings)
        self._loader.offer_rest(len(self._selected))
        if listing.found or waiting:
            self._empty.clear()
        elif listing.errors:
            unknown = study_answer.unknown(listing.sources, listing.errors)
            self._empty.show(unknown, partial(self._draw_unknown, *unknown))
        else:
            self._empty.show((self._bar.value, self._source, self._names), self._draw_empty)
        self._say_status()

    def _draw_unknown(self, title: str, text: str) -> None:
        with widgets.empty(title, text, testid="no-answer"):
            pass

    def _draw_empty(self) -> None:
        if self._bar.value != Filter():
            with widgets.empty("No study matches", "Try fewer or shorter words.", testid="no-match"):
                widgets.button("Clear the filter", self._bar.clear)
        elif self._source == LOCAL:
            with widgets.empty(
                "No studies on this computer yet",
                "Studies that you download or import are stored on this computer.",
                testid="first-visit",
            ):
                for name in self._names[1:4]:
                    widgets.button(f"Look on {name}", lambda name=name: self._go(name), kind="main")
                if len(self._names) == 1:
                    servers = partial(ui.navigate.to, "/servers")
                    widgets.button("Add your server", servers, icon="dns", kind="main", testid="door-server")
                    widgets.button(
                        "Try the demonstration", self._demonstrate, icon="school", testid="door-demo"
                    )
        else:
            every = "No studies on this computer or a server"
            title = every if self._source == ALL else "This server has no studies"
            with widgets.empty(title, testid="no-studies"):
                pass

    def _show_notes(self, errors: Mapping[str, str], warnings: tuple[str, ...] = ()) -> None:
        failed = tuple(errors.values())

        def draw() -> None:
            for sentence in failed:
                with ui.element("div").classes("note bad"):
                    ui.label(sentence)
                    widgets.button("Try again", self.search)
            for sentence in warnings:
                ui.label(sentence).classes("note")

        self._notes.show((failed, warnings), draw)

    def _say_status(self) -> None:
        selection = self._selection()
        listing = self._listing
        if self._selected or self._panel.selected:
            self._actions.status.set_text(f"{selection.words} selected")
        elif listing is not None:
            self._actions.status.set_text(study_answer.summary(listing, self._narrowed))

    # ---- walking and selecting

    async def _walked(self, uid: str) -> None:
        self._current = uid
        await self._show_current()
        await self._run(self._open_study.warm)

    async def _show_current(self) -> None:
        found = self._listing.found if self._listing is not None else {}
        self._actions.show(self._selection())
        await self._panel.show(found.get(self._current), self._loader.coming)
        self._selection_changed()

    def _ticked(self, uids: list[str]) -> None:
        self._selected = uids
        self._selection_changed()
        self._loader.offer_rest(len(self._selected))

    def _selection_changed(self) -> None:
        self._actions.show(self._selection())
        self._say_status()

    def _selection(self) -> Selection:
        found: Mapping[str, Found] = self._listing.found if self._listing is not None else {}
        if self._panel.selected and self._panel.study is not None and not self._selected:
            study = self._panel.study
            series = {uid: (study.uid, item) for uid, item in self._panel.selected.items()}
            return Selection({study.uid: study}, series)
        uids = self._selected or [self._current]
        return Selection({uid: found[uid] for uid in uids if uid in found})

    def _open(self, uid: str) -> Any:
        return self._actions.start("open", self._only(uid))

    def _open_series(self, uid: str) -> Any:
        study, series = self._panel.study, self._panel.found(uid)
        if study is None or series is None:
            return None
        return self._actions.start("open", Selection({study.uid: study}, {uid: (study.uid, series)}))

    def _only(self, uid: str) -> Selection:
        found = self._listing.found if self._listing is not None else {}
        return Selection({uid: found[uid]} if uid in found else {})

    # ---- what changes

    async def _go(self, source: str) -> None:
        self._source = source
        self._current, self._selected = "", []
        self._switch.refresh()
        self._grid.set_rows([])
        self._grid.take_focus()
        await self._panel.show(None)
        await self.search()

    async def _demonstrate(self) -> None:
        self._actions.status.set_text("Creating the demonstration study …")
        name = await self._run(self._demonstration.prepare)
        self._names = await self._run(self._sources.names)
        await self._go(name)

    async def _archive_changed(self, event: ArchiveChanged) -> None:
        listing = self._listing
        if listing is None or not event.study:
            return
        changed = await self._run(listing.refresh, [event.study])
        if not changed or listing is not self._listing:
            return
        await self._loader.show(changed)
        if event.study == self._current:
            await self._show_current()
        self._settle(listing)

    async def _server_changed(self, event: ServerChanged) -> None:
        if self._listing is not None and event.server in self._listing.sources:
            await self.search()

    async def _transfer_changed(self, _: TransferChanged) -> None:
        coming = await self._run(self._downloads.studies)
        turned, self._loader.coming = coming ^ self._loader.coming, coming
        found = self._listing.found if self._listing is not None else {}
        await self._loader.show(found[uid] for uid in turned if uid in found)

    async def _servers_changed(self, _: ServersChanged) -> None:
        before, self._names = self._names, await self._run(self._sources.names)
        if self._source not in (*self._names, ALL):
            await self._go(LOCAL)
        elif self._names != before:
            self._switch.refresh()
