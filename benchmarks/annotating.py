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
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pydicom import dcmread
from tests import chromium
from tests.builders import write
from tests.dock.running import RunningDock, connected, running
from tests.imaging.scans import scan
from tests.tutorials.annotating import Annotator, Person, Reviewer

from benchmarks.goals import goals_table
from benchmarks.place import Place
from benchmarks.viewer import ENVIRONMENT, IMAGE, PATIENCE, until_warm
from dicomdock import Archive
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.config.tools import ToolFolder
from dicomdock.dicom.resource import Resource

STUDIES = 4
SHAPE = (60, 512, 512)  # 31 MB a study
VOXEL_ML = 0.7 * 0.7 * 2 / 1000
HOLE = 400  # voxels that the tool leaves out
NEXT = 1.5  # seconds, the goal
SENT_BACK, WITHDRAWN = 2, 3  # cases
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
    with ExitStack() as stack:
        docks = [
            stack.enter_context(running(folder / person, env=ENVIRONMENT, viewer=True)) for person in homes
        ]
        anna = stack.enter_context(Timed.at(browser, docks[0], pictures))
        rita = stack.enter_context(Reviewer.at(browser, docks[1], pictures))
        adam = stack.enter_context(Person.at(browser, docks[2], pictures))
        for person in (anna, rita, adam):
            until_warm(person.page, person.dock)
        for number in range(1, STUDIES + 1):
            anna.open()
            if number == WITHDRAWN:
                _withdraw_and_give_back(anna, homes["adam"])
            anna.propose()
            assert anna.submit() == str(number)
            if number == SENT_BACK:
                _review(rita, 1)
                _review(rita, SENT_BACK, "It has a hole.")
                anna.open()
                anna.paint()
                anna.save()
                assert anna.submit() == str(SENT_BACK)
        for number in range(2, STUDIES + 1):
            _review(rita, number)
        expect(adam.page.get_by_test_id("work-progress")).to_contain_text(f"{STUDIES} done", timeout=PATIENCE)
        adam.picture("administrator")
    _check(homes["adam"], folder / "exported", balls)
    return anna.seconds


class Timed(Annotator):
    """An annotator whose time for each next case is taken."""

    def __init__(self, dock: RunningDock, page: Page, pictures: Path | None = None) -> None:
        super().__init__(dock, page, pictures)
        self.seconds: list[float] = []

    def open(self) -> None:
        page = self.page
        expect(page.get_by_test_id("work-next")).to_be_enabled(timeout=PATIENCE)
        until_warm(page, self.dock)
        began = time.perf_counter()
        page.keyboard.press("n")
        page.wait_for_url(lambda url: f":{self.dock.port}/" not in url, wait_until="commit", timeout=PATIENCE)
        page.wait_for_function(IMAGE, polling=20, timeout=PATIENCE)
        self.seconds.append(time.perf_counter() - began)
        self.screen.wait("s.complete", PATIENCE / 1000)
        self.draft = False


def _review(rita: Reviewer, number: int, note: str = "") -> None:
    """Look at a case that was submitted, and accept it or send it back."""
    page = rita.page
    page.goto(f"{rita.dock.url}/work?project=balls")  # others have submitted meanwhile
    connected(page)
    rita.open()
    rita.read()
    assert (rita.send_back() if note else rita.accept()) == str(number)


def _withdraw_and_give_back(anna: Timed, adam: Settings) -> None:
    """Withdraw a case while its viewer is open: the annotator reads why, and has it again afterwards."""
    with Archive.open(adam) as archive:
        project = archive.project("balls")
        project.withdraw([str(WITHDRAWN)])
        project.assign([str(WITHDRAWN)], "anna")
        project.assign([str(WITHDRAWN)], "bert")
    anna.leave()
    lost = anna.page.get_by_test_id("work-lost")
    expect(lost).to_contain_text("it was assigned to bert. What you saved is in the archive.")
    anna.picture("withdrawn")
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
    """Make the studies and the project of them; return the voxels of each ball."""
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
