"""The page for addresses that lead nowhere."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.visit import Visit


def page(_: Services, visit: Visit) -> None:
    """Build the page."""
    ui.status_code(404)
    with widgets.empty(
        "There is no such page", f"{visit.path} does not exist.", whole=True, testid="missing"
    ):
        widgets.button("All studies", lambda: ui.navigate.to("/"), kind="main")
