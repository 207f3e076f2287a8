"""The whole loop: from a server into the viewer, drawn, saved, sent back, and seen again."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dicomdock.archive import Archive
from dicomdock.dicomweb import connect
from dicomdock.dicomweb.secrets import Secrets
from dicomdock.dock.viewers import Viewers
from dicomdock.imaging.segmentation import read_segmentation
from dicomdock.profile import Login, ServerProfile, load_profiles
from dicomdock.resource import Resource
from dicomdock.settings import Settings
from dicomdock.transfer import pull
from tests.servers.orthanc import Orthanc
from tests.viewer.conftest import folders, looked_at, made_study

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "screenshots"


def add_server(settings: Settings, orthanc: Orthanc) -> None:
    """Let an archive know the Orthanc."""
    profile = ServerProfile("orthanc", orthanc.url, Login("basic", user=orthanc.user))
    load_profiles(settings).with_profile(profile).save(settings)
    Secrets(settings).set("orthanc", profile.origin, orthanc.password)


def fetch(settings: Settings, study: str) -> None:
    """Pull a study into an archive."""
    with Archive.open(settings) as archive, connect("orthanc", settings) as client:
        for _ in pull(client, archive, [Resource(study)], settings):
            pass


def drawn(settings: Settings, study: str) -> dict[str, int]:
    """Give the segments of the study in an archive, with their number of voxels."""
    with Archive.open(settings) as archive:
        found = [one for one in archive.instances(Resource(study)) if one.sop_class_uid.endswith(".66.4")]
        assert len(found) == 1
        return {one.label: one.mask.count for one in read_segmentation(found[0].path.read_bytes()).segments}


def test_a_segmentation_comes_back_from_the_server(
    orthanc: Orthanc, browser: Browser, tmp_path: Path, viewer_installed: None
) -> None:
    study, series, instances = made_study()
    orthanc.add(*(one.data for one in instances))
    here, there = folders(tmp_path / "here"), folders(tmp_path / "there")
    for settings in (here, there):
        add_server(settings, orthanc)
    fetch(here, study)

    viewers = Viewers(here, spare=False)
    try:
        for screen in looked_at(browser, viewers.open(Resource(study, series))):
            screen.page.keyboard.press("p")
            screen.wait("s.drawing_name && s.tool === 'segment'")
            screen.page.wait_for_timeout(500)  # the panel takes its room
            x, y = screen.middle()
            screen.drag((x - 40, y), (x + 20, y), (x + 20, y + 30))
            screen.wait("s.unsaved")
            screen.button("structure").fill("Mass")
            screen.button("structure").press("Enter")
            screen.button("send").click()
            screen.page.wait_for_selector('[data-testid="send-dialog"]', timeout=60_000)
            assert screen.button("send-server").input_value() == "orthanc"
            screen.button("send-now").click()
            screen.page.wait_for_selector('[data-testid="send-words"] >> text=1 of 1 are on orthanc')
            assert "stored" in screen.button("send-answers").inner_text()
            screen.page.screenshot(path=PICTURES / "send.png")
    finally:
        viewers.close()
    made = drawn(here, study)
    assert made["Mass"] > 100

    fetch(there, study)
    assert drawn(there, study) == made
    viewers = Viewers(there, spare=False)
    try:
        for screen in looked_at(browser, viewers.open(Resource(study, series))):
            screen.button("tool-segment").click()
            screen.wait("s.drawings.length === 1")
            screen.page.wait_for_timeout(500)  # the panel takes its room
            bare = screen.pixels()
            screen.page.locator(".panel .item", has_text="segmentation").first.click()
            screen.wait("s.drawing_uid")
            screen.until_changed(bare, more=0.004)
            screen.page.screenshot(path=PICTURES / "back.png")
    finally:
        viewers.close()
