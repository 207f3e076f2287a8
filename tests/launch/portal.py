"""A portal's page with links, and a browser whose user allowed it to open them before."""

from __future__ import annotations

import html
import http.server
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserContext, BrowserType

from tests.chromium import ARGUMENTS, CHROMIUM


@contextmanager
def portal(links: list[str]) -> Iterator[str]:
    """Serve a page with these links, ``#a0``, ``#a1``, ... on loopback, and give its origin."""
    page = "".join(f'<p><a id="a{n}" href="{html.escape(link)}">{n}</a>' for n, link in enumerate(links))

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def browser_of_the_desktop(
    chromium: BrowserType, folder: Path, origin: str, environment: Mapping[str, str]
) -> Iterator[BrowserContext]:
    """Start Chromium so that a click goes through xdg-open, without root, screen or policy.

    Parameters
    ----------
    folder : of its profile, new; the profile says that the user ticked "Always allow" for the origin.
    environment : what it, and so the opener, gets besides this process's.
    """
    (folder / "Default").mkdir(parents=True)
    allowed = {origin: {"slicer": True, "dicomdock": True}}
    preferences = {"protocol_handler": {"allowed_origin_protocol_pairs": allowed}}
    (folder / "Default" / "Preferences").write_text(json.dumps(preferences))
    # xdg-open wants a screen to be named before it looks for handlers, and must not fall back to a browser.
    desktop = {"DISPLAY": ":4242", "BROWSER": "/bin/false", **environment}
    context = chromium.launch_persistent_context(
        str(folder),
        executable_path=CHROMIUM,
        headless=False,
        args=["--headless=new", *ARGUMENTS],
        env={**os.environ, **desktop},
        chromium_sandbox=os.getuid() != 0,
    )
    yield context
    context.close()
