"""Fixtures for the dock: a running one, and a real browser that looks at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from dicomdock.config.lock import FileLock
from tests.archive.conftest import new_database, postgresql
from tests.conftest import BROWSER_MS
from tests.dock.running import RunningDock, demonstrating, make_demonstration, running

__all__ = ["new_database", "postgresql"]


@pytest.fixture
def dock(home: Path) -> Iterator[RunningDock]:
    """A dock with an empty archive and no servers."""
    with running(home / "dicomdock") as started:
        yield started


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the archive of the demonstration server once for all processes of a run."""
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent  # of all workers
    folder = run / "demonstration"
    with FileLock(run / "demonstration.lock").held():
        if not folder.exists():
            made = tmp_path_factory.mktemp("made")
            make_demonstration(made)
            made.rename(folder)
    return folder


@pytest.fixture
def demo_dock(home: Path, demonstration: Path) -> Iterator[RunningDock]:
    """A dock with the demonstration server."""
    with demonstrating(home / "dicomdock", demonstration) as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without any history, in the size of a small laptop."""
    fresh = browser.new_context(viewport={"width": 1280, "height": 800})
    fresh.set_default_timeout(BROWSER_MS)
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its test when it asks anything of another host, or when its scripts fail."""
    opened = context.new_page()
    asked: list[str] = []
    failures: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    outside = [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert not outside, f"the page asked other hosts: {outside}"
    assert not failures, f"scripts failed: {failures}"
