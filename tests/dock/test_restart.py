"""A dock that ends and starts again: what its open pages say and do."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.dock.running import connected, running
from tests.dock.using import forget_key, open_at
from tests.servers.process import free_port


def test_pages_outlive_the_dock(home: Path, browser: Browser, page: Page) -> None:
    folder, port = home / "dicomdock", str(free_port())
    with running(folder, "--port", port) as dock:
        open_at(page, dock, "/servers")
        stranger = browser.new_context().new_page()
        open_at(stranger, dock, "/servers")
        forget_key(stranger)
    gone = page.locator("#popup")
    expect(gone).to_be_visible()
    expect(gone).to_have_text(
        "The dock does not answer. This page connects again by itself; to start the dock, run dicomdock run."
    )
    page.evaluate("window.before = true")
    with running(folder, "--port", port) as dock:
        page.wait_for_function("!window.before")
        connected(page)
        expect(gone).to_be_hidden()
        page.goto(f"{dock.url}/settings")
        connected(page)
        expect(stranger.locator("#popup")).to_have_text(
            "The dock was started anew and does not know this browser: run dicomdock run for a new link."
        )
        stranger.reload()
        expect(stranger.get_by_text("opens only through")).to_be_visible()
        stranger.context.close()
