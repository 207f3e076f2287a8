"""About this installation: its version, its folders, and what works on this machine."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.services.diagnostics import STATUS_WORDS, Finding, examine
from dicomdock.version import __version__

ICONS = {"ok": "check", "missing": "remove", "failed": "error_outline", "unknown": "help_outline"}


def section(services: Services) -> None:
    """Build the section."""
    with ui.element("dl").classes("facts"):
        for name, value in (
            ("Version", f"dicomdock {__version__}"),
            ("Configuration", str(services.local.settings.config)),
            ("State", str(services.local.settings.state)),
            ("Address", f"{services.url} on this computer only"),
        ):
            with ui.element("dt"):
                ui.label(name)
            with ui.element("dd").classes("mono"):
                ui.label(value)
    found = ui.element("ul").classes("findings").props('data-testid="doctor"')

    async def look() -> None:
        found.clear()
        with found, ui.element("li").classes("muted"):
            ui.label("Checking this machine …")
        findings = await services.run(examine, services.local.settings)
        found.clear()
        with found:
            for finding in findings:
                _show(finding)

    with ui.element("div").classes("row-line"):
        widgets.button("Check again", look, testid="doctor-again")
    ui.timer(0, look, once=True)


def _show(finding: Finding) -> None:
    with ui.element("li"):
        icon = ui.icon(ICONS.get(finding.status, "help_outline"))
        icon.classes({"ok": "good", "failed": "bad-text"}.get(finding.status, "muted"))
        icon.props["role"] = "img"
        icon.props["aria-label"] = STATUS_WORDS.get(finding.status, finding.status)
        with ui.element("div"):
            ui.label(f"{finding.check}: {finding.detail}")
            if finding.remedy:
                ui.label(finding.remedy).classes("muted")
