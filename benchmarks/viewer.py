"""The viewer in a real Chromium: from a link to the images, scrolling, painting, what it leaves to others.

Link and archive are those of a user: a dock that runs, a spare viewer that is warm, Orthanc on loopback.
There is no graphics card: the processor draws, and the browser, the server and the dock share it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright
from tests import chromium
from tests.builders import ct_series
from tests.dock.running import RunningDock, running
from tests.dock.using import introduce, keep, open_at, rows
from tests.viewer.conftest import Screen

from benchmarks import pages
from benchmarks.goals import goals_table
from benchmarks.place import Place, Series
from benchmarks.rounds import enough
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicomweb import connect
from dicomdock.launch.handoff import send
from dicomdock.launch.trust import TrustStore
from dicomdock.transfer.pull import pull
from dicomdock.transfer.watch import consume

MOST = 3  # times that the series is opened
STEPS = 20
STROKES = 3
STROKE_SECONDS = 2.5
FIRST_IMAGE, WHOLE, STEP, FRAME = 1.5, 4.0, 0.12, 0.125  # seconds, the goals
ENVIRONMENT = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
PATIENCE = 120_000  # ms
QUIET = 1.5  # seconds in which a process does next to nothing: what it had to do is done

# A view shows a picture with more in it than the words around it.
IMAGE = """() => {
    const image = document.querySelector('[data-view="Red"] canvas');
    if (!image || image.width < 20) return false;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 64;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, 64, 64);
    const values = context.getImageData(0, 0, 64, 64).data;
    let bright = 0;
    for (let at = 0; at < values.length; at += 4) bright += values[at] > 60;
    return bright > 200;
}"""

# Seconds from a turn of the wheel, or a move of the mouse, to the next picture of the view on the screen.
_WATCH_FRAMES = """() => {
    const view = document.querySelector('[data-view="Red"]');
    const image = view.querySelector("canvas");
    window.delays = []; window.frames_shown = []; window.turned = 0;
    addEventListener("wheel", () => { turned = performance.now(); }, true);
    new MutationObserver(() => requestAnimationFrame(() => {
        frames_shown.push(performance.now());
        if (turned) { delays.push((performance.now() - turned) / 1000); turned = 0; }
    })).observe(view, { attributes: true, attributeFilter: ["data-drawn"] });
    return [image.width, image.height];
}"""


def section(here: Place) -> str:
    """Measure, and give the table."""
    series = here.series[-1]  # the real one, where it is
    with sync_playwright() as playwright:
        browser = chromium.start(playwright.chromium)
        measured = {**_opening(here, browser, series), **_using(here, browser, series)}
        browser.close()
    return goals_table(f"Viewer ({series.name})", measured)


def _opening(here: Place, browser: Browser, series: Series) -> dict[str, tuple[list[float], float]]:
    first: list[float] = []
    whole: list[float] = []
    while not (enough(first, here.effort, most=MOST) and enough(whole, here.effort, most=MOST)):
        with warm(here, browser, f"viewer-opening{len(first)}") as (dock, page):
            began = time.perf_counter()
            click(here, dock, page, series)
            page.wait_for_function(IMAGE, polling=20, timeout=PATIENCE)
            shown = time.perf_counter() - began
            page.wait_for_function(
                "window.trame?.state?.state?.complete === true", polling=20, timeout=PATIENCE
            )
            first.append(shown)
            whole.append(time.perf_counter() - began)
    return {
        "link to the first image, warm dock and spare viewer, s": (first, FIRST_IMAGE),
        "link to the whole series, s": (whole, WHOLE),
    }


def _using(here: Place, browser: Browser, series: Series) -> dict[str, tuple[list[float], float]]:
    with warm(here, browser, "viewer-using") as (dock, page):
        click(here, dock, page, series)
        page.wait_for_function("window.trame?.state?.state?.complete === true", timeout=PATIENCE)
        until_quiet(dock)  # the next spare has started
        screen = Screen(page)
        painting = _painting(screen)
        stepping = _stepping(screen)
        sharing = _sharing(here, browser, dock, screen)
    return {**stepping, **painting, **sharing}


def _stepping(screen: Screen) -> dict[str, tuple[list[float], float]]:
    page = screen.page
    page.evaluate("() => { trame.state.set('tool', ''); trame.state.set('layout', 'Axial'); }")
    page.set_viewport_size({"width": 646, "height": 630})
    screen.wait("s.layout === 'Axial' && s.tool === ''")
    page.wait_for_timeout(2000)  # until the view has its size
    page.mouse.move(*screen.middle())
    width, height = page.evaluate(_WATCH_FRAMES)
    for number in range(STEPS):
        page.mouse.wheel(0, -100 if number % 2 else 100)
        page.wait_for_timeout(350)
    return {f"slice step to the screen at {width}x{height}, s": (page.evaluate("delays"), STEP)}


def _painting(screen: Screen) -> dict[str, tuple[list[float], float]]:
    page = screen.page
    page.keyboard.press("p")
    screen.wait("s.drawing_name && s.tool === 'segment'")
    page.wait_for_timeout(2000)  # the panel takes its room
    width, height = page.evaluate(_WATCH_FRAMES)
    seconds = []
    x, y = screen.middle()
    for stroke in range(STROKES):
        page.mouse.move(x - 60, y - 40 + 40 * stroke)
        page.mouse.down()
        page.evaluate("frames_shown.length = 0")
        began, moves = time.perf_counter(), 0
        while (gone := time.perf_counter() - began) < STROKE_SECONDS:
            moves += 1
            page.mouse.move(x - 60 + 120 * gone / STROKE_SECONDS, y - 40 + 40 * stroke + 8 * (moves % 2))
            page.wait_for_timeout(20)
        seconds.append(STROKE_SECONDS / max(1, page.evaluate("frames_shown.length")))
        page.mouse.up()
        page.wait_for_timeout(1500)
    page.keyboard.press("Escape")
    return {f"paint stroke, four views, {width}x{height}: seconds a frame": (seconds, FRAME)}


def _sharing(
    here: Place, browser: Browser, dock: RunningDock, screen: Screen
) -> dict[str, tuple[list[float], float]]:
    """Type and transfer while the viewer plays."""
    free = _pulled(here, "viewer-free")
    screen.button("play").click()
    screen.wait("s.playing")
    with pages._page(browser, dock, "/?source=hospital") as page:
        rows(page).first.wait_for()
        page.evaluate(pages.WATCH_TYPING)
        page.get_by_test_id("filter-StudyDescription").press_sequentially(pages.TYPED * 2, delay=30)
        typed = page.evaluate("delays.splice(0)")
    shared = _pulled(here, "viewer-shared")
    screen.button("play").click()
    return {
        "95th percentile from a key to its letter while it plays, s": ([pages.p95(typed)], pages.TYPING),
        "pull while it plays, times the pull while it rests": ([shared / free], 1.25),
    }


def _pulled(here: Place, name: str) -> float:
    """Give the seconds that the pull of a series takes."""
    here.empty(name)
    settings: Settings = here.settings(name)
    introduce(settings, here.orthanc)
    seconds = []
    with Archive.open(settings) as archive, connect("hospital", settings) as client:
        for series in here.series[:3]:
            began = time.perf_counter()
            consume(pull(client, archive, [series.resource], settings))
            seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


@contextmanager
def warm(here: Place, browser: Browser, name: str) -> Iterator[tuple[RunningDock, Page]]:
    """Run a dock that has a spare viewer, with its page in sight."""
    home = here.empty(name) / "home"
    with running(home, env=ENVIRONMENT, viewer=True) as dock:
        introduce(dock.settings, here.orthanc)
        TrustStore(dock.settings).add(here.orthanc.root)
        keep(dock.settings, home.parent / "made", ct_series(2))
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        open_at(page, dock)
        rows(page).first.click()  # who walks the list is about to open something
        until_warm(page, dock)
        yield dock, page
        context.close()


def click(here: Place, dock: RunningDock, page: Page, series: Series) -> None:
    """Follow a link to a series, into the viewer."""
    place = series.resource
    link = f"slicer://viewer/?studyUID={place.study}&seriesUID={place.series}"
    send(f"{link}&dicomweb_endpoint={quote(here.orthanc.url, safe='')}", dock.settings, command=())
    page.wait_for_url(lambda url: not url.startswith(dock.url), timeout=PATIENCE, wait_until="commit")


def viewers_of(dock: RunningDock) -> list[int]:
    """Give the processes of a dock's viewers, and what they are forked from."""
    parents, viewers = {}, set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if b"\0dicomdock.viewer" in (process / "cmdline").read_bytes():
                viewers.add(int(process.name))
        except (OSError, ValueError, IndexError):
            continue  # a process that has just ended
    family, found = {dock.pid}, set()
    while family:
        family = {pid for pid, parent in parents.items() if parent in family}
        found |= family & viewers
    return sorted(found)


def memory_of(processes: Iterable[int]) -> float:
    """Give the memory of processes in MB, what several of them share counted once."""
    total = 0
    for pid in processes:
        with suppress(OSError):  # it has ended
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1000


def until_warm(page: Page, dock: RunningDock) -> None:
    """Wait until a spare viewer has started and nothing else is at work; a page of the dock is open."""
    while len(viewers_of(dock)) < 2:  # the spare one, and the process that it is forked from
        page.wait_for_timeout(100)
    until_quiet(dock)


def until_quiet(dock: RunningDock, *, patience: float = 90) -> None:
    """Wait until the dock and its viewers do next to nothing, and none of them waits for a processor."""
    began = since = time.monotonic()
    before = -1.0
    while (now := time.monotonic()) < min(began + patience, since + QUIET):
        time.sleep(0.1)
        family = (dock.pid, *viewers_of(dock))
        used = sum(processor_of(pid) for pid in family)
        if used - before > 0.06 or any(map(is_at_work, family)):
            before, since = used, now


def is_at_work(pid: int) -> bool:
    """Say whether a thread of a process runs, or would if a processor or the disk were free."""
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # it has ended
            if thread.read_text().rpartition(")")[2].split()[0] in "RD":
                return True
    return False


def processor_of(pid: int) -> float:
    """Give the seconds of processor time that a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
