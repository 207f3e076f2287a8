"""PET in uptake with its unit, and over the CT of its study; in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import expect
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage, SpatialRegistrationStorage, generate_uid

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.registration import Registration, registration_to_dicom
from dicomdock.viewer.study import stored_at
from tests.builders import Made
from tests.imaging.scans import headers, oblique, scan
from tests.viewer.conftest import (
    AFFINE,
    SHAPE,
    WINDOW,
    Opened,
    Screen,
    made_study,
    phantom,
    viewing_study,
)
from tests.viewer.pictures import ALIKE, difference, windowed

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

PET_SHAPE = (12, 24, 20)
PET_AFFINE = np.array([[0, 0, 3.0, -27], [0, 3.0, 0, -33], [4, 0, 0, 12], [0, 0, 0, 1.0]])
"""3 mm pixels, 4 mm slices, inside of the CT; (k, j, i) -> LPS."""

PER_BECQUEREL = 70 * 1000 / (350e6 * 2 ** (-3600 / 6588))
"""SUV by body weight of one Bq/ml: 70 kg, 350 MBq an hour before the scan."""

LEAN = {"LBM": 57.8 / 70, "LBMJANMA": 55.857 / 70}
"""Lean body mass by weight of a man of 70 kg and 1.75 m: 77 - 120 * 0.16, and 648900 / 11617.14."""

PADDED = 8
"""Columns of the PET that holds padding."""


def activity(padded: int = 0) -> np.ndarray:
    """Return Bq/ml that tell every voxel's place; the first columns are padding, if wanted."""
    k, j, i = np.indices(PET_SHAPE)
    found = np.round((0.1 * i + 0.15 * j + 0.2 * k) / PER_BECQUEREL).astype(np.int16)
    return np.where(i < padded, np.int16(-2000), found)


MOVED = oblique((0.2, -0.1, 0.4), (1, 1, 1), (12, -7, 25))[:, [2, 1, 0, 3]]
"""From the frame of reference of the PET that was acquired elsewhere to that of the CT."""

TURNED = np.array(
    [
        [np.cos(0.35), -np.sin(0.35), 0, 6],
        [np.sin(0.35), np.cos(0.35), 0, -9],
        [0, 0, 1, 14],
        [0, 0, 0, 1.0],
    ]
)
"""From the frame of reference of the PET that nothing registers to that of the CT: 20 degrees about H."""


def pet(
    study: str,
    number: int,
    dose: str = "350000000",
    affine: np.ndarray = PET_AFFINE,
    padded: int = 0,
    **attributes: object,
) -> list[Made]:
    """Make a PET series of a study; without a dose it lacks an input of SUV."""
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = dose or None, "6588"
    drug.RadiopharmaceuticalStartTime = "090000"
    given = {
        "SOPClassUID": PositronEmissionTomographyImageStorage,
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
        "StudyInstanceUID": study,
        "Modality": "PT",
        "SeriesNumber": number,
        "SeriesDescription": f"PET {number}",
        "Units": "BQML",
        "CorrectedImage": ["ATTN", "DECY"],
        "DecayCorrection": "START",
        "PatientWeight": "70",
        "PatientSize": "1.75",
        "PatientSex": "M",
        **dict.fromkeys(("SeriesDate", "AcquisitionDate"), "20240102"),
        **dict.fromkeys(("SeriesTime", "AcquisitionTime"), "100000"),
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "RadiopharmaceuticalInformationSequence": [drug],
        **({"PixelPaddingValue": -2000} if padded else {}),
        **attributes,
    }
    return scan(activity(padded), affine, **given)


@pytest.fixture(scope="module")
def study() -> dict[str, list[Made]]:
    """A CT, a PET of the same frame of reference, one without its dose, and two of others, one registered."""
    frame = str(generate_uid())
    uid, _, ct = made_study(FrameOfReferenceUID=frame, RescaleIntercept="0", RescaleSlope="1")
    there = str(generate_uid())
    moved = pet(uid, 7, affine=np.linalg.inv(MOVED) @ PET_AFFINE, FrameOfReferenceUID=there)
    joined = registration_to_dicom(Registration(frame, there, MOVED), headers(ct), headers(moved))
    return {
        "moved": moved,
        "registration": [Made(joined, to_bytes(joined))],
        "ct": ct,
        "pet": pet(uid, 4, FrameOfReferenceUID=frame),
        "no dose": pet(uid, 5, dose="", FrameOfReferenceUID=frame),
        "elsewhere": pet(uid, 6, PatientSize=None),
        "unregistered": pet(uid, 9, affine=np.linalg.inv(TURNED) @ PET_AFFINE),
        "padded": pet(uid, 8, padded=PADDED, FrameOfReferenceUID=frame),
    }


@pytest.fixture(scope="module")
def opened(
    viewer_installed: None, study: dict[str, list[Made]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """The study in one viewer."""
    with viewing_study(study, "ct", tmp_path_factory.mktemp("viewer")) as found:
        yield found


def place(
    screen: Screen, view: str, j: float, i: float, shape: tuple[int, int], pixel: float
) -> tuple[float, float]:
    """Return where a place (row, column) of a fitted slice is on the page."""
    box = screen.box(view)
    scale = max(shape[0] * pixel / box["height"], shape[1] * pixel / box["width"])  # mm a pixel of the page
    x = box["x"] + box["width"] / 2 + (i + 0.5 - shape[1] / 2) * pixel / scale
    y = box["y"] + box["height"] / 2 + (j + 0.5 - shape[0] / 2) * pixel / scale
    return x, y


def value_under_mouse(screen: Screen, j: float, i: float, shape: tuple[int, int], pixel: float) -> str:
    """Read the values of the axial view with the mouse at a place (row, column) of its fitted slice."""
    x, y = place(screen, "Red", j, i, shape, pixel)
    screen.page.mouse.move(x - 3, y)
    screen.page.mouse.move(x, y)
    return screen.words("value")


def test_pet_is_shown_in_uptake_with_its_unit_where_every_input_is_there(
    screen: Screen, study: dict[str, list[Made]]
) -> None:
    uptake = activity() * PER_BECQUEREL
    screen.show(study["pet"][0].series)
    screen.wait("s.window_width === 5 && s.window_unit === 'g/ml{SUVbw}'")
    assert screen.state("presets") == ["0 to 5", "0 to 10", "0 to 20"]
    assert "W 5 C 2.5 g/ml{SUVbw}" in screen.words("br")
    k = screen.slice()[0] - 1
    screen.until(lambda: difference(screen.pixels(), uptake[k], (3, 3), (5, 2.5)) < ALIKE)
    due = f"{uptake[k, 6, 4]:.5g} g/ml{{SUVbw}}"
    screen.until(lambda: value_under_mouse(screen, 6, 4, PET_SHAPE[1:], 3) == due)
    screen.page.keyboard.press("ArrowUp")  # another slice comes under the mouse
    screen.until(lambda: screen.words("value") == f"{uptake[k + 1, 6, 4]:.5g} g/ml{{SUVbw}}")
    assert screen.state("remarks") == []
    screen.tool("window")
    screen.button("suv-type").select_option("LBMJANMA")
    screen.wait("s.window_unit === 'g/ml{SUVlbm(Janma)}' && s.window_width === 5")
    lean = uptake * LEAN["LBMJANMA"]
    screen.until(lambda: difference(screen.pixels(), lean[k + 1], (3, 3), (5, 2.5)) < ALIKE)
    assert (
        value_under_mouse(screen, 6, 4, PET_SHAPE[1:], 3) == f"{lean[k + 1, 6, 4]:.5g} g/ml{{SUVlbm(Janma)}}"
    )

    screen.show(study["elsewhere"][0].series)
    screen.wait("s.window_unit === 'Bq/ml' && s.remarks.length === 1")
    assert screen.state("remarks") == [
        "No SUV is computed by lean body mass (Janmahasatian): the patient's size is not stated."
    ]
    screen.tool("window")
    screen.button("suv-type").select_option("")
    screen.wait("s.window_unit === 'g/ml{SUVbw}' && s.window_width === 5 && !s.remarks.length")

    screen.tool("volume")
    assert screen.state("render_preset") == "Maximum (MIP), dark on light"  # as PET is read
    screen.button("render-preset").select_option("Maximum (MIP)")
    screen.button("render-volume").click()
    screen.wait("s.rendering && !s.threed_note")
    screen.page.keyboard.press("3")  # the window of the slices is that of the projection
    screen.wait("s.window_width === 20")
    screen.until(lambda: shows_projection(screen, uptake), words="no projection from the front")
    before = screen.pixels("ThreeD")
    screen.button("turn-volume").click()
    screen.until(lambda: screen.changed(before, "ThreeD") > 0.02, words="it does not turn")
    screen.button("turn-volume").click()
    screen.wait("!s.turning")
    screen.button("render-preset").select_option("Maximum (MIP), dark on light")
    screen.wait("s.render_preset.endsWith('light') && !s.threed_note")
    screen.button("fit-ThreeD").click()
    screen.until(lambda: shows_projection(screen, uptake, dark=True), words="not dark on light")
    screen.button("render-volume").click()
    screen.wait("!s.rendering")

    screen.show(study["no dose"][0].series)
    screen.wait("s.window_unit === 'Bq/ml'")
    assert screen.words("br").endswith("Bq/ml")
    assert screen.state("remarks") == ["No SUV is computed: the injected dose is not stated."]
    due = f"{activity()[screen.slice()[0] - 1, 6, 4]:.5g} Bq/ml"
    screen.until(lambda: value_under_mouse(screen, 6, 4, PET_SHAPE[1:], 3) == due)
    screen.page.mouse.move(1, 1)  # out of the views
    expect(screen.page.locator('[data-view="Red"] .value')).to_be_hidden()


def shows_projection(screen: Screen, uptake: np.ndarray, *, dark: bool = False) -> bool:
    """Return whether the 3D view shows the greatest values from the front to the back, in the window 0 to 20.

    It is fitted by its diagonal, so its edges are looked for: the middles of the outer voxels.
    """
    seen = screen.pixels("ThreeD").mean(axis=2)
    rows, columns = (np.flatnonzero((seen > 30).mean(axis=axis) > 0.2) for axis in (1, 0))
    if not rows.size or not columns.size:
        return False
    found = seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    k = PET_SHAPE[0] - 1 - np.round(np.linspace(0, PET_SHAPE[0] - 1, found.shape[0])).astype(int)
    i = np.round(np.linspace(0, PET_SHAPE[2] - 1, found.shape[1])).astype(int)
    due = windowed(uptake.max(axis=1)[np.ix_(k, i)], 20, 10, inverted=dark)
    wide = (PET_SHAPE[2] - 1) * 3 / ((PET_SHAPE[0] - 1) * 4)
    shape = abs(found.shape[1] / found.shape[0] - wide) < 0.05
    return shape and float(abs(found - due).mean()) < ALIKE


def hot_iron(share: np.ndarray) -> np.ndarray:
    """Return the colours of DICOM's palette Hot Iron (PS3.6 §B.1.1), (..., 3), for values from 0 to 1."""
    step = np.clip(np.floor(share * 256), 0, 255)
    return np.stack(
        [np.minimum(2 * step, 255), np.clip(2 * (step - 128), 0, 254), 4 * (step - 192)], -1
    ).clip(0, 255)


def fused(
    values: np.ndarray, points: np.ndarray, opacity: float, most: float = 5, padded: int = 0
) -> np.ndarray:
    """Draw values of the CT in the header's window, and above them the uptake at their points (LPS, mm)."""
    i, j, k = np.moveaxis((points - PET_AFFINE[:3, 3]) / (3, 3, 4), -1, 0)
    inside = np.logical_and.reduce(
        [(at >= -0.5) & (at <= count - 0.5) for at, count in zip((k, j, i), PET_SHAPE, strict=True)]
    )
    inside &= i >= padded - 0.5
    uptake = 0.1 * i + 0.15 * j + 0.2 * k  # a ramp: what lies between its voxels is exact
    below = np.repeat(windowed(values, *WINDOW)[..., None], 3, axis=-1)
    share = opacity * inside[..., None]
    return below * (1 - share) + hot_iron(uptake / most) * share


def slices_of(view: str, at: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Return a slice of the CT as a view shows it: values, points in LPS and spacing of the pixels."""
    k, j, i = np.indices(SHAPE)
    points = np.stack([i - 32.0, j - 40.0, 2.0 * k + 10], -1)
    if view == "Red":
        return phantom()[at], points[at], (1, 1)
    if view == "Yellow":
        return phantom()[::-1, :, at], points[::-1, :, at], (2, 1)
    return phantom()[::-1, at], points[::-1, at], (2, 1)


def shows(screen: Screen, view: str, opacity: float, most: float = 5, padded: int = 0) -> bool:
    """Return whether a view shows its slice of the CT with PET above, as numpy draws it."""
    at, count = screen.slice(view)
    found = []
    for index in {at - 1, count - at}:  # counted from either side
        values, points, spacing = slices_of(view, index)
        due = fused(values, points, opacity, most, padded)
        found.append(difference(screen.pixels(view), due, spacing, WINDOW))
    return min(found) < ALIKE


def test_a_pet_ct_study_opens_with_pet_over_its_ct(screen: Screen, study: dict[str, list[Made]]) -> None:
    uid = study["pet"][0].series
    screen.wait(f"s.fusion_uid === '{uid}' && s.fusion_name === '4 PET 4' && s.fusion_width === 5")
    for view in ("Red", "Yellow", "Green"):
        screen.until(lambda view=view: shows(screen, view, 0.4), words=f"{view} is not fused")
    assert screen.words("tl").endswith("4 PET 4, 40 %")
    assert screen.words("br").split("\n") == ["W 400 C 100 HU", "W 5 C 2.5 g/ml{SUVbw}"]
    k = screen.slice()[0] - 1
    due = f"{phantom()[k, 25, 17]} HU "
    screen.until(lambda: value_under_mouse(screen, 25, 17, SHAPE[1:], 1).startswith(due))
    uptake, unit = screen.words("value").removeprefix(due).split()
    assert unit == "g/ml{SUVbw}"
    assert float(uptake) == pytest.approx(0.1 * 4 + 0.15 * 6 + 0.2 * (2 * k + 10 - 12) / 4, abs=0.11)
    screen.page.keyboard.press("}")
    screen.wait("s.fusion_opacity === 50")
    screen.until(lambda: shows(screen, "Red", 0.5))
    screen.page.keyboard.press("f")
    screen.wait("!s.fusion_on")
    screen.until(lambda: shows(screen, "Red", 0))
    screen.page.keyboard.press("f")
    screen.tool("fusion")
    screen.button("fusion-opacity").fill("40")
    screen.button("fusion-width").fill("8")
    screen.button("fusion-width").press("Enter")
    screen.button("fusion-centre").fill("4")
    screen.button("fusion-centre").press("Enter")
    screen.wait("s.fusion_width === 8 && s.fusion_centre === 4 && s.fusion_opacity === 40")
    screen.until(lambda: shows(screen, "Red", 0.4, 8))
    screen.put("slab", 8)
    screen.until(lambda: shows_slab(screen), words="the slab is not fused")
    screen.put("slab", 0)
    screen.put("render_preset", "Maximum (MIP)")
    screen.button("draw-volume").click()
    screen.wait("s.rendering && !s.threed_note")
    screen.button("fusion-width").fill("20")
    screen.button("fusion-width").press("Enter")
    screen.button("fusion-centre").fill("10")
    screen.button("fusion-centre").press("Enter")
    uptake = activity() * PER_BECQUEREL
    screen.until(lambda: shows_projection(screen, uptake), words="what lies above is not projected")
    screen.put("rendering", False)
    screen.button("suv-type").select_option("LBM")
    screen.wait("s.fusion_unit === 'g/ml{SUVlbm}' && s.fusion_width === 5")
    screen.until(lambda: shows(screen, "Red", 0.4, 5 / LEAN["LBM"]), words="not by lean body mass")
    screen.button("suv-type").select_option("")
    screen.wait("s.fusion_unit === 'g/ml{SUVbw}' && s.fusion_width === 5")
    screen.until(lambda: shows(screen, "Red", 0.4))
    screen.button(f"fuse-{study['elsewhere'][0].series}").click()
    words = "6 PET 6 is not shown: it has another frame of reference than the images."
    screen.wait(f"s.fusion_words === '{words}' && !s.fusion_uid")
    screen.until(lambda: shows(screen, "Red", 0))
    screen.button(f"fuse-{study['no dose'][0].series}").click()
    screen.wait("s.fusion_unit === 'Bq/ml' && s.fusion_words.includes('the injected dose is not stated')")
    screen.button(f"fuse-{study['moved'][0].series}").click()
    screen.wait(
        "s.fusion_name === '7 PET 7' && s.fusion_words === 'Moved by a registration of this patient.'"
    )
    for view in ("Red", "Yellow", "Green"):
        screen.until(lambda view=view: shows(screen, view, 0.4), words=f"{view} is not registered")
    screen.button(f"fuse-{study['padded'][0].series}").click()
    screen.wait("s.fusion_name === '8 PET 8' && s.fusion_width === 5")
    screen.until(lambda: shows(screen, "Red", 0.4, padded=PADDED), words="padding is drawn over the images")
    screen.button(f"fuse-{uid}").click()
    screen.wait("s.fusion_name === '4 PET 4' && !s.fusion_words")
    screen.until(lambda: shows(screen, "Red", 0.4))


def shows_slab(screen: Screen) -> bool:
    """Return whether the axial view shows the greatest values of 8 mm, of CT and PET alike."""
    k = screen.slice()[0] - 1
    values, points = phantom()[k - 2 : k + 2].max(axis=0), slices_of("Red", k + 1)[1]
    return difference(screen.pixels(), fused(values, points, 0.4, 8), (1, 1), WINDOW) < ALIKE


def turned_plane(size: tuple[int, int], z: float, turn: float, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw the CT with PET above in a plane through the middle of an axial slice; also which pixels count.

    Turned, the right of the picture leads away from the user; tilted, its top does. The user looks from the
    feet to the head.
    """
    a, b = np.radians((turn, tilt))
    left, front, head = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])
    right, away = np.cos(a) * left + np.sin(a) * head, np.cos(a) * head - np.sin(a) * left
    up = np.cos(b) * front + np.sin(b) * away
    scale = max(SHAPE[1] / size[0], SHAPE[2] / size[1])  # mm a pixel, as the straight slice was fitted
    y, x = np.indices(size)
    points = np.array([-0.5, -0.5, z]) + scale * (
        (x + 0.5 - size[1] / 2)[..., None] * right - (y + 0.5 - size[0] / 2)[..., None] * up
    )
    i, j, k = np.moveaxis((points - AFFINE[:3, 3]) / (1, 1, 2), -1, 0)
    inside = np.logical_and.reduce(
        [(at >= 0) & (at <= count - 1) for at, count in zip((k, j, i), SHAPE, strict=True)]
    )
    box = (k >= 7.5) & (k < 15.5) & (j >= 19.5) & (j < 39.5) & (i >= 35.5) & (i < 55.5)
    values = np.where(box, 280, -100 + 6 * k + 2 * j + i)
    return fused(values, points, 0.4), inside


def test_an_oblique_plane_is_what_numpy_cuts_out_of_both(screen: Screen) -> None:
    screen.button("tool-layout").click()
    screen.button("layout-Axial").click()
    expect(screen.page.locator("[data-view]")).to_have_count(1)
    screen.drawn()
    screen.page.keyboard.press("r")
    screen.until(lambda: shows(screen, "Red", 0.4))
    z = 2.0 * (screen.slice()[0] - 1) + 10
    screen.tool("window")
    screen.button("turn").fill("25")
    screen.button("tilt").fill("-15")
    screen.wait("s.oblique_turn === 25 && s.oblique_tilt === -15")

    def as_cut() -> bool:
        seen = screen.pixels().astype(float)
        due, inside = turned_plane(seen.shape[:2], z, 25, -15)
        return inside.mean() > 0.2 and float(abs(seen - due)[inside].mean()) < ALIKE

    screen.until(as_cut)
    assert screen.edges("Red") != ["R", "L", "A", "P"]
    assert screen.words("tl").startswith("Axial, turned 25°, tilted -15°")
    screen.button("straighten").click()
    screen.wait("s.oblique_turn === 0 && s.oblique_tilt === 0")
    screen.until(lambda: shows(screen, "Red", 0.4) and screen.edges("Red") == ["R", "L", "A", "P"])
    assert "turned" not in screen.words("tl")


def test_a_registered_series_is_scrolled_to_the_same_place(
    screen: Screen, study: dict[str, list[Made]]
) -> None:
    """At 30 mm in the CT the turned series is at 30 mm less the shift along its own normal."""
    screen.tool("layout")
    screen.button("layout-Compare").click()
    screen.button(f"compare-{study['moved'][0].series}").click()
    screen.page.wait_for_selector('[data-view="Other"] .bl')
    screen.until(lambda: "7 PET 7" in screen.words("tl", "Other"))
    screen.page.mouse.move(*screen.middle())
    screen.page.keyboard.press("Home")
    screen.page.keyboard.press("PageUp")
    screen.wait("s.Red_at === 10")
    screen.until(lambda: screen.words("bl").endswith("\n30.0 mm"))
    due = f"\n{30 - MOVED[2, 3]:.1f} mm"
    screen.until(lambda: screen.words("bl", "Other").endswith(due), words=f"not at {due}")


def last_registration(opened: Opened) -> np.ndarray:
    """Return the matrix of the registration that was saved last, as pydicom reads it."""
    with Archive.open(opened.settings) as archive:
        found = [
            one
            for one in archive.instances(Resource(opened.study))
            if one.sop_class_uid == SpatialRegistrationStorage
        ]
        header = dcmread(max(found, key=stored_at).path)
    step = header.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    return np.reshape(np.array(step.FrameOfReferenceTransformationMatrix, float), (4, 4))


def test_a_series_is_registered_by_hand_and_then_by_landmarks(
    screen: Screen, study: dict[str, list[Made]], opened: Opened
) -> None:
    """What nothing registers is brought to its place by numbers, and then by clicks; both are saved."""
    uid = study["unregistered"][0].series
    screen.tool("fusion")
    screen.button(f"fuse-{uid}").click()
    screen.wait("s.fusion_words.startsWith('9 PET 9 is not shown') && !s.fusion_uid")
    screen.button("lay-by-hand").click()
    screen.wait("s.by_hand_on && s.by_hand_unsaved && s.fusion_name === '9 PET 9'")
    screen.button("drop-by-hand").click()
    screen.wait("!s.by_hand_on && !s.fusion_uid")
    screen.button(f"fuse-{uid}").click()
    screen.button("lay-by-hand").click()
    screen.wait("s.by_hand_on && s.by_hand_unsaved && s.fusion_name === '9 PET 9'")
    middles = [
        (affine @ [*((np.array(shape) - 1) / 2), 1])[:3]
        for affine, shape in ((PET_AFFINE, PET_SHAPE), (AFFINE, SHAPE))
    ]
    shift = middles[0] - middles[1]  # it began with its middle on that of the CT
    for name, number in zip(("shift_left", "shift_back", "shift_head"), shift, strict=True):
        screen.button(name).fill(str(number))
        screen.button(name).press("Enter")
    screen.button("turn_head").fill(str(np.degrees(0.35)))
    screen.button("turn_head").press("Enter")
    for view in ("Red", "Yellow", "Green"):
        screen.until(lambda view=view: shows(screen, view, 0.4), words=f"{view} is not registered by hand")
    assert screen.state("fusion_words") == "Moved by a registration that is not saved."
    screen.button("save-by-hand").click()
    screen.wait("s.fusion_words === 'Moved by a registration of this patient.' && !s.by_hand_unsaved")
    assert np.allclose(last_registration(opened), TURNED, atol=1e-5)
    screen.until(lambda: shows(screen, "Red", 0.4))

    screen.button(f"fuse-{study['pet'][0].series}").click()
    screen.tool("layout")
    screen.button("layout-Compare").click()
    screen.button(f"compare-{uid}").click()
    screen.page.wait_for_selector('[data-view="Other"] .bl')
    screen.until(lambda: "9 PET 9" in screen.words("tl", "Other"))
    screen.button("pick-landmarks").click()
    screen.wait("s.landmarks_on && !s.linked")
    z = 10 + 2 * (screen.slice()[0] - 1)
    began = screen.slice("Other")[0]  # at the place of the CT's slice, which lies between two of PET
    screen.page.mouse.move(*screen.middle("Other"))
    screen.page.mouse.wheel(0, -120)
    screen.until(lambda: screen.slice("Other")[0] != began)
    height = z - TURNED[2, 3] + 4 * (screen.slice("Other")[0] - began)
    for j, i in ((3, 4), (20, 5), (12, 16)):
        x, y = PET_AFFINE[0, 2] * i + PET_AFFINE[0, 3], PET_AFFINE[1, 1] * j + PET_AFFINE[1, 3]
        screen.page.mouse.click(*place(screen, "Red", y - AFFINE[1, 3], x - AFFINE[0, 3], SHAPE[1:], 1))
        screen.page.mouse.click(*place(screen, "Other", j, i, PET_SHAPE[1:], 3))
    screen.wait("s.landmarks_fit && s.landmark_rows.length === 3")
    screen.button("save-landmarks").click()
    screen.wait("!s.landmarks_on && s.linked")
    due = TURNED.copy()
    due[2, 3] = z - height
    corners = np.array([[-30.0, -30, 20, 1], [25, -30, 40, 1], [0, 30, 30, 1]]).T
    assert np.abs((last_registration(opened) - due) @ corners).max() < 1
