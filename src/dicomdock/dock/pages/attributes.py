"""The Attributes page: everything that an instance says of itself, with a search over it."""

from __future__ import annotations

import json
from urllib.parse import quote

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from dicomdock.dicom.json_model import text
from dicomdock.dicom.resource import Resource
from dicomdock.dock import widgets
from dicomdock.dock.addresses import attributes_address
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.study_list import patient
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services import attributes
from dicomdock.dock.services.sources import LOCAL, Sources
from dicomdock.dock.services.studies import Found, StudyFinder
from dicomdock.dock.services.threads import Run
from dicomdock.errors import DicomdockError, InvalidInput

COLUMNS = (
    widgets.Column("name", "Name", "minmax(120px, 2fr)", sortable=False),
    widgets.Column("value", "Value", "minmax(120px, 4fr)", sortable=False),
    widgets.Column("tag", "Tag", 104, sortable=False, yields=1),
    widgets.Column("vr", "VR", 44, sortable=False, yields=3),
    widgets.Column("keyword", "Keyword", "minmax(140px, 1.5fr)", sortable=False, yields=2),
)
INDENT = "\u2003"  # an em space for each sequence around an attribute


def page(services: Services, visit: Visit) -> None:
    """Build the page."""
    try:
        resource = Resource.parse(visit.query.get("of", ""))
    except InvalidInput as error:
        with widgets.empty("There is nothing of that name", str(error), whole=True, testid="missing"):
            widgets.button("All studies", lambda: ui.navigate.to("/"))
        return
    view = AttributesPage(
        services.run, services.finder, services.sources, resource, visit.query.get("source", LOCAL)
    )
    ui.timer(0, view.load, once=True)


class AttributesPage:
    """The state of one open Attributes page."""

    def __init__(
        self, run: Run, finder: StudyFinder, sources: Sources, resource: Resource, source: str
    ) -> None:
        self._run = run
        self._finder = finder
        self._sources = sources
        self._resource = resource
        self._source = source
        self._instances: list[Resource] = []
        self._values: dict[str, str] = {}
        self._at = 0
        self._shown: object = None  # stands for what is written into the list
        with ui.element("div").classes("attributes"):
            with ui.element("div").classes("study-head"):
                with ui.element("h1"):
                    self._title = ui.label("Reading …")
                self._note = ui.label().classes("bad-text").props('role="alert" data-testid="note"')
            with ui.element("div").classes("filter").props('role="search" aria-label="Attributes"'):
                find = widgets.field("Find", key="/", testid="find").props("clearable autofocus")
                find.props["data-help"] = "Find an attribute"
                find.on_value_change(self._find)
                self._series_place = ui.element("span")
                widgets.icon_button("chevron_left", "The image before", lambda: self._step(-1), key="[")
                self._where = ui.label("").classes("num").props('role="status" data-testid="which"')
                widgets.icon_button("chevron_right", "The next image", lambda: self._step(1), key="]")
                ui.element("span").classes("spacer")
                ui.label("Enter copies a value").classes("muted")
            self._grid = widgets.Grid(
                COLUMNS,
                label="Attributes",
                row_height=26,
                selectable=False,
                on_open=self._copy,
                testid="attributes",
            )

    async def load(self) -> None:
        """Find the series and the instance, and show it."""
        try:
            study = await self._run(self._study)
            series, errors = await self._run(self._finder.series, study)
        except DicomdockError as error:
            self._fail(str(error))
            return
        self._title.set_text(patient(study) or "No patient name")
        known = {item.uid: _series_words(item) for item in series}
        wanted = self._resource.series or next(iter(known), "")
        if not wanted:
            self._fail(" ".join(errors.values()) or "This study has no series there.")
            return
        with self._series_place:
            known.setdefault(wanted, wanted)
            widgets.choice(
                "Series", known, wanted, lambda event: self._show_series(event.value), testid="series"
            ).classes("wide-choice")
        await self._show_series(wanted, self._resource.instance or "")

    def _study(self) -> Found:
        found = self._finder.study(self._resource.study, self._source)
        places = {self._source: None}
        if found is None:
            return Found(self._resource.study, {}, places)
        return Found(found.uid, found.attributes, places)

    async def _show_series(self, uid: str, instance: str = "") -> None:
        series = Resource(self._resource.study, uid)
        try:
            self._instances = await self._run(attributes.instances, self._sources, self._source, series)
        except DicomdockError as error:
            self._fail(str(error))
            return
        named = [one.instance for one in self._instances]
        self._at = named.index(instance) if instance in named else 0
        await self._show()

    async def _step(self, by: int) -> None:
        self._at = min(max(0, self._at + by), max(0, len(self._instances) - 1))
        await self._show()

    async def _show(self) -> None:
        if not self._instances:
            self._fail("There is no image of this series any more.")
            return
        resource = self._instances[self._at]
        self._where.set_text(f"{self._at + 1} of {len(self._instances)}")
        target = json.dumps(attributes_address(resource, self._source))
        ui.run_javascript(f"history.replaceState(history.state, '', {target})")
        try:
            lines = await self._run(attributes.read, self._sources, self._source, resource)
        except DicomdockError as error:
            self._fail(str(error))
            return
        if resource != self._instances[self._at]:
            return  # the user has gone on meanwhile
        self._note.set_text("")
        shown = self._shown = object()
        self._values = {line.path: line.value for line in lines}
        rows = (
            widgets.Row(
                line.path,
                {
                    "name": INDENT * line.depth + line.name,
                    "value": line.value,
                    "tag": line.tag,
                    "vr": line.vr,
                    "keyword": line.keyword,
                },
                dim=not line.tag,
            )
            for line in lines
        )
        await self._grid.set_many_rows(rows, lambda: self._shown is shown)

    def _find(self, event: ValueChangeEventArguments[str | None]) -> None:
        self._grid.narrow(event.value or "")

    def _copy(self, path: str) -> None:
        value = self._values.get(path, "")
        ui.run_javascript(f"navigator.clipboard.writeText({json.dumps(value)})")
        widgets.say("The value is copied.")

    def _fail(self, sentence: str) -> None:
        self._shown = None
        self._note.set_text(sentence)
        self._grid.set_rows([])


def _series_words(series: Found) -> str:
    asked = series.attributes
    parts = (text(asked, "SeriesNumber"), text(asked, "Modality"), text(asked, "SeriesDescription"))
    return " ".join(part for part in parts if part) or quote(series.uid)
