"""The Settings page: the archive, the user's name, trusted servers, tools, links, and this machine."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from dicomdock.dock.bundle import Services
from dicomdock.dock.pages import (
    settings_about,
    settings_archive,
    settings_links,
    settings_opening,
    settings_person,
    settings_tools,
    settings_trust,
)
from dicomdock.dock.pages.visit import Visit

SECTIONS: tuple[tuple[str, str, Callable[[Services], None]], ...] = (
    ("archive", "Archive", settings_archive.section),
    ("opening", "Opening studies", settings_opening.section),
    ("person", "You", settings_person.section),
    ("trust", "Trusted servers", settings_trust.section),
    ("tools", "Tools that segment", settings_tools.section),
    ("links", "Links from web pages", settings_links.section),
    ("about", "This machine", settings_about.section),
)


def page(services: Services, _: Visit) -> None:
    """Build the page."""
    with ui.element("div").classes("sheet settings"):
        with ui.element("h1"):
            ui.label("Settings")
        for name, title, section in SECTIONS:
            with ui.element("section").classes("panel") as box:
                box.props["aria-labelledby"] = f"settings-{name}"
                box.props["data-testid"] = f"settings-{name}"
                with ui.element("h2").props(f'id="settings-{name}"'):
                    ui.label(title)
                section(services)
