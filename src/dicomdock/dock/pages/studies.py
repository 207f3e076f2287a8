"""The Studies page: find studies in the archive and on servers, look at their series, and act on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from nicegui import ui

from dicomdock.dock import formatting, widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages import study_list
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.study_actions import ActionBar
from dicomdock.dock.pages.study_filter import Filter, FilterBar, address
from dicomdock.dock.pages.study_panel import StudyPanel
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services.events import ArchiveChanged, ServerChanged, ServersChanged, TransferChanged
from dicomdock.dock.services.sources import LOCAL
from dicomdock.dock.services.studies import Found, Listing, Stream
from dicomdock.errors import InvalidInput

ALL = "all"
LOADED_TO_SORT = (
    2000  # studies that are loaded without asking, so that sorting and selecting mean all of them
)
SLOW = 2.0  # seconds after which a server that has not answered is named


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
        self._listing: Listing | None = None
        self._coming: set[str] = set()
        self._selected: list[str] = []
        self._narrowed: int | None = None
        self._loading: Listing | None = None
        order: Any = services.preferences.get("studies.sort")
        sort = order if isinstance(order, dict) else {"by": "date", "descending": True}
        self._sort = (str(sort.get("by", "date")), bool(sort.get("descending", True)))
        self._current = ""
        with visit.header:
            self._switch()
        self._bar = FilterBar(Filter.from_address(visit.query), self.search)
        with ui.element("div").classes("studies-body"):
            with ui.element("section").classes("studies-list").props('aria-label="Studies"'):
                self._notes = ui.element("div").classes("notes").props('role="status"')
                self._rest = ui.element("div").classes("notes").props('role="status"')
                self._grid = self._make_grid()
                self._empty = ui.element("div").classes("studies-empty")
            self._panel = StudyPanel(
                services.run, services.finder, self._selection_changed, self._open_series
            )
        self._actions = ActionBar(ActionServices.of(services))
        with self._actions.tools:
            self._tools()
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

    def _make_grid(self) -> widgets.Grid:
        grid = widgets.Grid(
            study_list.chosen(self._preferences.get("studies.columns")),
            label="Studies",
            sort_by=self._sort[0],
            descending=self._sort[1],
            on_current=self._walked,
            on_open=self._open,
            on_select=self._ticked,
            on_more=self._more,
            on_narrowed=self._say_narrowed,
            on_sort=self._sorted,
            on_widths=lambda widths: self._keep("studies.widths", widths),
            testid="studies",
        )
        widths: Any = self._preferences.get("studies.widths")
        if isinstance(widths, dict):
            grid.set_widths(widths)
        return grid

    def _tools(self) -> None:
        narrow = widgets.field("Filter these", key="f", testid="narrow").classes("narrow").props("clearable")
        narrow.props["data-help"] = "Filter what is loaded"
        narrow.on_value_change(lambda event: self._grid.narrow(event.value or ""))
        with (
            widgets.icon_button("view_column", "Columns", testid="columns"),
            ui.menu().classes("columns-menu"),
        ):
            shown = {column.name for column in self._grid.columns}
            for name, column in study_list.COLUMNS.items():
                if name not in study_list.ALWAYS:
                    box = ui.checkbox(column.label, value=name in shown).props("dense")
                    box.on_value_change(lambda event, name=name: self._show_column(name, event.value))
        with (
            widgets.icon_button("bookmark_border", "Saved searches", testid="saved"),
            ui.menu() as self._menu,
        ):
            self._saved()

    @ui.refreshable_method
    def _saved(self) -> None:
        kept: Any = self._preferences.get("studies.saved")
        saved: dict[str, str] = kept if isinstance(kept, dict) else {}
        for name, target in saved.items():
            with ui.menu_item(on_click=lambda target=target: ui.navigate.to(target)).classes("saved"):
                ui.label(name).classes("spacer")
                forget = widgets.icon_button("close", f"Forget {name}")
                forget.on("click.stop", lambda name=name: self._save(name, None))
        with ui.element("form").classes("save-form") as form:
            name_field = widgets.field("Save this search as", testid="save-name")
            widgets.button("Save").props('type="submit"')
        form.on(
            "submit.prevent", lambda: self._save(name_field.value, address(self._source, self._bar.value))
        )

    # ---- searching

    async def search(self) -> None:
        """Search as the fields say; what an earlier search still brings is passed over."""
        if self._listing is not None:
            self._listing.close()
        wanted = self._bar.value
        target = json.dumps(address(self._source, wanted))
        # Not through the context: the button that started this may be replaced meanwhile.
        self._grid.client.run_javascript(
            f"history.replaceState(history.state, '', {target});"
            f"sessionStorage.setItem('dicomdock-list', {target})"
        )
        sources = self._names if self._source == ALL else (self._source,)
        try:
            listing = self._listing = self._finder.studies(wanted.to_match(), sources)
        except InvalidInput as error:
            self._listing = None
            self._show_notes({"": str(error)})
            return
        self._grid.set_rows([])
        self._empty.clear()
        self._rest.clear()
        self._show_notes({})
        self._actions.status.set_text("Searching …")
        self._coming = await self._run(self._downloads.studies)
        await asyncio.gather(*(self._recall(listing, stream) for stream in listing.streams))
        asking = {asyncio.create_task(self._take(listing, stream)): stream for stream in listing.streams}
        _, late = await asyncio.wait(asking, timeout=SLOW)
        if late and listing is self._listing:
            slow = formatting.listed(asking[task].source for task in late)
            self._settle(listing, f"{slow} {'has' if len(late) == 1 else 'have'} not answered yet.")
        await asyncio.gather(*asking)
        if listing is self._listing:
            self._settle(listing)
            await self._load_to_sort(listing)

    async def _recall(self, listing: Listing, stream: Stream) -> None:
        """Show what the server said before, while it is asked again."""
        kept = await self._run(listing.recall, stream)
        if kept and listing is self._listing:
            self._grid.patch_rows(study_list.row(item, self._coming) for item in kept)
            self._say_status()

    async def _more(self) -> None:
        listing = self._listing
        if listing is None or listing is self._loading:
            return
        await asyncio.gather(*(self._take(listing, stream) for stream in listing.streams if not stream.ended))
        if listing is self._listing:
            self._settle(listing)

    async def _take(self, listing: Listing, stream: Stream) -> None:
        changed = await self._run(listing.take, stream)
        if listing is self._listing:
            self._grid.remove_rows(item.uid for item in changed if not item.counts)
            self._grid.patch_rows(study_list.row(item, self._coming) for item in changed if item.counts)

    # ---- all of them: what sorting and selecting mean

    async def _sorted(self, by: str, descending: bool) -> None:
        self._sort = (by, descending)
        await self._keep("studies.sort", {"by": by, "descending": descending})
        if self._listing is not None:
            self._settle(self._listing)
            await self._load_to_sort(self._listing)

    def _comes_sorted(self, listing: Listing) -> bool:
        """Return whether the studies come in the order that is shown: the archive's, the latest first."""
        return listing.sources == (LOCAL,) and self._sort == ("date", True)

    async def _load_to_sort(self, listing: Listing) -> None:
        """Load all studies where they are few, so that their order is the order of all."""
        total = listing.total
        if not self._comes_sorted(listing) and (total is None or total <= LOADED_TO_SORT):
            await self._load(listing, LOADED_TO_SORT)

    async def _load(self, listing: Listing, most: int | None = None) -> None:
        """Load the studies of a search, all or so many, unless it is done already."""
        if self._loading is listing or not listing.more:
            return
        self._loading = listing
        try:
            while listing is self._listing and listing.more and (most is None or len(listing.found) < most):
                streams = [stream for stream in listing.streams if not stream.ended]
                await asyncio.gather(*(self._take(listing, stream) for stream in streams))
                self._say_status()
        finally:
            self._loading = None
        if listing is self._listing:
            self._settle(listing)

    async def _load_all(self) -> None:
        if self._listing is not None:
            await self._load(self._listing)

    async def _select_all(self) -> None:
        await self._load_all()
        if self._listing is not None and not self._listing.more:
            self._grid.select(self._listing.found)

    def _say_narrowed(self, count: int | None) -> None:
        self._narrowed = count
        self._say_status()

    def _offer_rest(self, listing: Listing) -> None:
        """Offer what the loaded studies are not: sorted, or selected, as all of them."""
        self._rest.clear()
        if not listing.more or self._loading is listing:
            return
        loaded = formatting.number(len(listing.found))
        all_ = "all" if listing.total is None else f"all {formatting.number(listing.total)}"
        everything = len(self._selected) > 1 and len(self._selected) >= len(listing.found)
        with self._rest:
            if everything:
                with ui.element("div").classes("note"):
                    ui.label(f"The {loaded} loaded studies are selected.")
                    widgets.button(f"Select {all_}", self._select_all, testid="select-all")
            elif not self._comes_sorted(listing):
                with ui.element("div").classes("note").props('data-testid="sorted-among"'):
                    ui.label(f"Sorted among the {loaded} loaded.")
                    widgets.button(f"Load {all_}", self._load_all, testid="load-all")

    def _settle(self, listing: Listing, waiting: str = "") -> None:
        self._grid.set_more(listing.more and not waiting)
        self._show_notes(listing.errors, (waiting, *listing.warnings) if waiting else listing.warnings)
        self._offer_rest(listing)
        self._empty.clear()
        if not listing.found and not waiting:
            with self._empty:
                self._show_empty(listing)
        self._say_status()

    def _show_empty(self, listing: Listing) -> None:
        if listing.errors:
            return
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
            with widgets.empty("This server has no studies", testid="no-studies"):
                pass

    def _show_notes(self, errors: Mapping[str, str], warnings: tuple[str, ...] = ()) -> None:
        self._notes.clear()
        with self._notes:
            for sentence in errors.values():
                with ui.element("div").classes("note bad"):
                    ui.label(sentence)
                    widgets.button("Try again", self.search)
            for sentence in warnings:
                ui.label(sentence).classes("note")

    def _say_status(self) -> None:
        selection = self._selection()
        listing = self._listing
        if self._selected or self._panel.selected:
            self._actions.status.set_text(f"{selection.words} selected")
        elif listing is not None:
            count = formatting.counted(len(listing.found), "study", "studies")
            if self._narrowed is not None:
                found = formatting.number(self._narrowed)
                more = ", more available" if listing.more else ""
                self._actions.status.set_text(f"{found} of the {count} loaded{more}")
                return
            total = listing.total
            if listing.more:
                of = f" of {formatting.number(total)}" if total is not None else ", more available"
                self._actions.status.set_text(f"{count}{of}")
            else:
                self._actions.status.set_text(count)
            if listing.age is not None:
                self._actions.status.set_text(f"{count}, as of {formatting.ago(listing.age)}")

    # ---- walking and selecting

    async def _walked(self, uid: str) -> None:
        self._current = uid
        await self._show_current()
        await self._run(self._open_study.warm)

    async def _show_current(self) -> None:
        found = self._listing.found if self._listing is not None else {}
        self._actions.show(self._selection())
        await self._panel.show(found.get(self._current), self._coming)
        self._selection_changed()

    def _ticked(self, uids: list[str]) -> None:
        self._selected = uids
        self._selection_changed()
        if self._listing is not None:
            self._offer_rest(self._listing)

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
        self._actions.status.set_text("Making the demonstration study …")
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
        self._grid.remove_rows(item.uid for item in changed if not item.counts)
        self._grid.patch_rows(study_list.row(item, self._coming) for item in changed if item.counts)
        if event.study == self._current:
            await self._show_current()
        self._settle(listing)

    async def _server_changed(self, event: ServerChanged) -> None:
        if self._listing is not None and event.server in self._listing.sources:
            await self.search()

    async def _transfer_changed(self, _: TransferChanged) -> None:
        coming = await self._run(self._downloads.studies)
        turned, self._coming = coming ^ self._coming, coming
        found = self._listing.found if self._listing is not None else {}
        self._grid.patch_rows(study_list.row(found[uid], coming) for uid in turned if uid in found)

    async def _servers_changed(self, _: ServersChanged) -> None:
        before, self._names = self._names, await self._run(self._sources.names)
        if self._source not in (*self._names, ALL):
            await self._go(LOCAL)
        elif self._names != before:
            self._switch.refresh()

    def _show_column(self, name: str, shown: bool) -> Any:
        names = [column.name for column in self._grid.columns if column.name != name] + [name] * shown
        self._grid.set_columns(study_list.chosen(names))
        return self._keep("studies.columns", names)

    async def _keep(self, name: str, value: Any) -> None:
        await self._run(self._preferences.set, name, value)
        with self._grid:  # the element that was clicked may be gone by now
            widgets.mark_saved(name)

    async def _save(self, name: str, target: str | None) -> None:
        kept: Any = self._preferences.get("studies.saved")
        saved: dict[str, str] = dict(kept) if isinstance(kept, dict) else {}
        if target is None:
            saved.pop(name, None)
        elif name.strip():
            saved[name.strip()[:80]] = target
        await self._keep("studies.saved", saved)
        self._menu.close()
        self._saved.refresh()
