"""Pinning: what is pinned stays here when the archive makes room."""

from __future__ import annotations

from dicomdock.dock import widgets
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.service import LOCAL, Dock


async def pin(dock: Dock, selection: Selection) -> None:
    """Pin what is selected."""
    await _set(dock, selection, pinned=True)

    async def undo() -> None:
        await _set(dock, selection, pinned=False)

    widgets.say(f"{selection.words} stay here when the archive makes room.", undo=undo)


async def unpin(dock: Dock, selection: Selection) -> None:
    """Let go of what is selected."""
    await _set(dock, selection, pinned=False)
    widgets.say(f"{selection.words} may go when the archive makes room.")


async def _set(dock: Dock, selection: Selection, *, pinned: bool) -> None:
    for resource in selection.on(LOCAL):
        await dock.run(dock.archive.pin if pinned else dock.archive.unpin, resource)
