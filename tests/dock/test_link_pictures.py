"""A link's pages in both colours: nobody is shut out; with ``DICOMDOCK_SCREENSHOTS=1``, pictures of them.

The pictures go to ``docs/screenshots``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from dicomdock.launch.handoff import send
from tests.accessibility import OF_COLOURS, violations
from tests.builders import ct_series
from tests.dock.running import RunningDock, connected
from tests.dock.test_link_opening import TOKEN, only_album
from tests.dock.using import still
from tests.pictures import COLOURS, picture
from tests.servers import nginx
from tests.servers.canned import Answer, Request, answering
from tests.servers.orthanc import Orthanc


@pytest.fixture
def seen(browser: Browser, dock: RunningDock) -> Iterator[Page]:
    """A page with a session."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(dock.link("/servers"))
    expect(page.get_by_test_id("nav-studies")).to_be_visible()
    yield page
    context.close()


def check(page: Page, name: str) -> None:
    """Look whether everybody can use the page, in both colours, and take its pictures."""
    connected(page)
    for colours in COLOURS:
        page.emulate_media(color_scheme=colours)
        still(page)
        found = violations(page, rules=() if colours == COLOURS[0] else OF_COLOURS)
        serious = [item["id"] for item in found if item["impact"] in ("serious", "critical")]
        assert not serious, colours
        picture(page, f"{name}-1280-{colours}.png")


def album_of_jane(request: Request) -> Answer:
    """Answer as an album of somebody with a plain name."""
    answer = only_album(request)
    return replace(answer, body=answer.body.replace(b"<b>", b""))


@contextmanager
def slow(orthanc: Orthanc, folder: Path) -> Iterator[str]:
    """Put a slow line before Orthanc, so that a download can be seen while it runs."""
    if remedy := nginx.missing():
        pytest.skip(f"needs nginx: {remedy}")
    folder.mkdir()
    login = orthanc.headers["Authorization"]
    with nginx.before(
        orthanc.root, folder, inside=f'limit_rate 120k; proxy_set_header Authorization "{login}";'
    ) as root:
        yield f"{root}/dicom-web"


def test_the_way_of_a_link(dock: RunningDock, seen: Page, orthanc: Orthanc, tmp_path: Path) -> None:
    instances = ct_series(12, rows=128, columns=128)
    orthanc.add(*(instance.data for instance in instances))
    study = instances[0].resource.study
    with answering(album_of_jane) as kheops:
        send(f"{kheops.url.replace('/dicom-web', '')}/view/{TOKEN}", dock.settings, command=())
        expect(seen.get_by_test_id("answer-refuse")).to_be_focused()
        connected(seen)
        seen.keyboard.press("o")
        expect(seen.get_by_test_id("offer")).to_be_visible()
        seen.get_by_test_id("offer-0").click()
        check(seen, "link-offer")
    with slow(orthanc, tmp_path / "slow") as endpoint:
        link = (
            f"slicer://viewer/?studyUID={study}&access_token=x&dicomweb_endpoint={quote(endpoint, safe='')}"
        )
        send(link, dock.settings, command=())
        expect(seen.get_by_test_id("question-studies")).to_have_text(study)
        connected(seen)
        expect(seen.get_by_test_id("answer-refuse")).to_be_focused()
        ring = seen.get_by_test_id("answer-refuse").evaluate("e => getComputedStyle(e).boxShadow")
        assert "4px" in ring, "the focus is not seen"
        check(seen, "link-question")
        seen.keyboard.press("Tab")
        seen.keyboard.press("Enter")
        expect(seen).to_have_url(re.compile("/study/"))
        expect(seen.get_by_test_id("arrival")).to_contain_text("of 12 images")
        check(seen, "link-progress")
        expect(seen.get_by_test_id("arrival")).to_contain_text("12 of 12 images")
        expect(seen.get_by_test_id("series").locator(".row")).to_have_count(1)
        check(seen, "link-study")
