"""The viewer over a distant line: turns of the wheel, pictures while it turns, and the sharp one after it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from tests import chromium
from tests.dock.running import running
from tests.dock.using import open_at, rows
from tests.viewer.conftest import Screen

from benchmarks.goals import goals_table
from benchmarks.line import line
from benchmarks.place import Place
from benchmarks.viewer import ENVIRONMENT, PATIENCE, until_warm
from dicomdock.archive import Archive
from dicomdock.sources import Part

ROUND_TRIP, MEGABITS = 100, 5  # milliseconds; a second
TURNS, PAUSE = 60, 40  # ms between two turns of the wheel
FRAME, SHARP = 1 / 12, 0.5  # seconds, the goals

_WATCH = """() => {
    const view = document.querySelector('[data-view="Red"]');
    const image = view.querySelector("canvas");
    window.shown = [];
    window.whole = [];
    const watch = (attribute, into) => new MutationObserver(() => requestAnimationFrame(() => {
        into.push(performance.now());
    })).observe(view, { attributes: true, attributeFilter: [attribute] });
    watch("data-drawn", shown);
    watch("data-whole", whole);
    return [image.width, image.height];
}"""
_SLICE = "Number(document.querySelector('[data-testid=\"slices-Red\"]').value)"


def section(here: Place) -> str:
    """Measure, and give the table."""
    series = here.series[-1]
    home: Path = here.empty("remote") / "home"
    with (
        running(home, env=ENVIRONMENT, viewer=True) as dock,
        line(ROUND_TRIP, MEGABITS) as proxy,
        sync_playwright() as playwright,
    ):
        with Archive.open(dock.settings) as archive, archive.writer(origin="benchmark") as writer:
            for file in series.files:
                writer.add(Part.from_file(file))
        browser = chromium.start(
            playwright.chromium, f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>"
        )
        page = browser.new_context(viewport={"width": 560, "height": 630}).new_page()
        page.set_default_timeout(PATIENCE)
        open_at(page, dock)
        rows(page).first.click()  # who walks the list is about to open something
        until_warm(page, dock)
        rows(page).first.dblclick()
        page.wait_for_url(lambda url: not url.startswith(dock.url), timeout=PATIENCE, wait_until="commit")
        page.wait_for_function("window.trame?.state?.state?.complete === true", timeout=PATIENCE)
        measured = _turned(page)
        browser.close()
    return goals_table(f"Viewer over {ROUND_TRIP} ms and {MEGABITS} Mbit/s ({series.name})", measured)


def _turned(page: Page) -> dict[str, tuple[list[float], float]]:
    screen = Screen(page)
    page.evaluate("() => { trame.state.set('tool', ''); trame.state.set('layout', 'Axial'); }")
    screen.wait("s.layout === 'Axial' && s.tool === ''")
    page.wait_for_timeout(3000)  # until the view has its size
    page.mouse.move(*screen.middle())
    width, height = page.evaluate(_WATCH)
    before = page.evaluate(_SLICE)
    began = page.evaluate("performance.now()")
    for _ in range(TURNS):
        page.mouse.wheel(0, -100)
        page.wait_for_timeout(PAUSE)
    ended = page.evaluate("performance.now()")
    page.wait_for_timeout(4000)  # until the last picture is there
    shown = [at for at in page.evaluate("shown") if at <= ended]
    whole = page.evaluate("whole")
    lost = TURNS - abs(page.evaluate(_SLICE) - before)
    seconds = (ended - began) / 1000 / max(1, len(shown))
    return {
        f"turns of the wheel of {TURNS} that are lost": ([lost], 0.0),
        f"seconds a picture at {width}x{height} while it turns": ([seconds], FRAME),
        "from the last turn to the picture with all detail, s": ([(whole[-1] - ended) / 1000], SHARP),
    }
