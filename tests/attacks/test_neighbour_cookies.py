"""Attacks of a program on another port of this host: cookies ignore ports, so that its cookies reach us.

A cookie that it plants neither hides the session of a page, nor ends it, nor counts as one.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import BrowserContext, Page, Response, Route, expect

from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewers import Viewers
from dicomdock.web.cookies import cookie_values
from tests.conftest import unavailable
from tests.dock.running import RunningDock, running
from tests.viewer.conftest import folders, gl, made_study, store, template

PLANTED = ("planted", '"', "\udcff\udc80", "a" * 3000)
PLANT_KEY = """planted => new Promise((done) => {
  indexedDB.open("dicomdock", 1).onsuccess = async ({ target }) => {
    const store = () => target.result.transaction("keys", "readwrite").objectStore("keys");
    const hmac = { name: "HMAC", hash: "SHA-256" };
    const signing = await crypto.subtle.importKey("raw", new Uint8Array(32), hmac, false, ["sign"]);
    store().get("session").onsuccess = ({ target }) => {
      const key = planted === "no key" ? undefined : { ...target.result, signing };
      if (planted === "a key of another dock") key.browser = "1.planted";
      store().put(key, "session").onsuccess = done;
    };
  };
})"""
PATHS = ("/", "/servers", "/index.html", "/__dicomdock")


@pytest.mark.slow
@given(
    st.lists(st.text(st.characters(codec="latin-1", exclude_characters=";")), max_size=5),
    st.lists(st.text(st.characters(codec="latin-1", exclude_characters=";")), max_size=5),
)
def test_no_other_cookie_hides_ours(before: Sequence[str], behind: Sequence[str]) -> None:
    header = "; ".join([*before, "dicomdock-1=ours", *behind])
    assert "ours" in list(cookie_values(header, "dicomdock-1"))


@contextmanager
def neighbour(cookies: Sequence[str]) -> Iterator[str]:
    """Run a server on another port that sets cookies; gives its address."""

    class Planting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for cookie in cookies:
                self.send_header("Set-Cookie", cookie)
            self.end_headers()
            self.wfile.write(b"<title>neighbour</title>")

        def send_header(self, keyword: str, value: str) -> None:
            line = f"{keyword}: {value}\r\n".encode("utf-8", "surrogateescape")
            self._headers_buffer.append(line)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Planting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def plant(context: BrowserContext, cookies: Sequence[str]) -> None:
    """Let the browser visit a neighbour that sets these cookies."""
    with neighbour(cookies) as address:
        visit = context.new_page()
        visit.goto(address)
        visit.close()


def forged(name: str) -> list[str]:
    """Return cookies of our name: in the place of ours, and for paths of ours."""
    return [f"{name}={value}; Path={path}" for value in PLANTED for path in PATHS]


# ---- the dock


@pytest.fixture(scope="module")
def dock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDock]:
    with running(tmp_path_factory.mktemp("neighbours") / "home") as started:
        yield started


@pytest.fixture
def opened(context: BrowserContext, dock: RunningDock) -> Page:
    page = context.new_page()
    page.goto(dock.link())
    expect(page.get_by_test_id("nav-studies")).to_be_visible()
    return page


def test_a_cookie_in_the_place_of_ours_does_not_log_out(
    context: BrowserContext, dock: RunningDock, opened: Page
) -> None:
    plant(context, forged(f"dicomdock-{dock.port}"))
    sent = {cookie.get("value") for cookie in context.cookies(f"{dock.url}/")}
    assert not any(len(value or "") == 43 for value in sent), "the neighbour has replaced the session"
    opened.goto(f"{dock.url}/servers")
    expect(opened.get_by_test_id("nav-studies")).to_be_visible()
    other = context.new_page()
    other.goto(f"{dock.url}/")
    expect(other.get_by_test_id("nav-studies")).to_be_visible()


def test_the_visit_of_a_neighbours_page_does_not_resume(
    context: BrowserContext, dock: RunningDock, opened: Page
) -> None:
    opened.close()
    context.clear_cookies()
    page = context.new_page()
    with neighbour([]) as address:
        page.goto(address)
        page.evaluate("url => { location.href = url; }", f"{dock.url}/servers")
        expect(page.get_by_text("opens only through")).to_be_visible()
    assert not context.cookies(dock.url)


def test_a_browser_that_takes_no_cookie_is_not_led_in_a_circle(
    context: BrowserContext, dock: RunningDock, opened: Page
) -> None:
    context.clear_cookies()

    def without_cookie(route: Route) -> None:
        answer = route.fetch()
        context.clear_cookies()
        headers = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        route.fulfill(response=answer, headers=headers)

    context.route("**/session", without_cookie)
    with opened.expect_request("**/session"):
        opened.goto(f"{dock.url}/servers", wait_until="commit")
    expect(opened.get_by_text("opens only through")).to_be_visible()


@pytest.mark.parametrize("planted", ["no key", "another key", "a key of another dock"])
def test_nothing_but_what_the_dock_gave_resumes(dock: RunningDock, opened: Page, planted: str) -> None:
    opened.context.clear_cookies()
    opened.evaluate(PLANT_KEY, planted)
    opened.goto(f"{dock.url}/servers")
    expect(opened.get_by_text("opens only through")).to_be_visible()


# ---- a viewer


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if importlib.util.find_spec("trame_slicer") is None:
        unavailable("The viewer", "pip install 'dicomdock[viewer]'")
    settings = folders(tmp_path_factory.mktemp("neighbours"))
    study, _, instances = made_study()
    store(settings, instances)
    viewers = Viewers(settings, spare=False, template=template(), gl=gl())
    try:
        yield viewers.open(Resource(study))
    finally:
        viewers.close()


@pytest.mark.viewer
@pytest.mark.slow
def test_a_viewer_goes_on_behind_cookies_of_a_neighbour(context: BrowserContext, viewer: str) -> None:
    port = urlsplit(viewer).port
    page = context.new_page()
    statuses: list[int] = []

    def answered(answer: Response) -> None:
        if answer.url.endswith("/viewer.css") and answer.request.method == "HEAD":
            statuses.append(answer.status)

    page.on("response", answered)
    page.goto(viewer)
    page.get_by_test_id("tool-series").wait_for()
    plant(context, [*forged(f"dicomdock-viewer-{port}"), *(f"n{at}={'x' * 3000}" for at in range(20))])
    # The neighbour has replaced the secret once an answer is 403; one before may still be on its way.
    with page.expect_response(
        lambda answer: answer.url.endswith("/viewer.css") and answer.status == 200 and 403 in statuses,
        timeout=60_000,
    ):
        pass
    expect(page.locator("#gone")).to_have_count(0)
    plant(context, forged(f"dicomdock-viewer-{port}"))
    page.reload()
    page.get_by_test_id("tool-series").wait_for()


@pytest.mark.viewer
@pytest.mark.slow
def test_the_viewers_page_breaks_nothing_of_its_policy(context: BrowserContext, viewer: str) -> None:
    page = context.new_page()
    page.add_init_script(
        """window.refused = [];
        document.addEventListener("securitypolicyviolation", (event) => {
          window.refused.push(event.violatedDirective);
        });"""
    )
    policies: list[str] = []
    page.on(
        "response",
        lambda answer: (
            policies.append(answer.headers.get("content-security-policy", ""))
            if answer.request.resource_type == "document"
            else None
        ),
    )
    page.goto(viewer)
    page.get_by_test_id("tool-series").wait_for()
    assert page.evaluate("window.refused") == []
    scripts = policies[-1].partition("script-src")[2].partition(";")[0]
    assert "'unsafe-inline'" not in scripts
    assert "blob:" not in scripts
    page.evaluate(
        """() => new Promise((refused) => {
          document.addEventListener("securitypolicyviolation", refused, { once: true });
          document.body.insertAdjacentHTML("beforeend", '<img src="data:," onerror="window.hit = 1">');
        })"""
    )
    page.evaluate(
        """() => new Promise((refused) => {
          document.addEventListener("securitypolicyviolation", refused, { once: true });
          const script = document.createElement("script");
          script.textContent = "window.hit = 2";
          document.body.append(script);
        })"""
    )
    assert page.evaluate("window.hit") is None
