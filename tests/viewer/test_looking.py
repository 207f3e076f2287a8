"""Looking at a study: windows, slices, planes, layouts, loops, and objects without pixels; in a browser."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect
from pydicom.pixels import apply_color_lut
from pydicom.uid import UltrasoundMultiFrameImageStorage, generate_uid

from dicomdock.config.preferences import Preferences
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.documents import pdf_to_dicom, stl_to_dicom
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.key_objects import read_key_objects
from dicomdock.imaging.parametric import ParametricMap, parametric_map_to_dicom
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume
from tests.builders import Made, composite, made
from tests.dock.using import arrived
from tests.imaging.scans import AXIAL, headers, oblique, put_pixels, scan
from tests.imaging.test_video import MP4, endoscopy
from tests.imaging.test_waveforms import ecg
from tests.viewer.conftest import (
    SHAPE,
    WINDOW,
    Opened,
    Screen,
    made_study,
    phantom,
    viewing_study,
)
from tests.viewer.editing import TOOLS
from tests.viewer.pictures import difference, windowed

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

THRESHOLD = "ThresholdState__threshold_slider__RangeSliderState__value"
ALIKE = 4.0  # mean difference, of 255, of a view from what numpy draws
VIEWS = ("Red", "Other", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth")  # row by row
BOLUS = str(generate_uid())
CDA = b"<ClinicalDocument><title>Letter</title><script>document.title = 'run'</script></ClinicalDocument>"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"


def cube(low: tuple[float, ...], high: tuple[float, ...]) -> bytes:
    """Make a box as a binary STL model."""
    corners = np.array([[(low, high)[bit >> axis & 1][axis] for axis in range(3)] for bit in range(8)])
    faces = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)]
    faces += [(2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
    body = b"".join(np.array([(0, 0, 0), *corners[list(face)]], "<f4").tobytes() + b"\0\0" for face in faces)
    return b"\0" * 80 + len(faces).to_bytes(4, "little") + body


def besides(instances: list[Made]) -> dict[str, Made]:
    """Make a map, a document and a model for a series."""
    sources = headers(instances)
    volume = Volume(phantom().astype(np.float32) / 100, split_series(sources)[0].geometry)
    mapped = ParametricMap(volume, Code("mm2/s", "UCUM", "mm2/s"), name="Diffusion")
    return {
        "map": _made(parametric_map_to_dicom(mapped, sources)),
        "pdf": _made(pdf_to_dicom(PDF, "Findings", sources)),
        "model": _made(stl_to_dicom(cube((-10, -10, 20), (10, 10, 40)), "Box", sources)),
    }


def _made(dataset: object) -> Made:
    return Made(dataset, to_bytes(dataset))  # type: ignore[arg-type]


def other_series(study: str, frame: str) -> dict[str, list[Made]]:
    """Make an oblique series, a sagittal one and a loop of the same patient."""
    shared = {"StudyInstanceUID": study, "PatientName": "Doe^Jane", "PatientID": "4711", "Modality": "MR"}
    k, j, i = np.indices((12, 50, 40))
    values = (20 * k + 4 * j + 2 * i).astype(np.int16)
    sagittal = np.array([[3, 0, 0, -18], [0, 0, 1.0, -20], [0, -1.0, 0, 60], [0, 0, 0, 1.0]])
    timed = {"SeriesInstanceUID": generate_uid(), "SeriesNumber": 7, "SeriesDescription": "Bolus"}
    times = [scan(values[:, :30] + 100 * at, AXIAL, **shared, **timed, **at_time(at)) for at in range(3)]
    named = {"SeriesNumber": 4, "SeriesDescription": "Sagittal", "FrameOfReferenceUID": frame}
    leaning = {"SeriesNumber": 5, "SeriesDescription": "Oblique"}
    loop = composite(UltrasoundMultiFrameImageStorage, **{**shared, "Modality": "US"})
    loop.SeriesNumber, loop.SeriesDescription, loop.FrameTime = 6, "Loop", "100"
    put_pixels(loop, np.stack([np.full((60, 80), 8 * at, np.uint8) for at in range(20)]))
    letter = composite("1.2.840.10008.5.1.4.1.1.104.2", StudyInstanceUID=study, Modality="DOC")
    letter.SeriesNumber, letter.SeriesDescription, letter.EncapsulatedDocument = 9, "Letter", CDA
    heart = ecg()
    heart.StudyInstanceUID, heart.SeriesNumber, heart.SeriesDescription = study, 8, "Rest"
    video = endoscopy()
    video.StudyInstanceUID, video.SeriesNumber, video.SeriesDescription = study, 10, "Endoscopy"
    return {
        "sagittal": scan(values, sagittal, **shared, **named),
        "oblique": scan(values, oblique((0.5, 0.1, 0.0), (3, 1, 1), (-20, -30, 5)), **shared, **leaning),
        "loop": [made(loop)],
        "bolus": [one for volume in times for one in volume],
        "ecg": [made(heart)],
        "cda": [made(letter)],
        "video": [made(video)],
    }


def at_time(at: int) -> dict[str, object]:
    """Return what a time point states, 2.5 s after the one before it."""
    return {
        "FrameOfReferenceUID": BOLUS,
        "TemporalPositionIdentifier": at + 1,
        "AcquisitionDateTime": f"202401011200{2.5 * at:04.1f}",
    }


@pytest.fixture(scope="module")
def study() -> dict[str, list[Made]]:
    """Everything that is looked at, by name."""
    frame = str(generate_uid())
    uid, _, ct = made_study(FrameOfReferenceUID=frame, RescaleIntercept="0", RescaleSlope="1")
    found = {"ct": ct, **other_series(uid, frame)}
    return {**found, **{name: [one] for name, one in besides(ct).items()}}


@pytest.fixture(scope="module")
def opened(
    viewer_installed: None, study: dict[str, list[Made]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """The study in one viewer."""
    with viewing_study(study, "ct", tmp_path_factory.mktemp("viewer")) as found:
        yield found


def as_numpy_draws_it(screen: Screen) -> None:
    """Wait until the axial view shows its slice of the CT, fitted, in the header's window."""
    screen.until(
        lambda: difference(screen.pixels(), phantom()[screen.slice()[0] - 1], (1, 1), WINDOW) < ALIKE
    )


def test_messages_of_the_viewer_are_memory_of_the_page(screen: Screen) -> None:
    """As Blobs, which trame asks for, a step of a slice takes the browser twice the processor time."""
    read = """() => {
        const socket = new WebSocket(location.origin.replace("http", "ws") + "/none");
        socket.binaryType = "blob";
        return socket.binaryType;
    }"""
    assert screen.page.evaluate(read) == "arraybuffer"


def test_the_viewer_answers_after_what_was_changed_before(screen: Screen) -> None:
    """An answer that overtook the state let tests look at what was shown before."""
    late = screen.page.evaluate(
        """async () => {
            const { state } = window.trame;
            const late = [];
            for (let at = 0; at < 20; at += 1) {
                state.set("Red_at", at);
                state.flush("Red_at");
                await window.trame.trigger("scene_states");
                if (!state.state.Red_bl.startsWith(`${at + 1} /`)) late.push(state.state.Red_bl);
            }
            return late;
        }"""
    )
    assert not late


def test_windows_come_from_the_header_by_key_by_number_and_by_mouse(screen: Screen) -> None:
    assert screen.state("presets")[1:] == ["Brain", "Lung", "Abdomen", "Mediastinum", "Bone"]
    assert screen.state("preset_values")[1:3] == ["80 / 40", "1500 / -600"]
    for key, width, centre in (("2", 80, 40), ("6", 1800, 400), ("1", 400, 100)):
        screen.page.keyboard.press(key)
        screen.wait(f"s.window_width === {width} && s.window_centre === {centre}")
    screen.page.keyboard.press("0")
    screen.wait("s.window_width < 390")
    screen.tool("window")
    screen.button("width").fill("250")
    screen.button("width").press("Enter")
    screen.wait("s.window_width === 250")
    expect(screen.page.locator('[data-view="Red"] .br')).to_contain_text("W 250")
    screen.page.get_by_role("button", name="Brain").click()
    screen.wait("s.window_width === 80")
    bright = screen.pixels().mean()
    screen.page.get_by_role("button", name="Lung").click()
    screen.until(lambda: screen.pixels().mean() != pytest.approx(bright, abs=5))


def test_a_view_is_fitted_without_a_word_of_other_slices(screen: Screen) -> None:
    screen.button("slices-Red").fill("3")
    screen.handled()
    screen.page.evaluate(
        """() => {
            window.slicesSent = [];
            window.trame.client.getConnection().getSession().subscribe("trame.state.topic", ([sent]) => {
                if ("Red_at" in sent) window.slicesSent.push(sent.Red_at);
            });
        }"""
    )
    screen.tool("layout")
    screen.button("layout-Axial").click()
    expect(screen.page.locator("[data-view]")).to_have_count(1)
    screen.drawn()
    screen.page.keyboard.press("r")
    screen.put("aligned", False)
    screen.handled()
    assert screen.slice() == (4, SHAPE[0])
    assert screen.page.evaluate("() => window.slicesSent") == []


def test_what_is_set_is_not_replaced_by_what_was_sent_before(screen: Screen) -> None:
    def set_while_sent(name: str, value: object) -> None:
        screen.page.evaluate(
            """([name, value]) => {
                window.trame.client.getConnection().getSession().call("trame.force.push", [name]);
                window.trame.state.set(name, value);
            }""",
            [name, value],
        )

    set_while_sent("Red_at", 5)
    screen.until(lambda: screen.slice() == (6, SHAPE[0]))
    screen.handled()
    assert screen.state("Red_at") == 5
    set_while_sent("Red_at", 1000)  # the viewer's own correction still comes
    screen.wait(f"s.Red_at === {SHAPE[0] - 1}")
    set_while_sent(THRESHOLD, [60, 100])
    screen.handled()
    assert screen.state(THRESHOLD) == [60, 100]


def test_slices_are_reached_by_wheel_keys_and_slider(screen: Screen) -> None:
    press = screen.page.keyboard.press
    press("Home")
    screen.wait("s.Red_at === 0")
    press("PageUp")
    screen.wait("s.Red_at === 10")
    press("ArrowDown")
    screen.wait("s.Red_at === 9")
    screen.page.mouse.wheel(0, -100)
    screen.wait("s.Red_at === 10")
    slider = screen.button("slices-Red")
    slider.fill("20")
    screen.wait("s.Red_at === 20")
    expect(screen.page.locator('[data-view="Red"] .bl')).to_contain_text("21 / 24")
    slider.focus()
    press("ArrowRight")
    screen.wait("s.Red_at === 21")


def test_a_series_is_shown_in_a_palette_of_the_standard(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.tool("window")
    grey = screen.pixels().mean(axis=2)
    screen.button("colours").select_option("Hot iron")
    bar = screen.button("colour-bar-Red")
    expect(bar).to_have_text(re.compile(r"^\s*299 HU\s*-100 HU\s*$"))
    screen.wait("s.colours === 'Hot iron'")
    due = apply_color_lut(grey.round().astype(np.uint8), palette="1.2.840.10008.1.5.1").astype(float)
    seen = screen.pixels().astype(float)
    # JPEG, which halves the resolution of colours, draws the edges of the box otherwise.
    assert np.percentile(np.abs(seen - due).max(axis=2)[grey > 30], 80) < 12
    assert np.median(np.abs(seen - due).max(axis=2)[grey > 30]) < 6
    screen.show(study["sagittal"][0].series)
    screen.wait("s.colours === 'Grey' && !s.Red_palette")
    screen.show(study["ct"][0].series)
    screen.wait("s.colours === 'Hot iron'")
    # Beside another series it has them too; that one has its own, unless both are to look the same.
    screen.tool("layout")
    screen.button("layout-Compare").click()
    beside = screen.button("colour-bar-Other")
    screen.button(f"compare-{study['ct'][0].series}").click()
    expect(beside).to_have_text(re.compile(r"^\s*299 HU\s*-100 HU\s*$"))
    assert difference_of_colours(screen.pixels("Other")) > 20
    screen.button(f"compare-{study['sagittal'][0].series}").click()
    expect(beside).to_be_hidden()
    screen.page.get_by_label("Same window").check()
    expect(beside).to_be_visible()
    screen.page.keyboard.press("i")
    screen.page.keyboard.press("Shift+R")
    expect(bar).to_be_hidden()
    expect(beside).to_be_hidden()
    assert difference_of_colours(screen.pixels()) < 4


def difference_of_colours(pixels: np.ndarray) -> float:
    """Give how far the colours of a picture differ from grey, in its middle."""
    return float(np.median(np.ptp(pixels[100:-100, 100:-100].astype(float), axis=2)))


def test_a_right_click_opens_the_menu_of_the_view(screen: Screen) -> None:
    page, menu, at = screen.page, screen.button("menu"), screen.middle("Yellow")
    screen.tool("")
    page.mouse.click(*at, button="right")
    # Its items are walked and chosen by keys, and the focus goes back to where it was.
    items = menu.get_by_role("menuitem")
    expect(items.first).to_be_focused()
    expect(items.first).to_have_text("Header 11")
    page.keyboard.press("End")
    expect(screen.button("menu-save")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(screen.button("menu-copy")).to_be_focused()
    assert not Axe().run(page, context=".menu").response["violations"]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("Enter")
    expect(menu).to_be_hidden()
    screen.note("The picture was copied.")
    copied = Image.open(io.BytesIO(bytes(page.evaluate(COPIED))))
    page.context.clear_permissions()
    seen = screen.pixels("Yellow")
    assert copied.size == seen.shape[1::-1]
    assert np.abs(np.asarray(copied, float) - seen).mean() < 2
    # The menu key opens it for the view that the mouse is in; what it does is done in this view.
    page.keyboard.press("ContextMenu")
    expect(menu).to_be_visible()
    screen.button("menu-this-view-alone").click()
    screen.wait("s.layout === 'Sagittal' && !s.menu_view")
    page.mouse.click(*screen.middle("Yellow"), button="right")
    expect(screen.button("menu-all-views")).to_be_visible()
    page.keyboard.press("i")  # a key does what it does without a menu
    screen.wait("s.inverted && !s.menu_view")
    page.keyboard.press("i")
    page.mouse.click(*screen.middle("Yellow"), button="right")
    screen.button("menu-distance").click()
    screen.wait("s.measuring === 'distance' && s.tool === 'measure'")
    page.mouse.click(*screen.middle("Yellow"), button="right")  # its points are clicked now
    page.keyboard.press("Escape")
    screen.wait("!s.measuring")
    expect(menu).to_be_hidden()


COPIED = """async () => {
    const [copied] = await navigator.clipboard.read();
    return [...new Uint8Array(await (await copied.getType("image/png")).arrayBuffer())];
}"""
"""Gives the bytes of the picture on the clipboard."""

GLASS = """([x, y]) => {
    const glass = document.querySelector(".glass.on");
    const size = glass.clientWidth / glass.width;
    const at = [glass.width / 2 + x / size, glass.height / 2 + y / size];
    return glass.getContext("2d").getImageData(...at, 1, 1).data[0];
}"""
"""Gives the grey of a pixel of the magnifier, so many from its middle."""


def test_a_drag_scrolls_through_the_series(screen: Screen) -> None:
    page, (x, y) = screen.page, screen.middle()
    page.mouse.click(x, y, button="right")
    screen.button("menu-scroll").click()
    screen.wait("s.left === 'scroll' && !s.menu_view")
    before, count = screen.slice()
    box = page.locator('[data-view="Red"] canvas').bounding_box()
    assert box is not None
    each, window = box["height"] / count, screen.words("br")
    page.mouse.move(x, y)
    page.mouse.down()
    for slices in (3, -2):
        page.mouse.move(x, y - (slices + 0.5 * np.sign(slices)) * each, steps=4)
        screen.until(lambda slices=slices: screen.slice()[0] == before + slices)
    page.mouse.up()
    page.mouse.move(x, y, steps=3)
    assert (screen.slice(), screen.words("br")) == ((before - 2, count), window)


def test_a_magnifier_enlarges_what_the_mouse_is_at(screen: Screen) -> None:
    x, y = screen.middle()
    page, seen = screen.page, screen.pixels().astype(float)[..., 0]
    page.mouse.move(x, y)
    page.keyboard.press("v")
    page.locator(".glass.on").wait_for()
    row, column = seen.shape[0] // 2, seen.shape[1] // 2
    for right, down in ((0, 0), (50, 0), (-60, 40), (20, -70)):
        due = seen[row + round(down / 2.5), column + round(right / 2.5)]
        assert page.evaluate(GLASS, [right, down]) == pytest.approx(due, abs=12)
    page.keyboard.press("Escape")
    page.locator(".glass:not(.on)").wait_for(state="attached")


def test_zoom_and_pan_are_put_back(screen: Screen) -> None:
    as_numpy_draws_it(screen)
    x, y = screen.middle()
    for button, to in (("right", (x, y + 80)), ("middle", (x + 60, y))):
        before = screen.pixels()
        screen.page.mouse.move(x, y)
        screen.page.mouse.down(button=button)
        screen.page.mouse.move(*to, steps=5)
        screen.page.mouse.up(button=button)
        expect(screen.button("menu")).to_be_hidden()
        screen.until_changed(before, more=0.02)
    screen.page.keyboard.press("r")
    as_numpy_draws_it(screen)
    window = (screen.state("window_width"), screen.state("window_centre"))
    for key, to in (("z", (x, y + 80)), ("g", (x + 60, y))):
        before = screen.pixels()
        screen.page.keyboard.press(key)
        screen.wait("s.left !== 'window'")
        screen.page.mouse.move(x, y)
        screen.page.mouse.down()
        screen.page.mouse.move(*to, steps=5)
        screen.page.mouse.up()
        screen.until_changed(before, more=0.02)
        screen.page.keyboard.press(key)
        screen.wait("s.left === 'window'")
        before = screen.pixels()
        screen.page.mouse.move(x, y, steps=5)  # the button is up: nothing moves with the mouse any more
        screen.drawn()
        assert screen.changed(before) == 0
    before = screen.pixels()
    screen.page.keyboard.press("+")
    screen.until_changed(before, more=0.02)
    assert (screen.state("window_width"), screen.state("window_centre")) == window
    screen.page.keyboard.press("i")
    screen.page.keyboard.press("2")
    screen.wait(f"s.inverted && s.window_width !== {window[0]}")
    screen.page.keyboard.press("Shift+R")
    screen.wait(f"!s.inverted && s.window_width === {window[0]} && s.window_centre === {window[1]}")
    as_numpy_draws_it(screen)


def test_a_window_is_fitted_to_a_region(screen: Screen) -> None:
    screen.tool("window")
    screen.button("left-region").click()
    screen.drawn()
    x, y = screen.middle()
    screen.page.mouse.move(x - 80, y)  # where values rise evenly
    screen.page.mouse.down()
    screen.page.mouse.move(x - 40, y + 30, steps=4)
    screen.page.mouse.up()
    screen.handled()
    box = screen.box()
    scale = max(SHAPE[1] / box["height"], SHAPE[2] / box["width"])  # mm a pixel; voxels are 1 mm
    j, i = SHAPE[1] // 2, round(SHAPE[2] / 2 - 80 * scale)
    seen = phantom()[screen.slice()[0] - 1, j : j + round(30 * scale) + 1, i : i + round(40 * scale) + 1]
    lowest, highest = (screen.state(f"window_centre {sign} s.window_width / 2") for sign in ("-", "+"))
    assert (lowest, highest) == pytest.approx((seen.min(), seen.max()), abs=5)  # a voxel at each edge


def test_the_crosshair_is_at_the_same_place_in_all_views(screen: Screen) -> None:
    bare = {view: screen.pixels(view) for view in ("Red", "Yellow", "Green")}
    screen.page.keyboard.press("c")
    screen.wait("s.crosshair")
    box = screen.box()
    at = box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.6
    screen.page.keyboard.down("Shift")
    screen.page.mouse.move(*at, steps=3)
    screen.until(lambda: screen.slice("Yellow")[0] != SHAPE[2] // 2 + 1)
    scale = max(SHAPE[1] / box["height"], SHAPE[2] / box["width"])
    i = (at[0] - box["x"] - box["width"] / 2) * scale + SHAPE[2] / 2
    j = (at[1] - box["y"] - box["height"] / 2) * scale + SHAPE[1] / 2
    screen.until(
        lambda: abs(screen.slice("Yellow")[0] - i) <= 1.5 or SHAPE[2] - screen.slice("Yellow")[0] - i <= 1
    )
    assert min(abs(screen.slice("Green")[0] - at) for at in (j, SHAPE[1] - j)) <= 1.5
    screen.page.keyboard.up("Shift")
    for view, before in bare.items():
        screen.until(lambda view=view, before=before: screen.changed(before, view) > 0.001)
    screen.page.keyboard.press("c")
    screen.wait("!s.crosshair")
    bare = {view: screen.pixels(view) for view in ("Red", "Yellow", "Green")}
    screen.put("lines", True)
    for view, before in bare.items():  # each shows where the others cut it
        screen.until(lambda view=view, before=before: screen.changed(before, view) > 0.001)
    screen.put("handles", True)
    planes, window = [screen.slice(view)[0] for view in ("Yellow", "Green")], screen.words("br")
    screen.drag(at, (at[0] + 40, at[1] + 30))
    for view, before in zip(("Yellow", "Green"), planes, strict=True):
        screen.until(lambda view=view, before=before: screen.slice(view)[0] != before)
    assert screen.words("br") == window
    # The bent arrow at the left of the patient is dragged forwards: both planes turn, at right angles still.
    for view, count in (("Yellow", SHAPE[2]), ("Green", SHAPE[1])):
        screen.button(f"slices-{view}").fill(str(count // 2))
    picture, box = screen.pixels().astype(int), screen.box()
    _, columns = np.nonzero(picture[:, :, 1] - picture[:, :, [0, 2]].max(axis=2) > 50)
    middle, arm = screen.middle(), columns.max() - box["width"] / 2 - 2
    places = [
        (middle[0] + arm * np.cos(angle), middle[1] - arm * np.sin(angle))
        for angle in np.radians(range(0, 31, 5))
    ]
    screen.drag(*places)
    screen.until(lambda: screen.edges("Green") == ["RP", "LA", "S", "I"])
    assert (screen.edges(), screen.edges("Yellow")) == (["R", "L", "A", "P"], ["AR", "PL", "S", "I"])
    screen.page.keyboard.press("Shift+R")
    screen.until(lambda: screen.edges("Green") == ["R", "L", "S", "I"])
    assert screen.edges("Yellow") == ["A", "P", "S", "I"]


@pytest.mark.parametrize("kind", ["max", "min", "mean"])
def test_a_slab_shows_what_numpy_makes_of_its_slices(screen: Screen, kind: str) -> None:
    screen.put("slab_kind", kind)
    screen.put("slab", 8)
    screen.tool("layout")
    screen.button("layout-Axial").click()
    expect(screen.page.locator("[data-view]")).to_have_count(1)
    screen.button("slices-Red").fill("8")
    screen.wait("s.Red_at === 8")
    slices = phantom()[6:10].astype(float)  # four slices of 2 mm
    due = {"max": slices.max(axis=0), "min": slices.min(axis=0), "mean": slices.mean(axis=0)}[kind]
    screen.page.keyboard.press("r")
    screen.until(lambda: difference(screen.pixels(), due, (1, 1), WINDOW) < ALIKE)


def test_letters_say_where_the_edges_lead(screen: Screen, study: dict[str, list[Made]]) -> None:
    assert screen.edges("Red") == ["R", "L", "A", "P"]
    assert screen.edges("Yellow") == ["A", "P", "S", "I"]
    assert screen.edges("Green") == ["R", "L", "S", "I"]
    screen.show(study["oblique"][0].series)
    row, column = np.split(np.array(study["oblique"][0].dataset.ImageOrientationPatient, float), 2)
    assert screen.edges("Red") == [named(-row), named(row), named(-column), named(column)]
    screen.put("aligned", False)
    screen.until(lambda: screen.edges("Red") == ["R", "L", "A", "P"])


def named(direction: np.ndarray) -> str:
    """Name where a direction in LPS leads, its greater parts first."""
    order = np.argsort(-np.abs(direction))
    parts = [axis for axis in order if abs(direction[axis]) >= 0.25 * abs(direction[order[0]])]
    return "".join("LPS"[axis] if direction[axis] > 0 else "RAI"[axis] for axis in parts)


def test_a_double_click_shows_one_view_alone_and_the_next_all(screen: Screen) -> None:
    screen.page.mouse.dblclick(*screen.middle("Green"))
    screen.wait("s.layout === 'Coronal'")
    expect(screen.page.locator('[data-view="Red"]')).to_have_count(0)
    screen.page.wait_for_selector('[data-view="Green"]')
    screen.page.mouse.dblclick(*screen.middle("Green"))
    screen.wait("s.layout === 'Four views'")


def test_every_layout_shows_its_views(screen: Screen, study: dict[str, list[Made]]) -> None:
    due = {"Axial and two": 3, "Sagittal": 1, "3D": 1, "Compare": 2, "Four series": 4, "Four views": 4}
    screen.tool("layout")
    for layout, count in due.items():
        screen.button(f"layout-{layout}").click()
        screen.wait(f"s.layout === '{layout}'")
        expect(screen.page.locator("[data-view]")).to_have_count(count)
    for rows, columns in ((3, 3), (1, 3), (2, 3)):
        screen.page.get_by_role("button", name=f"{rows} row{'s' * (rows > 1)}, {columns} columns").click()
        expect(screen.page.locator("[data-view]")).to_have_count(rows * columns)
        where = [screen.box(view) for view in VIEWS[: rows * columns]]
        assert len({round(one["x"]) for one in where}) == columns
        assert len({round(one["y"]) for one in where}) == rows
    screen.button("beside-Sixth").click()
    screen.button(f"compare-{study['sagittal'][0].series}").click()
    screen.until(lambda: "4 Sagittal" in screen.words("tl", "Sixth"))
    screen.page.keyboard.press("l")
    screen.wait("s.layout === 'Four views'")


def test_two_series_of_one_patient_are_scrolled_to_the_same_place(
    screen: Screen, study: dict[str, list[Made]]
) -> None:
    screen.tool("layout")
    screen.button("layout-Compare").click()
    screen.button(f"compare-{study['sagittal'][0].series}").click()
    screen.page.wait_for_selector('[data-view="Other"] .bl')
    screen.until(lambda: "4 Sagittal" in screen.words("tl", "Other"))
    screen.page.mouse.move(*screen.middle())
    screen.page.keyboard.press("Home")
    screen.page.keyboard.press("PageUp")
    screen.wait("s.Red_at === 10")
    screen.until(lambda: screen.slice()[0] == 11)

    def place(view: str) -> str:
        return screen.words("bl", view).split("\n")[-1]

    screen.until(lambda: place("Other") == place("Red"))


def test_four_series_are_scrolled_to_the_same_place(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.tool("layout")
    screen.button("layout-Four series").click()
    screen.button("beside-Third").click()
    screen.wait("s.compare_view === 'Third'")
    screen.button(f"compare-{study['sagittal'][0].series}").click()
    for view in ("Other", "Third", "Fourth"):
        screen.page.wait_for_selector(f'[data-view="{view}"] .bl')
        screen.until(lambda view=view: screen.words("tl", view) != "")
    screen.until(lambda: "4 Sagittal" in screen.words("tl", "Third"))
    screen.page.mouse.move(*screen.middle())
    for key, at in (("Home", 0), ("PageUp", 10)):
        screen.page.keyboard.press(key)
        screen.wait(f"s.Red_at === {at}")
    screen.until(lambda: screen.words("bl", "Third").split()[-2] == screen.words("bl").split()[-2])
    screen.page.mouse.move(*screen.middle("Third"))
    for _ in range(2):  # of its slices, which lie half as far apart
        screen.page.keyboard.press("ArrowDown")
    screen.wait("s.Red_at === 9")


def test_sagittal_series_are_compared_in_their_own_plane(
    screen: Screen, study: dict[str, list[Made]]
) -> None:
    screen.show(study["sagittal"][0].series)
    screen.tool("layout")
    screen.button("layout-Compare").click()
    screen.button(f"compare-{study['sagittal'][0].series}").click()
    for view in ("Red", "Other"):
        screen.page.wait_for_selector(f'[data-view="{view}"] .bl')
        screen.until(lambda view=view: screen.slice(view)[1] == 12 and screen.edges(view)[0] == "A")
        assert screen.words("tl", view).startswith("Sagittal")
    screen.tool("layout")
    screen.button("layout-Four views").click()
    screen.until(lambda: screen.slice()[1] == 50 and screen.edges("Red") == ["R", "L", "A", "P"])


def test_views_of_several_series_play_each_by_itself(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.tool("layout")
    screen.button("layout-Compare").click()
    screen.button(f"compare-{study['loop'][0].series}").click()
    screen.wait("s.Other_count === 20")
    screen.put("linked", False)
    try:
        ramp, loop = screen.state("Red_at"), screen.state("Other_at")
        screen.page.keyboard.press("Escape")
        screen.page.mouse.move(*screen.middle("Other"))
        screen.page.keyboard.press(" ")
        screen.wait(f"s.playing && s.Other_at !== {loop}")
        assert screen.state("Red_at") == ramp
        screen.page.keyboard.press(" ")
        screen.wait("!s.playing")
        loop = screen.state("Other_at")
        screen.button("play").click()
        screen.wait(f"s.playing && s.Other_at !== {loop} && s.Red_at !== {ramp}")
        screen.button("play").click()
        screen.wait("!s.playing")
    finally:
        screen.put("linked", True)


def test_a_loop_plays_at_its_rate_and_stops(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.show(study["loop"][0].series)
    screen.wait("s.layout === 'Axial' && s.play_rate === 10")
    expect(screen.button("rate-words")).to_have_text("Frame Time states 10 a second.")
    assert screen.edges("Red") == ["", "", "", ""]
    assert screen.state("Red_count") == 20
    screen.page.keyboard.press("Escape")
    screen.page.evaluate(
        """() => { window.seen = []; let last = -1;
            window.timer = setInterval(() => { const at = window.trame.state.state.Red_at;
                if (at !== last) { window.seen.push([performance.now(), at]); last = at; } }, 5); }"""
    )
    screen.page.keyboard.press(" ")
    screen.wait("s.playing")
    screen.page.wait_for_function("() => window.seen.length > 15")
    screen.page.keyboard.press(" ")
    screen.wait("!s.playing")
    seen = screen.page.evaluate("() => { clearInterval(window.timer); return window.seen; }")
    rate = 1000 * (len(seen) - 3) / (seen[-1][0] - seen[2][0])
    assert rate < 11  # the loop says 10; a loaded machine plays slower, never faster
    # Forwards, round and round; a loaded machine leaves frames out.
    assert all(0 < (b[1] - a[1]) % 20 < 10 for a, b in itertools.pairwise(seen[3:])), seen
    screen.page.keyboard.press("Home")
    screen.wait("s.Red_at === 0")
    for at in range(1, 16):  # for longer than several frames of the loop take
        screen.page.keyboard.press("ArrowUp")
        screen.drawn("Red")
        screen.wait(f"s.Red_at === {at}")


def test_a_picture_is_kept_as_it_is_seen(screen: Screen) -> None:
    with screen.page.expect_download() as download:
        screen.button("picture").click()
    assert download.value.suggested_filename.endswith(".png")
    kept = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("RGB"))
    box = screen.box()
    assert kept.shape[0] > box["height"]
    assert kept.shape[1] > 2 * box["width"]
    first = kept[: int(box["height"]), : int(box["width"])]
    assert difference(first, phantom()[screen.slice()[0] - 1], (1, 1), WINDOW) < ALIKE
    assert windowed(np.array([100.0]), 400, 100)[0] == 127.5


def test_a_saved_picture_has_no_brush_no_handle_and_no_point_in_hand(screen: Screen) -> None:
    def kept() -> np.ndarray:
        with screen.page.expect_download() as download:
            screen.button("picture").click()
        return np.asarray(Image.open(download.value.path()).convert("RGB"))

    def in_hand(x: float, y: float, before: np.ndarray) -> None:
        screen.page.mouse.move(x, y)
        screen.page.mouse.move(x + 10, y + 10)
        screen.until(lambda: (screen.pixels() != before).any())

    screen.put("lines", True)
    screen.tool("segment")
    x, y = screen.middle()
    plain, shown = kept(), screen.pixels()
    screen.put("handles", True)
    screen.until(lambda: (screen.pixels() != shown).any())
    shown = screen.pixels()
    screen.brush()
    in_hand(x - 30, y - 20, shown)
    assert np.array_equal(kept(), plain)
    screen.page.keyboard.press("d")
    screen.wait("s.measuring")
    in_hand(x - 30, y - 20, shown)
    assert np.array_equal(kept(), plain)


def test_a_parametric_map_is_a_volume(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.tool("series")
    uid = study["map"][0].series
    screen.button(f"other-{uid}").click()
    screen.wait(f"s.series_uid === '{uid}' && s.complete")
    due = phantom() / 100

    def as_due() -> bool:
        window = (screen.state("window_width"), screen.state("window_centre"))
        return difference(screen.pixels(), due[screen.slice()[0] - 1], (1, 1), window) < ALIKE

    screen.until(as_due)


def test_time_points_are_reached_played_and_measured(screen: Screen, study: dict[str, list[Made]]) -> None:
    """Time points 2.5 s after each other, each 100 brighter than the one before."""
    series = study["bolus"][0].series
    screen.show(series)
    screen.wait("s.volumes.length === 3")
    at = screen.slice()
    screen.page.get_by_test_id("volume-slider").fill("2")
    screen.handled()
    screen.wait("s.volume_at === 2 && s.complete")
    assert "12:00" not in screen.words("tr")
    assert "time point 3" in screen.words("tr") + screen.words("tl")
    assert screen.slice() == at
    screen.button("curves").click()
    screen.wait("s.curves.length === 1 && !s.curves_busy")
    assert [screen.state(f"curves_{end}") for end in ("first", "last")] == ["time 0 s", "time 5 s"]
    steps = [float(point.split(",")[1]) for point in screen.state("curves[0].points").split()]
    assert steps[0] - steps[1] == pytest.approx(steps[1] - steps[2], abs=0.2)
    assert steps[0] > steps[2]
    with screen.page.expect_download() as download:
        screen.button("curves-csv").click()
    rows = download.value.path().read_text().splitlines()
    means = [float(row.split(",")[6]) for row in rows[1:]]
    assert means == [means[0], means[0] + 100, means[0] + 200]
    screen.page.get_by_label("Play the volumes").check()
    for due in (0, 1, 2, 0):
        screen.wait(f"s.volume_at === {due}")
    screen.page.get_by_label("Play the volumes").uncheck()
    screen.wait("!s.volumes_playing && s.complete")


def test_a_key_image_is_saved_and_found_again(
    screen: Screen, opened: Opened, study: dict[str, list[Made]]
) -> None:
    before = opened.made_here()
    screen.page.keyboard.press("Home")
    screen.page.keyboard.press("PageUp")
    screen.drawn()
    at, _ = screen.slice()
    screen.page.keyboard.press("k")
    screen.until(lambda: len(opened.made_here()) == len(before) + 1)
    kept = opened.saved_since(before)
    keys = read_key_objects(kept.path.read_bytes())
    assert len(keys.objects) == 1
    depths = {one.instance: number for number, one in enumerate(study["ct"], 1)}
    marked = depths[keys.objects[0].instance]
    assert marked in (at, len(study["ct"]) + 1 - at), (marked, at)
    screen.show(study["bolus"][0].series)
    uid = kept.resource.series
    screen.wait(f"s.others.some(one => one.uid === '{uid}')")
    screen.button(f"other-{uid}").click()
    screen.wait(f"s.series_uid === '{opened.series}' && s.complete && s.key_image_at === 0")
    screen.until(lambda: screen.slice()[0] == at)


def test_a_document_opens_in_a_tab_of_its_own(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.tool("series")
    link = screen.button(f"other-{study['pdf'][0].instance}")
    expect(link).to_have_attribute("target", "_blank")
    address = link.get_attribute("href")
    answer = screen.page.request.get(screen.page.url.split("/index")[0].rstrip("/") + (address or ""))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == "inline; filename*=UTF-8''Findings.pdf"
    assert answer.body() == PDF


def test_an_ecg_opens_as_a_strip_in_a_tab_of_its_own(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.tool("series")
    link = screen.button(f"other-{study['ecg'][0].instance}")
    assert "waveform" in link.inner_text()
    with screen.page.expect_popup() as popup:
        link.click()
    tab = popup.value
    expect(tab.locator("polyline")).to_have_count(2)
    box = tab.locator("svg").bounding_box()
    assert box is not None
    assert box["width"] == pytest.approx(250 * 96 / 25.4, abs=1)  # 10 s of 25 mm, in CSS pixels
    tab.close()


def test_a_clinical_document_is_text_and_nothing_in_it_runs(
    screen: Screen, study: dict[str, list[Made]]
) -> None:
    screen.tool("series")
    with screen.page.expect_popup() as popup:
        screen.button(f"other-{study['cda'][0].instance}").click()
    tab = popup.value
    expect(tab.locator("body")).to_contain_text("<title>Letter</title>")
    assert tab.title() != "run"
    tab.close()


def test_a_video_plays_in_a_tab_of_its_own(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.tool("series")
    link = screen.button(f"other-{study['video'][0].instance}")
    assert "video" in link.inner_text()
    with screen.page.expect_popup() as popup:
        link.click()
    tab = popup.value
    playing = tab.locator("video")
    tab.wait_for_function("() => document.querySelector('video')?.readyState >= 2")
    assert playing.evaluate("video => [video.videoWidth, video.videoHeight]") == [64, 48]
    assert playing.evaluate("video => video.duration") == pytest.approx(1.0, abs=0.15)
    # A jump: the browser asks for a piece.
    playing.evaluate(
        """video => new Promise((then) => {
            video.pause();
            video.addEventListener('seeked', then, { once: true });
            video.currentTime = 0.8;
        })"""
    )
    answer = tab.request.get(tab.url, headers={"Range": "bytes=10-19"})
    assert (answer.status, answer.body()) == (206, MP4[10:20])
    assert answer.headers["content-range"].startswith("bytes 10-19/")
    assert tab.request.get(tab.url, headers={"Range": "bytes=9999-"}).status == 416
    tab.close()


def test_a_model_is_shown_in_3d_and_on_the_slices(screen: Screen, study: dict[str, list[Made]]) -> None:
    screen.tool("series")
    model = screen.button(f"other-{study['model'][0].instance}")
    model.click()
    screen.wait("s.models_shown.length === 1")
    screen.until(lambda: coloured(screen, "ThreeD") > 1000 and coloured(screen, "Red") > 100)
    model.click()
    screen.wait("s.models_shown.length === 0")
    screen.until(lambda: not coloured(screen, "ThreeD") and not coloured(screen, "Red"))


def coloured(screen: Screen, view: str) -> int:
    """Count the pixels of a view that are not grey."""
    return int((np.ptp(screen.pixels(view).astype(int), axis=2) > 40).sum())


def test_the_volume_is_drawn_when_asked_for_and_not_while_painting(screen: Screen) -> None:
    bare = screen.pixels("ThreeD")
    screen.tool("volume")
    expect(screen.page.locator("select option")).not_to_have_count(0)
    screen.button("draw-volume").click()
    screen.wait("s.rendering && !s.threed_note")
    expect(screen.button("draw-volume")).to_be_hidden()
    screen.until(lambda: screen.pixels("ThreeD").std() > bare.std() + 3)
    screen.page.keyboard.press("p")
    screen.wait("s.threed_note.includes('still')")
    screen.tool("volume")
    screen.button("render-volume").click()
    screen.wait("!s.rendering && !s.threed_note")
    # It waits for a brush that was in hand before too, and says so.
    screen.page.keyboard.press("p")
    screen.wait("s.SegmentEditorState__active_effect_name.endsWith('Paint')")
    screen.button("draw-volume").click()
    screen.wait("s.rendering && s.threed_note.includes('Escape')")
    screen.page.keyboard.press("Escape")
    screen.wait("!s.threed_note")
    screen.tool("volume")
    screen.button("render-volume").click()
    screen.wait("!s.rendering")


def test_a_second_tab_takes_the_viewer_and_the_first_says_so(screen: Screen, opened: Opened) -> None:
    second = screen.page.context.new_page()
    second.goto(opened.url)
    taken = Screen(second)
    taken.wait("s.complete")
    arrived(screen.page, lambda url: url.endswith("/elsewhere"))
    expect(screen.page.get_by_role("heading")).to_have_text("This study is shown in another tab")
    second.wait_for_selector('[data-view="Red"]')
    second.mouse.move(*taken.middle())
    second.keyboard.press("Home")
    taken.wait("s.Red_at === 0")
    screen.page.get_by_role("link", name="Show it here").click()
    arrived(second, lambda url: url.endswith("/elsewhere"))
    second.close()
    screen.wait("s.complete && s.Red_at === 0")
    screen.page.wait_for_selector('[data-view="Red"]')


def test_every_key_of_the_help_does_something(screen: Screen) -> None:
    screen.page.keyboard.press("?")
    dialog = screen.page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    screen.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    for key, condition in (
        ("s", "s.tool === 'series'"),
        ("w", "s.tool === 'window'"),
        ("d", "s.measuring === 'distance'"),
        ("Escape", "!s.measuring"),
        ("a", "s.measuring === 'angle'"),
        ("Escape", "!s.measuring"),
        ("o", "s.measuring === 'region'"),
        ("Escape", "!s.measuring"),
        ("Escape", "s.tool === ''"),
        ("l", "s.layout === 'Axial and two'"),
        ("h", "!s.words_shown"),
        ("h", "s.words_shown"),
        ("c", "s.crosshair"),
        ("c", "!s.crosshair"),
    ):
        screen.page.keyboard.press(key)
        screen.wait(condition)


def test_a_key_of_ones_own_is_what_works_and_what_help_says(screen: Screen, opened: Opened) -> None:
    keyboard = screen.page.keyboard
    keyboard.press("?")
    own = screen.button("key-corner-text")
    own.focus()
    keyboard.press("Enter")
    keyboard.press("k")
    expect(screen.button("key-problem")).to_contain_text("k is already the key for")
    keyboard.press("Alt+Shift+X")
    expect(own).to_have_text("Alt+Shift+X")
    assert Axe().run(screen.page).response["violations"] == []
    keyboard.press("Escape")
    expect(screen.page.get_by_role("dialog", name="Keys")).to_be_hidden()
    keyboard.press("h")
    keyboard.press("Alt+Shift+X")
    screen.wait("!s.words_shown")
    keyboard.press("Alt+Shift+X")
    screen.wait("s.words_shown")
    assert Preferences(opened.settings).get("viewer.keys") == {"corner-text": "Alt+Shift+x"}
    screen.button("help").click()
    screen.button("keys-reset").click()
    expect(own).to_have_text("h")
    keyboard.press("Escape")
    expect(screen.page.get_by_role("dialog", name="Keys")).to_be_hidden()
    keyboard.press("h")
    screen.wait("!s.words_shown")
    assert Preferences(opened.settings).get("viewer.keys") is None


def test_every_panel_has_names_and_contrast_by_axe(screen: Screen) -> None:
    screen.brush()
    (x, y), found = screen.middle(), Axe()
    screen.drag((x - 20, y), (x + 20, y))
    screen.wait("s.unsaved")

    def faults() -> list[str]:
        found_now = found.run(screen.page).response["violations"]
        return [f"{one['id']}: {node['html'][:200]}" for one in found_now for node in one["nodes"]]

    # The brush's own panel, then those of the other tools of it, then all others.
    for part in screen.page.locator(".editor summary").all():
        part.click()
    for name in TOOLS:
        screen.button(f"effect-{name}").click()
        screen.handled()
        assert faults() == [], name
    for width, theme in ((1280, "dark"), (640, "light"), (390, "dark")):
        screen.page.set_viewport_size({"width": width, "height": 800})
        screen.page.emulate_media(color_scheme=theme)
        for tool in ("series", "window", "measure", "fusion", "layout", "volume", "derive"):
            screen.tool(tool)
            screen.handled()
            assert faults() == [], f"{tool} at {width} pixels"
            cut = screen.page.locator(".panel").evaluate("(panel) => panel.scrollWidth > panel.clientWidth")
            assert not cut, f"{tool} at {width} pixels is wider than its panel"
    screen.page.set_viewport_size({"width": 1280, "height": 800})
    screen.page.emulate_media(color_scheme="light")


def test_greys_are_inverted(screen: Screen) -> None:
    def middle() -> np.ndarray:
        pixels = screen.pixels().astype(int)
        rows, columns = (side // 2 for side in pixels.shape[:2])
        return pixels[rows - 30 : rows + 30, columns - 30 : columns + 30]

    before = middle()
    screen.page.keyboard.press("i")
    screen.wait("s.inverted")
    screen.until(lambda: np.abs(middle() + before - 255).mean() < ALIKE)
    screen.tool("window")
    screen.page.get_by_label("Inverted").uncheck()
    screen.wait("!s.inverted")
    screen.put("tool", "")  # the view has its size again
    screen.until(lambda: np.abs(middle() - before).mean() < ALIKE)


def test_pictures_are_turned_and_mirrored(screen: Screen) -> None:
    def middle() -> np.ndarray:
        pixels = screen.pixels().astype(int)
        rows, columns = (side // 2 for side in pixels.shape[:2])
        return pixels[rows - 30 : rows + 30, columns - 30 : columns + 30]

    usual, seen = screen.edges(), middle()
    assert usual == ["R", "L", "A", "P"]
    ways = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
    pictures = [np.rot90(seen, -turns)[:, :: -1 if mirrored else 1] for turns, mirrored in ways]
    for key, edges, way in (
        ("t", ["P", "A", "R", "L"], (1, False)),  # clockwise
        ("m", ["A", "P", "R", "L"], (1, True)),
        ("t", ["L", "R", "A", "P"], (0, True)),
    ):
        screen.page.keyboard.press(key)
        screen.handled()
        assert screen.edges() == edges
        now = middle()  # turned, it can be larger: it fits another side of the view
        assert ways[int(np.argmin([np.abs(now - one).mean() for one in pictures]))] == way
    screen.tool("window")
    screen.button("turn-back").click()
    screen.handled()
    assert screen.edges() == usual


def test_the_page_has_the_colours_of_the_docks_pages(opened: Opened, screen: Screen) -> None:
    dark, light = "rgb(22, 27, 30)", "rgb(255, 255, 255)"
    screen.tool("layout")
    panel = screen.page.locator(".panel")
    expect(panel).to_have_css("background-color", light)  # as this browser's system
    screen.button("theme").select_option(label="Dark")
    expect(panel).to_have_css("background-color", dark)
    screen.handled()
    assert Preferences(opened.settings).theme == "dark"
    again = screen.page.evaluate("() => fetch('/index.html').then((answer) => answer.text())")
    assert 'data-theme="dark"' in again  # what a page that is loaded anew begins with


@pytest.mark.parametrize(
    ("normal", "usual", "named"),
    [
        ((0, 0, 1), "Axial", "Axial"),
        ((0, 0, -1), "Sagittal", "Axial"),  # a single slice, seen by every view
        ((0.1, 0.98, 0.1), "Coronal", "Coronal"),
        ((0.55, 0.0, 0.83), "Sagittal", "Sagittal"),  # oblique images, along their own planes
    ],
)
def test_a_view_is_named_after_what_it_shows(
    normal: tuple[float, float, float], usual: str, named: str
) -> None:
    from dicomdock.viewer.features.views.planes import plane_shown

    assert plane_shown(normal, usual) == named
