"""The attributes of an instance: all of them, in human form, and found again by a word."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from dicomdock.dock.services.attributes import Line, lines
from tests.builders import ct_series
from tests.dock.running import RunningDock
from tests.dock.using import keep, open_at, rows


def test_attributes_are_written_for_people():
    person = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    item = {"00080100": {"vr": "SH", "Value": ["T-A0100"]}, "00080104": {"vr": "LO", "Value": ["Brain"]}}
    found = list(
        lines(
            {
                "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
                "00100010": {"vr": "PN", "Value": [person]},
                "00082218": {"vr": "SQ", "Value": [item, {}]},
                "00091001": {"vr": "LO", "Value": ["secret"]},
                "7FE00010": {"vr": "OW", "BulkDataURI": "x"},
                "00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]},
                "00189999": {"vr": "UN", "InlineBinary": "AAAA"},
            }
        )
    )
    assert [(line.tag, line.name, line.value, line.depth) for line in found] == [
        ("(0008,0008)", "Image Type", "ORIGINAL \\  \\ AXIAL", 0),
        ("(0008,0016)", "SOP Class UID", "1.2.840.10008.5.1.4.1.1.2 (CT Image Storage)", 0),
        ("(0008,2218)", "Anatomic Region Sequence", "2 items", 0),
        ("", "Item 1", "", 1),
        ("(0008,0100)", "Code Value", "T-A0100", 1),
        ("(0008,0104)", "Code Meaning", "Brain", 1),
        ("", "Item 2", "", 1),
        ("(0009,1001)", "Private attribute", "secret", 0),
        ("(0010,0010)", "Patient's Name", "Yamada, Tarou (山田 太郎)", 0),
        ("(0018,9999)", "Unknown attribute", "3 bytes", 0),
        ("(7FE0,0010)", "Pixel Data", "bulk data, not fetched", 0),
    ]
    assert len({line.path for line in found}) == len(found)


def test_nonsense_in_an_answer_is_passed_over():
    assert list(lines({"00100010": "x", "oops": {"vr": "LO", "Value": ["y"]}})) == [
        Line("/oops", 0, "(oops,)", "", "Unknown attribute", "LO", "y")
    ]


def test_attributes_are_found_and_walked(demo_dock: RunningDock, page: Page, tmp_path: Path):
    instances = ct_series(3, PatientName="Люкceмбypг", ImageComments="<b>bold</b>")
    keep(demo_dock.settings, tmp_path / "made", instances)
    open_at(page, demo_dock, f"/attributes?of={instances[1].resource}&source=local")
    expect(page.get_by_test_id("which")).to_have_text("2 of 3")
    expect(page.get_by_role("heading", level=1)).to_have_text("Люкceмбypг")
    page.get_by_test_id("find").fill("comments")
    expect(rows(page, "attributes")).to_have_count(1)
    expect(rows(page, "attributes")).to_contain_text(["<b>bold</b>"])
    page.get_by_test_id("find").fill("0020,0013")
    expect(rows(page, "attributes")).to_contain_text(["Instance Number"])
    page.keyboard.press("Escape")
    page.keyboard.press("]")
    expect(page.get_by_test_id("which")).to_have_text("3 of 3")
    expect(page).to_have_url(re.compile(re.escape(instances[2].instance)))
    page.keyboard.press("]")
    expect(page.get_by_test_id("which")).to_have_text("3 of 3")
    page.reload()
    expect(page.get_by_test_id("which")).to_have_text("3 of 3")


def test_attributes_of_what_is_on_a_server(demo_dock: RunningDock, page: Page):
    open_at(page, demo_dock, "/?source=demo")
    expect(rows(page)).to_have_count(1)
    study = rows(page).get_attribute("data-key")
    page.goto(f"{demo_dock.url}/attributes?of={study}&source=demo")
    expect(rows(page, "attributes").first).to_be_visible()
    expect(page.get_by_test_id("which")).to_contain_text(re.compile(r"1 of \d+"))
    page.goto(f"{demo_dock.url}/attributes?of=1.2.3.4&source=demo")
    expect(page.get_by_test_id("note")).not_to_be_empty()
    page.goto(f"{demo_dock.url}/attributes?of=..%2Fetc&source=demo")
    expect(page.get_by_test_id("missing")).to_be_visible()
    page.goto(f"{demo_dock.url}/attributes?of=1.2.3.4&source=nobody")
    expect(page.get_by_test_id("note")).to_contain_text("nobody")
