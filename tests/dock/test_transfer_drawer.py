"""The transfer drawer, on any page."""

from pathlib import Path

from playwright.sync_api import Page, expect

from dicomdock.config.servers import ServerProfile, load_profiles
from tests.builders import ct_series
from tests.dicomweb.awkward import Waiting
from tests.dock.running import running
from tests.dock.using import open_at, rows
from tests.servers.canned import answering


def test_it_shows_what_runs_while_the_page_goes_on(home: Path, page: Page) -> None:
    server = Waiting(ct_series(5, rows=2, columns=2, PatientName="Large^Lea"))
    with answering(server) as pacs, running(home / "mine") as dock:
        load_profiles(dock.settings).with_profile(ServerProfile("pacs", pacs.url)).save(dock.settings)
        open_at(page, dock, "/?source=pacs")
        switch, drawer = page.get_by_test_id("transfer-drawer-switch"), page.get_by_test_id("transfer-drawer")
        expect(rows(page)).to_have_count(1)
        expect(switch).to_be_hidden()
        expect(drawer).to_be_hidden()
        page.get_by_test_id("studies").focus()
        expect(page.get_by_test_id("action-download")).to_be_enabled()
        page.keyboard.press("d")
        expect(page.get_by_test_id("running-transfers")).to_have_text("1")
        page.keyboard.press("t")
        expect(drawer).to_be_focused()
        expect(switch).to_have_attribute("aria-expanded", "true")
        row = drawer.get_by_role("listitem")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("Download")
        expect(row).to_contain_text("pacs")
        expect(row).to_contain_text("running")
        assert server.asked_for.wait(60)
        server.gate.set()
        # What ends stays, with its outcome, and the list behind goes on.
        expect(row).to_contain_text("done, 5 of 5 images")
        expect(row).to_contain_text("Large, Lea")
        expect(row.get_by_label("Cancel")).to_be_hidden()
        expect(page.get_by_test_id("running-transfers")).to_have_text("0")
        page.keyboard.press("Escape")
        expect(drawer).to_be_hidden()
        expect(switch).to_be_hidden()


def test_a_transfer_is_paused_resumed_and_cancelled_in_it(home: Path, page: Page) -> None:
    server = Waiting(ct_series(5, rows=2, columns=2))
    with answering(server) as pacs, running(home / "mine") as dock:
        load_profiles(dock.settings).with_profile(ServerProfile("pacs", pacs.url)).save(dock.settings)
        open_at(page, dock, "/?source=pacs")
        expect(rows(page)).to_have_count(1)
        for wish, outcome in (("Cancel", "cancelled"), ("Pause", "paused")):
            page.get_by_test_id("studies").focus()
            expect(page.get_by_test_id("action-download")).to_be_enabled()
            server.asked_for.clear()
            page.keyboard.press("d")
            expect(page.get_by_test_id("running-transfers")).to_have_text("1")
            page.get_by_test_id("transfer-drawer-switch").click()
            row = page.get_by_test_id("transfer-drawer").get_by_role("listitem")
            assert server.asked_for.wait(60)
            row.get_by_label(wish).click()
            expect(row).to_contain_text(outcome)
            if wish == "Cancel":
                page.get_by_test_id("transfer-drawer-close").click()
                expect(page.get_by_test_id("transfer-drawer")).to_be_hidden()
        server.gate.set()
        row.get_by_label("Resume").click()
        expect(row).to_contain_text("done, 5 of 5 images")
