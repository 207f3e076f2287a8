"""Settings of the person: the name under which this user annotates and reviews."""

from __future__ import annotations

from dataclasses import replace

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.project.model import check_person


def section(services: Services) -> None:
    """Build the section."""
    local, run = services.local, services.run
    ui.label(
        "Your name in annotation projects, and the creator of what you draw and save. "
        "Cases that you have stay with the name that you took them under."
    ).classes("muted")
    with ui.element("form").classes("settings-form") as form:
        typed = widgets.field("Your name", local.settings.person, testid="person").classes("wide")
        system = replace(local.settings, person="").person_name
        typed.props["hint"] = f"Empty: {system} in projects, and no name in what you save."
        with ui.element("div").classes("row-line"):
            widgets.button("Save", testid="save-person").props('type="submit"')

    async def save() -> None:
        name = " ".join((typed.value or "").split())
        await run(local.change_settings, person=check_person(name) if name else "")
        typed.set_value(name)
        widgets.say(f"Your cases are from now on those of {local.settings.person_name}.", kind="success")

    form.on("submit.prevent", save)
