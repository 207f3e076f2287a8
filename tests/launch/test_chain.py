"""The real chain: a page, a click in Chromium, xdg-open, our registration, our opener, the dock's socket.

No root, no screen, no policy: the browser's profile says that the user ticked "Always allow" before.
"""

import html
import http.server
import json
import os
import queue
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomdock.launch.handoff import HandoffServer
from dicomdock.launch.register import register
from dicomdock.launch.register.linux import LinuxRegistrar
from dicomdock.settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and shutil.which("xdg-open") and sys.platform == "linux"),
        reason="needs chromium and xdg-utils",
    ),
]
KHEOPS = (
    "slicer://viewer?studyUID=1.2.3&access_token=s3cr3t-T0ken.R_~&dicomweb_endpoint=https%3A%2F%2Fa.test%2Fapi"
    "&dicomweb_uri_endpoint=https%3A%2F%2Fa.test%2Fapi%2Fwado"
)
LINKS = {  # what a page says -> what must arrive, where the browser writes it differently
    KHEOPS: "",
    "dicomdock://viewer/?studyUID=1.2,1.3&dicomweb_endpoint=https://a.test/x": "",
    "slicer://viewer/?x=$(touch$IFS{marker})": "",
    "slicer://viewer/?x=1&touch$IFS{marker}&y;touch$IFS{marker};": "",
    'slicer://viewer/?x="a b" --evil': "slicer://viewer/?x=%22a%20b%22%20--evil",
    "slicer://viewer/?x=a%0Ab%00%25u": "",
    "slicer://viewer/?x=`touch {marker}`": "slicer://viewer/?x=%60touch%20{marker}%60",
}


class Portal(http.server.ThreadingHTTPServer):
    """A page with every link."""

    daemon_threads = True

    def __init__(self, links: list[str]) -> None:
        page = "".join(f'<p><a id="a{n}" href="{html.escape(link)}">{n}</a>' for n, link in enumerate(links))

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *args: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Page)
        self.origin = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    server = Portal([link.replace("{marker}", str(tmp_path / "RAN")) for link in LINKS])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def profile(tmp_path: Path, portal: Portal) -> Path:
    folder = tmp_path / "browser"
    (folder / "Default").mkdir(parents=True)
    allowed = {portal.origin: {"slicer": True, "dicomdock": True}}
    preferences = {"protocol_handler": {"allowed_origin_protocol_pairs": allowed}}
    (folder / "Default" / "Preferences").write_text(json.dumps(preferences))
    return folder


@pytest.mark.parametrize("desktop", ["", "GNOME"], ids=["xdg-open", "gio"])
def test_a_click_reaches_the_dock_byte_for_byte(
    desktop: str, home: Path, settings: Settings, portal: Portal, profile: Path, tmp_path: Path
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    register(LinuxRegistrar(settings))
    # xdg-open wants a screen to be named before it looks for handlers, and must not fall back to a browser.
    environment = {**os.environ, "DISPLAY": ":4242", "BROWSER": "/bin/false", "XDG_CURRENT_DESKTOP": desktop}
    arrived: queue.Queue[str] = queue.Queue()
    with (
        HandoffServer(settings, lambda link: arrived.put(link) or ""),
        sync_api.sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=CHROMIUM,
            headless=False,
            args=["--headless=new"],
            env=environment,
            chromium_sandbox=os.getuid() != 0,
        )
        page = browser.pages[0]
        page.goto(portal.origin)
        for number, (said, want) in enumerate(LINKS.items()):
            page.click(f"#a{number}")
            expected = (want or said).replace("{marker}", str(tmp_path / "RAN"))
            assert arrived.get(timeout=20) == expected
        browser.close()
    assert arrived.empty()
    assert not (tmp_path / "RAN").exists()
    for file in (home / "dicomdock").rglob("*"):
        assert not file.is_file() or b"s3cr3t" not in file.read_bytes(), file
