"""A project in a real Chromium: an annotator, a reviewer, an administrator, and a tool that proposes.

Three docks share an archive, as three machines share a folder. The tool is a threshold with a fault, in a
process of its own. Measured is the time from the key for the next case until its image is seen; what the
project exports is compared with what was drawn.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pydicom import dcmread
from tests import chromium
from tests.builders import write
from tests.dock.running import RunningDock, connected, running
from tests.dock.using import arrived, open_at, rows
from tests.imaging.scans import scan
from tests.viewer.conftest import Screen

from benchmarks.place import Place
from benchmarks.rounds import goals_table
from benchmarks.viewer import ENVIRONMENT, IMAGE, PATIENCE, until_quiet
from dicomdock import Archive
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.config.tools import ToolFolder
from dicomdock.dicom.resource import Resource

STUDIES = 10
SHAPE = (60, 512, 512)  # 31 MB a study
VOXEL_ML = 0.7 * 0.7 * 2 / 1000
HOLE = 400  # voxels that the tool leaves out
NEXT = 1.5  # seconds, the goal
SENT_BACK, WITHDRAWN = 2, 5  # cases
TOOL = """
import sys
import nibabel
import numpy as np
image = nibabel.load(sys.argv[1])
labels = (np.asarray(image.dataobj) > 0).astype(np.uint8)
labels[246:266, 246:266, 30] = 0
nibabel.save(nibabel.Nifti1Image(labels, image.affine), sys.argv[2])
"""


def section(here: Place) -> str:
    """Measure, and return the table."""
    with sync_playwright() as playwright:
        browser = chromium.start(playwright.chromium)
        seconds = walk(here.empty("annotating"), browser)
        browser.close()
    size = "x".join(map(str, SHAPE[::-1]))
    return goals_table(
        f"A project of {STUDIES} studies, {size} each",
        {
            "the key for the first case, until it is seen, s": (seconds[:1], NEXT),
            "the key for the next case, until it is seen, s": (seconds[1:], NEXT),
        },
    )


def walk(folder: Path, browser: Browser, pictures: Path | None = None) -> list[float]:
    """Annotate, review and administrate all cases, check what is exported, and return the seconds of each.

    Parameters
    ----------
    folder : for the archive and three homes; empty.
    browser : which shows a session for each person.
    pictures : folder for pictures of the pages; none where it is None.
    """
    homes = _homes(folder)
    balls = _project(folder, homes["adam"])
    seconds: list[float] = []
    with ExitStack() as stack:
        docks, pages = {}, {}
        for person in homes:
            dock = docks[person] = stack.enter_context(running(folder / person, env=ENVIRONMENT, viewer=True))
            pages[person] = stack.enter_context(_session(browser, dock))
        for dock in docks.values():  # the spare viewers have started
            until_quiet(dock)
        anna = Annotator(docks["anna"], pages["anna"], seconds, pictures)
        reviewer = Reviewer(docks["rita"], pages["rita"], pictures)
        for number in range(1, STUDIES + 1):
            anna.open()
            if number == WITHDRAWN:
                _withdraw_and_give_back(anna, homes["adam"])
            anna.propose()
            anna.submit(number)
            if number == 3:
                reviewer.accept(1)
                reviewer.send_back(SENT_BACK, "It has a hole.")
                anna.open(corrects=True)
                anna.fill()
                anna.submit(SENT_BACK)
        for number in range(2, STUDIES + 1):
            reviewer.accept(number)
        page = pages["adam"]
        expect(page.get_by_test_id("work-progress")).to_contain_text("10 done", timeout=PATIENCE)
        _picture(page, pictures, "administrator")
    _check(homes["adam"], folder / "exported", balls)
    return seconds


class Annotator:
    """Draws by keys and mouse; the time of each next case is taken."""

    def __init__(self, dock: RunningDock, page: Page, seconds: list[float], pictures: Path | None) -> None:
        self.dock, self.page, self.seconds, self.pictures = dock, page, seconds, pictures
        self.screen: Screen | None = None

    def open(self, *, corrects: bool = False) -> None:
        page = self.page
        expect(page.get_by_test_id("work-next")).to_be_enabled()
        until_quiet(self.dock)
        began = time.perf_counter()
        page.keyboard.press("n")
        page.wait_for_url(lambda url: f":{self.dock.port}/" not in url, wait_until="commit", timeout=PATIENCE)
        page.wait_for_function(IMAGE, polling=20, timeout=PATIENCE)
        self.seconds.append(time.perf_counter() - began)
        self.screen = Screen(page)
        self.screen.wait("s.complete", 60)
        if corrects:
            self.screen.wait("s.drawing_uid", 60)
            _picture(page, self.pictures, "sent-back")

    def propose(self) -> None:
        screen = self.screen
        assert screen is not None
        screen.tool("segment")
        screen.wait("s.tool_chosen === 'threshold'", 60)
        screen.button("run-tool").click()
        screen.wait("s.drawing_uid && s.draft && !s.unsaved && !s.busy", 120)
        _picture(self.page, self.pictures, "proposed")

    def fill(self) -> None:
        screen = self.screen
        assert screen is not None
        screen.brush()
        x, y = screen.middle()
        screen.drag((x - 5, y), (x + 5, y))
        screen.wait("s.unsaved", 60)
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        screen.note("Saved in the archive", 60)
        _picture(self.page, self.pictures, "corrected")

    def submit(self, number: int) -> None:
        self.leave()
        expect(self.page.get_by_test_id("work-submit")).to_be_enabled()
        self.page.keyboard.press("s")
        expect(self.page.get_by_text(f"Case {number} is submitted.")).to_be_visible(timeout=PATIENCE)
        _picture(self.page, self.pictures, "submitted")

    def leave(self) -> None:
        self.page.get_by_test_id("leave").click()
        arrived(self.page, lambda url: url.endswith(f":{self.dock.port}/work?project=balls"))
        connected(self.page)


class Reviewer:
    """Looks at what was drawn, accepts and sends back."""

    def __init__(self, dock: RunningDock, page: Page, pictures: Path | None) -> None:
        self.dock, self.page, self.pictures = dock, page, pictures

    def _look(self, number: int) -> None:
        page = self.page
        page.goto(f"{self.dock.url}/work?project=balls")
        connected(page)
        row = rows(page, "cases").filter(has_text=f"BALL{number:02}")
        expect(row).to_contain_text("review")
        row.click()
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: f":{self.dock.port}/" not in url, wait_until="commit", timeout=PATIENCE)
        screen = Screen(page)
        screen.wait("s.drawing_uid", 60)
        page.goto(f"{self.dock.url}/work?project=balls")
        connected(page)
        row = rows(page, "cases").filter(has_text=f"BALL{number:02}")
        expect(row).to_contain_text("in your review")
        row.click()
        expect(page.get_by_test_id("case-changes")).to_contain_text("Proposed by threshold")
        _picture(page, self.pictures, "reviewed")

    def accept(self, number: int) -> None:
        self._look(number)
        self.page.keyboard.press("a")
        expect(self.page.get_by_text(f"Case {number} is accepted.")).to_be_visible(timeout=PATIENCE)

    def send_back(self, number: int, note: str) -> None:
        self._look(number)
        self.page.keyboard.press("b")
        self.page.get_by_test_id("note").fill(note)
        self.page.get_by_test_id("note-send").click()
        expect(self.page.get_by_text(f"Case {number} is sent back.")).to_be_visible(timeout=PATIENCE)


def _withdraw_and_give_back(anna: Annotator, adam: Settings) -> None:
    """Withdraw a case while its viewer is open: the annotator reads why, and has it again afterwards."""
    with Archive.open(adam) as archive:
        project = archive.project("balls")
        project.withdraw([str(WITHDRAWN)])
        project.assign([str(WITHDRAWN)], "anna")
        project.assign([str(WITHDRAWN)], "bert")
    anna.leave()
    lost = anna.page.get_by_test_id("work-lost")
    expect(lost).to_contain_text("it was assigned to bert. What you saved is in the archive.")
    _picture(anna.page, anna.pictures, "withdrawn")
    with Archive.open(adam) as archive:
        archive.project("balls").assign([str(WITHDRAWN)], "anna")
    anna.page.reload()
    connected(anna.page)
    anna.open()
    anna.seconds.pop()  # its viewer was open still


def _homes(folder: Path) -> dict[str, Settings]:
    """Make homes for three people who share an archive."""
    homes = {}
    for person in ("anna", "rita", "adam"):
        home = folder / person
        settings = Settings(home / "config", folder / "shared", home / "state", free_space_floor=0)
        settings.config.mkdir(0o700, parents=True)
        text = f'person = "{person}"\narchive = "{folder / "shared"}"\n'
        (settings.config / "settings.toml").write_text(text)
        homes[person] = replace(settings, person=person)
    (folder / "threshold.py").write_text(TOOL)
    command = json.dumps([sys.executable, str(folder / "threshold.py"), "{input}", "{output}"])
    labels = '[labels]\n1 = {name = "ball", type = "SCT:52988006:Lesion"}\n'
    declared = f'name = "threshold"\nversion = "1"\ncommand = {command}\n{labels}'
    ToolFolder(homes["anna"]).add(declared.encode(), "threshold")
    return homes


def _project(folder: Path, settings: Settings) -> list[int]:
    """Make ten studies and the project of them; return the voxels of each ball."""
    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    items, voxels = [], []
    with Archive.open(settings) as archive:
        for number in range(1, STUDIES + 1):
            away = (4 * (k - 29.5)) ** 2 + (j - 255.5) ** 2 + (i - 255.5) ** 2
            ball = away <= (90 + 2 * number) ** 2
            made = scan(
                np.where(ball, 100, -50).astype(np.int16),
                PatientID=f"BALL{number:02}",
                PatientName=f"Ball^{number}",
            )
            archive.import_paths(write(folder / "images" / str(number), made))
            dataset = made[0].dataset
            uids = str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID)
            items.append(Item(Resource(*uids), patient=f"BALL{number:02}", modality="CT"))
            voxels.append(int(ball.sum()))
        Cohorts(settings).save("balls", items, {})
        archive.make_project(
            "balls",
            "balls",
            "correct the ball",
            segments=["ball=SCT:52988006:Lesion"],
            annotators=["anna", "bert"],
            reviewers=["rita", "adam"],
            review=True,
        )
    return voxels


@contextmanager
def _session(browser: Browser, dock: RunningDock) -> Iterator[Page]:
    """Open My work in a session of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    open_at(page, dock, "/work")
    yield page
    context.close()


def _picture(page: Page, folder: Path | None, name: str) -> None:
    if folder is not None and not (folder / f"{name}.png").exists():
        page.screenshot(path=folder / f"{name}.png")


def _check(settings: Settings, folder: Path, balls: list[int]) -> None:
    """Compare what the project exports with what was drawn, read by other programs' means."""
    with Archive.open(settings) as archive:
        written = archive.project("balls").export(folder)
    assert (written.decided, written.problems) == (STUDIES, ()), written
    with (folder / "cases.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    assert [case["state"] for case in cases] == ["done"] * STUDIES
    assert [case["case"] for case in cases if case["rounds"] == "2"] == [str(SENT_BACK)]
    with (folder / "changes.csv").open(newline="") as file:
        changes = {int(row["case"]): row for row in csv.DictReader(file)}
    for number, ball in enumerate(balls, 1):
        added, removed = (int(changes[number][f"{name}_voxels"]) for name in ("added", "removed"))
        assert removed == 0
        assert (added > 0) == (number == SENT_BACK), (number, added)
        segmentation = dcmread(folder / "segmentations" / f"{number}.dcm")
        assert segmentation.ContentCreatorName == "anna"
        drawn = int(np.unpackbits(np.frombuffer(segmentation.PixelData, np.uint8)).sum())
        assert drawn == ball - HOLE + added, (number, drawn, ball)
        millilitres = float(changes[number]["after_ml"])
        assert abs(millilitres - drawn * VOXEL_ML) < 1e-6 * millilitres
    with (folder / "history.csv").open(newline="") as file:
        events = [(row["case"], row["event"]) for row in csv.DictReader(file)]
    assert (str(SENT_BACK), "sent back") in events
    assert (str(WITHDRAWN), "withdrawn") in events
