"""Settings of opening: where a study is shown when it is opened."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.services.open_study import WHERE, Where


def section(services: Services) -> None:
    """Build the section."""
    open_study = services.open_study
    labels = {str(where): label for where, label in WHERE.items()}
    with ui.element("div").classes("settings-form"):
        chosen = widgets.choice(
            "Studies open",
            labels,
            open_study.where(),
            lambda event: save(event.value),
            testid="open-way",
        )
        if not open_study.has_viewer:
            chosen.props["hint"] = "The viewer is not installed; pip install 'dicomdock[viewer]' brings it."

    async def save(where: Where) -> None:
        await services.run(open_study.choose, where)
        widgets.say(f"Studies open from now on: {WHERE[where].lower()}.")
