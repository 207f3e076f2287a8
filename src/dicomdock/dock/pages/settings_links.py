"""Settings of links: which program opens them when they are clicked in a web page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.launch import register

if TYPE_CHECKING:
    from dicomdock.launch.register import SchemeStatus

WORDS: Mapping[str, str] = {
    "ours": "open with dicomdock",
    "free": "open with no program yet",
    "other": "open with another program",
    "broken": "are assigned to dicomdock, but would not open",
}


def section(services: Services) -> None:
    """Build the section."""
    ui.label(
        "Portals offer studies by such links. Another program's links are taken over only when you say so, "
        "and returned when you release them."
    ).classes("muted")
    listed = ui.element("ul").classes("plain-list").props('data-testid="schemes"')
    system = register.registrar(services.local.settings)

    async def show() -> None:
        found = await services.run(register.status, system)
        listed.clear()
        with listed:
            for status in found:
                _scheme(status, do)

    async def do(action: Callable[..., object], scheme: str) -> None:
        await services.run(action, system, (scheme,))
        await show()

    ui.timer(0, show, once=True)


def _scheme(status: SchemeStatus, do: Callable[..., object]) -> None:
    with ui.element("li").classes("row-line").props(f'data-testid="scheme-{status.scheme}"'):
        ui.label(f"{status.scheme}://").classes("mono")
        who = f" ({status.handler})" if status.state == "other" and status.handler else ""
        ui.label(WORDS[status.state] + who)
        ui.element("span").classes("spacer")
        if status.state == "ours":
            widgets.button("Release", lambda: do(register.unregister, status.scheme))
        else:
            verb = {"free": "Open with dicomdock", "other": "Take over", "broken": "Repair"}[status.state]
            widgets.button(verb, lambda: do(register.register, status.scheme))
    if status.remedy and status.state == "broken":
        with ui.element("li").classes("muted"):
            ui.label(status.remedy)
