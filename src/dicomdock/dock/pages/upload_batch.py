"""The page of files that were dropped: what they are, where they go, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nicegui import ui

from dicomdock.dicom.names import person_name
from dicomdock.dock import formatting, widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.transfer_rows import percent, words
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services.events import TransferChanged, UploadChanged
from dicomdock.dock.services.uploads import (
    Batch,
    InspectedFile,
    Issue,
    Outcome,
    SeriesGroup,
    count_on_server,
    group_series,
)
from dicomdock.transfer import Item, Transfer

HERE_ONLY = ""
MOST_ASKED = 200  # series of one upload that the server is asked about beforehand
SERIES = (
    widgets.Column("patient", "Patient", "minmax(90px, 1.4fr)", sortable=False),
    widgets.Column("study", "Study", "minmax(120px, 1.4fr)", sortable=False, yields=2),
    widgets.Column("series", "Series", "minmax(90px, 2fr)", sortable=False),
    widgets.Column("images", "Images", 72, "num", sortable=False, yields=1),
    widgets.Column("size", "Size", 80, "num", sortable=False, yields=3),
    widgets.Column("wrong", "Remarks", "minmax(120px, 2.4fr)", sortable=False),
)
FILES = (
    widgets.Column("name", "File", "minmax(120px, 2fr)"),
    widgets.Column("wrong", "What is wrong", "minmax(150px, 3fr)"),
)
RESULTS = (
    widgets.Column("name", "File", "minmax(120px, 2fr)"),
    widgets.Column("here", "Archive", "minmax(100px, 2fr)"),
    widgets.Column("there", "Server", "minmax(100px, 2fr)"),
)
_ISSUES: Sequence[tuple[Issue, str]] = (
    ("here", "{} in the archive already"),
    ("conflict", "{} in the archive with other content, which stays"),
    ("twice", "{} twice among these files"),
    ("clash", "{} with the UID of another file, but other content"),
)
_SERVER_WORDS: Mapping[str, str] = {
    "stored": "stored",
    "duplicate": "was there already",
    "warning": "stored, with a remark",
    "failed": "failed",
    "unconfirmed": "not confirmed",
}


def page(services: Services, visit: Visit) -> None:
    """Build the page of one batch."""
    batch = services.uploads.get(visit.parts["batch"])
    if batch is None:
        with widgets.empty(
            "These files are gone",
            "Files that were not stored are deleted when dicomdock ends. Drop them again.",
            whole=True,
            testid="batch-gone",
        ):
            widgets.button("Upload", lambda: ui.navigate.to("/upload"), kind="main")
        return
    view = Results(services, batch) if batch.stage != "arrived" else Preview(services, batch)
    ui.timer(0, view.load, once=True)


class Preview:
    """What the files are, before anything is stored."""

    def __init__(self, services: Services, batch: Batch) -> None:
        self._run = services.run
        self._sources = services.sources
        self._servers = services.servers
        self._local = services.local
        self._uploads = services.uploads
        self._batch = batch
        self._groups: dict[str, SeriesGroup] = {}
        self._rest: Sequence[InspectedFile] = ()
        self._chosen: set[str] = set()
        self._there: dict[str, int] = {}
        with ui.element("div").classes("batch"):
            with ui.element("div").classes("study-head"):
                with ui.element("h1"):
                    self._title = ui.label(f"Looking at {formatting.counted(len(batch.files), 'file')} …")
                self._line = ui.label().classes("muted").props('role="status" data-testid="batch-words"')
            self._grid = widgets.Grid(
                SERIES, label="Series that were dropped", on_select=self._select, testid="groups"
            )
            with (
                ui.element("section").classes("batch-rest").props('aria-label="Other files"') as self._others
            ):
                with ui.element("h2"):
                    self._others_title = ui.label()
                self._files = widgets.Grid(
                    FILES, label="Files that cannot be stored", selectable=False, testid="not-kept"
                )
            self._others.set_visibility(False)
        with ui.element("footer").classes("actions").props('aria-label="Actions"'):
            self._status = ui.label().classes("status").props('role="status" data-testid="status"')
            ui.element("span").classes("spacer")
            self._place = ui.element("div").classes("row-line")
            widgets.button("Discard", self._drop, testid="drop-batch")
            self._go = widgets.button("Store", self._store, kind="main", key="u", testid="keep-batch")
            self._go.set_enabled(False)

    async def load(self) -> None:
        """Look at the files and show what they are."""
        names = (await self._run(self._sources.names))[1:]
        found, self._rest = await self._run(
            lambda: group_series(list(self._batch.files), self._local.archive)
        )
        self._groups = {str(group.resource): group for group in found}
        with self._place:
            options = {
                HERE_ONLY: "Store on this computer only",
                **{name: f"Store, and send to {name}" for name in names},
            }
            self._target = widgets.choice("Where to", options, HERE_ONLY, self._aim, testid="target")
            self._target.classes("target")
        studies = {group.resource.study for group in found}
        patients = {(group.about["PatientName"], group.about["PatientID"]) for group in found}
        self._title.set_text("Dropped files")
        self._line.set_text(
            ", ".join(
                (
                    formatting.counted(len(patients), "patient"),
                    formatting.counted(len(studies), "study", "studies"),
                    formatting.counted(len(found), "series", "series"),
                    formatting.counted(len(self._batch.files), "file"),
                )
            )
            if found
            else "None of these files is DICOM that can be stored."
        )
        rows = await self._run(_rows, found)
        await self._grid.set_many_rows(rows, self._is_shown)
        self._grid.select(self._groups)
        wrong = [
            *self._rest,
            *(file for group in found for file in group.files if file.issue in ("clash", "conflict")),
        ]
        self._others.set_visibility(bool(wrong))
        self._others_title.set_text(f"{formatting.counted(len(wrong), 'file')} will not be stored")
        others = (
            widgets.Row(str(at), {"name": file.name, "wrong": file.reason}) for at, file in enumerate(wrong)
        )
        await self._files.set_many_rows(others, self._is_shown)
        self._say()

    def _is_shown(self) -> bool:
        return not self._target.is_deleted

    def _select(self, keys: list[str]) -> None:
        self._chosen = set(keys)
        self._say()

    async def _aim(self) -> None:
        """Take the choice of the server, and ask it what it has already; nothing waits for the answers."""
        server = self._target.value
        self._there = {}
        groups = list(self._groups.values())
        rows = await self._run(_rows, groups)
        await self._grid.patch_many_rows(rows, lambda: self._is_shown() and self._target.value == server)
        self._say()
        if server == HERE_ONLY:
            return
        source = await self._run(self._servers.client, server)
        for key, group in list(self._groups.items())[:MOST_ASKED]:
            count = await self._run(count_on_server, source, group) if group.storable else 0
            if self._target.value != server or self._target.is_deleted:
                return  # another one was chosen, or the files are on their way
            if count:
                self._there[key] = count
                rows = await self._run(_rows, groups, {**self._there}, server)
                self._grid.patch_rows(row for row in rows if row.key == key)
                self._say()

    def _say(self) -> None:
        chosen = [group for key, group in self._groups.items() if key in self._chosen]
        count = sum(len(group.storable) for group in chosen)
        size = formatting.size(sum(group.size for group in chosen))
        series = formatting.counted(len(chosen), "series", "series")
        known = sum(self._there.get(str(group.resource), 0) for group in chosen)
        already = f", {formatting.number(known)} on {self._target.value} already" if known else ""
        words = f"{series}, {formatting.counted(count, 'image')}, {size} selected{already}"
        self._status.set_text(words if chosen else "")
        self._go.set_text("Store and send" if self._target.value else "Store")
        self._go.set_enabled(count > 0)

    async def _drop(self) -> None:
        await self._run(self._uploads.drop, self._batch)
        ui.navigate.to("/upload")

    async def _store(self) -> None:
        if not self._batch.begin():
            return  # another tab was quicker
        chosen = [group for key, group in self._groups.items() if key in self._chosen]
        server = self._target.value or HERE_ONLY
        ui.navigate.to(f"/upload/{self._batch.key}")
        await self._run(self._uploads.store, self._batch, chosen, list(self._rest), server)


class Results:
    """What became of the files."""

    def __init__(self, services: Services, batch: Batch) -> None:
        self._run = services.run
        self._transfers = services.transfers
        self._batch = batch
        self._loads = 0
        with ui.element("div").classes("batch"):
            with ui.element("div").classes("study-head"):
                with ui.element("h1"):
                    self._title = ui.label("Storing files …")
                self._line = ui.label().classes("num").props('role="status" data-testid="batch-words"')
                with ui.element("span").classes("bar wide") as self._bar:
                    self._done = ui.element("span").classes("bar-done")
            self._grid = widgets.Grid(
                RESULTS, label="What became of each file", selectable=False, testid="results"
            )
        with ui.element("footer").classes("actions").props('aria-label="Actions"'):
            ui.element("span").classes("spacer")
            self._again = widgets.button("Send again what failed", self._resume, testid="send-again")
            self._again.set_visibility(False)
            widgets.button("Show my studies", lambda: ui.navigate.to("/?source=local"))
            widgets.button("Upload more", lambda: ui.navigate.to("/upload"))
        services.events.subscribe(UploadChanged, self._changed)
        services.events.subscribe(TransferChanged, self._moved)

    async def _changed(self, event: UploadChanged) -> None:
        if event.batch == self._batch.key:
            await self.load()

    async def _moved(self, event: TransferChanged) -> None:
        if event.transfer == self._batch.transfer:
            await self.load()

    async def load(self) -> None:
        """Show how far it is, and the results when they are known."""
        batch = self._batch
        if batch.stage == "storing":
            self._line.set_text(
                f"{formatting.number(batch.done)} of {formatting.counted(len(batch.files), 'file')} stored"
            )
            self._done.style(f"width: {100 * batch.done // max(1, len(batch.files))}%")
            return
        transfer: Transfer | None = None
        items: Sequence[Item] = ()
        if batch.transfer is not None:
            transfer = await self._run(self._transfers.queue.get, batch.transfer)
            items = await self._run(self._transfers.queue.items, batch.transfer)
        stored = sum(outcome.stored for outcome in batch.outcomes)
        sentence = f"{formatting.counted(stored, 'file')} stored"
        if lost := len(batch.outcomes) - stored:
            sentence += f", {formatting.number(lost)} not"
        if transfer is not None:
            sentence += f". To {batch.server}: {words(transfer)}" + (
                f". {transfer.message}" if transfer.message else ""
            )
        self._title.set_text("Stored" if transfer is None else f"Stored, and sent to {batch.server}")
        self._line.set_text(f"{sentence}. {batch.message}" if batch.message else sentence)
        share = 100 if transfer is None else percent(transfer)
        self._bar.set_visibility(transfer is not None and not transfer.ended)
        self._done.style(f"width: {share or 0}%")
        self._again.set_visibility(
            transfer is not None and transfer.state in ("partly", "failed", "cancelled")
        )
        there = {item.resource: item for item in items}
        results = (
            _result(at, outcome, there, sending=transfer is not None)
            for at, outcome in enumerate(batch.outcomes)
        )
        self._loads += 1
        load = self._loads
        await self._grid.patch_many_rows(results, lambda: load == self._loads)

    async def _resume(self) -> None:
        if self._batch.transfer is not None:
            await self._run(self._transfers.resume, self._batch.transfer)


def _result(at: int, outcome: Outcome, there: Mapping[str, Item], *, sending: bool) -> widgets.Row:
    # Of two files with one UID, only the one that was kept was sent.
    item = there.get(str(outcome.resource)) if outcome.stored else None
    if item is not None:
        there_words = _SERVER_WORDS.get(item.status, item.status) + (
            f": {item.reason}" if item.reason else ""
        )
    else:
        there_words = "waits" if sending and outcome.stored else ""
    bad = not outcome.stored or (item is not None and item.status in ("failed", "unconfirmed"))
    cells = {"name": outcome.name, "here": outcome.words, "there": there_words}
    return widgets.Row(
        str(at), cells, {"there": f"0{there_words}" if bad else there_words}, tone="bad" if bad else ""
    )


def _rows(
    found: Sequence[SeriesGroup], there: Mapping[str, int] = MappingProxyType({}), server: str = ""
) -> list[widgets.Row]:
    """Write the series as rows; patient and study stand only where they begin.

    Parameters
    ----------
    there : how many of a series the server has already.
    """
    rows = []
    patient = study = ""
    for group in found:
        about = group.about
        name = person_name(about["PatientName"]) or "No patient name"
        whose = "  ·  ".join(part for part in (name, about["PatientID"]) if part)
        what = "  ".join(
            part for part in (formatting.dicom_date(about["StudyDate"]), about["StudyDescription"]) if part
        )
        title = " ".join(
            part for part in (about["SeriesNumber"], about["Modality"], about["SeriesDescription"]) if part
        )
        new_patient, new_study = whose != patient, group.resource.study != study
        cells = {
            "patient": whose if new_patient else "",
            "study": (what or "Study without a description") if new_study or new_patient else "",
            "series": title or "Series without a description",
            "images": formatting.number(len(group.storable)),
            "size": formatting.size(group.size),
            "wrong": " ".join(_remarks(group, there.get(str(group.resource), 0), server)),
        }
        rows.append(
            widgets.Row(
                str(group.resource), cells, dim=not group.storable, tone="bad" if group.warnings else ""
            )
        )
        patient, study = whose, group.resource.study
    return rows


def _remarks(group: SeriesGroup, there: int, server: str) -> list[str]:
    remarks = [
        text.format(formatting.number(count)) for issue, text in _ISSUES if (count := group.count(issue))
    ]
    if there:
        remarks.append(f"{formatting.number(there)} on {server} already")
    return [*group.warnings, ", ".join(remarks)]
