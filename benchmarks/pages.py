"""The pages in a real Chromium: until they can be used, searching, typing in transfers, pictures, memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from pydicom.uid import generate_uid
from tests import chromium
from tests.builders import ct_series
from tests.dock.running import RunningDock, running
from tests.dock.using import introduce, keep, open_at, rows

from benchmarks import large
from benchmarks.goals import goals_table
from benchmarks.place import Place

ROUNDS = 4
USABLE, FIRST_PAGE, TYPING, THUMBNAILS, MEMORY = 1.5, 0.3, 0.15, 2.0, 150.0  # seconds; MB
SERIES_WITH_PICTURES = 40
AT_ONCE = 4  # series that are downloaded while somebody types
TYPED = "the quick brown fox jumps over the lazy dog "
ENVIRONMENT = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}

# Seconds from a key to the next frame that shows what it did.
WATCH_TYPING = """() => {
    window.delays = [];
    addEventListener("keydown", (event) => {
        const pressed = event.timeStamp;
        requestAnimationFrame(() => setTimeout(() => delays.push((performance.now() - pressed) / 1000)));
    }, true);
}"""
_UNTIL_ROWS_CHANGE = """(button) => new Promise((done) => {
    const before = document.querySelector(".grid .row")?.dataset.key;
    const began = performance.now();
    const look = () => {
        const now = document.querySelector(".grid .row")?.dataset.key;
        if (now && now !== before) done((performance.now() - began) / 1000);
        else requestAnimationFrame(look);
    };
    button.click();
    requestAnimationFrame(look);
})"""
_SHOWN = """(count) => {
    const pictures = [...document.querySelectorAll('[data-testid=series] img')];
    return pictures.length >= count && pictures.every((picture) => picture.complete && picture.naturalWidth);
}"""


def section(here: Place) -> str:
    """Measure, and give the table."""
    with sync_playwright() as playwright:
        browser = chromium.start(playwright.chromium)
        measured = {
            **_idle_and_usable(here, browser),
            **_pictures(here, browser),
            **_typing(here, browser),
        }
        browser.close()
    return goals_table("Pages", measured)


@contextmanager
def _page(browser: Browser, dock: RunningDock, path: str, *, height: int = 800) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": height})
    page = context.new_page()
    open_at(page, dock, path)
    yield page
    context.close()


def _idle_and_usable(here: Place, browser: Browser) -> dict[str, tuple[list[float], float]]:
    home = here.empty("pages-idle") / "home"
    with running(home, env=ENVIRONMENT) as dock:
        fresh = [_resident(dock)]
        with _page(browser, dock, "/") as page:
            seconds = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                page.goto(dock.url)
                page.wait_for_function(
                    "window.did_handshake && document.querySelector('[data-testid=status]')"
                )
                seconds.append(time.perf_counter() - began)
        used = [_resident(dock)]
    return {
        "page can be used, s": (seconds, USABLE),
        "resident memory of a dock that has shown nothing, MB": (fresh, MEMORY),
        "resident memory of an idle dock after the pages were used, MB": (used, MEMORY),
    }


def _resident(dock: RunningDock) -> float:
    status = Path(f"/proc/{dock.pid}/status").read_text("utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def large_archive(here: Place) -> str:
    """Measure searches of a large archive, and give the table."""
    with sync_playwright() as playwright:
        browser = chromium.start(playwright.chromium)
        measured = _large(here, browser)
        browser.close()
    return goals_table("Pages of a large archive", measured)


def _large(here: Place, browser: Browser) -> dict[str, tuple[list[float], float]]:
    settings, _ = here.large_archive()
    home = settings.archive.parent
    seconds = []
    with running(home, env=ENVIRONMENT) as dock, _page(browser, dock, "/") as page:
        rows(page).first.wait_for()
        for name in large.SURNAMES[:ROUNDS]:
            page.get_by_test_id("filter-PatientName").fill(name[:4])
            page.wait_for_timeout(300)
            seconds.append(page.get_by_test_id("search").evaluate(_UNTIL_ROWS_CHANGE))
    return {f"first rows of {large.STUDIES:,} studies after Enter, s": (seconds, FIRST_PAGE)}


def _pictures(here: Place, browser: Browser) -> dict[str, tuple[list[float], float]]:
    folder = here.empty("pages-pictures")
    study = generate_uid()
    made = [
        instance
        for number in range(SERIES_WITH_PICTURES)
        for instance in ct_series(1, rows=512, columns=512, StudyInstanceUID=study, SeriesNumber=number)
    ]
    cold, warm = [], []
    with running(folder / "home", env=ENVIRONMENT) as dock:
        keep(dock.settings, folder / "made", made)
        for number in range(ROUNDS):
            with _page(browser, dock, "/transfers", height=SERIES_WITH_PICTURES * 72 + 300) as page:
                began = time.perf_counter()
                page.goto(f"{dock.url}/study/{study}")
                page.wait_for_function(_SHOWN, arg=SERIES_WITH_PICTURES)
                (warm if number else cold).append(time.perf_counter() - began)
    name = f"thumbnails of {SERIES_WITH_PICTURES} series"
    return {
        f"{name}, warm, s": (warm, THUMBNAILS),
        f"{name}, decoded for the first time, s": (cold, THUMBNAILS),
    }


def _typing(here: Place, browser: Browser) -> dict[str, tuple[list[float], float]]:
    home = here.empty("pages-typing") / "home"
    here.remove_others()  # the first study of the list is one of several series
    quiet: list[float] = []
    busy: list[float] = []
    with running(home, env=ENVIRONMENT) as dock:
        introduce(dock.settings, here.orthanc)
        with _page(browser, dock, "/?source=hospital") as page:
            rows(page).first.wait_for()
            field = page.get_by_test_id("filter-StudyDescription")
            page.evaluate(WATCH_TYPING)
            field.press_sequentially(TYPED, delay=30)
            quiet += page.evaluate("delays.splice(0)")
            rows(page).first.click()
            page.locator("[data-testid=series] .row").nth(AT_ONCE - 1).wait_for()
            for row in page.locator("[data-testid=series] .row").all()[:AT_ONCE]:
                row.locator(".tick").click()
            page.keyboard.press("d")
            page.get_by_test_id("running-transfers").wait_for()
            page.evaluate("delays.splice(0)")
            while page.get_by_test_id("running-transfers").is_visible() and len(busy) < 2000:
                field.fill("")
                field.press_sequentially(TYPED, delay=20)
                busy += page.evaluate("delays.splice(0)")
    name = "95th percentile from a key to its letter"
    return {
        f"{name}, s": ([p95(quiet)], TYPING),
        f"{name}, {AT_ONCE} series downloading ({len(busy)} keys), s": ([p95(busy)], TYPING),
    }


def p95(seconds: list[float]) -> float:
    """Give the 95th percentile."""
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else float("nan")
