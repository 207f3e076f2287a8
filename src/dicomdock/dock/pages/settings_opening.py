"""Settings of opening: where a study is shown when it is opened."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dock import opening, widgets
from dicomdock.dock.service import Dock


def section(dock: Dock) -> None:
    """Build the section."""
    ways = {str(way): words for way, words in opening.WAYS.items()}
    with ui.element("div").classes("settings-form"):
        chosen = widgets.choice(
            "Studies open",
            ways,
            opening.way(dock),
            lambda event: keep(event.value),
            testid="open-way",
        )
        if not dock.viewers.available():
            chosen.props["hint"] = "The viewer is not installed; pip install 'dicomdock[viewer]' brings it."

    async def keep(way: opening.Way) -> None:
        await dock.run(dock.preferences.set, opening.PREFERENCE, way)
        widgets.say(f"Studies open from now on: {opening.WAYS[way].lower()}.")
