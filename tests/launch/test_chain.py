"""The real chain: a page, a click in Chromium, xdg-open, our registration, our opener, the dock.

No root, no screen, no policy: the browser's profile says that the user ticked "Always allow" before.
"""

import base64
import os
import queue
import re
import shutil
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserType, Page, expect

from dicomdock.archive import Archive
from dicomdock.launch.handoff import HandoffServer
from dicomdock.launch.handoff.place import FileLock, run_folder, socket_path
from dicomdock.launch.register import register
from dicomdock.launch.register.linux import LinuxRegistrar
from dicomdock.resource import Resource
from dicomdock.settings import Settings
from tests.builders import ct_series
from tests.launch.portal import browser_of_the_desktop, portal
from tests.servers import nginx
from tests.servers.orthanc import Orthanc

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("xdg-open") and sys.platform == "linux"), reason="needs xdg-utils"),
]
TOKEN = "s3cr3t-T0ken.R_~"
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
            assert arrived.get(timeout=20) == (want or said).replace("{marker}", marker)
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
    tabs = tmp_path / "tabs"  # what the dock opens in the user's browser
    opener = tmp_path / "open-tab"
    opener.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> {tabs}\n')
    opener.chmod(0o755)
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
            page.goto(opened_tab(page, tabs))
            expect(page.get_by_test_id("question-server")).to_have_text(server)
            expect(page.get_by_test_id("answer-refuse")).to_be_focused()
            assert requests(tmp_path / "gate") == []
            page.get_by_test_id("answer-once").click()
            page.wait_for_url(re.compile("/study/"))
            expect(page.get_by_test_id("arrival")).to_contain_text("5 of 5 images")
            assert_token_is_nowhere(home)
    assert any(study in line for line in requests(tmp_path / "gate"))
    with Archive.open(settings) as archive:
        assert len(archive.instances(Resource(study))) == 5
    assert_token_is_nowhere(home)


@contextmanager
def token_gate(orthanc: Orthanc, folder: Path) -> Iterator[str]:
    """Put a gate before Orthanc that lets only our token in."""
    if remedy := nginx.missing():
        pytest.skip(f"needs nginx: {remedy}")
    folder.mkdir()
    basic = base64.b64encode(f"{orthanc.user}:{orthanc.password}".encode()).decode()
    inside = (
        f'if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }} '
        f'proxy_set_header Authorization "Basic {basic}"; access_log {folder}/requests;'
    )
    with nginx.before(orthanc.root, folder, inside=inside) as address:
        yield address


def requests(folder: Path) -> list[str]:
    """Give the requests that came for DICOM, as lines of the gate's log."""
    return [line for line in (folder / "requests").read_text().splitlines() if "/dicom-web" in line]


def opened_tab(page: Page, tabs: Path) -> str:
    """Wait for the address that the dock opens in the browser."""
    end = time.monotonic() + 30
    while not tabs.exists() or not tabs.read_text().endswith("\n"):
        assert time.monotonic() < end, "the dock opened no page"
        page.wait_for_timeout(50)
    return tabs.read_text().splitlines()[0]


@contextmanager
def ending_the_dock(settings: Settings) -> Iterator[None]:
    """End the dock that a link started, by the process that answers at its socket."""
    try:
        yield
    finally:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.fspath(socket_path(settings)))
            pid, _, _ = struct.unpack(
                "=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            )
        os.kill(pid, 15)
        lock, end = FileLock(run_folder(settings) / "dock.lock"), time.monotonic() + 20
        while not lock.acquire():
            assert time.monotonic() < end, "the dock does not end"
            time.sleep(0.05)
        lock.release()


def assert_token_is_nowhere(home: Path) -> None:
    """Look for the token in every file of ours, and in what every process was started with."""
    token = TOKEN[:12].encode()
    for file in home.rglob("*"):
        assert not file.is_file() or token not in file.read_bytes(), file
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert token not in arguments.read_bytes(), arguments
        except (FileNotFoundError, ProcessLookupError):
            continue
