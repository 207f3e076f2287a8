"""The tools of the Studies page: a filter of what is loaded, the columns, and the saved searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from dicomdock.config.preferences import Preferences
from dicomdock.dock import widgets
from dicomdock.dock.pages import study_list
from dicomdock.dock.services.threads import Run


class StudyTools:
    """The tools beside the actions of the Studies page.

    Parameters
    ----------
    run : does blocking work.
    preferences : where the columns and the saved searches are stored.
    grid : the list.
    address : the address of the search that the page shows.
    """

    def __init__(
        self, run: Run, preferences: Preferences, grid: widgets.Grid, address: Callable[[], str]
    ) -> None:
        self._run = run
        self._preferences = preferences
        self._grid = grid
        self._address = address
        narrow = widgets.field("Filter these", key="f", testid="narrow").classes("narrow").props("clearable")
        narrow.props["data-help"] = "Filter what is loaded"
        narrow.on_value_change(lambda event: grid.narrow(event.value or ""))
        with (
            widgets.icon_button("view_column", "Columns", testid="columns"),
            ui.menu().classes("columns-menu"),
        ):
            shown = {column.name for column in grid.columns}
            for name, column in study_list.COLUMNS.items():
                if name not in study_list.ALWAYS:
                    box = ui.checkbox(column.label, value=name in shown).props("dense")
                    box.on_value_change(lambda event, name=name: self._show_column(name, event.value))
        with (
            widgets.icon_button("bookmark_border", "Saved searches", testid="saved"),
            ui.menu() as self._menu,
        ):
            self._saved()

    async def remember(self, name: str, value: Any) -> None:
        """Store a preference of this page."""
        await self._run(self._preferences.set, name, value)
        with self._grid:  # the element that was clicked may be gone by now
            widgets.mark_saved(name)

    def _show_column(self, name: str, shown: bool) -> Any:
        names = [column.name for column in self._grid.columns if column.name != name] + [name] * shown
        self._grid.set_columns(study_list.chosen(names))
        return self.remember("studies.columns", names)

    @ui.refreshable_method
    def _saved(self) -> None:
        for name, target in self._searches().items():
            with ui.menu_item(on_click=lambda target=target: ui.navigate.to(target)).classes("saved"):
                ui.label(name).classes("spacer")
                forget = widgets.icon_button("close", f"Forget {name}")
                forget.on("click.stop", lambda name=name: self._save(name, None))
        with ui.element("form").classes("save-form") as form:
            name_field = widgets.field("Save this search as", testid="save-name")
            widgets.button("Save").props('type="submit"')
        form.on("submit.prevent", lambda: self._save(name_field.value, self._address()))

    def _searches(self) -> dict[str, str]:
        stored: Any = self._preferences.get("studies.saved")
        return dict(stored) if isinstance(stored, dict) else {}

    async def _save(self, name: str, target: str | None) -> None:
        saved = self._searches()
        if target is None:
            saved.pop(name, None)
        elif name.strip():
            saved[name.strip()[:80]] = target
        await self.remember("studies.saved", saved)
        self._menu.close()
        self._saved.refresh()
