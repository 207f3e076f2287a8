"""Pinning: what is pinned stays here when the archive makes room."""

from __future__ import annotations

from dicomdock.dicom.resource import Resource
from dicomdock.dock import widgets
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.sources import LOCAL


async def pin(services: ActionServices, selection: Selection) -> None:
    """Pin what is selected."""
    await _set(services, selection, pinned=True)

    async def undo() -> None:
        await _set(services, selection, pinned=False)
        widgets.say(f"{selection.words} are no longer pinned.")

    widgets.say(f"{selection.words} stay on this computer when the archive makes room.", undo=undo)


async def unpin(services: ActionServices, selection: Selection) -> None:
    """Unpin what is selected."""
    await _set(services, selection, pinned=False)
    widgets.say(f"{selection.words} may be removed when the archive makes room.")


async def _set(services: ActionServices, selection: Selection, *, pinned: bool) -> None:
    for resource in selection.on(LOCAL):
        await services.run(_pin if pinned else _unpin, services.local, resource)


def _pin(local: LocalArchive, resource: Resource) -> None:
    local.archive.retention.pin(resource)


def _unpin(local: LocalArchive, resource: Resource) -> None:
    local.archive.retention.unpin(resource)
