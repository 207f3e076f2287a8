"""What becomes of an allowed link: slow servers keep nobody waiting, tokens offer a choice, none is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.launch.handoff import send
from dicomdock.launch.handoff.paths import run_folder, socket_path
from dicomdock.launch.trust import TrustStore
from dicomdock.transfer import TransferQueue
from tests.dock.running import RunningDock, connected, running
from tests.programs import Program
from tests.servers.canned import Answer, Request, answering
from tests.waiting import until

TOKEN = "sh4red-al6um"
STUDIES = [f"1.2.826.0.1.3680043.8.498.{number}" for number in range(1, 4)]


def album(_: Request) -> Answer:
    """Answer a search as Kheops does; a study itself is not there."""
    rows = [
        {
            "0020000D": {"vr": "UI", "Value": [uid]},
            "00080020": {"vr": "DA", "Value": [f"2024010{number}"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"Doe^Number{number}<b>"}]},
            "00081030": {"vr": "LO", "Value": ["Chest"]},
        }
        for number, uid in enumerate(STUDIES, 1)
    ]
    return Answer(200, json.dumps(rows).encode(), {"Content-Type": "application/dicom+json"})


def only_album(request: Request) -> Answer:
    return album(request) if re.search(r"/studies(\?|$)", request.path) else Answer(404)


def open_servers(page: Page, dock: RunningDock) -> None:
    page.goto(dock.link("/servers"))
    expect(page.get_by_test_id("nav-studies")).to_be_visible()
    connected(page)


def test_a_share_link_offers_what_its_token_opens(dock: RunningDock, page: Page):
    with answering(only_album) as server:
        open_servers(page, dock)
        link = server.url.replace("/dicom-web", "") + f"/view/{TOKEN}"
        assert "asks you" in send(link, dock.settings, command=()).text
        connected(page)
        page.get_by_test_id("answer-once").click()
        offer = page.get_by_test_id("offer")
        expect(offer).to_contain_text("Doe, Number3<b>, 2024-01-03, Chest")
        expect(offer.get_by_role("checkbox")).to_have_count(3)
        assert {request.headers["Authorization"] for request in server.asked} == {f"Bearer {TOKEN}"}
        asked = len(server.asked)
        page.get_by_test_id("offer-1").click()
        page.keyboard.press("d")
        expect(page).to_have_url(re.compile(f"/study/{STUDIES[1]}"))
        expect(page.get_by_test_id("arrival")).to_contain_text("failed")
        fetched = [request.path for request in server.asked[asked:]]
        assert fetched and all(STUDIES[1] in path for path in fetched)
        assert TOKEN not in dock.log + page.content()


def test_a_slow_server_keeps_no_sender_waiting_and_its_failure_is_reported(dock: RunningDock, page: Page):
    answer_now = threading.Event()

    def slow(_: Request) -> Answer:
        answer_now.wait(90)
        return Answer(403, b"no")

    with answering(slow) as server:
        TrustStore(dock.settings).add(server.url)
        open_servers(page, dock)
        root = server.url.replace("/dicom-web", "")
        begun = time.monotonic()
        for number in range(4):
            assert "opens it" in send(f"{root}/view/{TOKEN}{number}", dock.settings, command=()).text
        assert time.monotonic() - begun < 60
        expect(page.get_by_test_id("opening")).to_be_visible()
        # A link that needs no list is not held up by those that do.
        link = f"slicer://viewer/?studyUID={STUDIES[0]}&dicomweb_endpoint={quote(server.url, safe='')}"
        assert "opens it" in send(link, dock.settings, command=()).text
        expect(page).to_have_url(re.compile("/study/"))
        page.goto(f"{dock.url}/link/1")
        expect(page.get_by_test_id("opening")).to_be_visible()
        answer_now.set()
        expect(page.get_by_test_id("failed")).to_contain_text("was refused by server")


def test_a_question_is_not_pulled_away_by_other_links(dock: RunningDock, page: Page):
    with answering(only_album) as trusted, answering(only_album) as other, answering(only_album) as third:
        TrustStore(dock.settings).add(trusted.url)
        open_servers(page, dock)
        for server, study in ((other, STUDIES[0]), (third, STUDIES[1]), (trusted, STUDIES[2])):
            link = f"slicer://viewer/?studyUID={study}&dicomweb_endpoint={quote(server.url, safe='')}"
            send(link, dock.settings, command=())
        until(lambda: bool(trusted.asked))
        connected(page)
        expect(page.get_by_test_id("question-server")).to_have_text(other.url.replace("/dicom-web", ""))
        expect(page.get_by_test_id("answer-refuse")).to_be_focused()
        page.keyboard.press("r")
        expect(page.get_by_test_id("question-server")).to_have_text(third.url.replace("/dicom-web", ""))
        connected(page)
        expect(page.get_by_test_id("answer-refuse")).to_be_focused()
        page.keyboard.press("o")
        expect(page).to_have_url(re.compile(f"/study/{STUDIES[1]}"))
        assert not other.asked


@pytest.mark.slow
def test_a_download_whose_token_is_gone_says_so(settings: Settings):
    home = settings.state.parent
    with answering(lambda _: None) as silent:
        TrustStore(settings).add(silent.url)
        endpoint = quote(silent.url, safe="")
        link = f"slicer://viewer/?studyUID={STUDIES[0]}&access_token={TOKEN}&dicomweb_endpoint={endpoint}"
        with running(home) as dock:
            send(link, dock.settings, command=())
            until(lambda: bool(silent.asked))
        (entry,) = TransferQueue(settings).latest()
        assert entry.state == "queued"
        asked = len(silent.asked)
        with running(home):
            queue = TransferQueue(settings)
            until(lambda: queue.get(entry.id).ended)
            assert "this link has expired: go back to the page" in queue.get(entry.id).message
        assert len(silent.asked) == asked


def test_the_command_line_gives_a_link_to_the_running_dock(dock: RunningDock, page: Page):
    with answering(only_album) as server:
        open_servers(page, dock)
        link = f"{server.url.replace('/dicom-web', '')}/view/{TOKEN}"
        command = [sys.executable, "-m", "dicomdock.cli", "open"]
        said = subprocess.run([*command, "-"], input=link, capture_output=True, text=True, timeout=120)
        assert (said.returncode, said.stdout) == (0, "dicomdock asks you whether to open it.\n")
        expect(page.get_by_test_id("question-login")).to_have_text("the link's own token")
        assert not server.asked
        # In the terminal nobody can choose: what a token opens is listed, and nothing of it pulled.
        TrustStore(dock.settings).add(server.url)
        said = subprocess.run(
            [*command, "--no-view", "-"], input=link, capture_output=True, text=True, timeout=120
        )
        assert said.returncode == 1
        assert "opens 3 studies" in said.stderr
        assert "--yes" in said.stderr
        assert all("studies?" in request.path for request in server.asked)


@pytest.mark.slow
def test_thirty_links_at_once_start_one_real_dock_and_none_is_lost(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tabs = tmp_path / "tabs"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {tabs}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    studies = [f"1.2.3.{number}" for number in range(30)]
    together = threading.Barrier(30, timeout=60)
    with answering(lambda _: Answer(404)) as server:
        TrustStore(settings).add(server.url)
        endpoint = quote(server.url, safe="")

        def click(study: str) -> bool:
            together.wait()
            link = f"slicer://viewer/?studyUID={study}&access_token={TOKEN}&dicomweb_endpoint={endpoint}"
            return send(link, settings).started

        with ThreadPoolExecutor(30) as pool:
            started = list(pool.map(click, studies))
        try:
            assert sum(started) == 1
            until(tabs.exists)
            until(lambda: {study for study in studies if asked_for(server.asked, study)} == {*studies})
            queued = [resource for entry in TransferQueue(settings).latest() for resource in entry.resources]
            assert sorted(queued) == sorted(studies)
            assert len(tabs.read_text().splitlines()) == 1
        finally:
            end(settings)
    held = [file for file in settings.state.parent.rglob("*") if file.is_file() and holds_token(file)]
    assert held == []


def asked_for(requests: list[Request], study: str) -> bool:
    return any(re.search(rf"{re.escape(study)}(?![0-9])", request.path) for request in requests)


def holds_token(file: Path) -> bool:
    return TOKEN.encode() in file.read_bytes()


def end(settings: Settings) -> None:
    """End the dock that a link started."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(socket_path(settings)))
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    os.kill(struct.unpack("=iII", found)[0], signal.SIGTERM)
    lock = FileLock(run_folder(settings) / "dock.lock")
    until(lock.acquire)
    lock.release()


@pytest.mark.slow
def test_a_signal_while_the_dock_starts_leaves_no_socket(settings: Settings):
    path = socket_path(settings)
    command = [sys.executable, "-m", "dicomdock.cli", "run", "--background", "--port", "0"]
    with Program(command) as dock:
        until(path.exists)
        dock.signal(signal.SIGTERM)
        assert (dock.ends(), dock.stdout, dock.stderr) == (0, "", "")
        assert not path.exists()


SIGNALLED_AMID_OPENING = """
import os, signal, sys
from dicomdock.dock.run import run
from dicomdock.launch.handoff import unix
from dicomdock.config.settings import Settings

def signalled(listener, path, make=unix.SocketListener):
    os.kill(os.getpid(), signal.SIGTERM)
    return make(listener, path)

unix.SocketListener = signalled
sys.exit(run(Settings.load(), port=0, background=True))
"""


@pytest.mark.slow
def test_a_signal_amid_the_opening_of_the_socket_leaves_none(settings: Settings):
    dock = subprocess.run(
        [sys.executable, "-c", SIGNALLED_AMID_OPENING], capture_output=True, timeout=120, check=False
    )
    assert (dock.returncode, dock.stdout + dock.stderr) == (0, b"")
    assert not socket_path(settings).exists()
