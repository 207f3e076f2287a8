"""Which tab a page is shown in, with pages made up here: real ones answer at once, or, busy, late."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from nicegui import Client

from dicomdock.dock.services.browser_tabs import BrowserTabs

ANSWER = 5.0  # seconds that the page takes to say that it is in sight


class SlowPage:
    """A page that answers late; how long is not waited for, only compared with the patience of who asks."""

    def __init__(self) -> None:
        self.created = 0.0
        self.has_socket_connection = True
        self.request = SimpleNamespace(scope={"path": "/servers"})
        self.opened: list[str] = []
        self.arrived = lambda: None

    async def run_javascript(self, code: str, *, timeout: float) -> bool:
        if timeout < ANSWER:
            raise TimeoutError
        return True

    def open(self, path: str) -> None:
        self.opened.append(path)
        self.arrived()


@pytest.mark.parametrize("browser", [True, False])
def test_a_slow_page_is_used_where_no_browser_may_be_opened(monkeypatch, browser: bool):
    """Else what a link asks for would be shown nowhere."""
    page, started = SlowPage(), []

    async def run(work, path):
        work(path)
        tabs.redirected(path, "elsewhere")

    async def show() -> None:
        tabs._connected(page)
        page.arrived = lambda: tabs.redirected("/link/1", "elsewhere")
        tabs.attach(asyncio.get_running_loop())
        await tabs._show("/link/1")

    monkeypatch.setattr(Client, "instances", {"page": page})
    tabs = BrowserTabs(run, started.append if browser else None)
    asyncio.run(show())
    assert (page.opened, started) == (([], ["/link/1"]) if browser else (["/link/1"], []))
