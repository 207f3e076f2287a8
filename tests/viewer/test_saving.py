"""Saving and sending as the user does it: missing images, versions, questions, servers that refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from pydicom import dcmread

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import load_profiles
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewers import Viewers
from tests.builders import Made
from tests.dock.using import introduce
from tests.servers.orthanc import Orthanc
from tests.viewer.conftest import (
    Opened,
    Screen,
    folders,
    gl,
    looked_at,
    made_study,
    segmented_box,
    store,
    template,
    viewing,
)

pytestmark = [pytest.mark.viewer, pytest.mark.slow]


@dataclass
class Scene:
    """A segmentation and the Orthanc that its study comes from, in a viewer."""

    opened: Opened
    drawing: str
    images: list[Made]
    orthanc: Orthanc

    def password(self, password: str) -> None:
        """Change the password that dicomdock knows."""
        profile = load_profiles(self.opened.settings).get("orthanc")
        Secrets(self.opened.settings).set("orthanc", profile.origin, password)


@contextmanager
def showing(orthanc: Orthanc, folder: Path, *, images: bool) -> Iterator[Scene]:
    """Show a segmentation whose images are here, or on the Orthanc alone."""
    settings = replace(folders(folder), person="Roe^Anna")
    study, series, instances = made_study()
    drawn = segmented_box(instances)
    store(settings, [*instances, drawn] if images else [drawn], origin="orthanc")
    introduce(settings, orthanc, "orthanc")
    with viewing(settings, Resource(study, drawn.series), series) as opened:
        yield Scene(opened, drawn.series, instances, orthanc)


@pytest.fixture(scope="module")
def scene(
    viewer_installed: None, orthanc_process: Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The segmentation with its images; one viewer for all tests that begin with it."""
    with showing(orthanc_process, tmp_path_factory.mktemp("saving"), images=True) as found:
        yield found


@pytest.fixture
def screen(scene: Scene, browser: Browser) -> Iterator[Screen]:
    """The viewer's page with the segmentation open, and nothing unsaved."""
    for screen in looked_at(browser, scene.opened.url):
        screen.reset(scene.opened)
        screen.open_drawing(scene.drawing)
        yield screen


def painted(screen: Screen) -> None:
    """Paint a stroke."""
    screen.wait("!s.send_open && !s.leaving_open")
    screen.brush()
    x, y = screen.middle()
    screen.drag((x - 30, y), (x + 30, y))
    screen.wait("s.unsaved")
    screen.page.keyboard.press("Escape")


def test_images_that_are_missing_are_announced_fetched_and_the_segmentation_opens_on_them(
    viewer_installed: None, orthanc: Orthanc, browser: Browser, tmp_path: Path
) -> None:
    with showing(orthanc, tmp_path, images=False) as scene:
        orthanc.add(*(one.data for one in scene.images))
        for screen in looked_at(browser, scene.opened.url, complete=False):
            expect(screen.page.get_by_test_id("empty")).to_contain_text("no images on this computer")
            expect(screen.page.get_by_test_id("missing")).to_contain_text(
                "belongs to images that are not on this computer"
            )
            screen.button("fetch-missing").click()
            screen.wait("s.complete && s.drawing_uid && s.tool === 'segment'")
            expect(screen.page.get_by_test_id("missing")).to_have_count(0)
            expect(screen.page.locator(".editor input[type=text]").first).to_have_value("Box")


def test_saving_twice_says_that_nothing_has_changed_and_a_change_makes_a_version(
    scene: Scene, screen: Screen
) -> None:
    before = scene.opened.made_here()
    screen.page.keyboard.press("Control+s")
    screen.note("Nothing has changed")
    assert scene.opened.made_here().keys() == before.keys()
    painted(screen)
    screen.button("structure").click()
    screen.page.keyboard.press("Control+s")  # from a field too
    screen.note("(version 2)")
    version = scene.opened.saved_since(before)
    assert dcmread(version.path, stop_before_pixels=True).ContentCreatorName == "Roe^Anna"
    screen.page.keyboard.press("Control+s")
    screen.note("Nothing has changed")
    assert scene.opened.saved_since(before).path == version.path


def test_a_drawing_that_is_not_saved_is_asked_about_before_another_takes_its_place(
    scene: Scene, screen: Screen
) -> None:
    painted(screen)
    before = scene.opened.made_here()
    screen.button("new-drawing").click()
    screen.button("leave-stay").click()
    screen.wait("s.unsaved && !s.leaving_open")
    screen.button("new-drawing").click()
    screen.button("leave-save").click()
    screen.wait("!s.unsaved && !s.drawing_uid")
    saved = scene.opened.saved_since(before)
    painted(screen)
    screen.button("new-drawing").click()
    screen.button("leave-drop").click()
    screen.wait("!s.unsaved && !s.leaving_open")
    assert scene.opened.saved_since(before).path == saved.path


def test_a_refused_login_is_reported_and_sending_can_be_tried_again(
    scene: Scene, screen: Screen, orthanc: Orthanc
) -> None:
    painted(screen)
    screen.page.keyboard.press("Control+s")
    screen.note("Saved in the archive")
    scene.password("not the password")
    screen.button("send").click()
    expect(screen.page.get_by_test_id("send-server")).to_have_value("orthanc")
    screen.button("send-now").click()
    expect(screen.page.get_by_test_id("send-now")).to_have_text("Try again")
    expect(screen.page.get_by_test_id("send-words")).to_contain_text("orthanc")
    assert orthanc.instance_count() == 0
    scene.password(scene.orthanc.password)
    screen.button("send-now").click()
    made = len(scene.opened.made_here())
    are = "is" if made == 1 else "are"
    expect(screen.page.get_by_test_id("send-words")).to_contain_text(f"{made} of {made} {are} on orthanc")
    expect(screen.page.get_by_test_id("send-answers").locator("details")).not_to_have_count(0)
    assert orthanc.instance_count() == made
    screen.button("send-profile").select_option("basic")
    for box in screen.page.get_by_role("dialog", name="Send").get_by_role("checkbox").all():
        box.check()
    preview = screen.page.get_by_test_id("send-preview")
    expect(preview).to_contain_text("The receiver sees Patient's Name: ")
    expect(preview).not_to_contain_text("Doe")
    screen.button("send-now").click()
    expect(screen.page.get_by_test_id("send-words")).to_have_text(
        f"{made} of {made} {are} on orthanc, de-identified."
    )
    assert orthanc.instance_count() == 2 * made
    screen.button("send-profile").select_option("")
    expect(preview).to_be_hidden()
    screen.button("send-close").click()


def test_what_is_drawn_survives_a_closed_page_and_another_series(
    scene: Scene, screen: Screen, browser: Browser
) -> None:
    painted(screen)
    screen.page.close()
    for again in looked_at(browser, scene.opened.url):
        again.wait("s.unsaved")
        again.tool("series")
        again.button(f"series-{scene.opened.series}").click()
        again.wait("s.complete && s.unsaved")


def test_a_segmentation_that_is_asked_for_while_its_study_comes_is_opened_when_all_is_here(
    viewer_installed: None, browser: Browser, tmp_path: Path
) -> None:
    settings = folders(tmp_path)
    study, series, instances = made_study()
    drawn = segmented_box(instances)
    viewers = Viewers(settings, spare=False, template=template(), gl=gl())
    try:
        url = viewers.open(Resource(study, drawn.series), pulling=True)
        for screen in looked_at(browser, url, complete=False):
            store(settings, instances)
            screen.wait(f"s.series_uid === '{series}'")
            store(settings, [drawn])
            viewers.pull_changed(study, False)
            screen.wait(f"s.complete && s.drawing_uid === '{drawn.series}' && !s.missing_words")
    finally:
        viewers.close()
