"""A link's question: asked before anything is fetched, answered by key, its token seen nowhere."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect

from dicomdock.errors import LaunchError
from dicomdock.launch.handoff import send
from dicomdock.launch.trust import TrustStore
from tests.dock.running import RunningDock, connected, demonstrating, running
from tests.waiting import join, until

TOKEN = "tok3n-of-the-l1nk"
STUDY = "1.2.826.0.1.3680043.8.498.1"


class Portal(BaseHTTPRequestHandler):
    """A server that notes who asks what."""

    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def portal() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server of unknown origin, and what was asked of it."""
    asked: list[tuple[str, str]] = []
    handler = type("Handler", (Portal,), {"asked": asked})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dicom-web", asked
    server.shutdown()
    server.server_close()
    join(thread)


def link_to(endpoint: str, study: str = STUDY, token: str = TOKEN) -> str:
    return (
        f"slicer://viewer/?studyUID={study}&access_token={token}&dicomweb_endpoint={quote(endpoint, safe='')}"
    )


def click(dock: RunningDock, link: str) -> str:
    """Pass a link to the dock as the system does after a click."""
    return send(link, dock.settings, command=()).text


def open_home(page: Page, dock: RunningDock, path: str = "/servers") -> None:
    page.goto(dock.link(path))
    expect(page.get_by_test_id("nav-studies")).to_be_visible()
    connected(page)


def everything_below(folder: Path) -> Iterator[bytes]:
    for file in folder.rglob("*"):
        if file.is_file():
            with contextlib.suppress(OSError):
                yield file.read_bytes()


def test_nothing_is_asked_of_a_server_before_the_answer(dock: RunningDock, page: Page, portal):
    endpoint, asked = portal
    open_home(page, dock)
    assert "asks you" in click(dock, link_to(endpoint))
    question = page.get_by_test_id("question")
    expect(question).to_be_visible()
    expect(page.get_by_test_id("question-server")).to_have_text(endpoint.removesuffix("/dicom-web"))
    connected(page)
    expect(page.get_by_test_id("answer-refuse")).to_be_focused()
    assert not asked
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("refused")).to_be_visible()
    assert not asked
    open_home(page, dock)
    with pytest.raises(LaunchError, match="just refused"):
        click(dock, link_to(endpoint))
    expect(page.get_by_test_id("refused")).to_contain_text("the click on this one opened nothing")
    connected(page)
    page.get_by_test_id("ask-again").click()
    expect(page.get_by_test_id("question-studies")).to_have_text(STUDY)
    assert not asked
    page.get_by_test_id("answer-once").click()
    expect(page.get_by_test_id("arrival")).to_contain_text("failed")
    assert asked


HOLD = """
const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
window.held = [];
Object.defineProperty(WebSocket.prototype, "onmessage", { set(take) {
    set.call(this, (event) => {
        if (window.held && String(event.data).includes("answer-refuse]")) window.held.push(() => take(event));
        else take(event);
    });
} });
"""
"""Lets a page wait for the message that moves the focus to an answer."""


def test_the_focus_is_not_taken_from_who_has_gone_on_to_another_answer(dock: RunningDock, page: Page, portal):
    endpoint, _ = portal
    open_home(page, dock)
    page.add_init_script(HOLD)
    click(dock, link_to(endpoint))
    once = page.get_by_test_id("answer-once")
    once.focus()
    page.wait_for_function("window.held.length > 0")
    page.evaluate("() => { window.held.forEach((one) => one()); window.held = null; }")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(once).to_be_focused()


def test_a_flood_of_links_makes_one_question(dock: RunningDock, page: Page, portal):
    endpoint, asked = portal
    open_home(page, dock)
    for number in range(10):
        click(dock, link_to(endpoint, f"{STUDY}.{number}"))
    expect(page.get_by_test_id("question")).to_have_count(1)
    expect(page.get_by_test_id("question")).to_contain_text("10 studies")
    connected(page)
    expect(page.get_by_test_id("answer-refuse")).to_be_focused()
    page.keyboard.press("r")
    expect(page.get_by_test_id("refused")).to_be_visible()
    page.goto(dock.url)
    expect(page.get_by_test_id("first-visit")).to_be_visible()
    assert not asked


def test_once_asks_again_and_always_does_not(dock: RunningDock, page: Page, portal):
    endpoint, asked = portal
    open_home(page, dock)
    click(dock, link_to(endpoint))
    page.get_by_test_id("answer-once").click()
    expect(page).to_have_url(re.compile(f"/study/{STUDY}"))
    expect(page.get_by_test_id("arrival")).to_contain_text("failed")
    assert asked and {login for _, login in asked} == {f"Bearer {TOKEN}"}
    click(dock, link_to(endpoint, f"{STUDY}.2"))
    page.get_by_test_id("answer-always").click()
    expect(page).to_have_url(re.compile(f"/study/{STUDY}.2"))
    assert "opens it" in click(dock, link_to(endpoint, f"{STUDY}.3"))
    expect(page).to_have_url(re.compile(f"/study/{STUDY}.3"))


def test_a_link_that_comes_while_a_page_is_loading_is_shown_when_it_is_there(
    dock: RunningDock, page: Page, portal
):
    endpoint, _ = portal
    TrustStore(dock.settings).add(endpoint)
    open_home(page, dock)
    held: list[Route] = []
    let = threading.Event()
    page.route("**/*.js", lambda route: route.continue_() if let.is_set() else held.append(route))
    page.goto(f"{dock.url}/transfers", wait_until="commit")
    until(lambda: page.evaluate("1") and held, "the first script of the page")
    assert "opens it" in click(dock, link_to(endpoint))
    let.set()
    for route in held:
        route.continue_()
    expect(page).to_have_url(re.compile(f"/study/{STUDY}"))


def test_the_token_is_written_nowhere(dock: RunningDock, page: Page, portal):
    endpoint, asked = portal
    open_home(page, dock)
    click(dock, link_to(endpoint))
    page.get_by_test_id("answer-once").click()
    expect(page.get_by_test_id("arrival")).to_contain_text("failed")
    assert asked
    home = dock.settings.state.parent
    assert not any(TOKEN.encode() in content for content in everything_below(home))
    assert TOKEN not in dock.log
    assert TOKEN not in page.content()
    assert TOKEN.encode() not in Path(f"/proc/{dock.pid}/cmdline").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "link",
    [
        "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=file:///etc/passwd",
        "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=http://169.254.169.254/dicom-web",
        "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https://good@evil.test/dicom-web",
        "slicer://viewer/?studyUID=<script>&dicomweb_endpoint=https://evil.test/dicom-web",
        "slicer://viewer/?studyUID=1.2",
        "javascript:alert(1)",
    ],
)
def test_a_link_that_cannot_be_right_is_refused(dock: RunningDock, link: str):
    with pytest.raises(LaunchError):
        click(dock, link)
    assert "Traceback" not in dock.log


def test_a_study_goes_from_one_dock_to_another_by_link(
    tmp_path: Path, page: Page, context, demonstration: Path
):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    with demonstrating(tmp_path / "giver", demonstration) as giver, running(tmp_path / "taker") as taker:
        page.goto(giver.link("/?source=demo"))
        expect(page.get_by_test_id("studies").locator(".row")).to_have_count(1)
        page.get_by_test_id("studies").focus()
        expect(page.get_by_test_id("action-open")).to_be_enabled()
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("arrival")).to_contain_text("done, 121 of 121 images")
        page.keyboard.press("l")
        expect(page.get_by_text("The link is copied")).to_be_visible()
        link = page.evaluate("navigator.clipboard.readText()")
        assert link.startswith("slicer://viewer/?studyUID=2.25.")
        # The dock knows its own link by its token; what others make up about this address is asked about.
        open_home(page, giver, "/transfers")
        assert "opens it" in click(giver, link)
        expect(page).to_have_url(re.compile(r"/study/2\.25\."))
        assert "asks you" in click(giver, re.sub("access_token=[^&]*", "access_token=made-up", link))
        expect(page.get_by_test_id("question-server")).to_have_text(giver.url)
        expect(page.get_by_test_id("question")).to_contain_text("this machine itself")
        open_home(page, taker)
        click(taker, link)
        page.get_by_test_id("answer-once").click()
        expect(page.get_by_test_id("arrival")).to_contain_text("done, 121 of 121 images")
        expect(page.get_by_test_id("series").locator(".row")).to_have_count(2)
        assert "Traceback" not in giver.log + taker.log
