"""A case of a project in the viewer: one draws and submits it, another one looks at it and accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pydicom import dcmread

from dicomdock import Archive, Resource
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.project.model import CaseState
from tests.conftest import BROWSER_MS
from tests.dock.running import RunningDock, connected, running
from tests.dock.using import arrived, open_at, rows
from tests.viewer.conftest import WINDOW_SIZE, Screen, folders, made_study, store

pytestmark = [pytest.mark.viewer, pytest.mark.slow]


def _homes(folder: Path, shared: Path) -> dict[str, Settings]:
    """Make homes for two people who share an archive."""
    homes = {}
    for person in ("anna", "rita"):
        home = folders(folder / person)
        home.config.mkdir(0o700, parents=True)
        (home.config / "settings.toml").write_text(f'person = "{person}"\narchive = "{shared}"\n')
        homes[person] = home.overlaid()
    return homes


def _next(page: Page, dock: RunningDock) -> Screen:
    """Press the key for the next case, and wait until its images are in the viewer."""
    expect(page.get_by_test_id("work-next")).to_be_enabled()
    page.keyboard.press("n")
    arrived(page, lambda url: f":{dock.port}/" not in url, BROWSER_MS / 1000)
    page.wait_for_selector("[data-view]")
    screen = Screen(page)
    screen.wait("s.complete")
    page.wait_for_selector('[data-view="Red"] .bl')
    return screen


def _back(page: Page, dock: RunningDock) -> None:
    page.goto(f"{dock.url}/work")
    connected(page)


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """Yield a page without any history."""
    context = browser.new_context(viewport=WINDOW_SIZE)
    context.set_default_timeout(BROWSER_MS)
    yield context.new_page()
    context.close()


def test_it_is_drawn_submitted_and_reviewed(viewer_installed: None, tab: Page, tmp_path: Path) -> None:
    page = tab
    homes = _homes(tmp_path, tmp_path / "shared")
    study, series, instances = made_study()
    store(homes["rita"], instances)
    Cohorts(homes["rita"]).save("livers", [Item(Resource(study, series), modality="CT")], {})
    with Archive.open(homes["rita"]) as archive:
        archive.make_project(
            "livers",
            "livers",
            "segment the liver",
            segments=["liver"],
            annotators=["anna"],
            reviewers=["rita"],
            review=True,
        )
    with running(tmp_path / "anna", viewer=True) as dock:
        open_at(page, dock, "/work")
        screen = _next(page, dock)
        screen.brush()
        x, y = screen.middle()
        screen.drag((x - 30, y), (x + 30, y))
        screen.wait("s.unsaved")
        page.keyboard.press("Escape")
        expect(page.locator(".editor input[type=text]").first).to_have_value("liver")  # nobody typed it
        page.keyboard.press("Control+s")
        screen.note("Saved in the archive")
        page.get_by_test_id("leave").click()
        arrived(page, lambda url: url.endswith(f":{dock.port}/work?project=livers"), BROWSER_MS / 1000)
        connected(page)
        expect(page.get_by_test_id("work-submit")).to_be_enabled()
        page.keyboard.press("s")
        expect(page.get_by_text("Case 1 is submitted.")).to_be_visible()
    with running(tmp_path / "rita", viewer=True) as dock:
        open_at(page, dock, "/work")
        screen = _next(page, dock)
        screen.wait("s.drawing_uid")  # what was drawn is open
        _back(page, dock)
        expect(rows(page, "cases").first).to_contain_text("in your review")
        expect(page.get_by_test_id("work-accept")).to_be_enabled()
        page.keyboard.press("a")
        expect(page.get_by_text("Case 1 is accepted.")).to_be_visible()
    with Archive.open(homes["rita"]) as archive:
        (case,) = archive.project("livers").cases()
        assert case.state is CaseState.DONE
        assert case.result is not None
        (part,) = archive.retrieve(case.result)
        assert part.path is not None
        written = dcmread(part.path, stop_before_pixels=True)
        assert written.ContentCreatorName == "anna"
        (segment,) = written.SegmentSequence
        assert segment.SegmentLabel == "liver"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"  # Liver of SNOMED CT
        assert written.InstanceNumber == 1  # what the viewer saved, not a copy
