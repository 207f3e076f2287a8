"""From a link into the viewer, while the study is still on its way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from dicomdock.launch.handoff import send
from dicomdock.launch.trust import TrustStore
from tests.builders import Made, mr_series
from tests.dicomweb.awkward import attributes_of, multipart
from tests.dicomweb.awkward import rows as answer_rows
from tests.dock.running import RunningDock, connected, running
from tests.dock.using import arrived, keep, open_at, rows
from tests.servers.canned import Answer, Request, answering
from tests.viewer.conftest import SHAPE, WINDOW_SIZE, Screen, made_study

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

SECONDS = 90
COUNT = "00201209"  # Number of Series Related Instances


@dataclass
class Gated:
    """A server that lists and describes at once, and gives each series when it is let through.

    Parameters
    ----------
    series : its series, in the order in which it lists them.
    status : of what it gives.
    """

    series: list[list[Made]]
    status: int = 200
    gates: dict[str, threading.Event] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    asked_for: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.gates = {one[0].series: threading.Event() for one in self.series}

    def __call__(self, request: Request) -> Answer:
        parts = urlsplit(request.path).path.strip("/").split("/")
        if parts[-1] == "series":
            return answer_rows(
                [{**attributes_of(one[0]), COUNT: {"vr": "IS", "Value": [len(one)]}} for one in self.series]
            )
        uid = next(part for part in parts if part in self.gates)
        instances = next(one for one in self.series if one[0].series == uid)
        if parts[-1] in ("metadata", "instances"):
            return answer_rows([attributes_of(one) for one in instances])
        with self.asked_for:
            self.given.append(uid)
            self.asked_for.notify_all()
        self.gates[uid].wait(SECONDS)
        return multipart(one.data for one in instances) if self.status == 200 else Answer(self.status)

    def await_asked(self, count: int) -> None:
        """Wait until so many series were asked for."""
        with self.asked_for:
            assert self.asked_for.wait_for(lambda: len(self.given) >= count, SECONDS)


@pytest.fixture
def dock(tmp_path: Path, viewer_installed: None) -> Iterator[RunningDock]:
    """A dock that opens studies in the viewer, and fetches one series at a time."""
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True)
    (config / "settings.toml").write_text("series_workers = 1\n", "utf-8")
    with running(tmp_path / "home", viewer=True) as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=WINDOW_SIZE)
    opened = context.new_page()
    opened.set_default_timeout(SECONDS * 1000)
    yield opened
    context.close()


def click(dock: RunningDock, page: Page, server: str, study: str, series: str = "") -> None:
    """Follow a link to a study on a server that is trusted, with a page of the dock in sight."""
    TrustStore(dock.settings).add(server)
    page.goto(dock.link("/servers"))
    connected(page)
    link = f"slicer://viewer/?studyUID={study}&dicomweb_endpoint={quote(server, safe='')}"
    link += f"&seriesUID={series}" if series else ""
    assert "opens it" in send(link, dock.settings, command=()).text


def in_the_viewer(dock: RunningDock, page: Page) -> Screen:
    """Wait until the page is the viewer's."""
    arrived(page, lambda url: not url.startswith(dock.url), SECONDS)
    page.wait_for_selector("[data-view]")  # its own document is there, no more the one before it
    return Screen(page)


def test_a_link_ends_in_the_viewer_and_what_is_looked_at_comes_first(dock: RunningDock, page: Page) -> None:
    study, large, instances = made_study()
    others: list[list[Made]] = [
        mr_series(3, StudyInstanceUID=study, SeriesNumber=number) for number in (4, 5, 6)
    ]
    first, later, wanted = (one[0].series for one in others)
    server = Gated([*others, instances])
    with answering(server) as running_server:
        click(dock, page, running_server.url, study)
        screen = in_the_viewer(dock, page)
        # The largest series is looked at; where its images lie is known before one of them is here.
        screen.wait(f"s.series_uid === '{large}' && s.Red_count === {SHAPE[0]}", SECONDS)
        assert screen.words("tr").startswith("Doe, Jane")
        screen.wait(f"s.arrival_words === '0 of {SHAPE[0]} images have arrived'", SECONDS)
        assert server.given == [first]
        server.gates[first].set()
        server.await_asked(2)
        assert server.given == [first, large]
        # Another one is chosen, of which nothing is here either.
        screen.button(f"series-{wanted}").click()
        # Its images are described only after the dock knows that it is looked at.
        screen.wait(f"s.series_uid === '{wanted}' && s.Red_count === 3", SECONDS)
        server.gates[large].set()
        server.await_asked(3)
        assert server.given == [first, large, wanted]
        server.gates[wanted].set()
        screen.wait("s.complete && s.Red_count === 3", SECONDS)
        screen.button(f"series-{large}").click()
        screen.wait(f"s.complete && s.Red_count === {SHAPE[0]}", SECONDS)
        assert screen.pixels().max() > 100
        server.gates[later].set()
        server.await_asked(4)
        # A link to one series of a study that is here opens that one.
        click(dock, page, running_server.url, study, later)
        screen = in_the_viewer(dock, page)
        screen.wait(f"s.complete && s.series_uid === '{later}'", SECONDS)


def test_a_study_that_its_server_does_not_have_ends_on_its_page(dock: RunningDock, page: Page) -> None:
    study, _, _ = made_study()
    with answering(lambda _: answer_rows([])) as server:
        click(dock, page, server.url, study)
        expect(page.get_by_test_id("arrival")).to_contain_text("failed", timeout=SECONDS * 1000)
        assert f"/study/{study}" in page.url


def test_a_download_that_fails_is_reported_in_the_viewer(dock: RunningDock, page: Page) -> None:
    study, series, instances = made_study()
    server = Gated([instances], status=500)
    with answering(server) as running_server:
        click(dock, page, running_server.url, study)
        screen = in_the_viewer(dock, page)
        screen.wait(f"s.series_uid === '{series}'", SECONDS)
        server.gates[series].set()
        screen.note("Not all of the study arrived", SECONDS)


def test_the_list_is_one_step_back_and_the_tab_is_named_after_the_study(
    dock: RunningDock, page: Page, tmp_path: Path
) -> None:
    _, _, instances = made_study(StudyDescription="Head", StudyDate="20240131")
    prior, before, older = made_study(
        StudyDescription="Earlier", StudyDate="20200131", SeriesDescription="Old"
    )
    _, _, another = made_study(PatientName="Doe^John", StudyDescription="Of another", PatientBirthDate="")
    keep(dock.settings, tmp_path / "files", [*instances, *older, *another])
    open_at(page, dock, "/?PatientName=Doe")
    arrived(page, lambda url: url.endswith("/?source=local&PatientName=Doe"), SECONDS)
    found = page.url

    def into_the_viewer() -> Screen:
        rows(page, "studies").filter(has_text="Head").dblclick()
        screen = in_the_viewer(dock, page)
        screen.wait("s.complete", SECONDS)
        return screen

    def in_the_list() -> None:
        arrived(page, lambda url: url == found, SECONDS)
        connected(page)
        expect(page.get_by_test_id("studies").locator(".row")).to_have_count(3)

    # The first time its page comes in between, until a viewer runs; the second time it leads there at once.
    for _ in range(2):
        screen = into_the_viewer()
        expect(page).to_have_title("Doe, Jane – Head, 2024-01-31")
        page.go_back()
        in_the_list()
    screen = into_the_viewer()
    screen.button("leave").click()
    in_the_list()
    screen = into_the_viewer()
    the_earlier_study_is_shown_beside(screen, prior, before)
    page.go_back()
    in_the_list()


def the_earlier_study_is_shown_beside(screen: Screen, prior: str, series: str) -> None:
    """Look at thumbnails, and drag a series of an earlier study of the same patient to a view."""
    page = screen.page
    screen.wait("s.priors.length")
    assert [one["name"] for one in screen.state("priors")] == ["2020-01-31 Earlier"]
    screen.button(f"prior-{prior}").click()
    seen = page.locator(".thumbnail img")
    expect(seen).to_have_count(2)
    for at in range(2):  # what they show is as bright as the phantom is
        image = seen.nth(at)
        image.scroll_into_view_if_needed()
        page.wait_for_function("(image) => image.complete", arg=image.element_handle())
        assert image.evaluate(BRIGHTEST) > 200
    screen.button(f"series-{series}").drag_to(page.locator('[data-view="Red"]'))
    screen.wait(f"s.layout === 'Compare' && s.compare_uid === '{series}' && s.Other_count === {SHAPE[0]}")
    assert "2024-01-31" in screen.words("tr")
    assert "2020-01-31" in screen.words("tr", "Other")
    page.mouse.move(*screen.middle())
    page.keyboard.press("Home")
    screen.wait("s.Red_at === 0 && s.Other_at === 0")
    # Brought together by hand, they stay as far apart.
    screen.tool("layout")
    linked = page.get_by_label("Scroll together")
    linked.uncheck()
    page.mouse.move(*screen.middle("Other"))
    for at in (1, 2, 3):
        page.keyboard.press("ArrowUp")
        screen.wait(f"s.Other_at === {at}")
    assert screen.state("Red_at") == 0
    linked.check()
    page.get_by_label("Same window").check()
    screen.handled()
    page.mouse.move(*screen.middle())
    page.keyboard.press("ArrowUp")
    screen.wait("s.Red_at === 1 && s.Other_at === 4")
    x, y = screen.middle()
    screen.drag((x, y), (x + 60, y + 30))
    screen.wait("s.window_width !== 400")
    assert screen.words("br") == screen.words("br", "Other") != "W 400  C 100"
    page.get_by_label("Zoom together").check()
    small = screen.pixels("Other")
    page.mouse.move(*screen.middle())
    page.mouse.down(button="right")
    page.mouse.move(x, y + 80, steps=6)
    page.mouse.up(button="right")
    screen.until(lambda: screen.changed(small, "Other") > 0.02, words="the other view was not enlarged")
    # The earlier study has a space of its own: what is measured here is not drawn there.
    screen.tool("measure")
    screen.button("distance").click()
    screen.wait("s.measuring === 'distance'")
    bare = {view: screen.pixels(view) for view in ("Red", "Other")}
    screen.drag((x - 40, y), (x + 40, y + 40))
    screen.wait("!s.measuring && s.measurements.length === 1")
    screen.until_changed(bare["Red"], more=0.0005)
    assert screen.changed(bare["Other"], "Other") == 0


BRIGHTEST = """(image) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const drawn = canvas.getContext("2d");
    drawn.drawImage(image, 0, 0);
    const { data } = drawn.getImageData(0, 0, canvas.width, canvas.height);
    return Math.max(...data.filter((_, i) => i % 4 < 3));
}"""
