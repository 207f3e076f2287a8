"""Lists of studies give right answers: what is sorted, filtered or selected is all, or the page says so."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, expect
from pydicom.uid import generate_uid

from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import Events
from dicomdock.dock.services.threads import Lazy
from dicomdock.dock.services.transfers import Downloads, Transfers
from dicomdock.transfer.queue import TransferQueue
from tests.builders import ct_series
from tests.dock.running import RunningDock
from tests.dock.using import introduce, keep, open_at, rows
from tests.servers.canned import Answer, answering
from tests.servers.canned import Request as Received
from tests.servers.orthanc import Orthanc

DATASETS = "application/dicom+json"


class Many:
    """A server with so many studies, in no order, that gives 200 of them at once and orders none."""

    def __init__(self, count: int, *, total: bool = False) -> None:
        self.total = total
        self.studies = [
            {
                "0020000D": {"vr": "UI", "Value": [generate_uid()]},
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"Name{(number * 7919) % count:05}^X"}]},
                "00100020": {"vr": "LO", "Value": [f"P{number}"]},
                "00080020": {"vr": "DA", "Value": [f"20{(number * 7919) % count % 100:02}0101"]},
            }
            for number in range(count)
        ]

    def __call__(self, request: Received) -> Answer:
        url = urlsplit(request.path)
        query = dict(parse_qsl(url.query))
        if not url.path.endswith("/studies"):
            return Answer(404)
        start = int(query.get("offset", 0))
        page = self.studies[start : start + min(200, int(query.get("limit", 200)))]
        headers = {"Content-Type": DATASETS}
        if self.total:
            headers["X-Total-Count"] = str(len(self.studies))
        return Answer(200, json.dumps(page).encode(), headers)


def known(settings: Settings, url: str, name: str = "far") -> None:
    """Make a server known that wants no login."""
    load_profiles(settings).with_profile(ServerProfile(name, f"{url}/dicom-web")).save(settings)


def by_patient(page: Page) -> None:
    page.get_by_role("button", name="Patient", exact=True).click()


def test_sorting_sorts_every_study_of_a_server(dock: RunningDock, page: Page):
    with answering(Many(901)) as server:
        known(dock.settings, server.url)
        open_at(page, dock, "/?source=far")
        expect(page.get_by_test_id("status")).to_have_text("901 studies")
        by_patient(page)
        expect(rows(page).first).to_contain_text("Name00000")
        by_patient(page)
        expect(rows(page).first).to_contain_text("Name00900")
        expect(page.get_by_test_id("sorted-among")).to_have_count(0)


def test_more_than_2000_studies_are_sorted_among_the_loaded_until_all_are(dock: RunningDock, page: Page):
    with answering(Many(2300, total=True)) as server:
        known(dock.settings, server.url)
        open_at(page, dock, "/?source=far")
        among = page.get_by_test_id("sorted-among")
        expect(among).to_contain_text("Sorted among the 200 loaded.")
        page.get_by_test_id("narrow").fill("nobody")
        expect(page.get_by_test_id("status")).to_contain_text("0 of the 200 studies loaded")
        page.get_by_test_id("load-more").press("Enter")
        expect(page.get_by_test_id("status")).to_contain_text("0 of the 400 studies loaded")
        expect(page.get_by_test_id("load-more")).to_be_visible()
        page.get_by_test_id("narrow").fill("")
        by_patient(page)
        expect(among).to_be_visible()
        page.get_by_test_id("load-all").click()
        expect(page.get_by_test_id("status")).to_have_text("2,300 studies")
        expect(among).to_have_count(0)
        expect(rows(page).first).to_contain_text("Name00000")


def test_what_has_not_come_is_selected_too_as_soon_as_it_is_offered(dock: RunningDock, page: Page):
    asked, many = Event(), Many(2300, total=True)

    def late(request: Received) -> Answer:
        asked.wait(60)
        return many(request)

    with answering(late) as server:
        known(dock.settings, server.url)
        open_at(page, dock, "/?source=far")
        expect(page.get_by_text("far has not answered yet.")).to_be_visible()
        expect(page.get_by_test_id("sorted-among")).to_have_count(0)
        asked.set()
        expect(page.get_by_test_id("sorted-among")).to_contain_text("Sorted among the 200 loaded.")
        page.get_by_role("button", name="Select all rows").click()
        page.get_by_test_id("select-all").click()
        expect(page.get_by_test_id("status")).to_contain_text("2,300 studies")
        expect(page.get_by_test_id("status")).to_contain_text("selected")
        expect(page.get_by_test_id("select-all")).to_have_count(0)


def test_the_archive_is_sorted_as_a_whole(dock: RunningDock, page: Page, tmp_path: Path):
    made = [
        ct_series(1, PatientName=f"N{(number * 37) % 150:03}", StudyDate=f"2020{1 + number % 12:02}01")[0]
        for number in range(150)
    ]
    keep(dock.settings, tmp_path / "made", made)
    open_at(page, dock)
    expect(rows(page).first).to_be_visible()
    by_patient(page)
    expect(page.get_by_test_id("status")).to_have_text("150 studies")
    expect(rows(page).first).to_contain_text("N000")


def test_filter_these_folds_accents_and_counts(dock: RunningDock, page: Page, tmp_path: Path):
    names = ["Müller^Hans", "MULLER^Anna", "Łukasz^Jan", "Strauß^Ida"]
    made = [ct_series(1, PatientName=name, SpecificCharacterSet="ISO_IR 192")[0] for name in names]
    keep(dock.settings, tmp_path / "made", made)
    open_at(page, dock)
    expect(rows(page)).to_have_count(4)
    for typed, count in (("muller", 2), ("hans, müller", 1), ("lukasz", 1), ("STRAUSS", 1), ("nobody", 0)):
        page.get_by_test_id("narrow").fill(typed)
        expect(rows(page)).to_have_count(count)
        expect(page.get_by_test_id("status")).to_have_text(f"{count} of the 4 studies loaded")
    page.get_by_test_id("narrow").fill("")
    expect(page.get_by_test_id("status")).to_have_text("4 studies")


def test_a_name_is_typed_as_it_is_seen(dock: RunningDock, page: Page, tmp_path: Path, orthanc: Orthanc):
    names = ["Müller^Hans", "Mulder^Hanna"]
    made = [ct_series(1, PatientName=name, SpecificCharacterSet="ISO_IR 192")[0] for name in names]
    orthanc.add(*(one.data for one in made))
    keep(dock.settings, tmp_path / "made", made)
    introduce(dock.settings, orthanc)
    open_at(page, dock)
    for source in ("local", "hospital"):
        for typed in ("Müller, Hans", "hans muller", "Müller^Hans"):
            page.goto(f"{dock.url}/?source={source}")
            expect(rows(page)).to_have_count(2)
            page.get_by_test_id("filter-PatientName").fill(typed)
            page.get_by_test_id("search").click()
            expect(rows(page)).to_have_count(1)
            expect(rows(page)).to_contain_text("Müller, Hans")


def test_a_study_opens_in_a_new_tab_by_the_middle_button_and_ctrl(
    dock: RunningDock, page: Page, orthanc: Orthanc
):
    made = ct_series(2, PatientName="Doe^Jane", StudyDescription="Thorax")
    orthanc.add(*(one.data for one in made))
    introduce(dock.settings, orthanc)
    open_at(page, dock, "/?source=hospital")
    link = page.get_by_test_id("studies").get_by_role("link", name="Doe, Jane")
    elsewhere = rows(page).first.get_by_text("Thorax")
    for place, options in (
        (link, {"button": "middle"}),
        (link, {"modifiers": ["ControlOrMeta"]}),
        (elsewhere, {"button": "middle"}),
    ):
        with page.context.expect_page() as opened:
            place.click(**options)
        expect(opened.value.locator(".study-page .study-title")).to_contain_text("Doe, Jane")
        assert made[0].study in opened.value.url
        opened.value.close()
    expect(rows(page).first).to_have_attribute("aria-selected", "false")
    link.click()
    expect(page.locator(".study-panel .study-title")).to_contain_text("Doe, Jane")
    assert page.url.startswith(f"{dock.url}/?")


def test_arrow_keys_enter_the_list_from_anywhere(dock: RunningDock, page: Page, tmp_path: Path):
    keep(dock.settings, tmp_path / "made", [ct_series(1)[0] for _ in range(3)])
    open_at(page, dock)
    expect(rows(page)).to_have_count(3)
    page.get_by_test_id("columns").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_test_id("studies")).to_be_focused()
    expect(rows(page).first).to_have_class("row current")
    page.keyboard.press("ArrowDown")
    expect(rows(page).nth(1)).to_have_class("row current")


@pytest.mark.slow
def test_the_same_download_twice_is_one(settings: Settings):
    queue = TransferQueue(settings)
    waiting = Lazy(lambda: queue)
    local = LocalArchive(settings, Events())
    transfers = Transfers(
        settings, waiting, Downloads(waiting), local, lambda _: pytest.fail("asked"), Events()
    )
    transfers.close()  # nothing runs: what is queued stays queued
    study = Resource("1.2.3")
    first = transfers.pull("far", [study])
    assert transfers.pull("far", [study]).id == first.id
    assert transfers.pull("far", [Resource("1.2.3", "1.2.3.4")]).id == first.id
    other = transfers.pull("near", [study])
    assert other.id != first.id  # another server may have more of it
    more = transfers.pull("far", [study, Resource("1.2.5")])
    assert more.resources == ("1.2.5",)
    queue.request(first.id, "cancel")
    again = transfers.pull("far", [study])
    assert again.id not in (first.id, other.id, more.id)
