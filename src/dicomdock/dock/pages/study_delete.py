"""Asking before something is removed: from this computer, or from a server for everybody."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from dicomdock.dock import formatting, widgets
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.study_list import patient
from dicomdock.dock.services.delete import Loss
from dicomdock.dock.services.sources import LOCAL

MOST_NAMED = 6


async def remove_local(services: ActionServices, selection: Selection) -> None:
    """Remove from the archive, after saying what would be lost."""
    resources = selection.on(LOCAL)
    loss = await services.run(services.deletions.weigh, resources)
    with widgets.question(f"Remove {selection.words} from this computer?", testid="ask-remove") as asked:
        ui.label(
            f"{formatting.counted(loss.instances, 'image')}, {formatting.size(loss.bytes)}, would be removed."
        )
        _say_loss(loss)
        asked.cancel()
        with asked.foot:
            label = (
                f"Remove, and lose {formatting.counted(loss.unsent, 'image')}" if loss.unsent else "Remove"
            )
            widgets.button(label, lambda: asked.answer(True), kind="danger", testid="remove-now")
    if await asked.ask():
        await services.run(services.deletions.remove, resources)
        widgets.say(f"Removed {formatting.counted(loss.instances, 'image')} from this computer.")


def _say_loss(loss: Loss) -> None:
    if not loss.unsent:
        ui.label("All of them came from a server or were sent to one, where they stay.").classes("muted")
        return
    with ui.element("div").classes("warning"):
        ui.icon("warning_amber")
        with ui.element("div"):
            lost = formatting.counted(loss.unsent, "image")
            verb = "is" if loss.unsent == 1 else "are"
            ui.label(f"{lost} {verb} on no server that dicomdock knows of, and would be lost:")
            with ui.element("ul"):
                for name in [*loss.named[:MOST_NAMED], *_more(loss.named)]:
                    with ui.element("li"):
                        ui.label(name)


def _more(named: Sequence[str]) -> list[str]:
    return [f"and {len(named) - MOST_NAMED} more series"] if len(named) > MOST_NAMED else []


async def delete_on_server(services: ActionServices, selection: Selection) -> None:
    """Delete on a server, asked twice: nobody could get it back."""
    server = await _which(selection)
    if not server:
        return
    resources = selection.on(server)
    if not await services.run(services.deletions.may_delete, server, resources):
        widgets.say(
            f"{server} does not let other programs delete such things by DICOMweb; use its own pages.",
            kind="failure",
        )
        return
    patients = (patient(study) or "No patient name" for study in selection.studies.values())
    names = formatting.listed(dict.fromkeys(patients))
    with widgets.question(f"Delete {selection.words} on {server}?", testid="ask-delete") as asked:
        ui.label(f"Of {names}. It would be deleted for everybody who uses {server}, at once and permanently.")
        here = selection.on(LOCAL)
        copy = "What is on this computer stays." if here else "There is no copy of it on this computer."
        ui.label(copy).classes("muted")
        asked.cancel()
        with asked.foot:
            widgets.button("Delete …", lambda: asked.answer(True), kind="danger", testid="delete-once")
    if not await asked.ask():
        return
    with widgets.question(
        f"Confirm again: delete on {server} permanently?", testid="ask-delete-again"
    ) as again:
        ui.label(f"{selection.words} of {names}.")
        again.cancel(f"Keep it on {server}")
        with again.foot:
            widgets.button("Yes, delete", lambda: again.answer(True), kind="danger", testid="delete-now")
    if not await again.ask():
        return
    failed = await services.run(services.deletions.delete, server, resources)
    if failed:
        widgets.say(f"{len(failed)} of {len(resources)} could not be deleted. {failed[0]}", kind="failure")
    else:
        widgets.say(f"{server} has deleted {selection.words}.")


async def _which(selection: Selection) -> str:
    servers = selection.servers()
    if len(servers) == 1:
        return servers[0]
    with widgets.question(f"On which server is {selection.words} to be deleted?") as asked:
        for server in servers:
            widgets.button(server, lambda name=server: asked.answer(name), testid=f"delete-on-{server}")
        asked.cancel()
    return str(await asked.ask() or "")
