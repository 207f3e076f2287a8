"""A study whose segmentation is here, and whose images are not."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.dock.running import RunningDock, connected
from tests.dock.using import introduce, keep, open_at, rows
from tests.servers.orthanc import Orthanc
from tests.viewer.conftest import made_study, segmented_box


def test_images_that_are_missing_are_announced_and_fetched(
    dock: RunningDock, page: Page, orthanc: Orthanc, tmp_path: Path
) -> None:
    study, _, instances = made_study()
    keep(dock.settings, tmp_path / "made", [segmented_box(instances)])
    introduce(dock.settings, orthanc)
    open_at(page, dock, f"/study/{study}")
    connected(page)
    line = page.get_by_test_id("missing-sources")
    expect(line).to_contain_text(
        "A segmentation or report of this study belongs to images that are not on this computer."
    )
    page.get_by_test_id("fetch-missing").click()
    expect(page.get_by_text("None of hospital has the images that this belongs to.")).to_be_visible()
    orthanc.add(*(one.data for one in instances))
    page.get_by_test_id("fetch-missing").click()
    expect(rows(page, "series")).to_have_count(2)
    expect(page.get_by_test_id("arrival")).to_contain_text("24 of 24 images")
    expect(line).to_be_hidden()
    page.reload()
    expect(rows(page, "series")).to_have_count(2)
    expect(line).to_be_hidden()
