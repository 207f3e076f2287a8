"""Every tool of the segment editor, in a real browser: what Save writes is what numpy expects."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from playwright.sync_api import Locator, expect

from dicomdock import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.imaging.terminology import Terminology, colour_for
from tests.viewer.conftest import (
    BRUSH_MM,
    SHAPE,
    Opened,
    Screen,
    folders,
    made_study,
    phantom,
    store,
    viewing,
)
from tests.viewer.editing import Editor, Voxels, box, store_segmentation, until_coloured

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

SEGMENTS = "s.SegmentEditorState__segment_list__SegmentListState__segments"
NAMES = f"{SEGMENTS}.map(one => one.name)"
COLOUR = "#fa0a14"
SPACING = np.array([2.0, 1.0, 1.0])  # mm along k, j, i

LARGE = box((5, 12), (10, 40), (10, 40))
OTHER = box((8, 16), (30, 60), (20, 50))
MIDDLE = box((20, 22), (70, 75), (50, 60))
SMALL = box((2, 4), (2, 5), (2, 5))
SPECK = box((20, 21), (6, 7), (50, 51))
PARTS = LARGE | MIDDLE | SMALL | SPECK
STRIPES = LARGE & (np.indices(SHAPE)[0] % 3 == 2)
NOTHING = np.zeros(SHAPE, bool)

MASK = "VolumeIntensityRangeMaskState__threshold_slider__RangeSliderState"

OPERATORS = {
    "Add": LARGE | OTHER,
    "Subtract": LARGE & ~OTHER,
    "Intersect": LARGE & OTHER,
    "Invert": ~LARGE,
    "Clear": NOTHING,
    "Copy": OTHER,
    "Fill": ~NOTHING,
}
"""What each operator makes of a segment that has its name; ``Fill`` begins with nothing."""

SMOOTHINGS = {
    "Opening": ["erode", "dilate"],
    "Closing": ["dilate", "erode"],
    "Gaussian": ["gaussian"],
    "Median": ["median"],
}


def noisy(j: int, i: int) -> np.ndarray:
    """Give a box in a quarter of the slices, with a hole and a speck beside it."""
    hole, speck = box((8, 9), (j + 9, j + 10), (i + 9, i + 10)), box((20, 21), (j, j + 1), (i, i + 1))
    return (box((5, 12), (j, j + 24), (i, i + 20)) & ~hole) | speck


STARTS: dict[str, Voxels] = {
    "overlap": {"A": LARGE, "B": OTHER},
    "apart": {"A": LARGE, "B": OTHER & ~LARGE},
    "empty": {"A": NOTHING, "B": OTHER},
    "operators": {
        **{one: NOTHING if one == "Fill" else LARGE for one in OPERATORS},
        "B": OTHER,
    },
    "islands": {"Largest": PARTS, "Large": PARTS, "A": PARTS, "B": OTHER & ~LARGE},
    "noisy": {
        name: noisy(j, i) for name, j, i in zip(SMOOTHINGS, (10, 10, 46, 46), (6, 38, 6, 38), strict=True)
    },
    "margins": {"Shrunk": OTHER, "Grown": OTHER},
    "stripes": {"A": STRIPES},
    "seeds": {"A": box((11, 12), (28, 29), (44, 45)), "B": box((11, 12), (60, 61), (10, 11))},
    "cut": {"Fill inside": LARGE, "Erase outside": LARGE, "Erase inside": LARGE, "B": OTHER & ~LARGE},
}


@pytest.fixture(scope="module")
def opened(viewer_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The phantom with what was drawn on it before, in one viewer for all."""
    settings = folders(tmp_path_factory.mktemp("segments"))
    study, series, instances = made_study()
    store(settings, instances, origin="orthanc")
    for name, segments in STARTS.items():
        store_segmentation(settings, Resource(study, series), name, segments)
    with viewing(settings, Resource(study), series) as found:
        yield found


@pytest.fixture
def axial(editor: Editor) -> Editor:
    """The axial view alone, large."""
    editor.screen.put("layout", "Axial")
    editor.page.wait_for_function(
        "() => document.querySelector('[data-view=Red]').getBoundingClientRect().width > 600"
    )
    editor.page.keyboard.press("r")
    editor.screen.drawn("Red")
    return editor


@pytest.fixture(scope="module")
def starts(page: Screen) -> dict[str, str]:
    """Series Instance UIDs of what was drawn before, by their names."""
    page.wait(f"s.drawings.length === {len(STARTS)}")
    return {one["name"].split(" ")[-1]: one["uid"] for one in page.state("drawings")}


@pytest.fixture
def editor(opened: Opened, screen: Screen, starts: dict[str, str]) -> Editor:
    """The panel of the segment editor, open."""
    screen.tool("segment")
    return Editor(opened, screen, starts)


def same(found: Voxels, **expected: np.ndarray) -> None:
    """Fail where voxels are not those that are expected."""
    assert sorted(found) == sorted(expected)
    for name, mask in expected.items():
        wrong = int((found[name] ^ mask).sum())
        assert wrong == 0, f"{name}: {wrong} voxels differ, {found[name].sum()} of {mask.sum()}"


def and_back(editor: Editor, before: Voxels, after: Voxels, *, steps: int = 1) -> None:
    """Take the last steps back, and do them again.

    What is computed becomes a step in one place (``ComputingLogic._put``), and so does what each effect of
    the mouse draws: of the ways in which one tool works, one or two are taken back.
    """
    same(editor.undone(steps), **before)
    same(editor.redone(steps), **after)


def distances(mask: np.ndarray) -> np.ndarray:
    """Return the distance in mm of each voxel to the nearest one of a mask."""
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(one) for one in SPACING[::-1]])
    found = SimpleITK.GetArrayFromImage(
        SimpleITK.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    )
    return np.maximum(found, 0.0)


def filtered(mask: np.ndarray, work: str) -> np.ndarray:
    """Return the result of a filter of 1 x 3 x 3 voxels, its border outside being empty."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2)).reshape(*SHAPE, 9)
    return {"median": around.sum(axis=3) > 4, "dilate": around.any(axis=3), "erode": around.all(axis=3)}[work]


def gaussian(mask: np.ndarray, millimetres: float) -> np.ndarray:
    """Return where a mask that is smoothed by a Gaussian is above one half."""
    smooth = mask.astype(float)
    for axis, step in enumerate(SPACING):
        reach = int(4 * millimetres / step)
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / millimetres) ** 2)
        smooth = np.apply_along_axis(
            lambda line, weights=weights, reach=reach: np.convolve(
                np.pad(line, reach, mode="edge"), weights / weights.sum(), mode="valid"
            ),
            axis,
            smooth,
        )
    return smooth >= 0.5


def test_logical_operators(editor: Editor) -> None:
    start = STARTS["operators"]
    editor.open("operators")
    editor.tool("operators")
    for operator in OPERATORS:
        editor.choose(operator)
        editor.select("Logical operator", operator)
        if operator not in ("Invert", "Clear", "Fill"):
            editor.select("Reference segment", "B")
        editor.apply()
    after = {**OPERATORS, "B": OTHER}  # the other segment stays what it is
    same(editor.saved(), **after)
    and_back(editor, {**after, "Copy": start["Copy"], "Fill": start["Fill"]}, after, steps=2)


def test_a_threshold_takes_what_lies_between_two_values(opened: Opened, editor: Editor) -> None:
    editor.open("empty")
    editor.tool("threshold")
    least, most = (float(phantom().min()), float(phantom().max()))
    # The mask of values begins with all of them, and sliders go by whole numbers where values are such.
    editor.screen.wait(f"s.{MASK}__value.join() === '{least:g},{most:g}' && s.{MASK}__step === 1")
    assert editor.screen.state(BRUSH_MM.replace("__value", "__max_value")) == 40  # mm, half a slice
    for end, value in (("from", "50"), ("to", "120")):
        editor.screen.button(f"threshold-{end}").fill(value)
        editor.screen.button(f"threshold-{end}").press("Enter")
    chosen = editor.page.locator('[data-testid="threshold-histogram"] rect')
    expected_ends = [128 * (value - least) / (most - least) for value in (50, 120)]

    def ends() -> list[float]:
        x, width = (float(chosen.get_attribute(name) or "nan") for name in ("x", "width"))
        return [x, x + width]

    editor.screen.until(lambda: ends() == pytest.approx(expected_ends))
    # The fifth view, which is for comparing, shows no volume to draw the preview on.
    assert "connections but is not optional" not in opened.log
    editor.apply()
    expected = (phantom() >= 50) & (phantom() <= 120)
    after = {"A": expected, "B": OTHER & ~expected}  # it overwrites others, unless told not to
    same(editor.saved(), **after)
    and_back(editor, STARTS["empty"], after)


def test_islands(editor: Editor) -> None:
    """The largest is kept, small ones are removed, and each becomes a segment."""
    editor.open("islands")
    editor.tool("islands")
    editor.page.locator(".editor").get_by_role("button", name="Keep largest").click()
    editor.apply()
    editor.choose("Large")
    editor.page.locator(".editor").get_by_role("button", name="Remove small").click()
    editor.number("Minimum size", 50)
    editor.apply()
    before = {"Largest": LARGE, "Large": LARGE | MIDDLE, "A": PARTS, "B": STARTS["islands"]["B"]}
    editor.choose("A")
    editor.page.locator(".editor").get_by_role("button", name="Split").click()
    editor.apply()
    colours = ["#{:02x}{:02x}{:02x}".format(*colour_for(Terminology(), number)) for number in (5, 6, 7)]
    editor.screen.wait(f"{SEGMENTS}.length === 7")
    pieces = editor.screen.state(f"{SEGMENTS.removeprefix('s.')}.slice(4)")
    assert [one["color"].lower() for one in pieces] == colours
    after = {**before, "A": LARGE, "A 2": MIDDLE, "A 3": SMALL, "A 4": SPECK}
    same(editor.saved(), **after)
    and_back(editor, before, after)


def test_smoothing(editor: Editor) -> None:
    editor.open("noisy")
    editor.tool("smoothing")
    after = {}
    for method, steps in SMOOTHINGS.items():
        editor.choose(method)
        editor.select("Smoothing method", method)
        editor.number("Standard deviation" if method == "Gaussian" else "Kernel size", 3)
        editor.apply()
        after[method] = STARTS["noisy"][method]
        for step in steps:
            after[method] = (
                gaussian(after[method], 3.0) if step == "gaussian" else filtered(after[method], step)
            )
    same(editor.saved(), **after)
    and_back(editor, {**after, "Median": STARTS["noisy"]["Median"]}, after)


def test_joint_smoothing_leaves_no_gap_and_hidden_segments_alone(editor: Editor) -> None:
    editor.open("apart")
    editor.page.locator(".editor .mdi-eye-outline").nth(1).click()  # hides B
    editor.tool("smoothing")
    editor.select("Smoothing method", "Joint")
    editor.apply()
    found = editor.saved()
    assert 0.9 < found["A"][LARGE].mean() <= 1
    assert (found["B"] ^ STARTS["apart"]["B"]).sum() < 50
    editor.page.locator(".editor .mdi-eye-off-outline").first.click()


def test_a_margin_grows_and_shrinks_in_millimetres(editor: Editor) -> None:
    editor.open("margins")
    for name, millimetres in (("Shrunk", -3), ("Grown", 3)):
        editor.choose(name)
        editor.page.get_by_label("Margin in millimetres").fill(str(millimetres))
        editor.page.get_by_label("Margin in millimetres").press("Enter")
        editor.press("margin")
    # A negative one is measured from the outermost voxels of the segment, as 3D Slicer does.
    inner = box((9, 15), (31, 59), (21, 49))
    after = {"Shrunk": OTHER & (distances(OTHER & ~inner) >= 3), "Grown": distances(OTHER) <= 3}
    same(editor.saved(), **after)
    and_back(editor, {**after, "Grown": OTHER}, after)


def test_a_segment_is_filled_between_its_slices(editor: Editor) -> None:
    editor.open("stripes")
    editor.press("fill")
    after = editor.saved()
    same(after, A=LARGE)
    and_back(editor, STARTS["stripes"], after)


def test_seeds_grow_along_like_values(editor: Editor) -> None:
    editor.open("seeds")
    editor.press("grow")
    after = editor.saved()
    assert all((after[name] & seed).sum() == seed.sum() for name, seed in STARTS["seeds"].items())
    bright = phantom() == 280
    there = after["A"] | after["B"]
    assert not (after["A"] & after["B"]).any()
    assert (after["A"] & bright & there).sum() > 0.95 * (bright & there).sum()
    assert (after["A"] & ~bright).sum() < 0.02 * there.sum()
    and_back(editor, STARTS["seeds"], after)


def test_what_cannot_be_computed_is_reported(editor: Editor) -> None:
    editor.open("stripes")
    editor.screen.button("grow").click()
    editor.screen.note("Growing needs seeds of two segments")
    editor.open("empty")
    editor.screen.button("margin").click()
    editor.screen.note("Draw the segment first")
    editor.tool("scissors")
    editor.screen.note("A is empty: there is nothing to cut yet")
    editor.choose("B")
    editor.screen.button("fill").click()
    editor.screen.note("Draw the segment on two slices at least")
    editor.page.get_by_label("Margin in millimetres").fill("-50")
    editor.page.get_by_label("Margin in millimetres").press("Enter")
    editor.screen.button("margin").click()
    editor.screen.note("thinner than that margin")
    assert not editor.screen.state("unsaved")


def test_painting_and_erasing(axial: Editor) -> None:
    axial.open("empty")
    axial.slice(10)
    axial.tool("paint")
    axial.number("Brush size", 8)
    axial.screen.wait(f"s.{BRUSH_MM} === 8")
    axial.screen.handled()
    axial.screen.drag(axial.at(40, 20), axial.at(40, 40))
    axial.done()
    after = axial.saved()
    line = box((10, 11), (40, 41), (20, 41))
    assert after["A"][line].all()
    assert 3 <= distances(line)[after["A"]].max() < 5  # mm around the line, to either side
    assert not (after["A"] & after["B"]).any()
    and_back(axial, STARTS["empty"], after)
    axial.tool("erase")
    axial.screen.drag(axial.at(40, 20), axial.at(40, 40))
    axial.done()
    same(axial.saved(), A=NOTHING, B=after["B"])
    and_back(axial, after, {"A": NOTHING, "B": after["B"]})


def test_drawing_an_outline_fills_it_on_the_slice(axial: Editor) -> None:
    axial.open("apart")
    axial.slice(20)
    axial.tool("draw")
    axial.outline((10, 30), (20, 40))
    axial.done()
    after = {"A": LARGE | box((20, 21), (10, 30), (20, 40)), "B": STARTS["apart"]["B"]}
    same(axial.saved(), **after)
    and_back(axial, STARTS["apart"], after)


def test_a_shape_is_kept_however_late_the_viewer_answers(axial: Editor) -> None:
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radii = 18 + 5 * np.sin(5 * angles)
    rows, columns = 40 + radii * np.sin(angles), 32 + radii * np.cos(angles)

    def draw_while_it_is_held_up() -> None:
        assert axial.opened.pid is not None
        places = [axial.at(*one) for one in zip(rows, columns, strict=True)]
        axial.page.mouse.move(*places[0])
        axial.screen.handled()
        os.kill(axial.opened.pid, signal.SIGSTOP)
        try:
            axial.page.mouse.down()
            for place in places:
                axial.page.mouse.move(*place)
            axial.page.mouse.up()
        finally:
            os.kill(axial.opened.pid, signal.SIGCONT)
        axial.page.evaluate("() => window.dicomdock.settled()")
        axial.done()

    axial.open("empty")
    axial.slice(10)
    axial.tool("draw")
    axial.page.locator(".editor").get_by_role("button", name="Freehand").click()
    draw_while_it_is_held_up()
    due = abs(np.dot(columns, np.roll(rows, 1)) - np.dot(rows, np.roll(columns, 1))) / 2
    assert axial.saved()["A"].sum() == pytest.approx(due, rel=0.02)
    axial.open("empty")
    axial.slice(10)
    axial.tool("paint")
    axial.number("Brush size", 3)
    axial.screen.wait(f"s.{BRUSH_MM} === 3")
    axial.screen.handled()
    draw_while_it_is_held_up()
    along = np.zeros(SHAPE, bool)
    along[10, rows.round().astype(int), columns.round().astype(int)] = True
    painted = axial.saved()["A"]
    assert painted[along].all()
    assert distances(along)[painted].max() < 3  # mm


def test_scissors_cut_through_all_slices(axial: Editor) -> None:
    axial.open("cut")
    axial.slice(10)
    axial.tool("scissors")
    for operation, rows, columns in (
        ("Fill inside", (50, 60), (45, 55)),
        ("Erase outside", (20, 30), (15, 25)),
        ("Erase inside", (20, 30), (15, 25)),
    ):
        axial.choose(operation)
        axial.page.locator(".editor").get_by_role("button", name=operation, exact=True).last.click()
        axial.outline(rows, columns)
        axial.done()
    inside, filled = box((0, 24), (20, 30), (15, 25)), box((0, 24), (50, 60), (45, 55))
    after = {
        "Fill inside": LARGE | filled,
        "Erase outside": LARGE & inside,
        "Erase inside": LARGE & ~inside,
        "B": STARTS["cut"]["B"],  # which overlaps, for segments that were opened do so
    }
    same(axial.saved(), **after)
    and_back(axial, STARTS["cut"], after, steps=3)


def test_masks_hold_for_what_is_drawn(axial: Editor) -> None:
    axial.open("empty")
    outlines = {k: box((k, k + 1), (20, 50), (10, 40)) for k in (9, 10, 11, 12)}

    def draw(k: int) -> None:
        axial.slice(k)
        axial.outline((20, 50), (10, 40))
        axial.done()

    limited = axial.masking().get_by_label("Only values in a range")
    axial.tool("draw")
    axial.select("Editable area", "Outside All Segments")
    draw(9)
    expected = outlines[9] & ~OTHER
    axial.select("Editable area", "B")
    draw(10)
    expected |= (taken := outlines[10] & OTHER)
    axial.select("Editable area", "Everywhere")
    limited.check()
    for end, value in (("from", "60"), ("to", "100")):
        axial.screen.button(f"only-{end}").fill(value)
        axial.screen.button(f"only-{end}").press("Enter")
    draw(11)
    within = outlines[11] & (phantom() >= 60) & (phantom() <= 100)
    limited.uncheck()
    axial.select("Overwrite mode", "Allow overlap")
    draw(12)
    after = {"A": expected | within | outlines[12], "B": OTHER & ~taken & ~within}
    same(axial.saved(), **after)
    and_back(axial, {"A": expected, "B": OTHER & ~taken}, after, steps=2)


def test_what_two_segments_share_stays_theirs_where_nothing_is_drawn(axial: Editor) -> None:
    """What is drawn anew takes voxels from others, what was there before does not."""
    axial.open("overlap")
    axial.masking()
    axial.select("Overwrite mode", "Overwrite all")
    axial.slice(15)
    axial.tool("draw")
    axial.outline((20, 50), (10, 40))
    axial.done()
    drawn = box((15, 16), (20, 50), (10, 40))
    axial.slice(10)
    axial.tool("scissors")
    axial.page.locator(".editor").get_by_role("button", name="Erase inside").click()
    axial.outline((10, 15), (10, 40))
    axial.done()
    cut = (LARGE | drawn) & ~box((0, 24), (10, 15), (10, 40))
    axial.tool("smoothing")
    axial.select("Smoothing method", "Median")
    axial.number("Kernel size", 3)
    axial.apply()
    after = {"A": filtered(cut, "median"), "B": OTHER & ~drawn}  # which adds no voxel
    same(axial.saved(), **after)
    and_back(axial, {"A": LARGE, "B": OTHER}, after, steps=3)


def test_segments_are_added_named_coloured_hidden_and_removed(opened: Opened, editor: Editor) -> None:
    editor.open("apart")
    page = editor.page
    editor.screen.button("add-segment").click()  # a third one, which is the active one now
    editor.screen.wait(f"{SEGMENTS}.length === 3")
    third = "#{:02x}{:02x}{:02x}".format(*colour_for(Terminology(), 3))
    editor.screen.wait(f"{SEGMENTS}[2].color.toLowerCase() === '{third}'")
    expect(editor.name()).to_have_value("Segment 1")
    coded = page.get_by_test_id("coded")
    expect(coded).to_have_text("A name of the list gives it codes.")
    editor.name().fill("Kidney left")
    editor.name().press("Enter")
    editor.screen.wait("s.unsaved")
    expect(coded).to_have_text("Coded as Left Kidney.")
    editor.choose("A")
    expect(coded).to_have_text("A name of the list gives it codes.")
    editor.name().fill("Lesion")
    editor.name().press("Enter")
    page.get_by_label("Colour of Lesion").fill(COLOUR)
    editor.screen.wait(f"{SEGMENTS}[0].color.toLowerCase() === '{COLOUR}'")
    editor.row().nth(1).locator(".mdi-delete-outline").click()
    editor.screen.wait(f"{SEGMENTS}.length === 2")
    with Archive.open(opened.settings) as archive:
        found = archive.segmentation(editor.save())
    assert [one.label for one in found.segments] == ["Lesion", "Kidney left"]
    assert found.segments[0].colour == (250, 10, 20)
    assert found.segments[1].terminology.kind.value == "64033007"
    assert found.segments[1].terminology.modifier is not None
    same(
        {one.label: one.mask.whole(SHAPE) for one in found.segments},
        **{"Lesion": LARGE, "Kidney left": NOTHING},
    )
    for names in (["Lesion", "B", "Kidney left"], ["A", "B", "Kidney left"]):
        page.keyboard.press("Control+z")
        editor.screen.wait(
            f"JSON.stringify({NAMES}) === {json.dumps(json.dumps(names, separators=(',', ':')))}"
        )
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    editor.screen.wait(f'JSON.stringify({NAMES}) === \'["A","B"]\'')


def test_a_number_that_is_being_typed_survives_what_changes_meanwhile(editor: Editor) -> None:
    """Whatever comes from the viewer, the page is drawn anew; no number is taken back by that."""

    def typed(field: Locator, value: str, changed: str) -> None:
        field.fill(value)
        typed_meanwhile(field, value, changed)

    def typed_meanwhile(field: Locator, value: str, changed: str) -> None:
        editor.screen.put(changed, editor.screen.state(changed) + 1)
        editor.page.evaluate("() => new Promise(requestAnimationFrame)")
        expect(field).to_have_value(value)

    editor.open("apart")
    editor.choose("A")
    margin = editor.page.get_by_label("Margin in millimetres")
    typed(margin, "7.5", "resample_mm")
    margin.press("Enter")
    editor.screen.wait("s.margin_mm === 7.5")
    editor.tool("paint")
    size = editor.page.get_by_label("Brush size", exact=True)
    typed(size, "7.5", "resample_mm")
    size.press("Enter")
    editor.screen.wait(f"s.{BRUSH_MM} === 7.5")
    colour = editor.page.get_by_label("Colour of A")
    # While the browser's dialog of colours is open.
    colour.evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input', {bubbles: true})); }",
        COLOUR,
    )
    typed_meanwhile(colour, COLOUR, "margin_mm")
    colour.dispatch_event("change")
    editor.screen.wait(f"{SEGMENTS}[0].color.toLowerCase() === '{COLOUR}'")


def test_a_hidden_segment_is_not_in_the_picture(editor: Editor) -> None:
    editor.open("apart")
    editor.slice(10)
    until_coloured(editor.screen, more=0.02)
    shown, hidden = (editor.page.locator(f".editor .mdi-eye-{eye}") for eye in ("outline", "off-outline"))
    for count in (1, 2):
        shown.first.click()
        expect(hidden).to_have_count(count)
    until_coloured(editor.screen, less=0.001)
    for count in (1, 2):
        hidden.first.click()
        expect(shown).to_have_count(count)
    until_coloured(editor.screen, more=0.02)


def hold_computing(opened: Opened) -> bool:
    """Stop the process in which the viewer computes; return whether there is one yet."""
    threads = Path(f"/proc/{opened.pid}/task").iterdir()
    children = [int(child) for one in threads for child in (one / "children").read_text().split()]
    found = [one for one in children if b"computing" in Path(f"/proc/{one}/cmdline").read_bytes()]
    for one in found:
        os.kill(one, signal.SIGSTOP)
    return bool(found)


def test_a_long_computation_is_reported_and_can_be_stopped(editor: Editor) -> None:
    editor.open("noisy")
    editor.tool("smoothing")
    editor.select("Smoothing method", "Median")
    editor.number("Kernel size", 61)  # of this one nobody would wait for the end
    editor.page.locator(".editor").get_by_role("button", name="Apply").click()
    expect(editor.screen.button("busy")).to_contain_text("Smoothing, ")  # and for how long
    editor.screen.until(lambda: hold_computing(editor.opened))  # and so it takes for ever
    at = editor.screen.slice()[0]
    editor.page.mouse.move(*editor.screen.middle())
    editor.page.mouse.wheel(0, -100)
    editor.screen.wait(f"s.Red_at !== {at - 1} && s.busy")  # the pictures go on
    editor.screen.button("stop-computing").click()
    editor.screen.note("Nothing was changed")
    editor.screen.wait("!s.busy && !s.unsaved")
    editor.number("Kernel size", 3)
    editor.apply()  # the next one finds a process again
