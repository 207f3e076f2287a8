"""Ten studies in the viewer one after another, in one tab: until each is seen, and the memory they use."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from tests import chromium
from tests.builders import ct_series
from tests.dock.running import running
from tests.dock.using import open_at, rows

from benchmarks.goals import goals_table
from benchmarks.place import Place, renewed, renewed_uid
from benchmarks.viewer import ENVIRONMENT, IMAGE, PATIENCE, memory_of, until_warm, viewers_of
from dicomdock.archive import Archive
from dicomdock.sources import Part

STUDIES = 10
SLICES, SIDE = 60, 512  # 31 MB a study
LOOK = 4.0  # seconds that one looks at each study, while the viewer of the next one starts
SLOWER, RESIDENT = 1.5, 1500.0  # the goals: times the first one's, MB


def section(here: Place) -> str:
    """Measure, and return the table."""
    with sync_playwright() as playwright:
        browser = chromium.start(playwright.chromium)
        measured = one_after_another(here.empty("viewers"), browser)
        browser.close()
    return goals_table(
        f"{STUDIES} studies one after another, {SLICES} slices of {SIDE}x{SIDE} each", measured
    )


def one_after_another(home: Path, browser: Browser) -> dict[str, tuple[list[float], float]]:
    """Return what was measured, with its goals.

    Parameters
    ----------
    home : folder for the dock; empty.
    browser : whose tab shows them.
    """
    seconds, resident = [], []
    with running(home / "home", env=ENVIRONMENT, viewer=True) as dock:
        made = ct_series(SLICES, rows=SIDE, columns=SIDE)
        with Archive.open(dock.settings) as archive, archive.writer(origin="benchmark") as writer:
            for number in range(STUDIES):
                for data in renewed(made, number, made[0].study, made[0].series):
                    writer.add(Part("application/dicom", lambda data=data: iter((data,)), len(data)))
        studies = [renewed_uid(made[0].study, number) for number in range(STUDIES)]
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        open_at(page, dock)
        rows(page).first.click()
        until_warm(page, dock)
        for study in studies:
            began = time.perf_counter()
            page.goto(f"{dock.url}/open/{study}", wait_until="commit")
            page.wait_for_function(IMAGE, polling=20, timeout=PATIENCE)
            seconds.append(time.perf_counter() - began)
            page.wait_for_function("window.trame?.state?.state?.complete === true", timeout=PATIENCE)
            page.wait_for_timeout(1000 * LOOK)
            resident.append(memory_of((dock.pid, *viewers_of(dock))))
        context.close()
    slower = max(seconds[1:]) / seconds[0]
    return {
        "the first of ten studies, until it is seen, s": (seconds[:1], 1.5),
        "the others, until they are seen, s": (seconds[1:], SLOWER * seconds[0]),
        "the slowest of the others, times the first": ([slower], SLOWER),
        "memory of dock and viewers while each is seen, MB": (resident, RESIDENT),
        "the most of it, MB": ([max(resident)], RESIDENT),
    }
