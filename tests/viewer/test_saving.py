"""Saving and sending as the user does it: missing images, versions, questions, servers that refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from dicomdock.archive import Archive
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewers import Viewers
from tests.servers.orthanc import Orthanc
from tests.viewer.conftest import Screen, folders, looked_at, made_study, segmented_box, store

pytestmark = [pytest.mark.viewer, pytest.mark.slow]


@dataclass
class Scene:
    """An archive with a segmentation whose images lie on an Orthanc, in a viewer."""

    settings: Settings
    study: str
    series: str
    url: str
    orthanc: Orthanc
    viewers: Viewers

    def made(self) -> list[str]:
        """Give the series that were made here."""
        with Archive.open(self.settings) as archive:
            return [
                one.resource.series or "" for one in archive.instances(Resource(self.study)) if one.made_here
            ]

    def password(self, password: str) -> None:
        """Change the password that dicomdock knows."""
        profile = load_profiles(self.settings).get("orthanc")
        Secrets(self.settings).set("orthanc", profile.origin, password)


@pytest.fixture(scope="module")
def scene(
    viewer_installed: None, orthanc_process: Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Open the segmentation; its images are not here."""
    settings = folders(tmp_path_factory.mktemp("saving"))
    study, series, instances = made_study()
    orthanc_process.add(*(one.data for one in instances))
    drawn = segmented_box(instances)
    store(settings, [drawn], origin="orthanc")
    profile = ServerProfile("orthanc", orthanc_process.url, Login("basic", user=orthanc_process.user))
    load_profiles(settings).with_profile(profile).save(settings)
    viewers = Viewers(settings, spare=False)
    try:
        url = viewers.open(Resource(study, drawn.series))
        made = Scene(settings, study, series, url, orthanc_process, viewers)
        made.password(orthanc_process.password)
        yield made
    finally:
        viewers.close()


@pytest.fixture
def screen(scene: Scene, browser: Browser) -> Iterator[Screen]:
    """The viewer's page."""
    yield from looked_at(browser, scene.url)


def painted(screen: Screen) -> None:
    """Paint a stroke."""
    screen.wait("!s.send_open && !s.leaving_open")
    screen.page.keyboard.press("p")
    screen.wait("s.drawing_name && s.tool === 'segment'")
    x, y = screen.middle()
    screen.drag((x - 30, y), (x + 30, y))
    screen.wait("s.unsaved")
    screen.page.keyboard.press("Escape")


def test_images_that_are_missing_are_announced_fetched_and_the_segmentation_opens_on_them(
    scene: Scene, browser: Browser
) -> None:
    for screen in looked_at(browser, scene.url, complete=False):
        expect(screen.page.get_by_test_id("empty")).to_contain_text("no images on this computer")
        missing = screen.page.get_by_test_id("missing")
        expect(missing).to_contain_text("belongs to images that are not on this computer")
        screen.button("fetch-missing").click()
        screen.wait("s.complete && s.drawing_uid && s.tool === 'segment'", 60)
        expect(screen.page.get_by_test_id("missing")).to_have_count(0)
        expect(screen.page.locator(".editor input[type=text]").first).to_have_value("Box")


def test_saving_twice_says_that_nothing_has_changed_and_a_change_makes_a_version(
    scene: Scene, screen: Screen
) -> None:
    screen.wait("s.drawing_uid")
    screen.page.keyboard.press("Control+s")
    screen.note("Nothing has changed")
    assert scene.made() == []
    painted(screen)
    screen.button("structure").click()
    screen.page.keyboard.press("Control+s")  # from a field too
    screen.note("(version 2)")
    first = scene.made()
    screen.page.keyboard.press("Control+s")
    screen.note("Nothing has changed")
    assert scene.made() == first
    assert len(first) == 1


def test_a_drawing_that_is_not_saved_is_asked_about_before_another_takes_its_place(
    scene: Scene, screen: Screen
) -> None:
    painted(screen)
    count = len(scene.made())
    screen.button("new-drawing").click()
    screen.button("leave-stay").click()
    screen.wait("s.unsaved && !s.leaving_open")
    screen.button("new-drawing").click()
    screen.button("leave-save").click()
    screen.wait("!s.unsaved && !s.drawing_uid", 40)
    assert len(scene.made()) == count + 1
    painted(screen)
    screen.button("new-drawing").click()
    screen.button("leave-drop").click()
    screen.wait("!s.unsaved && !s.leaving_open")
    assert len(scene.made()) == count + 1


def test_a_refused_login_is_told_and_sending_can_be_tried_again(scene: Scene, screen: Screen) -> None:
    scene.password("not the password")
    screen.button("send").click()
    expect(screen.page.get_by_test_id("send-server")).to_have_value("orthanc")
    before = scene.orthanc.instance_count()
    screen.button("send-now").click()
    expect(screen.page.get_by_test_id("send-now")).to_have_text("Try again", timeout=30_000)
    expect(screen.page.get_by_test_id("send-words")).to_contain_text("orthanc")
    assert scene.orthanc.instance_count() == before
    scene.password(scene.orthanc.password)
    screen.button("send-now").click()
    made = len(scene.made())
    expect(screen.page.get_by_test_id("send-words")).to_contain_text(f"{made} of {made} are on orthanc")
    expect(screen.page.get_by_test_id("send-answers").locator("details")).not_to_have_count(0)
    assert scene.orthanc.instance_count() == before + made
    screen.button("send-close").click()


def test_what_is_drawn_survives_a_closed_page_and_another_series(scene: Scene, browser: Browser) -> None:
    for screen in looked_at(browser, scene.url):
        painted(screen)
    for screen in looked_at(browser, scene.url):
        screen.wait("s.unsaved")
        screen.button("tool-series").click()
        screen.button(f"series-{scene.series}").click()
        screen.wait("s.complete && s.unsaved", 40)


def test_a_segmentation_that_is_asked_for_while_its_study_comes_is_opened_when_all_is_here(
    scene: Scene, browser: Browser
) -> None:
    study, series, instances = made_study()
    drawn = segmented_box(instances)
    scene.viewers.close_study(scene.study)
    url = scene.viewers.open(Resource(study, drawn.series), pulling=True)
    for screen in looked_at(browser, url, complete=False):
        store(scene.settings, instances)
        screen.wait(f"s.series_uid === '{series}'")
        store(scene.settings, [drawn])
        scene.viewers.pull_changed(study, False)
        screen.wait(f"s.complete && s.drawing_uid === '{drawn.series}' && !s.missing_words", 40)
