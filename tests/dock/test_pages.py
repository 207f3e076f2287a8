"""The pages in a real Chromium, as a person uses them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import change_profiles, load_profiles
from dicomdock.config.settings import Settings
from tests.accessibility import violations
from tests.builders import Made, ct_series
from tests.dock.running import RunningDock, demonstrating, give_demonstration, running
from tests.dock.using import keep, open_at, rows, saved, still
from tests.servers.orthanc import Orthanc
from tests.servers.process import free_port

HOSTILE = "<img src=x onerror=alert(1)>^{{7*7}}"
HOSTILE_NAME = "<script>alert(1)</script>^{{7*7}}"


def ct(**attributes: str) -> Made:
    """Make a study of a single slice."""
    (made,) = ct_series(1, **attributes)
    return made


def mark(row: Locator) -> Locator:
    return row.locator(".mark").first


# ---- the first visit


def test_the_first_visit_has_doors(dock: RunningDock, page: Page, demonstration: Path):
    give_demonstration(dock.settings.state.parent, demonstration)  # to make it takes seconds
    open_at(page, dock)
    expect(page.get_by_test_id("first-visit")).to_be_visible()
    page.get_by_test_id("door-demo").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_test_id("source-demo")).to_have_attribute("aria-pressed", "true")
    page.goto(f"{dock.url}/")
    page.get_by_test_id("source-local").click()
    expect(page.get_by_test_id("first-visit")).to_be_visible()


def test_an_address_that_leads_nowhere(dock: RunningDock, page: Page):
    open_at(page, dock)
    answer = page.goto(f"{dock.url}/nowhere/at/all")
    assert answer is not None and answer.status == 404
    expect(page.get_by_test_id("missing")).to_be_visible()
    page.goto(f"{dock.url}/study/not%20a%20uid%2F..")
    expect(page.get_by_text("There is no such")).to_be_visible()


# ---- finding


def test_finding_by_keyboard_alone(demo_dock: RunningDock, page: Page):
    open_at(page, demo_dock)
    page.keyboard.press("2")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("/")
    page.keyboard.type("phantom")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("source=demo&PatientName=phantom"))
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog")
    expect(keys).to_contain_text("Go to the filter")
    expect(keys).to_contain_text("Download")
    # A key that follows at once means the page again.
    page.evaluate("""() => {
        document.querySelector(".keys-box").close();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true }));
    }""")
    expect(page.get_by_label("Patient name")).to_be_focused()
    expect(keys).to_have_count(0)
    page.get_by_test_id("studies").focus()
    expect(page.get_by_test_id("series").locator(".row")).to_have_count(2)
    page.keyboard.press("Space")
    expect(page.get_by_test_id("status")).to_have_text("1 study, 121 images selected")


def test_the_arrow_keys_move_the_list_after_a_source_was_chosen(demo_dock: RunningDock, page: Page):
    open_at(page, demo_dock)
    page.get_by_test_id("source-demo").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_test_id("studies")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_test_id("series").locator(".row")).to_have_count(2)


def test_a_filter_lives_in_the_address(demo_dock: RunningDock, page: Page):
    open_at(page, demo_dock, "/?source=demo&PatientName=nobody")
    expect(page.get_by_test_id("no-match")).to_be_visible()
    expect(page.get_by_test_id("filter-PatientName")).to_have_value("nobody")
    page.get_by_role("button", name="Clear the filter").last.click()
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("source=demo$"))
    page.reload()
    expect(rows(page)).to_have_count(1)


def test_names_of_all_the_world_and_markup_are_text(dock: RunningDock, page: Page, tmp_path: Path):
    names = ["Yamada^Tarou=山田^太郎=やまだ^たろう", "Люкceмбypг", "Buc^Jérôme", HOSTILE_NAME]
    made = [
        ct(PatientName=name, SpecificCharacterSet="ISO_IR 192", StudyDescription=HOSTILE) for name in names
    ]
    keep(dock.settings, tmp_path / "made", made)
    open_at(page, dock)
    expect(rows(page)).to_have_count(len(names))
    listed = page.get_by_test_id("studies")
    expect(listed).to_contain_text("Yamada, Tarou (山田 太郎, やまだ たろう)")
    expect(listed).to_contain_text("Люкceмбypг")
    expect(listed).to_contain_text("<script>alert(1)</script>, {{7*7}}")
    expect(listed).to_contain_text(HOSTILE)
    for row in rows(page).all():
        row.click()
        expect(page.locator(".study-panel .study-title")).not_to_have_text("")
    assert page.locator("img[src='x']").count() == 0
    page.get_by_test_id("narrow").fill("jérôme")
    expect(rows(page)).to_have_count(1)


def test_more_rows_come_while_scrolling(dock: RunningDock, page: Page, tmp_path: Path):
    keep(dock.settings, tmp_path / "made", [ct(PatientID=f"P{number:04}") for number in range(150)])
    open_at(page, dock)
    status = page.get_by_test_id("status")
    expect(status).to_contain_text("studies")
    page.wait_for_function(
        """() => {
          const box = document.querySelector('[data-testid="studies"]');
          box.scrollTo(0, box.scrollHeight);
          return document.querySelector('[data-testid="status"]').innerText === "150 studies";
        }"""
    )
    expect(status).to_have_text("150 studies")
    assert rows(page).count() < 60, "only the rows in sight are in the page"


def test_columns_order_and_colours_are_remembered(dock: RunningDock, page: Page, tmp_path: Path):
    keep(
        dock.settings,
        tmp_path / "made",
        [ct(PatientID=name, PatientName=name, AccessionNumber=f"ACC-{name}") for name in "BCA"],
    )
    open_at(page, dock)
    expect(rows(page)).to_have_count(3)
    page.get_by_role("button", name="Patient ID", exact=True).click()
    expect(rows(page).first).to_contain_text("A")
    page.get_by_test_id("columns").click()
    page.get_by_role("checkbox", name="Accession").click()
    expect(rows(page).first).to_contain_text("ACC-A")
    page.keyboard.press("Escape")
    page.get_by_test_id("theme").click()
    page.get_by_test_id("theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    saved(page, "theme")
    patient, grip = rows(page).first.locator("a"), page.locator(".grid-head .grip").nth(1).bounding_box()
    assert grip is not None
    page.mouse.move(grip["x"] + 2, grip["y"] + 5)
    page.mouse.down()
    page.mouse.move(grip["x"] + 202, grip["y"] + 5)
    page.mouse.up()
    saved(page, "studies.widths")
    wide = patient.locator("..").evaluate("(one) => one.clientWidth")
    page.reload()
    expect(rows(page).first).to_contain_text("ACC-A")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert patient.locator("..").evaluate("(one) => one.clientWidth") == wide > 300
    page.set_viewport_size(
        {"width": 390, "height": 800}
    )  # a width that was dragged holds as far as there is room
    expect(rows(page).first).not_to_contain_text("ACC-A")
    assert page.get_by_test_id("studies").evaluate("(list) => list.scrollWidth <= list.clientWidth")


def test_a_search_is_saved(dock: RunningDock, page: Page):
    open_at(page, dock, "/?source=local&PatientName=muster&date=week")
    page.get_by_test_id("saved").click()
    page.get_by_test_id("save-name").fill("Muster this week")
    page.keyboard.press("Enter")
    saved(page, "studies.saved")
    page.goto(dock.url)
    page.get_by_test_id("saved").click()
    page.get_by_text("Muster this week").click()
    expect(page).to_have_url(re.compile("PatientName=muster&date=week"))


# ---- fetching


def test_a_study_is_downloaded_and_shown_in_two_tabs(
    tmp_path: Path, page: Page, context, demonstration: Path
):
    with demonstrating(tmp_path / "mine", demonstration) as dock:
        open_at(page, dock, "/?source=demo")
        expect(mark(rows(page).first)).to_have_attribute("aria-label", "on the server")
        other = context.new_page()
        other.goto(f"{dock.url}/?source=demo")
        expect(rows(other)).to_have_count(1)
        page.get_by_test_id("studies").focus()
        expect(page.get_by_test_id("action-download")).to_be_enabled()
        page.keyboard.press("d")
        for tab in (page, other):
            expect(mark(rows(tab).first)).to_have_attribute(
                "aria-label", "on this computer and on the server"
            )
        page.get_by_test_id("studies").focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/study/"))
        pictures = page.get_by_test_id("series").locator("img")
        expect(pictures).to_have_count(2)
        for picture in pictures.all():
            expect(picture).to_have_js_property("naturalWidth", 128)
        page.goto(f"{dock.url}/transfers")
        expect(rows(page, "transfers")).to_contain_text(["done, 121 of 121 images"])
        assert "Traceback" not in dock.log


def readable(page: Page) -> None:
    """See that the words of notes have contrast enough."""
    still(page)  # what fades in has too little
    assert not violations(page, ".q-notification")


def test_a_server_that_is_away_is_explained(dock: RunningDock, page: Page):
    page.emulate_media(color_scheme="dark")
    open_at(page, dock, "/servers")
    page.get_by_test_id("save-server").click()
    expect(page.get_by_test_id("trial-error")).to_contain_text("name")  # beside its field, not over the form
    page.get_by_test_id("server-url").fill("not an address")
    page.get_by_test_id("save-server").click()
    expect(page.get_by_test_id("trial-error")).to_contain_text("not a web address")
    expect(page.locator(".q-notification")).to_have_count(0)
    page.get_by_test_id("server-url").fill(f"http://127.0.0.1:{free_port()}/dicom-web")
    page.get_by_test_id("server-name").fill("away")
    page.get_by_test_id("save-server").click()
    expect(page.get_by_test_id("trial-error")).to_contain_text("127.0.0.1")
    page.get_by_test_id("save-anyway").click()
    expect(page.get_by_test_id("server-away")).to_be_visible()
    readable(page)
    page.get_by_test_id("remove-away").click()
    page.get_by_role("button", name="Undo").wait_for()
    readable(page)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_test_id("server-away")).to_be_visible()
    page.goto(f"{dock.url}/?source=away")
    note = page.locator(".note.bad")
    expect(note).to_be_visible()
    expect(note.get_by_role("button", name="Try again")).to_be_visible()
    page.get_by_test_id("source-local").click()
    expect(note).to_have_count(0)


# ---- servers


@pytest.mark.servers
def test_a_server_with_a_password(dock: RunningDock, page: Page, orthanc: Orthanc):
    open_at(page, dock, "/servers")
    page.get_by_test_id("server-url").fill(orthanc.root)
    page.get_by_test_id("server-name").fill("hospital")
    page.get_by_test_id("save-server").click()
    expect(page.get_by_test_id("trial-error")).to_be_visible()
    user, secret = page.get_by_test_id("server-user"), page.get_by_test_id("server-secret")
    user.fill(orthanc.user)
    secret.fill("wrong")
    page.get_by_test_id("save-server").click()
    expect(page.get_by_test_id("trial-error")).to_contain_text("refused")
    secret.fill(orthanc.password)
    page.get_by_test_id("save-server").click()
    card = page.get_by_test_id("server-hospital")
    expect(card).to_contain_text("/dicom-web")
    page.get_by_test_id("edit-hospital").click()
    expect(secret).to_have_value("")
    expect(page.get_by_text("Stored already; type only to replace it.")).to_be_visible()
    # A keyring that was lost: the form says so, and takes the password again.
    (stored,) = load_profiles(dock.settings)
    Secrets(dock.settings).delete(stored.name, stored.origin)
    page.get_by_test_id("edit-hospital").click()
    expect(page.get_by_text("None is stored any more.")).to_be_visible()
    page.get_by_test_id("save-server").click()
    expect(page.get_by_test_id("trial-error")).to_contain_text("type its password or token again")
    secret.fill(orthanc.password)
    page.get_by_test_id("save-server").click()
    expect(secret).to_have_count(0)
    page.get_by_test_id("edit-hospital").click()
    expect(page.get_by_text("Stored already; type only to replace it.")).to_be_visible()
    assert page.evaluate("[...document.querySelectorAll('input')].every(field => field.value !== 'secret')")
    page.get_by_test_id("remove-hospital").click()
    expect(card).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(card).to_be_visible()
    # Commands that name no server use the first one, until another one is chosen.
    expect(page.get_by_test_id("default-hospital")).to_have_count(0)
    change_profiles(dock.settings, lambda known: known.with_profile(replace(stored, name="clinic")))
    page.reload()
    expect(card).to_contain_text("default of the command line")
    page.get_by_test_id("default-clinic").click()
    expect(page.get_by_test_id("server-clinic")).to_contain_text("default of the command line")
    expect(page.get_by_test_id("default-hospital")).to_be_visible()
    assert load_profiles(dock.settings).get().name == "clinic"
    page.get_by_test_id("test-hospital").click()
    expect(card).to_contain_text("Studies can be searched")
    assert orthanc.instance_count() == 0
    page.get_by_test_id("test-upload-hospital").click()
    page.get_by_test_id("test-upload-now").click()
    expect(card).to_contain_text("Uploads are taken.")
    expect(card).to_contain_text("stays there")  # because this Orthanc deletes nothing over DICOMweb
    assert orthanc.instance_count() == 1
    orthanc.clean()
    page.goto(f"{dock.url}/?source=hospital")
    expect(page.get_by_test_id("no-studies")).to_be_visible()


# ---- ending


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_dock_ends_quietly(tmp_path: Path, number: signal.Signals):
    import os

    with running(tmp_path / "mine", anew=True) as dock:
        os.kill(dock.pid, number)
        assert dock.process.process is not None
        assert dock.process.process.wait(60) == 0
        assert "Traceback" not in dock.log


SIGNALLED_AMID_AN_IMPORT = """
import os, signal, sys
from dicomdock.config.settings import Settings
from dicomdock.dock import run

def amid_a_lock_of_the_import(frame, event, _argument):
    # An exception that leaves here is lost, and with it the end; so it is when the signal hits by chance.
    if event == "call" and frame.f_code.co_name == "cb" and "importlib" in frame.f_code.co_filename:
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)

def signalled(*args, build=run.build, **options):
    sys.setprofile(amid_a_lock_of_the_import)
    return build(*args, **options)

run.build = signalled
sys.exit(run.run(Settings.load(), port=0, background=True, demo=True))
"""


@pytest.mark.slow
def test_a_signal_amid_an_import_ends_the_dock(settings: Settings):
    dock = subprocess.run(
        [sys.executable, "-c", SIGNALLED_AMID_AN_IMPORT], capture_output=True, timeout=120, check=False
    )
    assert (dock.returncode, dock.stdout + dock.stderr) == (0, b"")
