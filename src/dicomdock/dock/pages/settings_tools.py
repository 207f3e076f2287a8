"""Settings of tools that segment: which there are, and the nnInteractive server; changed by commands."""

from __future__ import annotations

from dataclasses import dataclass

from nicegui import ui

from dicomdock.config.settings import Settings
from dicomdock.config.tools import Tool, ToolFolder
from dicomdock.dock.bundle import Services
from dicomdock.errors import DicomdockError
from dicomdock.web.url import redact

ADD, REMOVE = "dicomdock tool add FILE", "dicomdock tool remove NAME"
SET, FORGET = "dicomdock tool nninteractive https://HOST:PORT", "dicomdock tool nninteractive --forget"


@dataclass(frozen=True, slots=True)
class DeclaredTool:
    """A tool as the page lists it.

    Parameters
    ----------
    name : its name.
    words : where it runs and what it finds; of one that cannot be used, why.
    problem : it cannot be used.
    """

    name: str
    words: str
    problem: bool = False


def declared(settings: Settings) -> list[DeclaredTool]:
    """Return the tools of a user, sorted by name."""
    folder, found = ToolFolder(settings), []
    for name in folder.names():
        try:
            found.append(DeclaredTool(name, _words(folder.get(name))))
        except DicomdockError as error:
            found.append(DeclaredTool(name, str(error), problem=True))
    return found


def _words(tool: Tool) -> str:
    where = f"at {tool.origin.short}" if tool.origin is not None else "a program of this machine"
    labels = ", ".join(label.name for _, label in sorted(tool.named.items()))
    return ": ".join(filter(None, (where, labels)))


def section(services: Services) -> None:
    """Build the section."""
    ui.label(
        "Your programs and services that segment a series, in the viewer and by 'dicomdock tool run'."
    ).classes("muted")
    listed = ui.element("ul").classes("plain-list").props('data-testid="tools"')
    _commands((ADD, "adds what a file declares;"), (REMOVE, "removes one."))
    ui.label("Prompts in the viewer go to this nnInteractive server:").classes("muted")
    address = ui.label().classes("mono").props('data-testid="nninteractive"')
    _commands((SET, "sets it;"), (FORGET, "forgets it and its token."))

    async def show() -> None:
        tools = await services.run(declared, services.local.settings)
        current = await services.run(services.local.settings.current)
        address.set_text(redact(current.nninteractive) or "none")
        listed.clear()
        with listed:
            for tool in tools:
                with ui.element("li").classes("row-line"):
                    ui.label(tool.name).classes("mono")
                    ui.label(tool.words).classes("bad-text" if tool.problem else "muted")
            if not tools:
                with ui.element("li").classes("muted"):
                    ui.label("None yet.")

    ui.timer(0, show, once=True)


def _commands(*commands: tuple[str, str]) -> None:
    with ui.element("div").classes("row-line"):
        for command, what in commands:
            ui.label(command).classes("mono")
            ui.label(what).classes("muted")
