"""Fixtures for the viewer: a study made in code, a real viewer process, a real browser that looks at it."""

from __future__ import annotations

import atexit
import base64
import importlib.util
import io
import os
import re
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, ViewportSize, expect
from pydicom.uid import generate_uid

from dicomdock.archive import Archive, ArchivedInstance
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewer_gl import GlChoice
from dicomdock.dock.services.viewer_template import ViewerTemplate
from dicomdock.dock.services.viewers import Viewers
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.segmentation import Mask, Segment, Segmentation, segmentation_to_dicom
from tests.builders import Made
from tests.conftest import BROWSER_MS, unavailable
from tests.imaging.scans import grid, headers, scan

SHAPE = (24, 80, 64)
AFFINE = np.array([[0, 0, 1.0, -32], [0, 1.0, 0, -40], [2, 0, 0, 10], [0, 0, 0, 1.0]])
"""1 mm pixels, 2 mm axial slices; (k, j, i) -> LPS."""

WINDOW = (400.0, 100.0)  # width, centre of the study's header

SECONDS = BROWSER_MS / 1000

WINDOW_SIZE: ViewportSize = {"width": 1000, "height": 640}
"""Of the browser, in pixels: what is drawn, sent and shown costs by the pixel."""

DRAWN = Path(__file__).with_name("drawn.js").read_text("utf-8")
"""Waits until views are drawn; gives what is wrong with those that are not."""

HANDLED = """async () => {
    await window.dicomdock.settled();
    const { state } = window.trame;
    do {
        await state.flush();
        await window.trame.trigger("scene_states");
    } while (state.dirtyKeys.size);
}"""
"""Waits until the viewer has handled what the page has sent so far; it answers in order."""

NOTES = """(() => {
    if (window.shownNotes) return;
    window.shownNotes = [];
    const look = () => document.querySelectorAll('[data-testid="notes"] .note').forEach((one) => {
        if (!one.seen) window.shownNotes.push({ words: one.innerText, read: false });
        one.seen = true;
    });
    new MutationObserver(look).observe(document, { childList: true, subtree: true });
    look();
})()"""
"""Lists every note that a page shows, because most of them go away by themselves."""

CLOSE_NOTES = """() => {
    const open = document.querySelectorAll('[data-testid="notes"] button');
    open.forEach((one) => one.click());
    return open.length;
}"""
"""Close what notes there are, which also go by themselves; gives how many there were."""

USUAL = {
    "layout": "Four views",
    "slab": 0,
    "slab_kind": "max",
    "aligned": True,
    "crosshair": False,
    "lines": False,
    "handles": False,
    "left": "window",
    "colours": "Grey",
    "words_shown": True,
    "overlays_shown": True,
    "playing": False,
    "volumes_playing": False,
    "rendering": False,
    "suv_type": "",
    "windowed": False,
    "menu_view": "",
    "glass": False,
    "theme": "auto",
}
"""What the page's controls are set to when it is opened."""


BRUSH_MM = "PaintEffectState__brush_diameter_slider__SliderState__value"

PUT_ALL = """(values) => {
    const { state } = window.trame;
    const other = Object.keys(values).filter((name) => state.state[name] !== values[name]);
    other.forEach((name) => state.set(name, values[name]));
    if (other.length) state.flush(...other);
}"""
"""Sets what has another value."""


def phantom() -> np.ndarray:
    """Return values that show every voxel's place: a ramp along each axis, and a bright box at one side."""
    k, j, i = np.indices(SHAPE)
    values = -100 + 6 * k + 2 * j + i
    values[8:16, 20:40, 36:56] = 280
    return values.astype(np.int16)


@dataclass
class Opened:
    """A study that a viewer shows.

    Parameters
    ----------
    settings : where its archive is.
    viewers : what started the viewer.
    study, series : UIDs.
    url : of its page.
    """

    settings: Settings
    viewers: Viewers
    study: str
    series: str
    url: str

    @property
    def pid(self) -> int | None:
        """The viewer's process; None while there is none."""
        viewer = self.viewers.get(self.study)
        return viewer.pid if viewer is not None else None

    @property
    def ready(self) -> bool:
        """The viewer answers its page."""
        viewer = self.viewers.get(self.study)
        return viewer is not None and viewer.ready

    def fall(self) -> None:
        """Kill the viewer."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGKILL)

    def made_here(self) -> dict[str, ArchivedInstance]:
        """Return what the viewer has saved in the archive, by its SOP Instance UID; earlier tests' too."""
        with Archive.open(self.settings) as archive:
            found = archive.instances(Resource(self.study))
        return {str(one.resource.instance): one for one in found if one.made_here}

    def saved_since(self, before: Collection[str]) -> ArchivedInstance:
        """Return the one instance that was saved since ``made_here`` gave these."""
        (new,) = [one for uid, one in self.made_here().items() if uid not in before]
        return new

    @property
    def log(self) -> str:
        """What the viewer said."""
        return (self.settings.state / "viewer.log").read_text(errors="replace")


class Screen:
    """A page of a viewer, in the words of its user."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.add_init_script(NOTES)  # for what the page leads to
        page.evaluate(NOTES)

    def button(self, name: str) -> Locator:
        """Find a control by its test id."""
        return self.page.locator(f'[data-testid="{name}"]')

    def reset(self, opened: Opened) -> None:
        """Bring the page back to how it was opened: its series in four views, no tool, nothing unsaved."""
        if not self.page.evaluate("() => !!window.dicomdock && !!document.querySelector('[data-view]')"):
            # It may be starting again.
            self.page.goto(opened.viewers.open(Resource(opened.study, opened.series)))
            self.wait("s.complete")
        self.wait("!s.saving && !s.busy && !s.deriving && !s.sending")
        self.page.keyboard.up("Shift")  # where a test ended before it did so
        self.page.evaluate("() => document.activeElement?.blur()")
        self.page.evaluate(PUT_ALL, USUAL)
        while self.state("send_open || s.help_open || s.leaving_open || s.measuring"):
            self.page.keyboard.press("Escape")
            self.drawn()
        self.until(lambda: not self.page.evaluate(CLOSE_NOTES))
        self.drop_measurements()
        if self.state("unsaved"):
            self.tool("segment")
            self.button("new-drawing").click()
            self.button("leave-drop").click()
            self.wait("!s.unsaved && !s.leaving_open")
        if self.state("series_uid") != opened.series:
            self.show(opened.series)
        self.put("tool", "")  # any brush is put away with it
        self.wait("s.tool === '' && s.layout === 'Four views'")
        self.page.wait_for_selector('[data-view="ThreeD"]')
        self.page.keyboard.press("1")
        self.page.keyboard.press("r")
        self.page.mouse.move(*self.middle())
        self.drawn()
        self.page.evaluate("() => window.shownNotes.forEach((one) => { one.read = true; })")

    def drop_measurements(self) -> None:
        """Remove what is measured."""
        if count := self.state("measurements.length"):
            self.tool("measure")
        while count:
            self.button("drop-0").click()
            count -= 1
            self.wait(f"s.measurements.length === {count}")

    def tool(self, name: str) -> None:
        """Open the panel of a tool."""
        if self.state("tool") != name:
            self.button(f"tool-{name}").click()

    def show(self, series: str, until: str = "s.complete") -> None:
        """Choose a series in the list, and wait until it is shown."""
        self.tool("series")
        self.button(f"series-{series}").click()
        self.handled()
        self.wait(f"s.series_uid === '{series}' && ({until})")

    def open_drawing(self, uid: str) -> None:
        """Open a segmentation of the list anew; what was drawn before is thrown away."""
        self.tool("segment")
        if self.state("drawing_uid") == uid:
            self.button("new-drawing").click()
            self.wait("s.leaving_open || !s.drawing_uid")
            if self.state("leaving_open"):
                self.button("leave-drop").click()
            self.wait("!s.drawing_uid && !s.unsaved")
        self.button(f"drawing-{uid}").click()
        self.wait(f"s.leaving_open || s.drawing_uid === '{uid}'")
        if self.state("leaving_open"):
            self.button("leave-drop").click()
        self.wait(f"s.drawing_uid === '{uid}' && !s.unsaved && !s.busy")

    def brush(self) -> None:
        """Take a brush of 10 mm."""
        self.page.keyboard.press("p")
        self.wait("s.drawing_name && s.SegmentEditorState__active_effect_name.endsWith('Paint')")
        self.put(BRUSH_MM, 10)
        self.handled()

    def measure_distance(self) -> None:
        """Measure from the left to the right of the middle."""
        self.tool("measure")
        self.button("distance").click()
        x, y = self.middle()
        self.page.mouse.click(x - 40, y)
        self.page.mouse.click(x + 40, y)
        self.wait("s.measurements.some(one => one.words.some(word => word.startsWith('Length')))")

    def outlive(self, opened: Opened, *, seen: bool) -> None:
        """Kill the viewer, and wait until the page has it back with what was drawn.

        Parameters
        ----------
        seen : whether the page looks for its viewer while there is none, or only when it is back.
        """
        held: list[Route] = []

        def hold(route: Route) -> None:
            if route.request.method == "HEAD":
                held.append(route)
            else:
                route.continue_()

        fallen = opened.pid
        self.page.evaluate("() => { window.beforeTheFall = true; }")
        if seen:
            self.page.route("**/viewer.css", lambda route: route.abort())
            expect(self.page.locator("#gone")).to_contain_text("The viewer has stopped.")
        else:
            self.page.route("**/viewer.css", hold)
        opened.fall()
        self.until(lambda: opened.ready and opened.pid != fallen)
        for route in held:
            route.continue_()
        self.page.unroute("**/viewer.css")
        self.page.wait_for_function("() => !window.beforeTheFall")
        self.wait("s.complete && s.unsaved")

    def words(self, corner: str, view: str = "Red") -> str:
        """Read a corner of a view, of what the viewer has now."""
        self.drawn(view)
        return self.page.locator(f'[data-view="{view}"] .{corner}').inner_text()

    def edges(self, view: str = "Red") -> list[str]:
        """Read the letters of a view, of what the viewer has now: left, right, top, bottom."""
        self.drawn(view)
        at = self.page.locator(f'[data-view="{view}"]')
        return [at.locator(f".{edge}").inner_text() for edge in ("left", "right", "top", "bottom")]

    def slice(self, view: str = "Red") -> tuple[int, int]:
        """Read which slice is shown, from 1, of how many; zeros while it is not known how many there are."""
        found = re.match(r"(\d+) / (\d+)", self.words("bl", view))
        return (int(found[1]), int(found[2])) if found is not None else (0, 0)

    def wait(self, condition: str, seconds: float = SECONDS) -> None:
        """Wait for a condition on trame's state, in JavaScript: ``s.complete``."""
        self.page.wait_for_function(
            f"() => {{ const s = window.trame?.state?.state; return s && ({condition}) }}",
            timeout=seconds * 1000,
            polling=30,
        )

    def state(self, name: str) -> Any:
        """Read trame's state."""
        return self.page.evaluate(f"() => {{ const s = window.trame.state.state; return s.{name} }}")

    def put(self, name: str, value: object) -> None:
        """Set trame's state, on the server too."""
        self.page.evaluate(
            "([name, value]) => { window.trame.state.set(name, value); window.trame.state.flush(name); }",
            [name, value],
        )

    def until(self, holds: Callable[[], object], seconds: float = SECONDS, words: str = "") -> None:
        """Wait until something holds that the page's state does not say: of pictures, of files."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, words or f"it did not come in {seconds} s"
            self.page.evaluate("() => new Promise((then) => setTimeout(then, 50))")

    def handled(self) -> None:
        """Wait until the viewer has begun everything that was clicked and typed, and the page has its state.

        A condition on the state can hold from before: only then does it say something of what was clicked.
        """
        self.page.evaluate(HANDLED)

    def drawn(self, *views: str, seconds: float = SECONDS) -> None:
        """Wait until these views, or all, show what the viewer has now, in their present sizes."""
        missing = self.page.evaluate(DRAWN, [list(views), seconds])
        assert not missing, f"not drawn in {seconds} s: {'; '.join(missing)}"

    def note(self, words: str, seconds: float = SECONDS) -> None:
        """Wait for a note to the user that this has not been called for yet; it may be gone again."""
        self.page.wait_for_function(
            """(words) => {
                const found = window.shownNotes?.find((one) => !one.read && one.words.includes(words));
                return found && (found.read = true);
            }""",
            arg=words,
            timeout=seconds * 1000,
        )

    def box(self, view: str = "Red") -> dict[str, float]:
        """Return where a view is on the page, when it has the size that it will keep."""
        self.drawn(view)
        box = self.page.locator(f'[data-view="{view}"]').bounding_box()
        assert box is not None
        return box

    def middle(self, view: str = "Red") -> tuple[float, float]:
        """Return the middle of a view."""
        box = self.box(view)
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def pixels(self, view: str = "Red") -> np.ndarray:
        """Return a view of what the viewer has now, as the browser shows it: (row, column, 3)."""
        self.drawn(view)
        found = self.page.evaluate(
            "view => document.querySelector(`[data-view=${view}] canvas`).toDataURL('image/png')", view
        )
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(found.split(",")[1]))).convert("RGB"))

    def changed(self, before: np.ndarray, view: str = "Red") -> float:
        """Return the part of a view's pixels that differ clearly from how they were."""
        now = self.pixels(view)
        if now.shape != before.shape:
            return 1.0
        return float((np.abs(now.astype(int) - before).max(axis=2) > 16).mean())

    def until_changed(self, before: np.ndarray, *, more: float = -1.0, less: float = 1.0) -> None:
        """Wait until more, or less, than this part of the axial view differs from how it was."""
        seen = []

        def holds() -> bool:
            seen.append(self.changed(before))
            return more < seen[-1] < less

        try:
            self.until(holds)
        except AssertionError as error:
            raise AssertionError(f"{seen[-1]:.4f} of the view changed") from error

    def drag(self, *points: tuple[float, float]) -> None:
        """Drag with the left button from point to point of the page."""
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=6)
        self.page.mouse.up()
        self.page.evaluate("() => window.dicomdock.settled()")


def folders(home: Path) -> Settings:
    """Return settings below a folder."""
    return Settings(home / "config", home / "archive", home / "state", free_space_floor=0)


def store(settings: Settings, instances: list[Made], *, origin: str = "") -> None:
    """Put instances into an archive."""
    from dicomdock.sources import Part

    with Archive.open(settings) as archive, archive.writer(origin=origin) as writer:
        for one in instances:
            writer.add(Part("application/dicom", lambda data=one.data: iter([data]), length=len(one.data)))


def made_study(**attributes: object) -> tuple[str, str, list[Made]]:
    """Make the phantom's instances; gives study, series and them."""
    study, series = str(generate_uid()), str(generate_uid())
    given = {
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "SeriesNumber": 3,
        "SeriesDescription": "Ramp",
        "FrameOfReferenceUID": str(generate_uid()),
        "WindowCenter": str(WINDOW[1]),
        "WindowWidth": str(WINDOW[0]),
        **attributes,
    }
    return study, series, scan(phantom(), AFFINE, **given)


BOX = (slice(8, 16), slice(30, 50), slice(20, 40))
"""Voxels of the phantom that ``segmented_box`` segments, (k, j, i)."""


def segmented_box(instances: list[Made]) -> Made:
    """Segment a box in the middle of the phantom."""
    array = np.zeros(SHAPE, bool)
    array[BOX] = True
    box = Segment("Box", Mask.of(array))
    made = segmentation_to_dicom(Segmentation(grid(SHAPE, AFFINE), (box,)), headers(instances))
    return Made(made, to_bytes(made))


@pytest.fixture(scope="session")
def viewer_installed() -> None:
    """Skip where the viewer is not installed."""
    if importlib.util.find_spec("trame_slicer") is None:
        unavailable("The viewer", "pip install 'dicomdock[viewer]'")


@cache
def template() -> ViewerTemplate:
    """What starts the viewers of all tests of this process; it ends with it."""
    made = ViewerTemplate()
    atexit.register(made.close)
    return made


@cache
def gl() -> GlChoice:
    """What the viewers of all tests of this process draw with."""
    return GlChoice()


@contextmanager
def viewing(settings: Settings, asked: Resource, series: str = "") -> Iterator[Opened]:
    """Open a study of an archive in a viewer of its own; ``series`` is the one that it comes to show."""
    viewers = Viewers(settings, spare=False, template=template(), gl=gl())
    try:
        yield Opened(settings, viewers, asked.study, series or asked.series or "", viewers.open(asked))
    finally:
        viewers.close()


@contextmanager
def viewing_study(study: Mapping[str, Sequence[Made]], first: str, folder: Path) -> Iterator[Opened]:
    """Open a study of several series, by name, at the one that is named first."""
    settings = folders(folder)
    store(settings, [one for series in study.values() for one in series])
    shown = study[first][0]
    with viewing(settings, Resource(shown.study, shown.series)) as found:
        yield found


@pytest.fixture(scope="module")
def opened(viewer_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The phantom in a viewer; one viewer for all tests of a file."""
    settings = folders(tmp_path_factory.mktemp("viewer"))
    study, series, instances = made_study()
    store(settings, instances, origin="orthanc")
    with viewing(settings, Resource(study), series) as found:
        yield found


@pytest.fixture(scope="module")
def page(opened: Opened, browser: Browser) -> Iterator[Screen]:
    """The page of the viewer, one for all tests of a file; it asks no other host, and no script fails."""
    yield from looked_at(browser, opened.url)


@pytest.fixture
def screen(page: Screen, opened: Opened) -> Screen:
    """The page as it was when it was opened, by what a user can do."""
    page.reset(opened)
    return page


def looked_at(
    browser: Browser,
    url: str,
    *,
    falls: bool = False,
    complete: bool = True,
    size: ViewportSize = WINDOW_SIZE,
) -> Iterator[Screen]:
    """Open a viewer's page, with the whole series there if it is; calls to one that falls are lost."""
    context = browser.new_context(viewport=size)
    page = context.new_page()
    page.set_default_timeout(BROWSER_MS)
    asked: list[str] = []
    failures: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(url)
    screen = Screen(page)
    screen.wait("s.complete" if complete else "s.empty_title")
    if complete:
        page.wait_for_selector('[data-view="Red"] .bl')
    yield screen
    context.close()
    outside = [one for one in asked if not one.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert not outside, f"the page asked other hosts: {outside}"
    assert falls or not failures, f"scripts failed: {failures}"
