"""The page for addresses that lead nowhere."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.pages.shell import Visit
from dicomdock.dock.service import Dock


def page(_: Dock, visit: Visit) -> None:
    """Build the page."""
    ui.status_code(404)
    with widgets.empty("There is no such page", f"{visit.path} leads nowhere.", testid="missing"):
        widgets.button("All studies", lambda: ui.navigate.to("/"), kind="main")
