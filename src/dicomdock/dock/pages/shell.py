"""Shell: what is around every page: header, theme, keys, messages."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nicegui import ui
from starlette.requests import Request

from dicomdock.config.preferences import THEMES, Preferences
from dicomdock.dock import widgets
from dicomdock.dock.assets import asset
from dicomdock.dock.pages.table import PAGES, PageSpec
from dicomdock.dock.pages.transfer_drawer import TransferDrawer
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services.threads import Run
from dicomdock.errors import DicomdockError

_log = logging.getLogger("dicomdock.dock")

_DARK: Mapping[str, bool | None] = {"auto": None, "light": False, "dark": True}


@contextmanager
def shell(
    spec: PageSpec, request: Request, drawer: TransferDrawer, preferences: Preferences, run: Run
) -> Iterator[Visit]:
    """Build the surroundings of a page; the body of the ``with`` builds the page."""
    theme = preferences.theme
    ui.add_head_html(
        f'<link rel="stylesheet" href="{asset("theme.css")}">'
        f"<script>document.documentElement.dataset.theme = {json.dumps(theme)}</script>"
        f'<script src="{asset("dock.js")}" defer></script>'
        f'<script src="{asset("drop.js")}" defer></script>'
    )
    ui.on_exception(_report)
    widgets.listen_for_undo()
    with ui.element("a").classes("skip").props('href="#main"'):
        ui.label("Skip to content")
    with ui.element("header").classes("top"):
        with ui.element("a").classes("brand").props('href="/" aria-label="dicomdock, all studies"'):
            ui.label("dicomdock")
        place = ui.element("div").classes("top-page")
        with ui.element("nav").props('aria-label="Pages"'):
            _links(spec, drawer)
        _theme_switch(preferences, run, theme)
        widgets.icon_button("help_outline", "Keys of this page", key="?").props("data-show-keys")
    # NiceGUI's own layout is the "main" landmark around this.
    with ui.element("div").props('id="main" tabindex="-1"').classes(f"page page-{spec.module}"):
        if not spec.headed:
            with ui.element("h1").classes("sr-only"):
                ui.label(spec.title)
        yield Visit(request.url.path, request.path_params, dict(request.query_params), place)
    drawer.build()


def _links(spec: PageSpec, drawer: TransferDrawer) -> None:
    for other in PAGES:
        if not other.in_header:
            continue
        link = ui.element("a").props(f'href="{other.path}" data-testid="nav-{other.module}"')
        if other.path == spec.path:
            link.props('aria-current="page"')
        with link:
            ui.label(other.title)
        if other.module == "transfers":
            drawer.switch()


def _theme_switch(preferences: Preferences, run: Run, theme: str) -> None:
    dark = ui.dark_mode(_DARK[theme])
    words = {"auto": "as the system", "light": "light", "dark": "dark"}
    icons = {"auto": "contrast", "light": "light_mode", "dark": "dark_mode"}

    async def turn() -> None:
        nonlocal theme
        theme = THEMES[(THEMES.index(theme) + 1) % len(THEMES)]
        dark.set_value(_DARK[theme])
        ui.run_javascript(f"document.documentElement.dataset.theme = {json.dumps(theme)}")
        show()
        await run(preferences.set, "theme", theme)
        widgets.mark_saved("theme")

    def show() -> None:
        button.props["icon"] = icons[theme]
        button.props["aria-label"] = button.props["title"] = f"Colours: {words[theme]}"
        button.update()

    button = widgets.icon_button(icons[theme], "", turn).props('data-testid="theme"')
    show()


def _report(error: Exception) -> None:
    """Show what went wrong in the page; what is not an error of ours goes to the log."""
    if isinstance(error, DicomdockError):
        widgets.say(str(error), kind="failure")
        return
    _log.error("a page failed", exc_info=error)
    widgets.say("Something unexpected went wrong in dicomdock; its log has the details.", kind="failure")
