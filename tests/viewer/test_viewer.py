"""What a user sees and does in the viewer, in a real browser."""

from __future__ import annotations

import csv
import os
import signal
from functools import partial

import highdicom
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from dicomdock.imaging.segmentation import read_segmentation
from dicomdock.imaging.terminology import Code
from dicomdock.viewer.autosave import UnsavedWork
from tests.imaging.scans import grid
from tests.pictures import FOR_DOCS, SCREENSHOTS
from tests.viewer.conftest import AFFINE, SHAPE, WINDOW, Opened, Screen, looked_at, phantom
from tests.viewer.editing import until_coloured

pytestmark = [pytest.mark.viewer, pytest.mark.slow]


def rendered(k: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an axial slice with numpy, fitted into a view as the viewer fits it; gives pixels and where."""
    _, height, width = SHAPE
    pixel = max(height / rows, width / columns)  # mm a pixel; the voxels are 1 mm
    j = (np.arange(rows) + 0.5 - rows / 2) * pixel + height / 2 - 0.5
    i = (np.arange(columns) + 0.5 - columns / 2) * pixel + width / 2 - 0.5
    inside = (j >= 1) & (j <= height - 2), (i >= 1) & (i <= width - 2)
    plane = phantom()[k].astype(float)
    jj, ii = j[inside[0]], i[inside[1]]
    j0, i0 = np.floor(jj).astype(int), np.floor(ii).astype(int)
    fj, fi = (jj - j0)[:, None], (ii - i0)[None, :]
    values = (
        plane[np.ix_(j0, i0)] * (1 - fj) * (1 - fi)
        + plane[np.ix_(j0 + 1, i0)] * fj * (1 - fi)
        + plane[np.ix_(j0, i0 + 1)] * (1 - fj) * fi
        + plane[np.ix_(j0 + 1, i0 + 1)] * fj * fi
    )
    width_, centre = WINDOW
    grey = np.clip((values - (centre - width_ / 2)) / width_ * 255, 0, 255)
    return grey, np.ix_(*inside)


def axial_alone(screen: Screen) -> None:
    """Show the axial view over the whole window."""
    screen.button("tool-layout").click()
    screen.button("layout-Axial").click()
    screen.wait("s.layout === 'Axial'")
    screen.button("tool-layout").click()
    screen.page.mouse.move(*screen.middle())


def test_the_study_is_shown_with_its_patient_and_orientation(screen: Screen) -> None:
    assert "Doe, Jane" in screen.words("tr")
    assert "4711" in screen.words("tr")
    assert "3 Ramp" in screen.words("tl")
    assert screen.slice()[1] == SHAPE[0]
    assert screen.slice("Yellow")[1] == SHAPE[2]
    assert screen.slice("Green")[1] == SHAPE[1]
    assert screen.edges() == ["R", "L", "A", "P"]
    assert "W 400 C 100" in screen.words("br")


def test_an_axial_slice_looks_as_numpy_draws_it(screen: Screen) -> None:
    axial_alone(screen)
    screen.page.keyboard.press("Home")
    for _ in range(11):
        screen.page.keyboard.press("ArrowUp")
    screen.page.wait_for_function(
        "() => document.querySelector('[data-view=Red] .bl').innerText.startsWith('12 /')"
    )
    screen.page.keyboard.press("r")

    seen = screen.pixels().astype(float)
    grey, where = rendered(11, *seen.shape[:2])
    difference = np.abs(seen.mean(axis=2)[where] - grey)
    # JPEG of quality 90 and the fit's half pixel: flat parts agree closely, the box's edges a little less.
    assert np.median(difference) < 2.5
    assert np.percentile(difference, 97) < 12


def drawn_states(screen: Screen) -> tuple[int, int]:
    """Return the numbers of what the two other planes show."""
    states = screen.page.evaluate("() => window.trame.trigger('scene_states')")
    return states["Yellow"], states["Green"]


def test_the_wheel_and_keys_scroll(screen: Screen) -> None:
    screen.page.mouse.move(*screen.middle())
    screen.page.keyboard.press("Home")
    screen.wait("s.Red_at === 0")
    others = drawn_states(screen)
    screen.page.mouse.wheel(0, -100)
    screen.wait("s.Red_at === 1")
    assert drawn_states(screen) == others  # a view is not drawn because another one moves
    for _ in range(4):
        screen.page.mouse.wheel(0, -10)  # a touchpad's
    screen.wait("s.Red_at === 2")
    screen.page.keyboard.press("End")
    screen.wait(f"s.Red_at === {SHAPE[0] - 1}")
    screen.page.mouse.move(*screen.middle("Green"))
    screen.page.keyboard.press("Home")
    screen.wait("s.Green_at === 0")
    assert screen.slice()[0] == SHAPE[0]


def test_dragging_changes_the_window_and_a_preset_brings_it_back(screen: Screen) -> None:
    x, y = screen.middle()
    screen.drag((x, y), (x + 60, y + 30))
    screen.wait("s.window_width !== 400")
    screen.page.keyboard.press("1")
    screen.wait("s.window_width === 400 && s.window_centre === 100")


def test_what_is_painted_is_undone_redone_saved_listed_and_opened_again(
    opened: Opened, screen: Screen
) -> None:
    before, listed = opened.made_here(), screen.state("drawings.length")
    screen.brush()
    x, y = screen.middle()
    # The brush stays drawn where the mouse left the view.
    screen.page.mouse.move(x + 30, y + 20, steps=3)
    screen.page.mouse.move(*screen.middle("ThreeD"))
    bare = screen.pixels()
    screen.drag((x - 30, y), (x + 30, y), (x + 30, y + 20))
    screen.page.mouse.move(*screen.middle("ThreeD"))
    screen.wait("s.unsaved")
    screen.until_changed(bare, more=0.004)
    screen.page.keyboard.press("Control+z")
    screen.until_changed(bare, less=0.002)
    screen.page.keyboard.press("Control+y")
    screen.until_changed(bare, more=0.004)
    name = screen.button("structure")
    name.fill("Kidney left")
    name.press("Enter")
    screen.page.keyboard.press("Escape")
    screen.button("save").click()
    screen.note("Saved in the archive")
    if FOR_DOCS:
        screen.page.screenshot(path=SCREENSHOTS / "segment.png")
    saved = opened.saved_since(before)
    found = read_segmentation(saved.path.read_bytes())
    assert [segment.label for segment in found.segments] == ["Kidney left"]
    assert found.segments[0].terminology.kind.value == "64033007"
    assert found.segments[0].mask.count > 50
    assert found.source_series == opened.series
    screen.wait(f"s.drawings.length === {listed + 1} && !s.unsaved")
    drawn = read_segmentation(saved.path.read_bytes(), onto=grid(SHAPE, AFFINE)).segments[0].mask
    inside = phantom()[drawn.box][drawn.array]
    screen.button("statistics").click()
    screen.wait("s.statistics_rows.length === 1")
    numbers = dict(zip(screen.state("statistics_titles"), screen.state("statistics_rows[0]"), strict=True))
    assert numbers["Segment"] == "Kidney left"
    assert numbers["ml"] == f"{inside.size * 2 / 1000:.4g}"  # voxels of 1 x 1 x 2 mm
    assert numbers["Mean"] == f"{inside.mean():.4g}"
    assert numbers["Median"] == f"{np.median(inside):.4g}"
    with screen.page.expect_download() as downloaded:
        screen.button("statistics-csv").click()
    (row,) = csv.DictReader(downloaded.value.path().read_text("utf-8").splitlines())
    assert float(row["mean"]) == pytest.approx(inside.mean())
    reports = opened.made_here()
    screen.button("statistics-report").click()
    screen.note("saved as a report that refers to the segments")
    report = highdicom.sr.srread(opened.saved_since(reports).path)
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert group.referenced_segment.referenced_sop_instance_uid == saved.resource.instance
    (volume,) = group.get_measurements(name=Code("118565006", "SCT", "Volume"))
    assert volume.value == pytest.approx(inside.size * 2 / 1000)
    screen.button("statistics-report").click()
    screen.note("in a report already")
    screen.tool("measure")
    screen.button(f"report-{report.SeriesInstanceUID}").click()
    screen.wait("s.measurements.length === 1")
    screen.handled()
    notes = screen.page.evaluate("window.shownNotes.map((one) => one.words)")
    assert not any("names no places" in words for words in notes)  # its places are the segments
    reports = opened.made_here()
    screen.button("save-measurements").click()
    screen.note("measurement report")
    (again,) = highdicom.sr.srread(
        opened.saved_since(reports).path
    ).content.get_volumetric_roi_measurement_groups()
    assert again.referenced_segment.referenced_sop_instance_uid == saved.resource.instance
    screen.tool("segment")
    with screen.page.expect_download() as downloaded:
        screen.button("mesh-gltf").click()
    assert downloaded.value.path().read_bytes()[:4] == b"glTF"
    without = screen.pixels("ThreeD")
    screen.button("segments-3d").check()
    screen.handled()

    def filled() -> bool:
        shown = np.abs(screen.pixels("ThreeD").astype(int) - without).max(axis=2) > 16
        return bool(shown.mean() > 0.05)  # the segment fills a good part of the view

    assert filled()
    screen.button("new-drawing").click()
    screen.wait("!s.drawing_uid")
    screen.until(lambda: not filled())
    uid = saved.resource.series
    screen.button(f"drawing-{uid}").click()
    screen.wait(f"s.drawing_uid === '{uid}' && !s.unsaved")
    screen.until(filled)  # the switch is the user's, not that of a segmentation
    screen.button("segments-3d").uncheck()
    expect(screen.page.locator(".editor input[type=text]").first).to_have_value("Kidney left")
    screen.until_changed(bare, more=0.004)


def test_a_distance_and_a_region_are_measured_and_saved(opened: Opened, screen: Screen) -> None:
    before = opened.made_here()
    screen.measure_distance()
    screen.button("save-measurements").click()
    screen.note("measurement report")
    assert opened.saved_since(before).sop_class_uid.startswith("1.2.840.10008.5.1.4.1.1.88.")


def test_two_series_are_compared(screen: Screen) -> None:
    screen.page.mouse.move(*screen.middle())
    screen.page.keyboard.press("Home")
    screen.page.keyboard.press("PageUp")
    screen.wait("s.Red_at === 10")
    screen.page.evaluate(
        """() => {
            [window.said, window.been] = [[], []];
            trame.state.watch(['Other_bl'], (one) => said.push(one));
            trame.state.watch(['Red_at'], (one) => been.push(one));
        }"""
    )
    screen.button("tool-layout").click()
    screen.button("layout-Compare").click()
    screen.page.wait_for_selector('[data-view="Other"] .bl')
    screen.page.wait_for_function(
        "() => document.querySelector('[data-view=Other] .bl').innerText.includes('/ 24')"
    )
    screen.wait("s.Other_at === 10")
    assert set(screen.page.evaluate("been")) <= {10}  # what comes beside it does not lead it away
    screen.page.mouse.move(*screen.middle())
    screen.page.keyboard.press("Home")
    screen.wait("s.Red_at === 0 && s.Other_at === 0")
    # What was scrolled while the others were not shown leads them.
    screen.button("layout-Four views").click()
    screen.page.wait_for_selector('[data-view="ThreeD"]')
    screen.page.mouse.move(*screen.middle())
    screen.page.keyboard.press("PageUp")
    screen.wait("s.Red_at === 10")
    screen.button("layout-Compare").click()
    screen.wait("s.Red_at === 10 && s.Other_at === 10")
    # A first image that is shown alone is not counted as if it were all.
    assert {one.split("\n")[0].split(" / ")[1] for one in screen.page.evaluate("said") if "/" in one} == {
        "24"
    }


def test_derived_images_become_a_series_of_the_study(screen: Screen) -> None:
    count = screen.state("series_list.length")
    screen.button("tool-derive").click()
    screen.button("derive-smooth").click()
    screen.note("images were made")
    screen.wait(f"s.series_list.length === {count + 1}")


def test_help_shows_the_keys(screen: Screen) -> None:
    screen.page.keyboard.press("?")
    expect(screen.page.get_by_role("dialog", name="Keys")).to_be_visible()
    screen.page.keyboard.press("Escape")
    expect(screen.page.get_by_role("dialog", name="Keys")).to_be_hidden()


# A sleeping computer, or a browser that freezes a tab, breaks a connection; a test cannot have either.
CUTTABLE = """(() => {
    const Real = window.WebSocket;
    window.sockets = [];
    window.WebSocket = class extends Real {
        constructor(...given) { super(...given); window.sockets.push(this); }
    };
})()"""


def test_a_page_that_is_cut_off_from_its_viewer_connects_again(opened: Opened, browser: Browser) -> None:
    for screen in looked_at(browser, opened.url, falls=True):
        screen.page.add_init_script(CUTTABLE)
        screen.page.reload()
        screen.wait("s.complete")
        before = opened.pid
        screen.page.evaluate("() => { window.beforeIt = true; window.sockets.forEach(one => one.close()); }")
        screen.page.wait_for_function("() => !window.beforeIt")
        screen.wait("s.complete")
        screen.drawn()
        assert opened.pid == before


# Timers of ten seconds, which is how long a click is waited for, end when the test says so.
LONG_TIMERS = """(() => {
    const { setTimeout, clearTimeout } = window;
    window.timers = [];
    window.setTimeout = (work, ms, ...given) =>
        ms === 10000 ? -window.timers.push(work) : setTimeout.call(window, work, ms, ...given);
    window.clearTimeout = (id) => {
        if (id < 0) window.timers[-id - 1] = null;
        else clearTimeout.call(window, id);
    };
})()"""


def test_no_key_overtakes_a_click_because_an_earlier_one_took_long(opened: Opened, browser: Browser) -> None:
    assert opened.pid is not None
    wait = "(name) => { window.dicomdock.settled().then(() => { window[name] = true; }); }"
    for screen in looked_at(browser, opened.url):
        page = screen.page
        middle = screen.middle()
        page.evaluate(LONG_TIMERS)
        for name in ("first", "second"):
            os.kill(opened.pid, signal.SIGSTOP)
            try:
                page.mouse.click(*middle)
                page.evaluate(wait, name)
                page.evaluate("(name) => { if (name === 'second') window.timers[0]?.(); }", name)
                assert not page.evaluate("(name) => window[name]", name)
            finally:
                os.kill(opened.pid, signal.SIGCONT)
            page.wait_for_function("(name) => window[name]", arg=name, polling=50)


SENT = """() => {
    const viewer = window.trame.client.getRemote().Trame, { trigger } = viewer;
    window.sent = [];
    viewer.trigger = (...call) => { window.sent.push(call[0]); return trigger.apply(viewer, call); };
}"""


def test_nothing_overtakes_a_drag_in_a_view(opened: Opened, browser: Browser) -> None:
    """A tool that was chosen right after a drag took the drag's last point as its own first one."""
    assert opened.pid is not None
    for screen in looked_at(browser, opened.url):
        page = screen.page
        screen.tool("measure")
        after = {
            "s.slab === 5": partial(screen.put, "slab", 5),
            "s.crosshair": partial(page.keyboard.press, "c"),
            "s.measuring === 'distance'": screen.button("distance").click,
        }
        middle = screen.middle()
        for done, act in after.items():
            os.kill(opened.pid, signal.SIGSTOP)
            try:
                page.mouse.click(*middle)
                page.evaluate(SENT)
                act()
                page.evaluate("() => new Promise((go) => setTimeout(go, 0))")
                assert page.evaluate("window.sent") == []
            finally:
                os.kill(opened.pid, signal.SIGCONT)
            screen.wait(done)


def test_a_killed_viewer_comes_back_with_what_was_painted(opened: Opened, browser: Browser) -> None:
    known = opened.made_here()
    for screen in looked_at(browser, opened.url, falls=True):
        screen.reset(opened)
        screen.page.mouse.move(*screen.middle())
        screen.page.keyboard.press("Home")  # far from where a viewer begins
        screen.wait("s.Red_at === 0")
        screen.button("tool-segment").click()
        screen.button("new-drawing").click()
        until_coloured(screen, less=0.001)
        screen.brush()
        x, y = screen.middle()
        screen.drag((x - 30, y), (x + 30, y))
        screen.wait("s.unsaved")
        until_coloured(screen, more=0.004)
        screen.until(lambda: voxels_on_disk(opened) > 50, words="unsaved work is not on disk")
        screen.page.mouse.down()
        screen.outlive(opened, seen=True)
        screen.page.mouse.up()
        until_coloured(screen, more=0.004)  # the user is shown it again, wherever it is
        screen.button("tool-segment").click()
        screen.page.locator(".editor .mdi-eye-outline").first.click()
        until_coloured(screen, less=0.001)
        screen.page.locator(".editor .mdi-eye-off-outline").first.click()
        screen.page.keyboard.press("Control+s")
        screen.note("Saved in the archive")
        found = read_segmentation(opened.saved_since(known).path.read_bytes())
        assert sum(segment.mask.count for segment in found.segments) > 50


def voxels_on_disk(opened: Opened) -> int:
    """Count the voxels of unsaved segments that lie on disk for the series."""
    found = UnsavedWork(opened.settings, opened.study).read_segmentations(opened.series)
    return sum(one.mask.count for work in found for one in work.segments)
