"""The settings: written whole, obeyed while running, undone where that serves."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.config.tools import ToolFolder
from dicomdock.dock.services.diagnostics import examine
from dicomdock.errors import InvalidInput
from dicomdock.launch.trust import TrustStore
from tests.builders import ct_series
from tests.dock.running import RunningDock
from tests.dock.using import keep, open_at


def test_what_is_not_changed_stays_in_the_file(settings: Settings):
    file = settings.config / "settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text('store_workers = 2\narchive = "/elsewhere"\n')
    changed = settings.overlaid().change(archive_limit=5, archive=settings.archive)
    assert (changed.store_workers, changed.archive_limit, changed.archive) == (2, 5, settings.archive)
    assert changed == settings.overlaid()
    assert [path.name for path in file.parent.iterdir() if path.suffix != ".lock"] == ["settings.toml"]


def test_a_broken_file_is_not_overwritten(settings: Settings):
    file = settings.config / "settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text("archive = [")
    with pytest.raises(InvalidInput, match="cannot be read"):
        settings.change(archive_limit=5)
    assert file.read_text() == "archive = ["


@pytest.mark.slow
def test_what_works_here_is_what_the_command_line_says(settings: Settings):
    findings = {finding.check: finding for finding in examine(settings)}
    assert findings["python"].status == "ok"
    assert str(settings.archive) in findings["archive"].detail
    assert findings["servers"].remedy


def test_the_archive_is_kept_below_its_limit(dock: RunningDock, page: Page, tmp_path: Path):
    keep(dock.settings, tmp_path / "old", ct_series(4, rows=300, columns=300))
    keep(dock.settings, tmp_path / "mine", ct_series(1), origin="")
    open_at(page, dock, "/settings")
    held = page.get_by_test_id("archive-holds")
    expect(held).to_contain_text("2 studies, 5 images")
    page.set_viewport_size({"width": 800, "height": 900})  # long hints, in narrow columns
    hint = page.locator(".q-field__bottom", has_text="0 for no limit").bounding_box()
    save = page.get_by_test_id("save-archive").bounding_box()
    assert hint is not None and save is not None and hint["y"] + hint["height"] <= save["y"]
    page.get_by_test_id("archive-limit").fill("0,0001")
    page.get_by_test_id("save-archive").click()
    expect(page.get_by_text("Removed 1 series")).to_be_visible()
    expect(held).to_contain_text("1 study, 1 image")
    with Archive.open(dock.settings) as archive:
        assert archive.summary().instances == 1
    assert dock.settings.overlaid().archive_limit == 100_000
    page.get_by_test_id("archive-limit").fill("much")
    page.get_by_test_id("save-archive").click()
    expect(page.get_by_text("The largest size is a number of gigabytes")).to_be_visible()
    page.get_by_test_id("archive-limit").fill("0")
    page.get_by_test_id("archive-folder").fill("somewhere")
    page.get_by_test_id("save-archive").click()
    expect(page.get_by_text("must be an absolute path")).to_be_visible()
    assert dock.settings.overlaid().archive_limit == 100_000


def test_trust_is_given_and_taken_back(dock: RunningDock, page: Page):
    open_at(page, dock, "/settings")
    trusted = page.get_by_test_id("trusted")
    expect(trusted).to_contain_text("None yet")
    page.get_by_test_id("trust-origin").fill("https://pacs.example.org/viewer")
    page.keyboard.press("Enter")
    expect(trusted).to_contain_text("https://pacs.example.org")
    store = TrustStore(dock.settings)
    assert store.trusts("https://pacs.example.org:443")
    page.get_by_role("button", name="Stop trusting https://pacs.example.org:443").click()
    expect(trusted).to_contain_text("None yet")
    assert not store.trusts("https://pacs.example.org:443")
    page.get_by_role("button", name="Undo").click()
    expect(trusted).to_contain_text("https://pacs.example.org")
    assert store.trusts("https://pacs.example.org:443")
    page.get_by_test_id("trust-origin").fill("javascript:alert(1)")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is not the origin of a server")).to_be_visible()


def test_the_machine_is_described(dock: RunningDock, page: Page):
    add = ToolFolder(dock.settings).add
    add(
        b'name = "grey"\ncommand = ["grey", "{input}", "{output}"]\n[labels]\n2 = "Mass"\n1 = "Liver"',
        "a file",
    )
    add(b'name = "far"\nendpoint = "https://gpu.example.org/segment"\n[labels]\n1 = "Liver"', "a file")
    (dock.settings.config / "tools" / "broken.toml").write_text("name =")
    dock.settings.change(nninteractive="https://gpu.example.org:1527")
    open_at(page, dock, "/settings")
    tools = page.get_by_test_id("tools").locator("li")
    expect(tools).to_have_count(3)
    expect(tools.nth(0)).to_contain_text("is not a TOML file")
    expect(tools.nth(1)).to_contain_text("at https://gpu.example.org: Liver")
    expect(tools.nth(2)).to_contain_text("a program of this machine: Liver, Mass")
    expect(page.get_by_test_id("nninteractive")).to_have_text("https://gpu.example.org:1527")
    for command in ("dicomdock tool add FILE", "dicomdock tool nninteractive --forget"):
        expect(page.get_by_test_id("settings-tools")).to_contain_text(command)
    expect(page.get_by_test_id("doctor")).to_contain_text("python")
    expect(page.get_by_test_id("scheme-dicomdock")).to_contain_text("dicomdock://")
    expect(page.get_by_test_id("scheme-slicer")).to_contain_text("open with")
    person = page.get_by_test_id("person")
    person.fill("Roe = Doe")
    person.press("Enter")
    expect(page.get_by_text("cannot name a person")).to_be_visible()
    assert dock.settings.overlaid().person == ""
    person.fill(" Anna  Roe ")
    person.press("Enter")
    expect(page.get_by_text("Your cases are from now on those of Anna Roe.")).to_be_visible()
    assert dock.settings.overlaid().person == "Anna Roe"
    page.get_by_test_id("nav-work").click()
    expect(page.get_by_test_id("work-empty")).to_contain_text("as Anna Roe")  # without a restart
