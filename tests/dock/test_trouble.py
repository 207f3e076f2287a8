"""What goes wrong, and what is large: servers that cap, that go away, and docks that are killed."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dicomdock.archive import Archive
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.builders import Made, ct_series
from tests.dicomweb.awkward import Answer, Awkward, Waiting, attributes_of, multipart, refused
from tests.dock.running import RunningDock, running
from tests.dock.using import keep, open_at, rows
from tests.servers.canned import answering

LARGE = 249


@dataclass
class Leaving(Awkward):
    """A server that goes away in the middle of an answer, until it is back."""

    away: bool = True
    gate: threading.Event = field(default_factory=threading.Event)

    def retrieve(self, place: Resource, accept: str) -> Answer:
        if not self.away:
            return super().retrieve(place, accept)
        if place.level == "instance":
            return refused(503)
        whole = multipart(one.data for one in self.instances)
        return Answer(200, whole.body[: len(whole.body) // 2], whole.headers)


def know(settings: Settings, url: str) -> None:
    """Make a server known by the name of ``pacs``."""
    load_profiles(settings).with_profile(ServerProfile("pacs", url)).save(settings)


@pytest.fixture
def impatient(home: Path) -> Iterator[Path]:
    """A home whose dock repeats a request that fails once only; it waits for a busy server as for any."""
    folder = home / "mine"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "settings.toml").write_text("retries = 1\n")
    return folder


def download(page: Page) -> None:
    """Download the first study."""
    page.get_by_test_id("studies").focus()
    expect(page.get_by_test_id("action-download")).to_be_enabled()
    page.keyboard.press("d")
    expect(page.get_by_test_id("running-transfers")).to_be_visible()


def small(count: int) -> list[Made]:
    return ct_series(count, rows=2, columns=2, PatientName="Large^Lea")


def test_a_series_larger_than_the_server_lists_at_once(impatient: Path, page: Page):
    made = small(LARGE)
    for one in made:
        attributes_of(one)  # read now, not while the dock waits
    with answering(Awkward(made, cap=100)) as pacs, running(impatient) as dock:
        know(dock.settings, pacs.url)
        open_at(page, dock, "/?source=pacs")
        expect(rows(page)).to_have_count(1)
        download(page)
        page.goto(f"{dock.url}/transfers")
        expect(rows(page, "transfers")).to_contain_text([f"done, {LARGE} of {LARGE} images"])
    with Archive.open(dock.settings) as archive:
        assert len(archive.present(Resource(made[0].study))) == LARGE


def test_a_server_that_goes_away_in_the_middle(impatient: Path, page: Page):
    made = small(12)
    server = Leaving(made)
    with answering(server) as pacs, running(impatient) as dock:
        know(dock.settings, pacs.url)
        open_at(page, dock, "/?source=pacs")
        expect(rows(page)).to_have_count(1)
        download(page)
        page.goto(f"{dock.url}/transfers")
        transfer = rows(page, "transfers").first
        expect(transfer).to_contain_text("partly done")
        transfer.click()
        expect(rows(page, "failures").first).to_be_visible()
        expect(page.get_by_test_id("failures")).to_contain_text("503")
        page.reload()
        expect(rows(page, "transfers").first).to_contain_text("partly done")
        server.away = False
        rows(page, "transfers").first.click()
        page.get_by_test_id("transfer-resume").click()
        expect(rows(page, "transfers").first).to_contain_text("done, 12 of 12 images")
        expect(rows(page, "failures")).to_have_count(0)
    with Archive.open(dock.settings) as archive:
        assert len(archive.present(Resource(made[0].study))) == 12


def test_a_transfer_survives_kill_9(impatient: Path, page: Page):
    made = small(5)
    server = Waiting(made)
    with answering(server) as pacs:
        with running(impatient) as dock:
            know(dock.settings, pacs.url)
            open_at(page, dock, "/?source=pacs")
            expect(rows(page)).to_have_count(1)
            download(page)
            assert server.asked_for.wait(60)
            os.kill(dock.pid, signal.SIGKILL)
            assert dock.process.process is not None
            dock.process.process.wait(60)
        server.gate.set()
        with running(impatient) as dock:
            open_at(page, dock, "/transfers")
            expect(rows(page, "transfers").first).to_contain_text("done, 5 of 5 images")


def test_a_study_of_many_series(dock: RunningDock, page: Page, tmp_path: Path):
    study = "1.2.100"
    made = [
        one
        for number in range(100)
        for one in ct_series(1, rows=8, columns=8, StudyInstanceUID=study, SeriesNumber=number)
    ]
    keep(dock.settings, tmp_path / "made", made)
    open_at(page, dock, f"/study/{study}")
    series = rows(page, "series")
    expect(series.first).to_contain_text("0 Axial")
    assert series.count() < 60, "only the rows in sight are in the page"
    page.get_by_test_id("series").focus()
    page.keyboard.press("End")
    expect(series.last).to_contain_text("99 Axial")
    page.keyboard.press("Control+a")
    expect(page.get_by_test_id("status")).to_have_text("100 series, 100 images selected")


def test_servers_together_name_the_one_that_fails(demo_dock: RunningDock, page: Page):
    load_profiles(demo_dock.settings).with_profile(ServerProfile("broken", "http://127.0.0.1:1/dw")).save(
        demo_dock.settings
    )
    open_at(page, demo_dock, "/?source=all&PatientName=phantom")
    expect(rows(page)).to_have_count(1)
    expect(page.locator(".note.bad")).to_contain_text(re.compile("broken|127.0.0.1:1"))
    expect(rows(page).first).to_contain_text("Phantom, Petra")
    # What comes into the archive meanwhile draws nothing anew that a user may be about to click.
    retry = page.locator(".note.bad button")
    retry.evaluate("(button) => { button.dataset.before = '' }")
    page.get_by_test_id("studies").focus()
    expect(page.get_by_test_id("action-download")).to_be_enabled()
    page.keyboard.press("d")
    expect(rows(page).first.locator(".mark").first).to_have_attribute(
        "aria-label", "on this computer and on the server"
    )
    expect(retry).to_have_attribute("data-before", "")
    open_at(page, demo_dock, "/?source=all&PatientName=nobody")
    expect(page.get_by_test_id("no-answer")).to_contain_text("No answer from broken")
    expect(page.get_by_test_id("status")).to_have_text("broken did not answer")
