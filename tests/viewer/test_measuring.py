"""Distances, angles and regions: their numbers, their names, and the reports that keep them."""

from __future__ import annotations

import csv
import math
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, expect
from pydicom.uid import generate_uid

from dicomdock.dicom.resource import Resource
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.measurements import Report, distance, read_report, report_to_dicom
from dicomdock.viewer.autosave import PlacedMeasurement, UnsavedWork
from tests.builders import Made, encode
from tests.imaging.scans import headers
from tests.imaging.test_measurements import JUDGED, LIVER, MASS
from tests.viewer.conftest import (
    AFFINE,
    SHAPE,
    Opened,
    Screen,
    folders,
    looked_at,
    made_study,
    phantom,
    store,
    viewing,
)
from tests.viewer.measuring import Point, at, dragged, measure, numbers, save_report
from tests.viewer.pictures import windowed

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

TRACKED = str(generate_uid())
"""Identifies the measurement of the report that is there before."""

WATCH = """() => {
    window.measured = [];
    window.trame.state.watch(["measurements"], (rows) => {
        if (rows.length) window.measured.push(rows.map((one) => one.words));
    });
}"""
"""Lists the numbers of each set of measurements that the page is sent from now on."""


@pytest.fixture(scope="module")
def opened(viewer_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The phantom, as CT in HU, another series of its study, and a report of what was judged of a lesion."""
    settings = folders(tmp_path_factory.mktemp("viewer"))
    study, series, instances = made_study(RescaleIntercept="0", RescaleSlope="1")
    _, _, others = made_study(StudyInstanceUID=study, SeriesNumber=4)
    images = headers(instances)
    ends = split_series(images)[0].geometry.to_lps([(10, 20, 10), (10, 20, 50)])
    a, b = (tuple(map(float, end)) for end in ends)
    judged = distance("lesion", a, b, finding=MASS, site=LIVER, evaluations=JUDGED, tracking_uid=TRACKED)
    report = report_to_dicom(Report((judged,)), images)
    store(settings, [*instances, *others, Made(report, encode(report))])
    with viewing(settings, Resource(study, series)) as found:
        yield found


@pytest.fixture
def panel(screen: Screen) -> Screen:
    """The panel of measurements, with nothing measured."""
    screen.tool("measure")
    screen.drawn()
    return screen


def test_numbers_are_those_of_numpy(panel: Screen) -> None:
    length = measure(panel, "distance", [(20, 10), (50, 50)])["Length"]
    assert length == pytest.approx(50, abs=0.6)  # a pixel of the page is 0.2 mm
    turned = measure(panel, "angle", [(10, 10), (40, 10), (40, 40)])["Angle"]
    assert turned == pytest.approx(90, abs=1)
    region = measure(panel, "region", [(44.5, 9.5), (44.5, 29.5), (69.5, 29.5), (69.5, 9.5)])
    inside = phantom()[panel.slice()[0] - 1, 45:70, 10:30].astype(float)
    assert region["Area"] == pytest.approx(inside.size, rel=0.04)
    assert region["Mean"] == pytest.approx(inside.mean(), abs=1.5)
    assert region["Standard Deviation"] == pytest.approx(inside.std(), abs=0.6)
    assert region["Minimum"] == pytest.approx(inside.min(), abs=3)
    assert region["Maximum"] == pytest.approx(inside.max(), abs=3)


def test_every_tool_measures_by_drags_and_is_undone(panel: Screen) -> None:
    assert dragged(panel, "distance", [(20, 10), (50, 50)])["Length"] == pytest.approx(50, abs=0.6)
    crossed = dragged(panel, "two-way", [(20, 10), (20, 50)], [(10, 30), (30, 30)])
    assert (crossed["Long Axis"], crossed["Short Axis"]) == pytest.approx((40, 20), abs=0.6)
    assert dragged(panel, "cobb", [(20, 10), (20, 50)], [(30, 10), (60, 40)])["Cobb angle"] == pytest.approx(
        45, abs=1
    )
    plane = phantom()[panel.slice()[0] - 1].astype(float)
    inside = plane[45:70, 10:30]
    box = [(44.5, 9.5), (69.5, 29.5)]
    rectangle = dragged(panel, "rectangle", box)
    assert rectangle["Area"] == pytest.approx(inside.size, rel=0.04)
    assert rectangle["Mean"] == pytest.approx(inside.mean(), abs=1.5)
    assert dragged(panel, "ellipse", box)["Area"] == pytest.approx(inside.size * 3.1416 / 4, rel=0.04)
    around = [(44.5, 9.5), (44.5, 20), (44.5, 29.5), (60, 29.5), (69.5, 29.5), (69.5, 9.5), (45.5, 9.5)]
    assert dragged(panel, "region", around)["Area"] == pytest.approx(inside.size, rel=0.04)
    value = measure(panel, "point", [(60, 20)])["Attenuation Coefficient"]
    assert value == pytest.approx(plane[60, 20], abs=3)
    bare = panel.pixels()
    assert dragged(panel, "arrow", [(20, 10), (30, 20)]) == {}
    panel.until_changed(bare, more=0.0005)
    panel.button("shown-0").click()
    panel.wait("!s.measurements[0].shown")
    before = panel.state("measurements")
    count = len(before)
    for left in (count - 1, count - 2):
        panel.page.keyboard.press("Control+z")
        panel.wait(f"s.measurements.length === {left}")
    panel.page.keyboard.press("Control+y")
    panel.wait(f"s.measurements.length === {count - 1}")
    assert numbers(panel.state("measurements")[-1]["words"])["Attenuation Coefficient"] == value
    # What is not undone stays as it is drawn, or hidden.
    assert panel.state("measurements")[: count - 2] == before[: count - 2]
    panel.button("drop-0").click()
    panel.wait(f"s.measurements.length === {count - 2}")
    panel.button("two-way").click()
    panel.wait("s.measuring === 'two-way'")
    panel.page.keyboard.press("Control+z")
    panel.wait(f"!s.measuring && s.measurements.length === {count - 1}")
    dragged(panel, "distance", [(20, 10), (50, 50)])
    assert panel.state("measurements")[-1]["name"] == f"Distance {count}"
    every = panel.state("measurements.map((one) => one.words)")
    name = panel.button("name-0")
    name.fill("Largest")
    name.press("Enter")
    panel.wait("s.measurements[0].name === 'Largest'")
    panel.button("drop-measurements").click()
    panel.wait("!s.measurements.length")
    panel.page.keyboard.press("Control+z")
    panel.wait(f"s.measurements.length === {len(every)}")
    assert panel.state("measurements.map((one) => one.words)") == every
    # Enter has left the field: the keys mean the views and their steps again.
    name.fill("Largest one")
    name.press("Enter")
    panel.wait("s.measurements[0].name === 'Largest one'")
    panel.page.keyboard.press("Control+z")
    panel.wait("s.measurements[0].name === 'Largest'")


def test_an_outline_keeps_its_shape_however_quickly_it_is_drawn(panel: Screen) -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    radii = 18 + 5 * np.sin(7 * angles)
    rows, columns = 40 + radii * np.sin(angles), 32 + radii * np.cos(angles)
    panel.button("region").click()
    panel.wait("s.measuring === 'region'")
    places = [at(panel, *one) for one in zip(rows, columns, strict=True)]
    panel.page.mouse.move(*places[0])
    panel.page.mouse.down()
    for place in places[1:]:
        panel.page.mouse.move(*place)  # the viewer has not answered yet
    panel.page.mouse.up()
    panel.wait("!s.measuring && s.measurements.length === 1")
    panel.handled()
    due = abs(np.dot(columns, np.roll(rows, 1)) - np.dot(rows, np.roll(columns, 1))) / 2
    drawn = numbers(panel.state("measurements")[0]["words"])
    assert drawn["Area"] == pytest.approx(due, rel=0.01)


def test_measurements_are_named_kept_in_a_report_and_shown_again(opened: Opened, panel: Screen) -> None:
    measure(panel, "distance", [(20, 10), (50, 50)])
    measure(panel, "region", [(44.5, 9.5), (44.5, 29.5), (69.5, 29.5), (69.5, 9.5)])
    name = panel.button("name-0")
    name.fill("Largest diameter")
    name.press("Enter")
    panel.wait("s.measurements[0].name === 'Largest diameter'")
    kept = panel.state("measurements")
    made_on, seen = panel.slice()[0], panel.pixels()
    panel.button("shown-1").click()
    panel.wait("!s.measurements[1].shown")
    panel.until_changed(seen, more=0.0005)
    panel.page.mouse.move(*panel.middle())
    panel.page.keyboard.press("Home")
    panel.wait("s.Red_at === 0")
    panel.button("go-1").click()
    panel.wait(f"s.Red_at === {made_on - 1} && s.measurements[1].shown")
    with panel.page.expect_download() as offered:
        panel.button("measurements-csv").click()
    with offered.value.path().open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    written = {
        (one["measurement"], f"{one['quantity']} {float(one['value']):.4g} {one['unit']}") for one in table
    }
    assert written == {(one["name"], words) for one in kept for words in one["words"]}
    saved = save_report(opened, panel)
    report = read_report(saved.path.read_bytes())
    assert [one.label for one in report.measurements] == [one["name"] for one in kept]
    panel.drop_measurements()
    bare = panel.pixels()
    panel.page.mouse.move(*panel.middle())
    panel.page.keyboard.press("Home")
    panel.wait("s.Red_at === 0")
    panel.page.evaluate(WATCH)
    panel.button(f"report-{saved.resource.series}").click()
    panel.wait(f"s.measurements.length === {len(kept)}")
    shown = panel.page.evaluate("window.measured")
    assert shown == [[one["words"] for one in kept]]  # never those of a region that lacks points still
    panel.until_changed(bare, more=0.001)
    panel.wait(f"s.Red_at === {SHAPE[0] // 2}")
    expect(panel.button("name-0")).to_have_value("Largest diameter")


def test_a_region_that_escape_ends_too_early_is_none(panel: Screen) -> None:
    count = len(panel.state("measurements"))
    panel.page.keyboard.press("o")
    panel.wait("s.measuring === 'region'")
    panel.page.mouse.click(*at(panel, 30, 20))
    panel.page.keyboard.press("Escape")
    panel.wait(f"!s.measuring && s.measurements.length === {count}")


def test_they_come_back_with_their_series(opened: Opened, panel: Screen) -> None:
    measure(panel, "distance", [(30, 10), (60, 50)])
    shown = panel.state("measurements")
    other = next(one["uid"] for one in panel.state("series_list") if one["uid"] != opened.series)
    show(panel, other)
    panel.wait("s.measurements.length === 0")
    measure(panel, "angle", [(10, 10), (40, 10), (40, 40)])
    show(panel, opened.series)
    panel.wait(f"s.measurements.length === {len(shown)}")
    assert [one["words"] for one in panel.state("measurements")] == [one["words"] for one in shown]


def test_points_are_placed_by_keys_alone(panel: Screen) -> None:
    keyboard, (before, _) = panel.page.keyboard, panel.slice()
    panel.button("distance").focus()
    keyboard.press("Enter")
    panel.wait("s.measuring === 'distance'")
    keyboard.press("ArrowUp")  # leads through the slices until the cross is there
    panel.until(lambda: panel.slice()[0] == before + 1)
    keyboard.press("Enter")
    panel.wait("s.cross_view")
    keyboard.press("ArrowLeft")
    keyboard.press("Enter")
    for _ in range(8):
        keyboard.press("Shift+ArrowRight")
    keyboard.press("Enter")
    panel.wait("!s.measuring && s.measurements.length === 1 && !s.cross_view")
    pixel = panel.box()["height"] / SHAPE[1]  # a view of square pixels of 1 mm, fitted by its height
    (words,) = panel.state("measurements")[0]["words"]
    assert float(words.split()[1]) == pytest.approx(80 / pixel, rel=0.01)
    expect(panel.button("distance")).to_be_focused()
    keyboard.press("ArrowDown")
    panel.until(lambda: panel.slice()[0] == before)


def test_what_a_report_says_beside_numbers_is_shown_and_kept(opened: Opened, panel: Screen) -> None:
    panel.drop_measurements()
    ours = {one.resource.series for one in opened.made_here().values()}
    (there,) = (one for one in panel.state("reports") if one["uid"] not in ours)
    panel.button(f"report-{there['uid']}").click()
    panel.wait("s.measurements.length === 1")
    words = panel.state("measurements")[0]["words"]
    assert words == ["Length 40 mm", "Finding: Mass", "Site: Liver", *(one.words for one in JUDGED)]
    name = panel.button("name-0")
    name.fill("Lesion 1")
    name.press("Enter")
    panel.wait("s.measurements[0].name === 'Lesion 1'")
    (kept,) = read_report(save_report(opened, panel).path.read_bytes()).measurements
    assert (kept.label, kept.tracking_uid) == ("Lesion 1", TRACKED)
    assert (kept.finding, kept.site, kept.evaluations) == (MASS, LIVER, JUDGED)


def test_a_report_does_not_take_the_place_of_what_is_not_saved(opened: Opened, panel: Screen) -> None:
    measure(panel, "distance", [(20, 10), (50, 50)])
    saved = save_report(opened, panel)
    panel.drop_measurements()
    measure(panel, "angle", [(10, 10), (40, 10), (40, 40)])
    shown = panel.state("measurements")
    report = panel.button(f"report-{saved.resource.series}")
    report.click()
    panel.button("measurements-stay").click()
    expect(panel.button("measurements-dialog")).to_have_count(0)
    assert panel.state("measurements") == shown
    assert dragged(panel, "arrow", [(20, 10), (30, 20)]) == {}
    before = opened.made_here()
    report.click()
    expect(panel.button("measurements-save")).to_be_focused()
    panel.page.keyboard.press("Enter")
    panel.wait("s.measurements.length === 2 && s.measurements[0].name.startsWith('Distance')")
    assert panel.state("measurements[1].name").startswith("Arrow")  # no report has it: it stays
    opened.saved_since(before)
    measure(panel, "angle", [(10, 10), (40, 10), (40, 40)])
    report.click()
    panel.button("measurements-drop").click()
    panel.wait("s.measurements.length === 1 && s.measurements[0].name.startsWith('Distance')")


def drag_text(screen: Screen, end: Point, to: Point) -> None:
    """Drag the text at the last point of a measurement to another voxel."""
    for (row, column), button in ((end, screen.page.mouse.down), (to, screen.page.mouse.up)):
        x, y = at(screen, row, column)
        screen.page.mouse.move(x + 20, y - 8, steps=3)
        button()
    screen.handled()


def is_written(screen: Screen, row: int, column: int) -> bool:
    """Return whether a text begins at a voxel."""
    x, y = (
        round(one - edge) for one, edge in zip(at(screen, row, column), screen.box().values(), strict=False)
    )
    red, green, blue = screen.pixels()[y - 16 : y, x + 6 : x + 60].astype(int).transpose(2, 0, 1)
    return int(((red > 190) & (green > 150) & (blue < 140)).sum()) > 40


def test_a_text_is_dragged_from_what_it_covers(panel: Screen) -> None:
    measure(panel, "distance", [(50, 10), (50, 30)])
    before = panel.state("window_width"), panel.slice()
    assert (is_written(panel, 50, 30), is_written(panel, 70, 15)) == (True, False)
    drag_text(panel, (50, 30), (70, 15))
    assert (is_written(panel, 50, 30), is_written(panel, 70, 15)) == (False, True)
    assert before == (panel.state("window_width"), panel.slice())
    panel.page.keyboard.press("Control+z")
    panel.until(lambda: is_written(panel, 50, 30) and not is_written(panel, 70, 15))
    panel.page.keyboard.press("Control+y")
    panel.until(lambda: is_written(panel, 70, 15))
    assert len(panel.state("measurements")) == 1


def test_they_come_back_after_a_fall(opened: Opened, panel: Screen, browser: Browser) -> None:
    panel.until(lambda: kept_kinds(opened) == [], words="what was removed is still on disk")
    measure(panel, "distance", [(30, 10), (60, 50)])
    drag_text(panel, (60, 50), (72, 8))
    words = [one["words"] for one in panel.state("measurements")]
    panel.until(lambda: kept_kinds(opened) == ["distance"], words="what was measured is not on disk")
    there = -(AFFINE @ (12, 72, 8, 1))  # RAS; places that the drag came by may be on disk before
    panel.until(
        lambda: math.dist(kept(opened)[0].text_at[:2] or (0, 0), there[:2]) < 2,
        words="where its text was put is not on disk",
    )
    panel.page.goto("about:blank")
    fallen = opened.pid
    opened.fall()
    panel.until(lambda: opened.pid not in (None, fallen))
    url = opened.viewers.open(Resource(opened.study, opened.series))
    for again in looked_at(browser, url):
        again.wait(f"s.measurements.length === {len(words)}")
        assert [one["words"] for one in again.state("measurements")] == words
        again.button("tool-measure").click()
        again.button("go-0").click()  # its slice
        again.until(lambda again=again: is_written(again, 72, 8))
        again.button("save-measurements").click()
        again.note("measurement report")
        again.until(lambda: kept_kinds(opened) == [], words="what is in a report is still on disk")


def kept_kinds(opened: Opened) -> list[str]:
    """Read what lies on disk for the series; what an earlier test measured there goes within seconds."""
    return [one.kind for one in kept(opened)]


def kept(opened: Opened) -> list[PlacedMeasurement]:
    """Read what is autosaved for the series."""
    return UnsavedWork(opened.settings, opened.study).read_measurements(opened.series)


def show(screen: Screen, series: str) -> None:
    """Show a series of the study, and its measurements."""
    screen.show(series)
    screen.tool("measure")


def picture(screen: Screen) -> np.ndarray:
    """Read the image along a path, as the page shows it."""
    address = screen.state("curved_picture")
    return np.asarray(Image.open(BytesIO(b64decode(address.partition(",")[2]))))


def test_a_series_is_straightened_along_a_drawn_path(panel: Screen) -> None:
    path = [(20, 12), (30, 12), (45, 12), (60, 12)]
    assert dragged(panel, "path", path)["Length"] == pytest.approx(40, abs=0.6)
    panel.button("along-0").click()
    panel.wait("s.curved_picture")
    image = picture(panel)
    # Down the image is posterior along the path, and to the right the head: k and j are the phantom's ramps.
    width, centre = panel.state("window_width"), panel.state("window_centre")
    k, i = panel.slice()[0] - 1, 12
    rows, middle = image.shape[0], image.shape[1] // 2
    due = windowed(-100 + 6 * k + 2 * (20 + np.arange(rows)) + i, width, centre)
    assert rows == pytest.approx(41, abs=1)
    assert np.abs(image[:, middle].astype(int) - due[:rows]).max() <= 3
    assert (panel.state("curved_left"), panel.state("curved_right")) == ("I", "S")
    assert image[5, middle + 4] > image[5, middle] > image[5, middle - 4]
    assert Axe().run(panel.page).response["violations"] == []
    assert "mm along a smooth curve" in panel.button("curved-words").inner_text()

    box = panel.button("curved-image").bounding_box()
    assert box is not None
    panel.page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5)
    panel.wait(f"s.Red_at > {k}")  # towards the head
    assert panel.state("curved_at") == pytest.approx(20, abs=1)
    assert panel.slice("Green")[0] - 1 == pytest.approx(SHAPE[1] - 1 - 40, abs=1)
    panel.button("curved-at").fill("5")
    panel.wait(f"s.Red_at === {k}")  # on the path itself

    panel.put("curved_angle", 180)
    panel.wait("s.curved_right === 'I'")
    assert np.abs(picture(panel)[:, ::-1].astype(int) - image).max() <= 2
    panel.page.keyboard.press("i")
    panel.wait("s.inverted")
    panel.until(lambda: picture(panel)[0, middle] == 255 - image[0, middle])
    with panel.page.expect_download() as offered:
        panel.button("curved-png").click()
    assert np.array_equal(np.asarray(Image.open(offered.value.path())), picture(panel))
    panel.page.mouse.move(*at(panel, 60, 12))
    panel.page.mouse.down()
    panel.page.mouse.move(*at(panel, 70, 12), steps=3)
    panel.page.mouse.up()
    panel.until(lambda: picture(panel).shape[0] >= rows + 9)  # it follows its path
    panel.page.keyboard.press("Control+z")
    panel.until(lambda: picture(panel).shape[0] == rows)
    panel.button("drop-0").click()
    panel.wait("!s.curved_path && !s.curved_picture")
