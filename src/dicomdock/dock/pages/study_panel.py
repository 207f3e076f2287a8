"""The panel beside the list of studies: one study, and its series with thumbnails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from nicegui import ui

from dicomdock.dicom.json_model import text
from dicomdock.dock import formatting, widgets
from dicomdock.dock.pages.study_list import patient
from dicomdock.dock.services.sources import LOCAL
from dicomdock.dock.services.studies import Found, StudyFinder, modalities
from dicomdock.dock.services.threads import Run

COLUMNS = (
    widgets.Column("picture", "", 72, "thumb"),
    widgets.Column("what", "Series", "minmax(0, 1fr)", "lines"),
    widgets.Column("count", "Images", 84, "num"),
    widgets.Column("state", "", 32, "mark"),
)


class StudyPanel:
    """Shows the study that the list stands on.

    Parameters
    ----------
    run : does blocking work.
    finder : finds the series.
    on_select : called when series are selected.
    on_open : called with the UID of a series to open.
    """

    def __init__(
        self, run: Run, finder: StudyFinder, on_select: Callable[[], Any], on_open: Callable[[str], Any]
    ) -> None:
        self._run = run
        self._finder = finder
        self._on_select = on_select
        self._visit = 0
        self.study: Found | None = None
        self._series: dict[str, Found] = {}
        self.selected: dict[str, Found] = {}
        with (
            ui.element("aside").classes("study-panel").props('aria-label="Series of the study"') as self._box
        ):
            with ui.element("div").classes("study-head"):
                self._title = ui.label().classes("study-title").props('role="heading" aria-level="2"')
                self._line = ui.label().classes("muted")
                self._note = ui.label().classes("bad-text")
            self._grid = widgets.Grid(
                COLUMNS,
                label="Series",
                row_height=72,
                headless=True,
                on_select=self._selected,
                on_open=on_open,
                testid="series",
            )
        self._box.set_visibility(False)

    async def show(self, study: Found | None, coming: Iterable[str] = ()) -> None:
        """Show a study, at once what is known, then its series."""
        self._visit += 1
        visit = self._visit
        same = study is not None and self.study is not None and study.uid == self.study.uid
        self.study = study
        self._box.set_visibility(study is not None)
        if study is None:
            self.selected = {}
            return
        self._title.set_text(patient(study) or "No patient name")
        self._line.set_text(_line(study))
        if not same:
            self.selected = {}
            self._grid.set_rows([])
            self._note.set_text("")
        series, errors = await self._run(self._finder.series, study)
        if visit != self._visit:
            return  # the user has walked on meanwhile
        self._series = {item.uid: item for item in series}
        self._note.set_text(" ".join(errors.values()))
        rows = (_row(study, item, item.state(coming)) for item in series)
        write = self._grid.patch_many_rows if same else self._grid.set_many_rows
        await write(rows, lambda: visit == self._visit)

    def found(self, uid: str) -> Found | None:
        """Return a series that is shown."""
        return self._series.get(uid)

    def _selected(self, uids: list[str]) -> Any:
        self.selected = {uid: self._series[uid] for uid in uids if uid in self._series}
        return self._on_select()


def _line(study: Found) -> str:
    asked = study.attributes
    birth, day = text(asked, "PatientBirthDate"), text(asked, "StudyDate")
    years = formatting.age(text(asked, "PatientAge"), birth, day)
    parts = [
        " ".join(part for part in (text(asked, "PatientSex"), years) if part),
        formatting.dicom_date(day),
        modalities(study),
        text(asked, "StudyDescription"),
    ]
    return "  ·  ".join(part for part in parts if part)


def _row(study: Found, series: Found, state: widgets.State) -> widgets.Row:
    asked = series.attributes
    title = " ".join(part for part in (text(asked, "SeriesNumber"), text(asked, "SeriesDescription")) if part)
    below = "  ·  ".join(part for part in (text(asked, "Modality"), text(asked, "BodyPartExamined")) if part)
    place = LOCAL if series.is_here else next(iter(series.counts))
    address = "/".join(quote(part, safe="") for part in (place, study.uid, series.uid))
    cells = {
        "picture": f"/thumbnails/{address}",
        "what": (title or "Series without a description", below),
        "count": formatting.number(series.instances) if series.instances is not None else "",
        "state": state,
    }
    return widgets.Row(series.uid, cells)
