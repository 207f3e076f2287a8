"""A page that is reloaded, left, come back to, or hidden while memory is short: what was drawn is there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewers import Viewers
from tests.dock.using import arrived
from tests.viewer.conftest import Opened, Screen, folders, gl, looked_at, made_study, store, template
from tests.waiting import until

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

HIDE = """() => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
SHOW = """() => {
    delete document.visibilityState;
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def opened(viewer_installed: None, tmp_path: Path) -> Iterator[Opened]:
    """The phantom in a viewer of a dock that may hold a single byte: whatever nobody sees must go."""
    settings = replace(folders(tmp_path), viewer_memory=1)
    study, series, instances = made_study()
    store(settings, instances)
    viewers = Viewers(settings, template=template(), gl=gl())
    try:
        yield Opened(settings, viewers, study, series, viewers.open(Resource(study, series)))
    finally:
        viewers.close()


@pytest.fixture
def screen(opened: Opened, browser: Browser) -> Iterator[Screen]:
    yield from looked_at(browser, opened.url, falls=True)


def gone(opened: Opened, pid: int | None, address: str) -> None:
    """Wait until a viewer has ended and the dock listens in its place, which follows by some milliseconds."""
    port = urlsplit(address).port
    until(lambda: opened.pid != pid, "the end of the viewer")
    until(lambda: listens(port), "the way back to the viewer")


def listens(port: int | None) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def loaded(screen: Screen) -> None:
    """Wait for the page with what was drawn; a viewer waits a minute for one that has not connected yet."""
    screen.wait("s.complete && s.unsaved")
    screen.drawn()


def test_the_drawing_of_a_page_that_is_left_or_hidden_comes_back_with_it(
    opened: Opened, screen: Screen
) -> None:
    page, first = screen.page, opened.pid
    address = page.url
    screen.tool("segment")
    screen.brush()
    x, y = screen.middle()
    screen.drag((x - 40, y), (x + 40, y))
    screen.wait("s.unsaved")
    page.keyboard.press("Escape")

    page.reload()
    loaded(screen)
    assert opened.pid == first, "a reload finds its viewer"

    page.goto("about:blank")
    gone(opened, first, address)
    page.goto(address)
    loaded(screen)
    second = opened.pid
    assert second not in (None, first)

    page.evaluate(HIDE)
    gone(opened, second, page.url)
    page.wait_for_selector("#gone:has-text('put away to free memory')")
    page.evaluate(SHOW)
    arrived(page, lambda url: url != address)
    loaded(screen)
    assert opened.pid not in (None, first, second)
