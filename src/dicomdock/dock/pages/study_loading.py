"""How many studies of a search are loaded: a page at a time, or all, where sorting and selecting mean all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nicegui import ui

from dicomdock.dock import formatting, widgets
from dicomdock.dock.pages import study_list
from dicomdock.dock.services.studies import Found, Listing, Stream
from dicomdock.dock.services.threads import Run

LOADED_TO_SORT = (
    2000  # studies that are loaded without asking, so that sorting and selecting mean all of them
)
AT_ONCE = 100  # rows that are written before other pages have their turn; about 10 ms
SLOW = 2.0  # seconds after which a server that has not answered is named


@dataclass(frozen=True)
class OnLoad:
    """What the page shows as studies are loaded.

    Parameters
    ----------
    progress : there are more of them.
    settled : nothing is on its way any more; with a sentence, where a source has not answered yet.
    """

    progress: Callable[[], object]
    settled: Callable[[Listing, str], object]


class StudyLoader:
    """Loads the studies of the page's search into its list.

    Parameters
    ----------
    run : does blocking work.
    grid : the list.
    offer : where it is offered to load or select what is not loaded.
    order : the column that the list is sorted by, and whether descending.
    on_load : what the page shows meanwhile.
    """

    def __init__(
        self, run: Run, grid: widgets.Grid, offer: ui.element, order: tuple[str, bool], on_load: OnLoad
    ) -> None:
        self._run = run
        self._grid = grid
        self._offer = widgets.Redrawn(offer)
        self.order = order
        self._on_load = on_load
        self._loading: Listing | None = None
        self.listing: Listing | None = None
        self.coming: set[str] = set()
        self._showing = asyncio.Lock()

    def begin(self, listing: Listing | None) -> None:
        """Show this search and no earlier one."""
        self.listing = listing
        if listing is not None:
            self._grid.set_rows([])
            self._offer.clear()

    async def first(self, listing: Listing) -> None:
        """Load the first page of every source, and what makes the order that of all studies."""
        await asyncio.gather(*(self._recall(listing, stream) for stream in listing.streams))
        asking = {asyncio.create_task(self._take(listing, stream)): stream for stream in listing.streams}
        _, late = await asyncio.wait(asking, timeout=SLOW)
        if late and listing is self.listing:
            slow = formatting.listed(asking[task].source for task in late)
            self._on_load.settled(listing, f"{slow} {'has' if len(late) == 1 else 'have'} not answered yet.")
        await asyncio.gather(*asking)
        if listing is self.listing:
            self._on_load.settled(listing, "")
            await self._load_to_sort(listing)

    async def more(self) -> None:
        """Load a further page of every source that has one."""
        listing = self.listing
        if listing is None or listing is self._loading:
            return
        await asyncio.gather(*(self._take(listing, stream) for stream in listing.streams if not stream.ended))
        if listing is self.listing:
            self._on_load.settled(listing, "")

    async def reorder(self) -> bool:
        """Load what a new ``order`` needs to be that of all studies; return whether a new search can do more.

        A source that sorts can sort more studies than are loaded to be sorted.
        """
        listing = self.listing
        if listing is None:
            return False
        self._on_load.settled(listing, "")
        await self._load_to_sort(listing)
        if listing is not self.listing or not listing.more or self._comes_sorted(listing):
            return False
        return listing.sorts(study_list.order(*self.order))

    async def show(self, changed: Iterable[Found]) -> None:
        """Renew the rows of studies, one call after the other; one that no source has any more is removed.

        A server that knows no limit lists all of its studies at once: the event loop goes on meanwhile.
        """
        changed, listing = list(changed), self.listing
        async with self._showing:
            for start in range(0, len(changed), AT_ONCE):
                if start:
                    await asyncio.sleep(0)
                if listing is not self.listing:
                    return
                some = changed[start : start + AT_ONCE]
                self._grid.remove_rows(item.uid for item in some if not item.counts)
                self._grid.patch_rows(study_list.row(item, self.coming) for item in some if item.counts)

    def offer_rest(self, selected: int) -> None:
        """Offer to load all studies where not all are loaded; to select them where the loaded ones are."""
        listing = self.listing
        if listing is None or not listing.found or not listing.more or self._loading is listing:
            self._offer.clear()
            return
        loaded = formatting.number(len(listing.found))
        all_ = "all" if listing.total is None else f"all {formatting.number(listing.total)}"
        everything = selected > 1 and selected >= len(listing.found)

        def select() -> None:
            with ui.element("div").classes("note"):
                ui.label(f"The {loaded} loaded studies are selected.")
                widgets.button(f"Select {all_}", self._select_all, testid="select-all")

        def load() -> None:
            with ui.element("div").classes("note").props('data-testid="sorted-among"'):
                ui.label(f"Sorted among the {loaded} loaded.")
                widgets.button(f"Load {all_}", self._load_all, testid="load-all")

        if everything:
            self._offer.show(("select", loaded, all_), select)
        elif not self._comes_sorted(listing):
            self._offer.show(("load", loaded, all_), load)
        else:
            self._offer.clear()

    async def _recall(self, listing: Listing, stream: Stream) -> None:
        """Show the server's earlier answer, while it is asked again."""
        found = await self._run(listing.recall, stream)
        if found and listing is self.listing:
            await self.show(found)
            self._on_load.progress()

    async def _take(self, listing: Listing, stream: Stream) -> None:
        changed = await self._run(listing.take, stream)
        if listing is self.listing:
            await self.show(changed)

    def _comes_sorted(self, listing: Listing) -> bool:
        """Return whether the studies come in the order that is shown: their source was asked for it."""
        return bool(listing.query.order) and listing.query.order == study_list.order(*self.order)

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
            while listing is self.listing and listing.more and (most is None or len(listing.found) < most):
                streams = [stream for stream in listing.streams if not stream.ended]
                await asyncio.gather(*(self._take(listing, stream) for stream in streams))
                self._on_load.progress()
        finally:
            self._loading = None
        if listing is self.listing:
            self._on_load.settled(listing, "")

    async def _load_all(self) -> None:
        if self.listing is not None:
            await self._load(self.listing)

    async def _select_all(self) -> None:
        await self._load_all()
        if self.listing is not None and not self.listing.more:
            self._grid.select(self.listing.found)
