"""What can be done with the studies and series that are selected; each action is a line in ``ACTIONS``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from nicegui import ui

from dicomdock.dicom.resource import Resource
from dicomdock.dock import widgets
from dicomdock.dock.addresses import attributes_address, open_address
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.study_delete import delete_on_server, remove_local
from dicomdock.dock.pages.study_export import export
from dicomdock.dock.pages.study_pin import pin, unpin
from dicomdock.dock.pages.what_leaves import AS_IT_IS, choose_what_leaves
from dicomdock.dock.services.sources import LOCAL

SENT = "The instances are sent as they are."

Do: TypeAlias = Callable[[ActionServices, Selection], Awaitable[None] | None]


@dataclass(frozen=True)
class Action:
    """Something to do with a selection.

    Parameters
    ----------
    name : for tests and the code.
    label : a verb.
    icon : name of a Material icon.
    do : does it; runs in the page's context, and hands slow work to ``services.run``.
    hindrance : why it cannot be done with this selection, in words; "" when it can.
    key : the key that starts it.
    in_bar : it has a button in the bar; else it is in the menu behind the dots.
    danger : it cannot be undone.
    """

    name: str
    label: str
    icon: str
    do: Do
    hindrance: Callable[[Selection], str] = lambda _: ""
    key: str = ""
    in_bar: bool = False
    danger: bool = False


def _on_no_server(selection: Selection) -> str:
    return "" if selection.servers() else "It is on no server that is shown here."


def _nothing_here(selection: Selection) -> str:
    return "" if selection.on(LOCAL) else "Nothing of it is on this computer yet; download it first."


def _not_one_study(selection: Selection) -> str:
    return "" if len(selection.studies) == 1 else "Choose a single study."


def _not_one_study_here(selection: Selection) -> str:
    return _not_one_study(selection) or _nothing_here(selection)


def _not_one_thing(selection: Selection) -> str:
    return "" if len(selection.items) == 1 else "Choose a single study or series."


async def download(services: ActionServices, selection: Selection) -> None:
    """Queue the download of what is selected, from each server what it has; each thing once."""
    widgets.say(f"Downloading {selection.words}.")
    asked: set[Resource] = set()
    for server in selection.servers():
        wanted = [resource for resource in selection.on(server) if resource not in asked]
        asked.update(wanted)
        if wanted:
            await services.run(services.transfers.pull, server, wanted)


async def send(services: ActionServices, selection: Selection) -> None:
    """Ask for the server, then queue the upload."""
    servers = await services.run(targets, services, selection)
    if not servers:
        widgets.say("There is no server to send to yet; add one on the Servers page.", kind="failure")
        return
    archive, resources = await services.run(lambda: services.local.archive), selection.on(LOCAL)
    with widgets.question(f"Send {selection.words} to", testid="ask-send") as asked:
        profile = choose_what_leaves(services, archive, resources, SENT, testid="send")
        for server in servers:
            widgets.button(server, lambda name=server: asked.answer(name), testid=f"send-to-{server}")
        asked.cancel()
    chosen = await asked.ask()
    if chosen:
        deidentify = "" if profile.value == AS_IT_IS else str(profile.value)
        await services.run(lambda: services.transfers.push(chosen, resources, deidentify=deidentify))
        widgets.say(f"Sending {selection.words} to {chosen}; what is there already is not sent again.")


def targets(services: ActionServices, selection: Selection) -> tuple[str, ...]:
    """Name where a selection can be sent: back to what a link brought it from, and to the user's servers."""
    came_by = dict.fromkeys(
        one.origin for resource in selection.on(LOCAL) for one in services.local.archive.instances(resource)
    )
    linked = [name for name in came_by if name in services.connections.link_names]
    return (*linked, *services.sources.names()[1:])


def show_attributes(_: ActionServices, selection: Selection) -> None:
    """Show what the first instance says of itself."""
    resource, found = selection.resources[0], selection.items[0]
    ui.navigate.to(attributes_address(resource, LOCAL if found.is_here else next(iter(found.counts))))


def open_in_slicer(services: ActionServices, selection: Selection) -> None:
    """Open the study in 3D Slicer by a link to the origin server of this dock."""
    ui.navigate.to(services.slicer.link(next(iter(selection.studies))))


def copy_link(services: ActionServices, selection: Selection) -> None:
    """Put the link for 3D Slicer on the clipboard."""
    link = services.slicer.link(next(iter(selection.studies)))
    ui.run_javascript(f"navigator.clipboard.writeText({json.dumps(link)})")
    widgets.say(
        "The link is copied; it opens this study in 3D Slicer on this computer for a quarter of an hour."
    )


async def open_study(services: ActionServices, selection: Selection) -> None:
    """Open the study, or the one series that is selected; what of it is not here yet is fetched."""
    study = next(iter(selection.studies.values()))
    coming = await services.run(services.downloads.studies)
    if study.state(coming) in ("remote", "partly"):
        server = max(study.servers, key=lambda name: study.counts[name] or 0)
        await services.run(services.transfers.pull, server, [Resource(study.uid)])
    resources = selection.resources
    ui.navigate.to(open_address(resources[0] if len(resources) == 1 else Resource(study.uid)))


ACTIONS: tuple[Action, ...] = (
    Action("open", "Open", "visibility", open_study, _not_one_study, in_bar=True),
    Action("download", "Download", "download", download, _on_no_server, key="d", in_bar=True),
    Action("send", "Send to…", "upload", send, _nothing_here, key="s", in_bar=True),
    Action("export", "Export…", "save_alt", export, _nothing_here, key="e"),
    Action("attributes", "Attributes", "list_alt", show_attributes, _not_one_thing, key="i"),
    Action("pin", "Pin: keep on this computer", "push_pin", pin, _nothing_here),
    Action("unpin", "Unpin", "push_pin", unpin, _nothing_here),
    Action("slicer", "Open in 3D Slicer", "open_in_new", open_in_slicer, _not_one_study_here),
    Action("copy-link", "Copy link for 3D Slicer", "link", copy_link, _not_one_study_here, key="l"),
    Action("remove", "Remove from this computer…", "delete", remove_local, _nothing_here, danger=True),
    Action("delete", "Delete on the server…", "delete_forever", delete_on_server, _on_no_server, danger=True),
)


class ActionBar:
    """The buttons for a selection, at the foot of the page.

    Parameters
    ----------
    services : what the actions work with.
    """

    def __init__(self, services: ActionServices) -> None:
        self._services = services
        self._selection = Selection()
        self._buttons: dict[str, ui.element] = {}
        with ui.element("footer").classes("actions").props('aria-label="Actions"'):
            self.status = ui.label().classes("status").props('role="status" data-testid="status"')
            self.tools = ui.element("div").classes("tools")
            ui.element("span").classes("spacer")
            for action in ACTIONS:
                if action.in_bar:
                    self._buttons[action.name] = widgets.button(
                        action.label,
                        lambda action=action: self.start(action.name),
                        icon=action.icon,
                        key=action.key,
                        testid=f"action-{action.name}",
                    )
            for action in ACTIONS:
                if action.key and not action.in_bar:
                    self._key(action)
            with widgets.icon_button("more_horiz", "More actions", testid="more-actions"), ui.menu():
                for action in ACTIONS:
                    if not action.in_bar:
                        self._menu_item(action)
        self.show(Selection())

    def _menu_item(self, action: Action) -> None:
        item = ui.menu_item(on_click=lambda: self.start(action.name)).classes(
            "danger" if action.danger else ""
        )
        item.props["role"] = "menuitem"
        item.props["data-testid"] = f"action-{action.name}"
        with item:
            ui.icon(action.icon)
            ui.label(action.label)
        self._buttons[action.name] = item

    def _key(self, action: Action) -> None:
        """Let a key do what is in the menu: the menu's own items are in the page only while it is open."""
        hidden = (
            ui.element("button").classes("sr-only").props('type="button" tabindex="-1" aria-hidden="true"')
        )
        hidden.props["aria-keyshortcuts"] = action.key
        hidden.props["data-help"] = action.label
        hidden.on("click", lambda: self.start(action.name))

    def show(self, selection: Selection) -> None:
        """Work on this selection from now on."""
        self._selection = selection
        for action in ACTIONS:
            element = self._buttons[action.name]
            hindrance = _hindrance(action, selection)
            element.props["title"] = hindrance or action.label
            element.props["disable"] = bool(hindrance)
            element.update()

    async def start(self, name: str, selection: Selection | None = None) -> None:
        """Do an action with this selection, or with the one shown."""
        action = next(action for action in ACTIONS if action.name == name)
        chosen = self._selection if selection is None else selection
        if hindrance := _hindrance(action, chosen):
            widgets.say(hindrance)
            return
        done = action.do(self._services, chosen)
        if done is not None:
            await done


def _hindrance(action: Action, selection: Selection) -> str:
    return action.hindrance(selection) if selection.studies else "Choose a study first."
