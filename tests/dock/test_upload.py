"""Uploading: what the files are, where they go, and what became of each."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dock.services.uploads.inspect import group_series, inspect_file
from tests.builders import Made, changed, ct_series, document, mr_series, write
from tests.dock.running import RunningDock
from tests.dock.using import introduce, keep, open_at, rows
from tests.servers.orthanc import Orthanc


def looked(folder: Path, *instances: Made):
    return [inspect_file(path.name, path) for path in write(folder, list(instances))]


# ---- what the files are


def test_files_that_are_not_dicom_are_distinguished(tmp_path: Path):
    (instance,) = ct_series(1)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.write_bytes(instance.data)
    cut.write_bytes(instance.data[:-300])
    note = tmp_path / "note.txt"
    note.write_text("Nothing of a picture, and quite a few words about it." * 9)
    empty = tmp_path / "empty"
    empty.touch()
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.write(whole, "DICOMDIR")
    found = [inspect_file("x", path) for path in (whole, cut, note, empty, packed)]
    assert [one.issue for one in found] == ["", "broken", "other", "other", "other"]
    assert [one.reason for one in found[2:]] == [
        "no DICOM file",
        "no DICOM file",
        "a packed file; unpack it, or use 'dicomdock import'",
    ]
    assert inspect_file("x", whole).resource == instance.resource


def test_series_are_grouped_and_compared_with_the_archive(settings: Settings, tmp_path: Path):
    head, chest = ct_series(3), mr_series(2, PatientName="Abe^Ann")
    keep(settings, tmp_path / "kept", [head[0], changed(head[1], PatientComments="other")])
    files = looked(tmp_path / "new", *head, *chest, head[2], changed(chest[0], PatientComments="other"))
    with Archive.open(settings) as archive:
        found, rest = group_series(files, archive)
    assert rest == []
    assert [group.about["PatientName"] for group in found] == ["Abe^Ann", "Doe^Jane"]
    mr, ct = found
    assert [file.issue for file in mr.files] == ["", "clash", ""]
    assert [file.issue for file in ct.files] == ["here", "conflict", "", "twice"]
    assert [len(group.storable) for group in found] == [2, 2]


def test_identifiers_that_stand_for_two_things_are_reported(settings: Settings, tmp_path: Path):
    (one,) = ct_series(1)
    other_study = changed(one, StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4")
    other_patient = changed(one, PatientID="P2", SeriesInstanceUID="1.2.5", SOPInstanceUID="1.2.5.4")
    same_instance = changed(other_patient, SeriesInstanceUID="1.2.6")
    files = looked(tmp_path / "new", one, other_study, other_patient, same_instance)
    with Archive.open(settings) as archive:
        told = {str(group.resource): " ".join(group.warnings) for group in group_series(files, archive)[0]}
    first, second = f"{one.study}/{one.series}", f"1.2.3/{one.series}"
    assert "several studies" in told[first]
    assert "several patient IDs" in told[first]
    assert "several studies" in told[second]
    assert "patient IDs" not in told[second]
    assert "another series too" in told[f"{one.study}/1.2.6"]


# ---- in the browser


def folder_of_files(tmp_path: Path) -> tuple[Path, list[Made]]:
    instances = [*ct_series(3), *mr_series(2, PatientName="Yamada^Tarou=山田^太郎"), document()]
    folder = tmp_path / "disk"
    write(folder / "DICOM", instances)
    (folder / "readme.txt").write_text("Not a picture, but it lies on every disk of every hospital." * 5)
    return folder, instances


def test_a_folder_is_looked_at_and_kept_here(dock: RunningDock, page: Page, tmp_path: Path):
    folder, instances = folder_of_files(tmp_path)
    keep(dock.settings, tmp_path / "kept", instances[:1])
    open_at(page, dock, "/upload")
    page.get_by_test_id("input-folder").set_input_files(folder)
    expect(page).to_have_url(re.compile("/upload/[^/]+$"))
    expect(rows(page, "groups")).to_have_count(3)
    expect(page.get_by_test_id("groups")).to_contain_text("Yamada, Tarou (山田 太郎)")
    expect(page.get_by_test_id("groups")).to_contain_text("1 in the archive already")
    expect(page.get_by_test_id("not-kept")).to_contain_text("disk/readme.txt")
    expect(page.get_by_test_id("not-kept")).to_contain_text("no DICOM file")
    expect(page.get_by_test_id("status")).to_contain_text("3 series, 6 images")
    page.reload()
    expect(rows(page, "groups")).to_have_count(3)
    expect(page.get_by_test_id("keep-batch")).to_be_enabled()
    page.keyboard.press("u")
    expect(page.get_by_test_id("batch-words")).to_contain_text("6 files stored, 1 not")
    expect(page.get_by_test_id("results")).to_contain_text("was stored already")
    with Archive.open(dock.settings) as archive:
        assert archive.summary().instances == 6
        kept = {
            one.resource: one.path.read_bytes()
            for made in instances
            for one in archive.instances(made.resource)
        }
    assert kept == {made.resource: made.data for made in instances}
    uploads = dock.settings.state / "uploads"
    assert not [path for path in uploads.rglob("*") if path.is_file()]


def test_only_what_is_selected_is_kept(dock: RunningDock, page: Page, tmp_path: Path):
    folder, _ = folder_of_files(tmp_path)
    open_at(page, dock, "/upload")
    page.get_by_test_id("input-folder").set_input_files(folder)
    expect(rows(page, "groups")).to_have_count(3)
    rows(page, "groups").filter(has_text="Yamada").locator(".tick").click()
    expect(page.get_by_test_id("status")).to_contain_text("2 series, 4 images")
    page.get_by_test_id("keep-batch").click()
    expect(page.get_by_test_id("batch-words")).to_contain_text("4 files stored")
    with Archive.open(dock.settings) as archive:
        assert archive.summary().instances == 4


def test_files_dropped_on_another_page(dock: RunningDock, page: Page, tmp_path: Path):
    (instance,) = ct_series(1)
    open_at(page, dock, "/transfers")
    page.evaluate(
        """([bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "slice.dcm"));
            for (const kind of ["dragenter", "dragover", "drop"])
                document.body.dispatchEvent(
                    new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        [list(instance.data)],
    )
    expect(page).to_have_url(re.compile("/upload/"))
    expect(rows(page, "groups")).to_have_count(1)
    page.get_by_test_id("drop-batch").click()
    expect(page).to_have_url(re.compile("/upload$"))


def test_nothing_that_can_be_kept(dock: RunningDock, page: Page, tmp_path: Path):
    note = tmp_path / "note.txt"
    note.write_text("Nothing")
    open_at(page, dock, "/upload")
    page.get_by_test_id("input-files").set_input_files(note)
    expect(page.get_by_test_id("batch-words")).to_contain_text("None of these files")
    expect(page.get_by_test_id("keep-batch")).to_be_disabled()
    page.goto(f"{dock.url}/upload/unknown")
    expect(page.get_by_test_id("batch-gone")).to_be_visible()


@pytest.mark.servers
def test_files_are_sent_on_to_a_server(dock: RunningDock, page: Page, tmp_path: Path, orthanc: Orthanc):
    folder, instances = folder_of_files(tmp_path)
    introduce(dock.settings, orthanc)
    orthanc.add(instances[0].data)
    open_at(page, dock, "/upload")
    page.get_by_test_id("input-folder").set_input_files(folder)
    expect(rows(page, "groups")).to_have_count(3)
    page.get_by_test_id("target").click()
    page.get_by_role("option", name="Store, and send to hospital").click()
    expect(rows(page, "groups").filter(has_text="1 on hospital already")).to_have_count(1)
    expect(page.get_by_test_id("status")).to_contain_text("6 images")
    expect(page.get_by_test_id("status")).to_contain_text("1 on hospital already")
    page.get_by_test_id("keep-batch").click()
    results = page.get_by_test_id("results")
    expect(page.get_by_test_id("batch-words")).to_contain_text("done, 6 of 6 images")
    on_server = rows(page, "results").locator(".cell:nth-child(3)")
    expect(on_server.filter(has_text=re.compile(r"^\s*stored\s*$"))).to_have_count(5)
    expect(results).to_contain_text("was there already")
    assert orthanc.instance_count() == 6


def test_only_pages_of_the_dock_may_send_files(dock: RunningDock, page: Page):
    open_at(page, dock)
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {}):
        answer = page.request.post(f"{dock.url}/uploads", headers=headers)
        assert answer.status == 403, headers
    assert page.request.post(f"{dock.url}/uploads", headers={"Origin": dock.url}).status == 201
    answer = page.request.post(f"{dock.url}/uploads/../../x?name=y", headers={"Origin": dock.url}, data=b"")
    assert answer.status in (404, 405)
    page.context.clear_cookies()
    assert page.request.post(f"{dock.url}/uploads", headers={"Origin": dock.url}).status == 401
