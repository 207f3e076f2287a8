"""Every page, in both colours and sizes, with real content: nothing cut off, nobody shut out, each pictured.

With ``DICOMDOCK_SCREENSHOTS=1`` the pictures for the documentation are written to ``docs/screenshots``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dicomdock import Archive
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.launch.trust import TrustStore
from dicomdock.project.store import Projects
from tests.accessibility import OF_COLOURS, violations
from tests.builders import changed, ct_series, document, mr_series, write
from tests.dock.running import RunningDock, demonstrating
from tests.dock.using import keep, open_at, rows, still
from tests.pictures import COLOURS, FOR_DOCS, picture

SIZES = {"1280": {"width": 1280, "height": 800}, "1920": {"width": 1920, "height": 1080}}
NARROW = (640, 390)
HEADER_FITS = """() => [...document.querySelectorAll("header :is(button, a)")].every(
    (one) => one.scrollWidth <= one.clientWidth + 1 || one.scrollWidth > 180)"""
"""All names in the header are whole, but those of servers that are longer than 180 pixels."""
SIDEWAYS = """() => [...document.querySelectorAll("*")].filter((one) =>
    one.clientWidth && one.scrollWidth > one.clientWidth + 1 &&
    /auto|scroll/.test(getComputedStyle(one).overflowX)
).map((one) => `${one.tagName} ${one.className} ${one.clientWidth} of ${one.scrollWidth}`)"""
"""What would have to be scrolled sideways to be seen whole."""
NAMES = ("Doe^Jane", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Buc^Jérôme", "Люкceмбypг", "Müster^Max^^Dr.")
FILES = "input-folder"


@pytest.fixture(scope="module")
def full_dock(tmp_path_factory: pytest.TempPathFactory, demonstration: Path) -> Iterator[RunningDock]:
    """A dock with some studies, a done and a failed transfer, and a trusted server; no test changes it."""
    folder = tmp_path_factory.mktemp("content")
    made = []
    for number, name in enumerate(NAMES):
        (one,) = ct_series(1, rows=64, columns=64)
        day = f"2026{number + 1:02}1{number}"
        made.append(changed(one, PatientName=name, PatientID=f"P{4711 + number}", StudyDate=day))
    made += mr_series(4, PatientName="Two^Series", StudyInstanceUID="1.2.7", rows=64, columns=64)
    made += ct_series(3, PatientName="Two^Series", StudyInstanceUID="1.2.7", rows=64, columns=64)
    config = folder / "home" / "config"
    config.mkdir(0o700, parents=True)
    (config / "settings.toml").write_text('person = "anna"\n')
    with demonstrating(folder / "home", demonstration) as dock:
        keep(dock.settings, folder / "made", made, origin="")
        TrustStore(dock.settings).add("https://pacs.example.org")
        _project(dock.settings, list(dict.fromkeys(Resource(one.study, one.series) for one in made)))
        yield dock


def _project(settings: Settings, series: list[Resource]) -> None:
    """Make a project in which anna, whose dock it is, has cases in every state."""
    items = [Item(one, "", f"P{4711 + number}", "CT", "Thorax") for number, one in enumerate(series)]
    Cohorts(settings).save("mixed", items, {})
    with Archive.open(settings) as archive:
        archive.make_project(
            "livers",
            "mixed",
            "segment the liver",
            segments=["liver"],
            instructions="Leave the vessels out.",
            annotators=["anna", "bert"],
            reviewers=["rita"],
            review=True,
        )
        projects = Projects(archive.local)
        for number, person in enumerate(("anna", "anna", "anna", "bert"), 1):
            projects.take("livers", person, (number, 1))
            projects.submit("livers", (number, 1), person, Resource("1.2.7", "1.2.7.1", f"1.2.7.1.{number}"))
        projects.accept("livers", (1, 1), "rita")
        projects.send_back("livers", (2, 1), "rita", "The dome is missing from slice 4 on.")
        projects.take("livers", "anna", (5, 1))


@dataclass(frozen=True)
class Shot:
    """A page as a person sees it.

    Parameters
    ----------
    name : of the picture.
    path : of the page.
    ready : brings the page to where it is worth a picture.
    """

    name: str
    path: str
    ready: Callable[[Page], None]


def _studies(page: Page) -> None:
    expect(rows(page)).to_have_count(6)
    rows(page).filter(has_text="Two, Series").click()
    expect(rows(page, "series")).to_have_count(2)
    still(page)


def _all(page: Page) -> None:
    expect(rows(page)).to_have_count(7)
    rows(page).filter(has_text="Phantom").click()
    expect(rows(page, "series")).to_have_count(2)


def _remove(page: Page) -> None:
    _studies(page)
    page.get_by_test_id("more-actions").click()
    page.get_by_test_id("action-remove").click()
    expect(page.get_by_test_id("ask-remove")).to_contain_text("would be lost")
    expect(page.get_by_test_id("ask-cancel")).to_be_focused()


def _more(page: Page) -> None:
    _studies(page)
    page.get_by_test_id("more-actions").click()
    expect(page.get_by_test_id("action-export")).to_be_visible()


def _keys(page: Page) -> None:
    _studies(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def _upload(page: Page) -> None:
    expect(page.get_by_test_id("choose-files")).to_be_visible()


def _settings(page: Page) -> None:
    expect(page.get_by_test_id("doctor")).to_contain_text("python")
    expect(page.get_by_test_id("trusted")).to_contain_text("pacs.example.org")


def _attributes(page: Page) -> None:
    expect(rows(page, "attributes").first).to_be_visible()


def _servers(page: Page) -> None:
    expect(page.get_by_test_id("server-demo")).to_be_visible()
    page.get_by_test_id("test-demo").click()
    expect(page.get_by_test_id("server-demo")).to_contain_text("Studies can be searched")


def _server_form(page: Page) -> None:
    page.get_by_test_id("edit-demo").click()
    expect(page.get_by_test_id("server-form")).to_be_visible()


def _transfers(page: Page) -> None:
    expect(page.get_by_test_id("nav-transfers")).to_be_visible()
    still(page)
    list_ = page.get_by_test_id("transfers")
    for width, columns in ((390, 3), (640, 5), (1280, 6)):  # as many as there is room for
        page.set_viewport_size({"width": width, "height": 800})
        expect(list_.locator("[role=columnheader]:not(.check)")).to_have_count(columns)
        assert list_.evaluate("(list) => list.scrollWidth <= list.clientWidth")


def _work(page: Page) -> None:
    expect(rows(page, "cases")).to_have_count(4)
    rows(page, "cases").filter(has_text="sent back").click()
    expect(page.get_by_test_id("case")).to_contain_text("The dome is missing")


def _study(page: Page) -> None:
    expect(rows(page, "series")).to_have_count(2)


def _visible(testid: str) -> Callable[[Page], None]:
    return lambda page: expect(page.get_by_test_id(testid)).to_be_visible()


SHOTS = (
    Shot("studies", "/?source=local", _studies),
    Shot("studies-all", "/?source=all", _all),
    Shot("studies-none", "/?source=local&PatientName=nobody", _visible("no-match")),
    Shot("remove", "/?source=local", _remove),
    Shot("more-actions", "/?source=local", _more),
    Shot("keys", "/?source=local", _keys),
    Shot("work", "/work", _work),
    Shot("study", "/study/1.2.7", _study),
    Shot("study-not-here", "/study/1.2.3", _visible("not-here")),
    Shot("attributes", "/attributes?of=1.2.7&source=local", _attributes),
    Shot("upload", "/upload", _upload),
    Shot("upload-gone", "/upload/none", _visible("batch-gone")),
    Shot("transfers", "/transfers", _transfers),
    Shot("servers", "/servers", _servers),
    Shot("server-form", "/servers", _server_form),
    Shot("settings", "/settings", _settings),
    Shot("missing", "/nowhere", _visible("missing")),
    Shot(
        "link-gone", "/link/1", lambda page: expect(page.get_by_text("This link has expired")).to_be_visible()
    ),
)


@pytest.fixture(scope="module")
def seen(browser: Browser, full_dock: RunningDock) -> Iterator[Page]:
    """A page with a session, one for all pictures."""
    context = browser.new_context(viewport=SIZES["1280"])
    page = context.new_page()
    open_at(page, full_dock, "/transfers")
    yield page
    context.close()


def check(page: Page, rules: Sequence[str] = ()) -> None:
    """See that nobody is shut out, and that nothing lies beside the page."""
    still(page)  # what fades in has too little contrast until it is there
    # What lies behind a dialog is dimmed on purpose, and out of reach.
    dialog = page.locator(".q-dialog").count() > 0
    found = violations(page, ".q-dialog" if dialog else None, rules=rules)
    told = [
        f"{item['id']}: {[node['html'] for node in item['nodes']][:3]}"
        for item in found
        if item["id"] != "region"  # a menu lies beside the landmarks, while it is open
    ]
    assert not told, "\n".join(told)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "the page is wider than the window"
    )


def fits(page: Page) -> None:
    """See that a page is no wider than a phone, and than a small window whose letters are doubled."""
    for width in NARROW:
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        page.wait_for_function(HEADER_FITS)
        still(page)
        assert page.evaluate(SIDEWAYS) == [], f"{page.url} at {width} pixels"
    page.set_viewport_size(SIZES["1280"])


def pictured(page: Page, name: str) -> None:
    """See that a page is no wider than the window in both sizes, and take its pictures in both colours."""
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        for colours in COLOURS if FOR_DOCS else COLOURS[-1:]:
            page.emulate_media(color_scheme=colours)
            still(page)
            picture(page, f"{name}-{size}-{colours}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size(SIZES["1280"])


def in_both_colours(page: Page, name: str) -> None:
    """See all that for a page as it is: what depends on the colours in both, the rest in one of them."""
    page.emulate_media(color_scheme="light")
    check(page)
    page.emulate_media(color_scheme="dark")
    check(page, OF_COLOURS)
    fits(page)
    pictured(page, name)


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_a_page(full_dock: RunningDock, seen: Page, shot: Shot):
    seen.emulate_media(color_scheme="light")
    seen.goto(f"{full_dock.url}{shot.path}")
    shot.ready(seen)
    in_both_colours(seen, shot.name)


def test_the_upload_pages(demo_dock: RunningDock, page: Page, tmp_path: Path):
    head, chest = ct_series(3, rows=64, columns=64), mr_series(2, PatientName="Yamada^Tarou=山田^太郎")
    odd = changed(head[0], PatientComments="other")
    write(tmp_path / "disk" / "DICOM", [*head, odd, *chest, document()])
    (tmp_path / "disk" / "readme.txt").write_text(
        "Not a picture, but it lies on every disk of every hospital." * 5
    )
    open_at(page, demo_dock, "/upload")
    page.get_by_test_id(FILES).set_input_files(tmp_path / "disk")
    expect(rows(page, "groups")).to_have_count(3)
    expect(page.get_by_test_id("keep-batch")).to_be_enabled()
    in_both_colours(page, "upload-preview")
    page.get_by_test_id("target").click()
    page.get_by_role("option", name="Store, and send to demo").click()
    page.get_by_test_id("keep-batch").click()
    expect(page.get_by_test_id("batch-words")).to_contain_text("done")
    refused = rows(page, "results").filter(has_text="with other content")
    expect(refused).to_have_count(1)
    expect(refused).to_contain_text("not stored")
    in_both_colours(page, "upload-results")
