"""The Servers page without a browser: what is drawn anew, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nicegui import Client
from nicegui.page import page

from dicomdock.config.servers import Login, Profiles, ServerProfile
from dicomdock.dock.pages.servers import ServersPage
from dicomdock.dock.services.events import ServersChanged
from dicomdock.dock.services.server_setup import Trial


class Listed:
    """The user's list of servers."""

    def __init__(self, *profiles: ServerProfile) -> None:
        self.known = [*profiles]

    def profiles(self) -> Profiles:
        return Profiles({one.name: one for one in self.known})


class Setup:
    """Tests a server, which writes what it found into the list: the page hears of it twice."""

    def __init__(self, servers: Listed) -> None:
        self.servers = servers

    def test(self, name: str, *, write: bool) -> Trial:
        profile = ServerProfile(name, "http://127.0.0.1:9/found")
        self.servers.known = [profile]
        return Trial(profile)


async def run(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def cards(view: ServersPage) -> list[int]:
    return [element.id for element in view._list.default_slot.children]


def test_cards_whose_servers_are_as_they_were_stay_so_that_no_click_on_them_is_lost():
    profile = ServerProfile("pacs", "http://127.0.0.1:9")
    servers = Listed(profile)

    async def walk() -> None:
        with Client(page("")):
            view = ServersPage(run, servers, Setup(servers), None)
            await view.load()
            drawn = cards(view)
            await view.load(ServersChanged())
            assert cards(view) == drawn
            await view._test(profile, view._list)
            tested = cards(view)
            assert tested != drawn
            await view.load(ServersChanged())
            assert cards(view) == tested
            servers.known = [ServerProfile("pacs", "http://127.0.0.1:9/found", Login("basic", "alice"))]
            await view.load(ServersChanged())
            assert cards(view) != tested

    asyncio.run(walk())
