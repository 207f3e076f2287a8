"""The whole loop: a link, the viewer, drawn, saved, sent back, removed, pulled again, changed, sent again.

With ``DICOMDOCK_SCREENSHOTS=1`` a real head goes the way, and its stations are kept in ``docs/screenshots``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import connect
from dicomdock.imaging.segmentation import read_segmentation
from dicomdock.launch.handoff import send
from dicomdock.transfer.pull import pull
from tests.conftest import shared_data, unavailable
from tests.dock.running import RunningDock, connected, running
from tests.dock.using import arrived, introduce, open_at, rows
from tests.pictures import FOR_DOCS, picture
from tests.servers import nginx
from tests.servers.orthanc import Orthanc
from tests.viewer.conftest import Screen, folders, made_study

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

TOKEN = "l1nk-t0ken"


class Walk:
    """One user's way through the pages, with a picture of each station."""

    def __init__(self, page: Page, dock: RunningDock) -> None:
        self.page, self.dock = page, dock
        self.screen = Screen(page)
        self._stations = 0

    def picture(self, name: str) -> None:
        """Keep what is seen."""
        self._stations += 1
        picture(self.page, f"loop-{self._stations}-{name}.png")

    def in_viewer(self) -> None:
        """Wait until the viewer shows the whole series; it opens by itself."""
        arrived(self.page, lambda url: f":{self.dock.port}/" not in url)
        self.page.wait_for_selector("[data-view]")  # its own document is there, no more the one before it
        if FOR_DOCS and self._stations == 1:
            self.screen.wait("s.arrival_words && s.Red_count > 1")
            self.screen.wait("!s.arrival_words.startsWith('0 ')")
            self.screen.drawn()
            self.picture("arriving")
        self.screen.wait("s.complete")
        self.page.wait_for_selector('[data-view="Red"] .bl')

    def paint(self, *points: tuple[float, float]) -> None:
        """Paint through points, given from the middle of the axial view."""
        self.screen.brush()
        self.screen.button("effect-paint").wait_for()
        bare = self.screen.pixels()
        x, y = self.screen.middle()
        self.screen.drag(*((x + right, y + down) for right, down in points))
        self.screen.until_changed(bare, more=0.002)
        self.page.keyboard.press("Escape")
        self.screen.wait("s.tool === 'segment'")

    def name(self, words: str) -> None:
        """Name the segment, by which it gets its codes and colour."""
        self.screen.button("structure").fill(words)
        self.screen.button("structure").press("Enter")
        expect(self.page.locator(".editor input[type=text]").last).to_have_value(words)

    def threshold(self) -> None:
        """Make a second segment of all that is bright."""
        self.screen.button("add-segment").click()
        expect(self.page.locator(".editor .segment")).to_have_count(2)
        self.name("Head")
        bare = self.screen.pixels()
        self.screen.button("effect-threshold").click()
        self.page.get_by_role("button", name="Apply").click()
        self.screen.until_changed(bare, more=0.02)
        self.screen.button("effect-none").click()
        expect(self.page.get_by_role("button", name="Apply")).to_have_count(0)
        self.page.mouse.move(*self.screen.middle())

    def send(self, server: str) -> None:
        """Send what is saved to the server that is offered."""
        self.screen.button("send").click()
        expect(self.screen.button("send-server")).to_have_value(server)
        self.screen.button("send-now").click()
        expect(self.screen.button("send-words")).to_have_text(f"1 of 1 is on {server}.")
        expect(self.screen.button("send-answers")).to_contain_text("stored")

    def remove(self) -> None:
        """Remove the study from this computer."""
        open_at(self.page, self.dock)
        connected(self.page)
        rows(self.page).first.click()
        self.page.get_by_test_id("more-actions").click()
        self.page.get_by_test_id("action-remove").click()
        self.page.get_by_test_id("remove-now").click()
        expect(self.page.get_by_test_id("first-visit")).to_be_visible()

    def open_from(self, server: str) -> None:
        """Open the study that a server has."""
        self.page.get_by_test_id(f"source-{server}").click()
        rows(self.page).first.click()
        expect(self.page.get_by_test_id("series").locator(".row")).to_have_count(2)
        expect(self.page.get_by_test_id("series").locator(".row").first).to_be_visible()
        self.picture(f"on-{server}")
        self.page.keyboard.press("Enter")
        self.in_viewer()


@contextmanager
def gate(orthanc: Orthanc, folder: Path) -> Iterator[str]:
    """Put a gate before Orthanc that lets the link's token in, and nothing else."""
    if remedy := nginx.missing():
        unavailable("nginx", remedy)
    folder.mkdir()
    login = orthanc.headers["Authorization"]
    inside = f'if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }}'
    inside += f' proxy_set_header Authorization "{login}";'
    if FOR_DOCS:
        inside += " limit_rate 1500k;"  # so that the images are seen while they come
    with nginx.before(orthanc.root, folder, inside=inside) as root:
        yield f"{root}/dicom-web"


def given(orthanc: Orthanc) -> str:
    """Put a study on the Orthanc and give its UID."""
    study, _, instances = made_study()
    if not FOR_DOCS:
        orthanc.add(*(one.data for one in instances))
        return study
    from pydicom import dcmread

    files = sorted(shared_data("mr-head").glob("*.dcm"))
    orthanc.add(*files)
    return str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def versions(orthanc: Orthanc, home: Path, study: str) -> list[dict[str, int]]:
    """Return the segmentations of the study that the Orthanc has, oldest first: segments and their voxels."""
    settings = folders(home)
    introduce(settings, orthanc, "orthanc")
    with Archive.open(settings) as archive, connect("orthanc", settings) as client:
        for _ in pull(client, archive, [Resource(study)], settings):
            pass
        found = [one for one in archive.instances(Resource(study)) if one.sop_class_uid.endswith(".66.4")]
        read = [read_segmentation(one.path.read_bytes()) for one in found]
    read.sort(key=lambda one: one.origin.instance_number if one.origin else 0)
    return [{one.label: one.mask.count for one in version.segments} for version in read]


def test_the_whole_loop_from_a_link_to_the_changed_segmentation(
    orthanc: Orthanc, browser: Browser, tmp_path: Path, viewer_installed: None
) -> None:
    study = given(orthanc)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(30_000)
    with gate(orthanc, tmp_path / "gate") as endpoint, running(tmp_path / "dock", viewer=True) as dock:
        introduce(dock.settings, orthanc, "orthanc")
        walk = Walk(page, dock)
        open_at(page, dock, "/servers")
        connected(page)
        link = f"slicer://viewer/?studyUID={study}&access_token={TOKEN}"
        send(f"{link}&dicomweb_endpoint={quote(endpoint, safe='')}", dock.settings, command=())
        expect(page.get_by_test_id("answer-refuse")).to_be_focused()
        connected(page)
        walk.picture("question")
        page.keyboard.press("o")
        walk.in_viewer()
        walk.picture("viewer")

        walk.paint((-30, 0), (20, 0))
        walk.name("Mass")
        walk.paint((0, -60), (40, -60))
        page.keyboard.press("Control+z")
        walk.threshold()
        walk.picture("drawn")
        page.keyboard.press("Control+s")
        walk.screen.note("Saved in the archive")
        linked = endpoint.removeprefix("http://").removesuffix("/dicom-web")
        walk.send(linked)
        walk.picture("sent")
        first = versions(orthanc, tmp_path / "first", study)
        assert [{*one} for one in first] == [{"Mass", "Head"}]
        assert min(first[0].values()) > 100

        walk.remove()
        walk.picture("removed")
        walk.open_from("orthanc")
        walk.screen.button("tool-segment").click()
        walk.screen.wait("s.drawings.length === 1")
        bare = walk.screen.pixels()
        page.locator(".panel .item", has_text="segmentation").click()
        walk.screen.wait("s.drawing_uid")
        walk.screen.until_changed(bare, more=0.02)
        walk.picture("back")

        walk.paint((-60, 60), (-40, 60))
        page.keyboard.press("Control+s")
        walk.screen.note("(version 2)")
        walk.send("orthanc")
        walk.picture("version")
        second = versions(orthanc, tmp_path / "second", study)
        assert second[0] == first[0]
        assert second[1] != first[0]
        assert {*second[1]} == {*first[0]}

        log = dock.log + (dock.settings.state / "viewer.log").read_text(errors="replace")
        assert TOKEN not in log
    page.close()
