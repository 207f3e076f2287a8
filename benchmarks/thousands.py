"""A CT of 2,000 slices, a gigabyte, from the archive into the viewer: first picture, whole series, memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright
from pydicom.uid import generate_uid
from tests import chromium
from tests.builders import Made, changed, ct_series
from tests.dock.running import RunningDock, running
from tests.dock.using import keep, open_at, rows

from benchmarks.goals import goals_table
from benchmarks.place import Place
from benchmarks.viewer import (
    ENVIRONMENT,
    IMAGE,
    PATIENCE,
    memory_of,
    processor_of,
    until_quiet,
    until_warm,
    viewers_of,
)
from dicomdock.archive import Archive
from dicomdock.sources import Part

SLICES, SIDE = 2000, 512
PIXELS = SLICES * SIDE * SIDE * 2 / 1e6  # MB
FIRST, WHOLE, MEMORY = 3.0, 20.0, 1.5  # seconds, seconds, times the pixels: the goals
STEP = 0.25  # mm between slices


def section(here: Place) -> str:
    """Measure, and return the table."""
    home: Path = here.empty("thousands")
    with (
        running(home / "home", env=ENVIRONMENT, viewer=True) as dock,
        sync_playwright() as playwright,
    ):
        with Archive.open(dock.settings) as archive, archive.writer(origin="benchmark") as writer:
            for made in long_series(SLICES, SIDE):
                study = made.study
                writer.add(Part("application/dicom", lambda data=made.data: iter((data,)), len(made.data)))
        keep(dock.settings, home / "made", ct_series(2))
        browser = chromium.start(playwright.chromium)
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(PATIENCE)
        open_at(page, dock)
        rows(page).first.click()  # who walks the list is about to open something
        until_warm(page, dock)
        before = _processor(dock)
        began = time.perf_counter()
        page.goto(f"{dock.url}/open/{study}", wait_until="commit")
        page.wait_for_function(IMAGE, polling=20, timeout=PATIENCE)
        first, worked_first = time.perf_counter() - began, _processor(dock) - before
        page.wait_for_function("window.trame?.state?.state?.complete === true", timeout=PATIENCE)
        whole, worked = time.perf_counter() - began, _processor(dock) - before
        until_quiet(dock)
        resident = max(memory_of([pid]) for pid in viewers_of(dock))
        most = max(_most(pid) for pid in viewers_of(dock))
        browser.close()
    return goals_table(
        f"A series of {SLICES:,} slices of {SIDE}x{SIDE}, {PIXELS:,.0f} MB of pixels",
        {
            "from the archive to the first picture, s": ([first], FIRST),
            "to the whole, s": ([whole], WHOLE),
            "processor time of dock and viewers to the first picture, s": ([worked_first], FIRST),
            "processor time of dock and viewers to the whole, s": ([worked], WHOLE),
            "memory of the viewer that shows it, times the pixels": ([resident / PIXELS], MEMORY),
            "the most of it, times the pixels": ([most / PIXELS], MEMORY),
        },
    )


def long_series(slices: int, side: int) -> Iterator[Made]:
    """Make a CT series one slice after another: a body of 40 HU with a ball of 300 HU and noise.

    Parameters
    ----------
    slices : how many, 0.25 mm apart.
    side : rows and columns of each.
    """
    like = ct_series(1, rows=side, columns=side)[0]
    row, column = (np.indices((side, side)) - side / 2) / (side / 2)
    noise = np.random.default_rng(1).normal(0, 20, (side, side)).astype("<i2")
    body = np.where((row / 0.7) ** 2 + (column / 0.9) ** 2 < 1, 1064, 24).astype("<i2") + noise
    for index in range(slices):
        size = 0.4**2 - (index / slices - 0.5) ** 2
        pixels = np.where(row**2 + column**2 < size, 1324, np.roll(body, index, axis=1)).astype("<i2")
        yield changed(
            like,
            SOPInstanceUID=generate_uid(),
            InstanceNumber=index + 1,
            ImagePositionPatient=[-100.0, -100.0, STEP * index],
            SliceThickness=STEP,
            WindowCenter=40,
            WindowWidth=700,
            PixelData=pixels.tobytes(),
        )


def _processor(dock: RunningDock) -> float:
    return sum(processor_of(pid) for pid in (dock.pid, *viewers_of(dock)))


def _most(pid: int) -> float:
    """Return the most memory that a process held, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1000
