"""What can be done with the studies and series that are selected; each action is a line in ``ACTIONS``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote, urlencode

from nicegui import ui

from dicomdock.dock import human, widgets
from dicomdock.dock.service import LOCAL, Dock
from dicomdock.dock.studies import Found
from dicomdock.resource import Resource


@dataclass(frozen=True)
class Selection:
    """What an action is asked to work on.

    Parameters
    ----------
    studies : the selected studies, or the studies of the selected series, by UID.
    series : the selected series by UID, each with its study's UID; empty when whole studies are meant.
    """

    studies: Mapping[str, Found] = field(default_factory=dict)
    series: Mapping[str, tuple[str, Found]] = field(default_factory=dict)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What is meant, as resources."""
        if self.series:
            return tuple(Resource(study, uid) for uid, (study, _) in self.series.items())
        return tuple(Resource(uid) for uid in self.studies)

    @property
    def items(self) -> Sequence[Found]:
        """What is meant, as found."""
        return [item for _, item in self.series.values()] if self.series else list(self.studies.values())

    @property
    def words(self) -> str:
        """How much is meant: ``3 studies, 1,204 images``."""
        if not self.studies:
            return ""
        what = (
            human.counted(len(self.series), "series", "series")
            if self.series
            else human.counted(len(self.studies), "study", "studies")
        )
        counts = [item.instances for item in self.items]
        known = [count for count in counts if count is not None]
        if not known:
            return what
        least = "at least " if len(known) < len(counts) else ""
        return f"{what}, {least}{human.counted(sum(known), 'image')}"

    def servers(self) -> tuple[str, ...]:
        """The servers that have some of it."""
        return tuple(dict.fromkeys(name for item in self.items for name in item.servers))

    def on(self, place: str) -> tuple[Resource, ...]:
        """What of it is in one place."""
        if self.series:
            return tuple(
                Resource(study, uid) for uid, (study, item) in self.series.items() if place in item.places
            )
        return tuple(Resource(uid) for uid, item in self.studies.items() if place in item.places)


Do: TypeAlias = Callable[[Dock, Selection], Awaitable[None] | None]


@dataclass(frozen=True)
class Action:
    """Something to do with a selection.

    Parameters
    ----------
    name : for tests and the code.
    label : a verb.
    icon : name of a Material icon.
    do : does it; runs in the page's context, and hands slow work to ``dock.run``.
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


def _nothing_on_a_server(selection: Selection) -> str:
    return "" if selection.servers() else "It is on no server that is shown here."


def _nothing_here(selection: Selection) -> str:
    return "" if selection.on(LOCAL) else "Nothing of it is here yet; download it first."


def _not_one_study(selection: Selection) -> str:
    return "" if len(selection.studies) == 1 else "Choose a single study."


def _not_one_study_here(selection: Selection) -> str:
    return _not_one_study(selection) or _nothing_here(selection)


async def download(dock: Dock, selection: Selection) -> None:
    """Queue the download of what is selected, from each server what it has; each thing once."""
    asked: set[Resource] = set()
    for server in selection.servers():
        wanted = [resource for resource in selection.on(server) if resource not in asked]
        asked.update(wanted)
        if wanted:
            await dock.run(dock.pull, server, wanted)
    widgets.say(f"Downloading {selection.words}.")


async def send(dock: Dock, selection: Selection) -> None:
    """Ask for the server, then queue the upload."""
    servers = (await dock.run(dock.source_names))[1:]
    if not servers:
        widgets.say("There is no server to send to yet; add one on the Servers page.", kind="failure")
        return
    with ui.dialog() as dialog, ui.card().classes("ask").props('role="dialog" aria-label="Send"'):
        ui.label(f"Send {selection.words} to").classes("ask-title")
        with ui.element("div").classes("ask-list"):
            for server in servers:
                widgets.button(server, lambda name=server: dialog.submit(name), testid=f"send-to-{server}")
        with ui.element("div").classes("ask-foot"):
            widgets.button("Cancel", lambda: dialog.submit(None))
    chosen = await dialog
    dialog.delete()
    if chosen:
        await dock.run(dock.push, chosen, selection.on(LOCAL))
        widgets.say(f"Sending {selection.words} to {chosen}.")


def slicer_link(dock: Dock, study: str) -> str:
    """Make the link that lets 3D Slicer fetch one study from this dock, within a quarter of an hour.

    References
    ----------
    3D Slicer, Modules/Scripted/DICOM: ``slicer://viewer/?studyUID=...&access_token=...&dicomweb_endpoint=...``
    """
    query = {
        "studyUID": study,
        "access_token": dock.keys.grant(Resource(study)),
        "dicomweb_endpoint": f"{dock.url}/dicom-web",
    }
    return f"slicer://viewer/?{urlencode(query, quote_via=quote, safe='')}"


def open_in_slicer(dock: Dock, selection: Selection) -> None:
    """Hand the study to 3D Slicer by a link to the origin server of this dock."""
    ui.navigate.to(slicer_link(dock, next(iter(selection.studies))))


def copy_link(dock: Dock, selection: Selection) -> None:
    """Put the link for 3D Slicer on the clipboard."""
    link = slicer_link(dock, next(iter(selection.studies)))
    ui.run_javascript(f"navigator.clipboard.writeText({json.dumps(link)})")
    widgets.say(
        "The link is copied; it opens this study in 3D Slicer on this computer for a quarter of an hour."
    )


async def open_study(dock: Dock, selection: Selection) -> None:
    """Show the study's page; what of it is not here yet is fetched."""
    study = next(iter(selection.studies.values()))
    coming = await dock.run(dock.studies_coming)
    if study.state(coming) in ("remote", "partly"):
        server = max(study.servers, key=lambda name: study.places[name] or 0)
        await dock.run(dock.pull, server, [Resource(study.uid)])
    ui.navigate.to(f"/study/{quote(next(iter(selection.studies)), safe='')}")


ACTIONS: tuple[Action, ...] = (
    Action("open", "Open", "visibility", open_study, _not_one_study, in_bar=True),
    Action("download", "Download", "download", download, _nothing_on_a_server, key="d", in_bar=True),
    Action("send", "Send to…", "upload", send, _nothing_here, key="s", in_bar=True),
    Action("slicer", "Open in 3D Slicer", "open_in_new", open_in_slicer, _not_one_study_here),
    Action("copy-link", "Copy link for 3D Slicer", "link", copy_link, _not_one_study_here, key="l"),
)


class ActionBar:
    """The buttons for a selection, at the foot of the page.

    Parameters
    ----------
    dock : what the actions work with.
    """

    def __init__(self, dock: Dock) -> None:
        self._dock = dock
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
        done = action.do(self._dock, chosen)
        if done is not None:
            await done


def _hindrance(action: Action, selection: Selection) -> str:
    return action.hindrance(selection) if selection.studies else "Choose a study first."
