"""The real chain: a page, a click in Chromium, xdg-open, our registration, our opener, the dock.

No root, no screen, no policy: the browser's profile says that the user ticked "Always allow" before.
"""

import base64
import queue
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserType, Page, expect

from dicomdock.archive import Archive
from dicomdock.config.preferences import Preferences
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.addresses import OPEN_PREFERENCE
from dicomdock.launch.handoff import HandoffServer
from dicomdock.launch.register import register
from dicomdock.launch.register.linux import LinuxRegistrar
from dicomdock.launch.trust import TrustedOrigin, TrustStore
from tests.builders import ct_series
from tests.dock.running import connected, running
from tests.dock.using import arrived, introduce
from tests.launch.chain import (
    TOKEN,
    assert_token_is_nowhere,
    ending_the_dock,
    opened_tab,
    requests,
    tab_opener,
    token_gate,
)
from tests.launch.portal import browser_of_the_desktop, portal
from tests.servers.canned import Answer, answering
from tests.servers.orthanc import Orthanc

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("xdg-open") and sys.platform == "linux"), reason="needs xdg-utils"),
]
KHEOPS = (
    "slicer://viewer?studyUID=1.2.3&access_token=s3cr3t-T0ken.R_~&dicomweb_endpoint=https%3A%2F%2Fa.test%2Fapi"
    "&dicomweb_uri_endpoint=https%3A%2F%2Fa.test%2Fapi%2Fwado"
)
LINKS = {  # what a page says -> what must arrive, where the browser writes it differently
    KHEOPS: "",
    "dicomdock://viewer/?studyUID=1.2,1.3&dicomweb_endpoint=https://a.test/x": "",
    "slicer://viewer/?x=$(touch$IFS{marker})": "",
    "slicer://viewer/?x=1&touch$IFS{marker}&y;touch$IFS{marker};": "",
    'slicer://viewer/?x="a b" --evil': "slicer://viewer/?x=%22a%20b%22%20--evil",
    "slicer://viewer/?x=a%0Ab%00%25u": "",
    "slicer://viewer/?x=`touch {marker}`": "slicer://viewer/?x=%60touch%20{marker}%60",
}


@pytest.mark.parametrize("desktop", ["", "GNOME"], ids=["xdg-open", "gio"])
def test_a_click_reaches_the_dock_byte_for_byte(
    desktop: str, home: Path, settings: Settings, chromium: BrowserType, tmp_path: Path
) -> None:
    register(LinuxRegistrar(settings))
    marker = str(tmp_path / "RAN")
    arrived: queue.Queue[str] = queue.Queue()
    with (
        portal([link.replace("{marker}", marker) for link in LINKS]) as origin,
        HandoffServer(settings, lambda link: arrived.put(link) or ""),
        browser_of_the_desktop(
            chromium, tmp_path / "browser", origin, {"XDG_CURRENT_DESKTOP": desktop}
        ) as browser,
    ):
        page = browser.pages[0]
        page.goto(origin)
        for number, (said, want) in enumerate(LINKS.items()):
            page.click(f"#a{number}")
            assert arrived.get(timeout=60) == (want or said).replace("{marker}", marker)
    assert arrived.empty()
    assert not Path(marker).exists()
    assert_token_is_nowhere(home)


@pytest.mark.servers
def test_from_the_click_to_the_study(
    home: Path, settings: Settings, chromium: BrowserType, orthanc: Orthanc, tmp_path: Path
) -> None:
    """No dock runs; the link starts one, which asks, fetches from a real server behind a token, and shows."""
    instances = ct_series(5)
    orthanc.add(*(instance.data for instance in instances))
    study = instances[0].resource.study
    register(LinuxRegistrar(settings))
    Preferences(settings).set(OPEN_PREFERENCE, "list")  # the way into the viewer is another test's
    opener, tabs = tab_opener(tmp_path)
    with token_gate(orthanc, tmp_path / "gate") as server:
        link = f"slicer://viewer/?studyUID={study}&access_token={quote(TOKEN)}"
        link += f"&dicomweb_endpoint={quote(server + '/dicom-web', safe='')}"
        with (
            portal([link]) as origin,
            browser_of_the_desktop(
                chromium, tmp_path / "browser", origin, {"BROWSER": str(opener)}
            ) as browser,
            ending_the_dock(settings),
        ):
            page = browser.pages[0]
            page.goto(origin)
            page.click("#a0")
            page.goto(opened_tab(tabs))
            expect(page.get_by_test_id("question-server")).to_have_text(server)
            connected(page)
            expect(page.get_by_test_id("answer-refuse")).to_be_focused()
            assert requests(tmp_path / "gate") == []
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            arrived(page, lambda url: "/study/" in url)
            expect(page.get_by_test_id("arrival")).to_contain_text("5 of 5 images")
            assert_token_is_nowhere(home)
    assert any(study in line for line in requests(tmp_path / "gate"))
    with Archive.open(settings) as archive:
        assert len(archive.instances(Resource(study))) == 5
    assert_token_is_nowhere(home)


@pytest.mark.servers
def test_a_running_dock_takes_every_answer_from_the_keyboard(
    home: Path, settings: Settings, chromium: BrowserType, orthanc: Orthanc, tmp_path: Path
) -> None:
    """Refused, nothing is asked; allowed always, the next link of the same server opens by itself.

    A server of the user opens without a question, with their password; one that redirects does not get the
    token carried on.
    """
    instances, others = ct_series(3), ct_series(3)
    orthanc.add(*(instance.data for instance in (*instances, *others)))
    study = instances[0].resource.study
    opener, _ = tab_opener(tmp_path)
    gates = [tmp_path / "refused", tmp_path / "always"]
    with (
        token_gate(orthanc, gates[0]) as refused,
        token_gate(orthanc, gates[1]) as always,
        answering(lambda _: Answer(404)) as thief,
        answering(lambda request: Answer(302, headers={"Location": thief.url + request.path})) as redirecting,
        clicking(
            [
                link(refused, study),
                link(always, study),
                link(always, "1.2.3.9"),
                link(orthanc.root, others[0].study, token=""),
                link(redirecting.url, "1.2.3"),
            ],
            chromium,
            tmp_path,
        ) as (dock_page, click),
        running(home / "dicomdock", env={"BROWSER": str(opener)}) as dock,
    ):
        register(LinuxRegistrar(settings))
        introduce(settings, orthanc)
        dock_page.goto(dock.link("/servers"))
        expect(dock_page.get_by_test_id("nav-studies")).to_be_visible()
        click(0)
        expect(dock_page.get_by_test_id("question-server")).to_have_text(refused)
        connected(dock_page)
        expect(dock_page.get_by_test_id("answer-refuse")).to_be_focused()
        dock_page.keyboard.press("Enter")
        expect(dock_page.get_by_test_id("refused")).to_be_visible()
        assert requests(gates[0]) == []
        click(1)
        expect(dock_page.get_by_test_id("question-server")).to_have_text(always)
        connected(dock_page)
        expect(dock_page.get_by_test_id("answer-refuse")).to_be_focused()
        for key in ("Tab", "Tab", "Enter"):
            dock_page.keyboard.press(key)
        expect(dock_page.get_by_test_id("arrival")).to_contain_text("3 of 3 images")
        expect(dock_page.get_by_test_id("series").locator(".row")).to_have_count(1)
        click(2)
        arrived(dock_page, lambda url: url.endswith("/study/1.2.3.9"))
        expect(dock_page.get_by_test_id("arrival")).to_contain_text("failed")
        click(3)
        arrived(dock_page, lambda url: f"/study/{others[0].study}" in url)
        expect(dock_page.get_by_test_id("arrival")).to_contain_text("3 of 3 images")
        expect(dock_page.get_by_test_id("series").locator(".row")).to_have_count(1)
        password = base64.b64encode(f"{orthanc.user}:{orthanc.password}".encode()).decode()
        assert password not in dock.log
        click(4)
        expect(dock_page.get_by_test_id("question-server")).to_have_text(redirecting.url)
        connected(dock_page)
        dock_page.get_by_test_id("answer-once").click()
        arrived(dock_page, lambda url: url.endswith("/study/1.2.3"))
        expect(dock_page.get_by_test_id("arrival")).to_contain_text("failed")
        assert {request.headers["Authorization"] for request in redirecting.asked} == {f"Bearer {TOKEN}"}
        assert thief.asked == []
        assert_token_is_nowhere(home)
        assert "Traceback" not in dock.log
    assert requests(gates[0]) == []
    assert_token_is_nowhere(home)
    assert TrustStore(settings).origins() == (TrustedOrigin(always, "user"),)


def link(server: str, study: str, token: str = TOKEN) -> str:
    endpoint = quote(server + "/dicom-web", safe="")
    return f"slicer://viewer/?studyUID={study}&access_token={quote(token)}&dicomweb_endpoint={endpoint}"


@contextmanager
def clicking(
    links: list[str], chromium: BrowserType, folder: Path
) -> Iterator[tuple[Page, Callable[[int], None]]]:
    """Open a portal with these links in a browser; give another page of it, and what clicks."""
    with (
        portal(links) as origin,
        browser_of_the_desktop(chromium, folder / "browser", origin, {"BROWSER": "/bin/false"}) as browser,
    ):
        page, other = browser.pages[0], browser.new_page()
        page.goto(origin)
        yield other, lambda number: page.click(f"#a{number}")
