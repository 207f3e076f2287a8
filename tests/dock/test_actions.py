"""What can be done with studies: exported, pinned, removed, deleted, looked into."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dicomdock.archive import Archive
from dicomdock.deidentify.key import pseudonyms_of
from dicomdock.dicom.resource import Resource
from dicomdock.transfer import TransferQueue
from tests.builders import changed, ct_series, mr_series
from tests.dock.running import RunningDock
from tests.dock.using import introduce, keep, open_at, rows
from tests.servers.orthanc import Orthanc
from tests.waiting import until


def act(page: Page, name: str) -> None:
    """Do what is in the menu behind the dots."""
    page.get_by_test_id("more-actions").click()
    page.get_by_test_id(f"action-{name}").click()


def stand_on_first(page: Page) -> None:
    page.get_by_test_id("studies").focus()
    expect(page.get_by_test_id("status")).to_contain_text("stud")
    expect(rows(page, "series").first).to_be_visible()


def test_a_study_is_exported(demo_dock: RunningDock, page: Page, tmp_path: Path):
    instances = ct_series(3)
    keep(demo_dock.settings, tmp_path / "made", instances)
    open_at(page, demo_dock)
    stand_on_first(page)
    page.keyboard.press("e")
    target = tmp_path / "out.zip"
    expect(page.get_by_test_id("export-to")).to_have_value(re.compile("Doe, Jane 2024-01-02.zip$"))
    page.get_by_test_id("export-to").fill(str(target.with_suffix("")))
    page.get_by_test_id("export-now").click()
    expect(page.get_by_text(f"Exported 3 images to {target}.")).to_be_visible()
    with zipfile.ZipFile(target) as exported:
        assert sorted(map(exported.read, exported.namelist())) == sorted(one.data for one in instances)
    act(page, "export")
    page.get_by_test_id("export-form").click()
    page.get_by_role("option", name="A folder").click()
    expect(page.get_by_test_id("export-to")).to_have_value(re.compile(r"Doe, Jane 2024-01-02( \(\d+\))?$"))
    page.get_by_test_id("export-to").fill(str(tmp_path / "out"))
    page.keyboard.press("Enter")
    # Exactly: the sentence on "out.zip" begins alike and is still there.
    expect(page.get_by_text(f"Exported 3 images to {tmp_path / 'out'}.", exact=True)).to_be_visible()
    assert len([*(tmp_path / "out").rglob("*.dcm")]) == 3
    act(page, "export")
    page.get_by_test_id("export-to").fill(str(target))
    page.get_by_test_id("export-now").click()
    expect(page.get_by_text("is there already")).to_be_visible()


def test_a_study_is_exported_without_names(demo_dock: RunningDock, page: Page, tmp_path: Path):
    instances = ct_series(2, PatientName="Masked^Mia", PatientID="M1")
    marked = changed(
        ct_series(1, StudyInstanceUID=instances[0].study, PatientName="Masked^Mia", PatientID="M1")[0],
        BurnedInAnnotation="YES",
    )
    keep(demo_dock.settings, tmp_path / "made", [*instances, marked])
    open_at(page, demo_dock, "/?source=local&PatientName=Masked")
    stand_on_first(page)
    page.keyboard.press("e")
    expect(page.get_by_test_id("export-to")).to_have_value(re.compile("Masked, Mia"))
    page.get_by_test_id("export-deidentify").click()
    page.get_by_role("option", name="De-identified", exact=True).click()
    note = page.get_by_test_id("export-note")
    expect(note).to_contain_text("The receiver sees Patient's Name: ")
    expect(note).not_to_contain_text("Mia")
    expect(note).to_contain_text("text is burned into its pixels")
    expect(page.get_by_test_id("export-to")).to_have_value(re.compile(r"De-identified( \(\d+\))?\.zip$"))
    target = tmp_path / "out.zip"
    page.get_by_test_id("export-to").fill(str(target))
    page.get_by_test_id("export-now").click()
    expect(page.get_by_text(f"Exported 2 images to {target}; 1 image held back")).to_be_visible()
    with zipfile.ZipFile(target) as exported:
        assert len(exported.namelist()) == 2
        assert not any("Mia" in name for name in exported.namelist())
    assert b"Masked" not in target.read_bytes()


def test_what_would_be_lost_is_reported_before(demo_dock: RunningDock, page: Page, tmp_path: Path):
    (made,) = ct_series(1, PatientName="Lost^Leo", SeriesDescription="Only here")
    fetched = [changed(made, SOPInstanceUID=f"1.2.9.{n}", SeriesInstanceUID="1.2.9") for n in range(2)]
    keep(demo_dock.settings, tmp_path / "made", [made], origin="")
    keep(demo_dock.settings, tmp_path / "fetched", fetched, origin="demo")
    open_at(page, demo_dock, "/?source=local&PatientName=Lost")
    stand_on_first(page)
    act(page, "remove")
    asked = page.get_by_test_id("ask-remove")
    expect(asked).to_contain_text("3 images")
    expect(asked).to_contain_text("1 image is on no server")
    expect(asked).to_contain_text("CT 1 Only here: 1 image")
    expect(page.get_by_test_id("ask-cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(asked).to_have_count(0)
    with Archive.open(demo_dock.settings) as archive:
        assert len(archive.instances(Resource(made.study))) == 3
    act(page, "remove")
    page.get_by_test_id("remove-now").click()
    expect(rows(page)).to_have_count(0)
    expect(page.get_by_test_id("no-match")).to_be_visible()
    with Archive.open(demo_dock.settings) as archive:
        assert archive.instances(Resource(made.study)) == []


def test_pinning_a_series(demo_dock: RunningDock, page: Page, tmp_path: Path):
    instances = mr_series(2, PatientName="Pin^Pia")
    keep(demo_dock.settings, tmp_path / "made", instances)
    open_at(page, demo_dock, "/?source=local&PatientName=Pia")
    stand_on_first(page)
    rows(page, "series").first.locator(".tick").click()
    expect(page.get_by_test_id("status")).to_have_text("1 series, 2 images selected")
    act(page, "pin")
    expect(page.get_by_text("stay on this computer when")).to_be_visible()
    with Archive.open(demo_dock.settings) as archive:
        assert all(one.pinned for one in archive.instances(Resource(instances[0].study)))
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("are no longer pinned")).to_be_visible()
        assert not any(one.pinned for one in archive.instances(Resource(instances[0].study)))


def test_attributes_of_the_selection(demo_dock: RunningDock, page: Page, tmp_path: Path):
    open_at(page, demo_dock, "/?source=demo")
    stand_on_first(page)
    page.keyboard.press("i")
    expect(page).to_have_url(re.compile("/attributes"))
    expect(rows(page, "attributes").first).to_be_visible()


def send_to_demo(dock: RunningDock, page: Page) -> None:
    """Choose the server in the menu, and wait until everything is there."""
    page.get_by_test_id("send-to-demo").click()
    queue = TransferQueue(dock.settings)
    until(lambda: [one.state for one in queue.latest()] == ["done"], "the upload")


def test_a_study_is_sent_without_names(demo_dock: RunningDock, page: Page, tmp_path: Path):
    (made,) = ct_series(1, PatientName="Quiet^Quinn", PatientID="Q1")
    keep(demo_dock.settings, tmp_path / "made", [made], origin="")
    open_at(page, demo_dock, "/?source=local&PatientName=Quinn")
    stand_on_first(page)
    page.keyboard.press("s")
    page.get_by_test_id("send-deidentify").click()
    page.get_by_role("option", name="De-identified", exact=True).click()
    pseudonym = pseudonyms_of(demo_dock.settings).name("patient", "Q1")
    expect(page.get_by_test_id("send-note")).to_contain_text(f"Patient ID: {pseudonym}")
    send_to_demo(demo_dock, page)
    page.goto(f"{demo_dock.url}/?source=demo&PatientName={pseudonym}")
    expect(rows(page)).to_have_count(1)
    page.goto(f"{demo_dock.url}/?source=demo&PatientName=Quinn")
    expect(page.get_by_test_id("no-match")).to_be_visible()


def test_deleting_on_a_server_is_asked_twice(demo_dock: RunningDock, page: Page, tmp_path: Path):
    (made,) = ct_series(1, PatientName="Gone^Gil")
    keep(demo_dock.settings, tmp_path / "made", [made], origin="")
    open_at(page, demo_dock, "/?source=local&PatientName=Gil")
    stand_on_first(page)
    page.keyboard.press("s")
    send_to_demo(demo_dock, page)
    page.goto(f"{demo_dock.url}/?source=demo&PatientName=Gil")
    mark = rows(page).first.locator(".mark")
    expect(mark).to_have_attribute("aria-label", "on this computer and on the server")
    stand_on_first(page)
    act(page, "delete")
    page.get_by_test_id("delete-once").click()
    expect(page.get_by_test_id("ask-delete-again").get_by_test_id("ask-cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("ask-delete-again")).to_have_count(0)
    expect(mark).to_have_attribute("aria-label", "on this computer and on the server")
    act(page, "delete")
    page.get_by_test_id("delete-once").click()
    page.get_by_test_id("delete-now").click()
    expect(rows(page)).to_have_count(0)
    with Archive.open(demo_dock.settings) as archive:
        assert len(archive.instances(made.resource)) == 1


@pytest.mark.servers
def test_a_server_that_does_not_delete_says_so(
    demo_dock: RunningDock, page: Page, orthanc: Orthanc, tmp_path: Path
):
    orthanc.add(ct_series(1)[0].data)
    introduce(demo_dock.settings, orthanc)
    open_at(page, demo_dock, "/?source=hospital")
    stand_on_first(page)
    act(page, "delete")
    for button in ("delete-once", "delete-now"):
        page.get_by_test_id(button).or_(page.get_by_text("does not")).first.wait_for()
        if page.get_by_test_id(button).count():
            page.get_by_test_id(button).click()
    expect(page.get_by_text(re.compile("does not (delete|let)"))).to_be_visible()
    assert orthanc.instance_count() == 1
