"""Settings of opening: where a study is shown when it is opened."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.service import Dock
from dicomdock.dock.services import open_study


def section(dock: Dock) -> None:
    """Build the section."""
    ways = {str(way): words for way, words in open_study.WAYS.items()}
    with ui.element("div").classes("settings-form"):
        chosen = widgets.choice(
            "Studies open",
            ways,
            open_study.way(dock),
            lambda event: keep(event.value),
            testid="open-way",
        )
        if not dock.viewers.available():
            chosen.props["hint"] = "The viewer is not installed; pip install 'dicomdock[viewer]' brings it."

    async def keep(way: open_study.Way) -> None:
        await dock.run(dock.preferences.set, open_study.PREFERENCE, way)
        widgets.say(f"Studies open from now on: {open_study.WAYS[way].lower()}.")
