"""Presentation states of grey and of colour images, with DCMTK as the other reader."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import SecondaryCaptureImageStorage

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.geometry import Window
from dicomdock.imaging.geometry.plane import PixelFormat
from dicomdock.imaging.presentation import windowed
from dicomdock.imaging.presentation_state import (
    Area,
    Frame,
    Graphic,
    Note,
    PresentationState,
    arranged,
    captions,
    outlines,
    presentation_state_to_dicom,
    presented,
    read_presentation_state,
    simplified,
    window_on,
)
from dicomdock.imaging.terminology import to_cielab
from tests.builders import Made, encode, image_series
from tests.imaging.scans import check_with_dciodvfy, headers, scan

SHAPE = (2, 40, 50)
VALUES = np.random.default_rng(3).integers(0, 2000, SHAPE).astype(np.uint16)


def images() -> list[Made]:
    made = scan(VALUES, RescaleSlope="1", RescaleIntercept="-1024")
    for one in made:
        one.dataset.BitsStored, one.dataset.HighBit = 12, 11
    return [Made(one.dataset, encode(one.dataset)) for one in made]


MADE = images()
FIRST, SECOND = Frame(MADE[0].instance, (), MADE[0].series), Frame(MADE[1].instance, (), MADE[0].series)
STATE = PresentationState(
    images=(FIRST, SECOND),
    label="LIVER",
    description="Leber größer",
    creator="Doe^Jane",
    windows=((Window(40, 400, "liver"), ()),),
    areas=(Area((5, 3), (44, 32)),),
    graphics=(Graphic("POLYLINE", ((1.5, 2.5), (10.0, 12.25)), images=(Frame(MADE[0].instance),)),),
    notes=(Note("Herd 1", (12.0, 13.5), images=(Frame(MADE[0].instance),)),),
    slope=1.0,
    intercept=-1024.0,
)


def by_dcmtk(state: bytes, image: bytes, folder: Path) -> np.ndarray:
    program = shutil.which("dcmp2pgm")
    if program is None:
        pytest.skip("dcmp2pgm is not here; to run this test: apt install dcmtk")
    (folder / "state.dcm").write_bytes(state)
    (folder / "image.dcm").write_bytes(image)
    command = [program, "-p", folder / "state.dcm", folder / "image.dcm", folder / "out.pgm"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return np.asarray(Image.open(folder / "out.pgm"))


def test_a_state_survives_dicom(tmp_path: Path) -> None:
    data = to_bytes(presentation_state_to_dicom(STATE, headers(MADE)))
    check_with_dciodvfy(data, tmp_path)
    found = read_presentation_state(data)
    assert found.remarks == ()
    assert replace(found, instance="") == STATE
    assert found.graphics_of(MADE[1].instance) == []
    assert [one.text for one in found.notes_of(MADE[0].instance)] == ["Herd 1"]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("window", [Window(40, 400), Window(-700, 33.5), Window(0, 1)])
def test_dcmtk_shows_the_same_greys(window: Window, inverse: bool, tmp_path: Path) -> None:
    state = replace(STATE, windows=((window, ()),), inverse=inverse)
    data = to_bytes(presentation_state_to_dicom(state, headers(MADE)))
    due = by_dcmtk(data, MADE[0].data, tmp_path)
    shown = presented(read_presentation_state(data), MADE[0].data)
    assert np.abs(shown.astype(int) - due).max() <= 1


SHUTTERS = {
    "box": {
        "ShutterShape": "RECTANGULAR",
        "ShutterLeftVerticalEdge": 7,
        "ShutterRightVerticalEdge": 41,
        "ShutterUpperHorizontalEdge": 4,
        "ShutterLowerHorizontalEdge": 33,
    },
    "circle": {
        "ShutterShape": "CIRCULAR",
        "CenterOfCircularShutter": [18, 26],
        "RadiusOfCircularShutter": 12,
    },
    "polygon": {
        "ShutterShape": "POLYGONAL",
        "VerticesOfThePolygonalShutter": [4, 7, 8, 40, 35, 30, 22, 11],
    },
}


def drawn_by_pillow(kind: str) -> np.ndarray:
    """Draw what a shutter leaves open; Pillow counts from 0, and column before row."""
    picture = Image.new("1", SHAPE[:0:-1])
    draw = ImageDraw.Draw(picture)
    if kind == "box":
        draw.rectangle((6, 3, 40, 32), fill=1)
    elif kind == "circle":
        draw.ellipse((25 - 12, 17 - 12, 25 + 12, 17 + 12), fill=1)
    else:
        data = np.array(SHUTTERS[kind]["VerticesOfThePolygonalShutter"]) - 1
        draw.polygon([(int(column), int(row)) for row, column in data.reshape(-1, 2)], fill=1)
    return np.asarray(picture)


@pytest.mark.parametrize("kind", SHUTTERS)
def test_a_shutter_covers_what_lies_beyond_it(kind: str) -> None:
    state = replace(STATE, windows=((Window(-24, 1000), ()),))
    written = presentation_state_to_dicom(state, headers(MADE))
    plain = presented(read_presentation_state(written), MADE[0].data)
    for keyword, value in SHUTTERS[kind].items():
        setattr(written, keyword, value)
    written.ShutterPresentationValue = 0x8000
    shown = presented(read_presentation_state(written), MADE[0].data)
    due = np.where(drawn_by_pillow(kind), plain, 128)
    differing = int((shown != due).sum())  # Pillow draws the outline with its pixels
    assert differing <= (0 if kind == "box" else 60), f"{differing} pixels differ"


def with_bitmap(written: Dataset, covered: np.ndarray, origin: tuple[int, int] = (1, 1)) -> Dataset:
    """Add a bitmap shutter to a state, packed by pydicom."""
    written.ShutterShape, written.ShutterOverlayGroup = "BITMAP", 0x6000
    written.ShutterPresentationValue = 0x8000
    rows, columns = covered.shape
    for element, vr, value in (
        (0x0010, "US", rows),
        (0x0011, "US", columns),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [*origin]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x3000, "OW", pack_bits(covered.astype(np.uint8).ravel())),
    ):
        written.add_new(0x60000000 | element, vr, value)
    return written


@pytest.mark.slow
def test_a_bitmap_covers_where_it_is_1(tmp_path: Path) -> None:
    """As DCMTK's source has it (its programs show no shutters); one over a part leaves the rest open."""
    covered = np.random.default_rng(5).random(SHAPE[1:]) < 0.3
    written = with_bitmap(presentation_state_to_dicom(STATE, headers(MADE)), covered)
    check_with_dciodvfy(to_bytes(written), tmp_path)
    state = read_presentation_state(to_bytes(written))
    assert state.remarks == ()
    plain = presented(replace(state, shutter=None), MADE[0].data)
    assert np.array_equal(presented(state, MADE[0].data), np.where(covered, 128, plain))
    part = with_bitmap(presentation_state_to_dicom(STATE, headers(MADE)), covered[:10, :20], (5, 9))
    plain[4:14, 8:28][covered[:10, :20]] = 128
    assert np.array_equal(presented(read_presentation_state(part), MADE[0].data), plain)
    del written[0x60003000]
    (remark,) = read_presentation_state(written).remarks
    assert "without its bitmap" in remark


def in_color() -> list[Made]:
    """Make two images in colour, the second with its planes one after the other."""
    made = image_series(2, sop_class=SecondaryCaptureImageStorage, modality="OT")
    for planar, one in enumerate(made):
        dataset = one.dataset
        dataset.Rows, dataset.Columns = SHAPE[1:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelRepresentation, dataset.PlanarConfiguration = 0, planar
        dataset.PixelData = (COLORS.transpose(2, 0, 1) if planar else COLORS).tobytes()
    return [Made(one.dataset, encode(one.dataset)) for one in made]


COLORS = np.random.default_rng(4).integers(0, 256, (*SHAPE[1:], 3), np.uint8)


def color_state(made: list[Made]) -> Dataset:
    """Let highdicom write a state of images in colour: a shutter, a text and a quarter turn."""
    sources = [one.dataset for one in made]
    for one in sources:
        one.AccessionNumber = one.get("AccessionNumber", "")
    layer = hd.pr.GraphicLayer("LAYER", 1)
    note = hd.pr.TextObject("polyp", "PIXEL", anchor_point=(20.0, 10.0))
    written = hd.pr.ColorSoftcopyPresentationState(
        sources,
        *(hd.UID(), 1, hd.UID(), 1, "m", "m", "1", "1", "LABEL"),
        graphic_annotations=[hd.pr.GraphicAnnotation(sources, layer, text_objects=[note])],
        graphic_layers=[layer],
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        .tobytes()
        .replace(b"mntr", b"spac"),
    )
    written.ShutterShape, written.CenterOfCircularShutter = "CIRCULAR", [18, 26]
    written.RadiusOfCircularShutter = 12
    written.ShutterPresentationColorCIELabValue = [*to_cielab((250, 20, 40))]
    written.ImageRotation, written.ImageHorizontalFlip = 90, "N"
    return written


def test_a_state_of_images_in_color_is_applied() -> None:
    """One that highdicom makes: colours as they are stored, shutter in its colour, area, annotations."""
    made = in_color()
    written = color_state(made)
    state = read_presentation_state(to_bytes(written))
    assert state.color
    assert [one.text for one in state.notes] == ["polyp"]
    row, column = np.mgrid[1 : SHAPE[1] + 1, 1 : SHAPE[2] + 1]
    open_ = (row - 18) ** 2 + (column - 26) ** 2 <= 144
    due = np.where(open_[..., None], COLORS, np.array([250, 20, 40], np.uint8))
    for one in made:
        shown = presented(state, one.data)
        assert np.array_equal(shown, due)
        turned = arranged(replace(state, areas=()), shown, one.instance)
        assert np.array_equal(turned, np.rot90(due, -1))
    (remark,) = state.remarks
    assert "ICC profile" in remark
    written.ColorSpace = "SRGB"
    assert read_presentation_state(written).remarks == ()
    with pytest.raises(GeometryError, match="read, not written"):
        presentation_state_to_dicom(state, headers(made))
    with pytest.raises(GeometryError, match="is for images in colour"):
        presented(replace(state, images=STATE.images), MADE[0].data)
    with pytest.raises(GeometryError, match="is for grey images"):
        presented(replace(STATE, images=state.images), made[0].data)


def test_what_a_state_has_and_is_not_applied_is_named() -> None:
    written = presentation_state_to_dicom(STATE, headers(MADE))
    written.MaskSubtractionSequence = []
    (remark,) = read_presentation_state(written).remarks
    assert "mask subtraction" in remark


def test_a_state_of_highdicoms_is_read() -> None:
    sources = headers(MADE)
    layer = hd.pr.GraphicLayer("LAYER", 1)
    drawn = hd.pr.GraphicAnnotation(
        sources[:1],
        layer,
        graphic_objects=[hd.pr.GraphicObject("CIRCLE", np.array([[20.0, 10.0], [24.0, 10.0]]), "PIXEL")],
        text_objects=[hd.pr.TextObject("cyst", "PIXEL", anchor_point=(20.0, 10.0))],
    )
    written = hd.pr.GrayscaleSoftcopyPresentationState(
        sources,
        *(hd.UID(), 1, hd.UID(), 1, "m", "m", "1", "1", "LABEL"),
        graphic_annotations=[drawn],
        graphic_layers=[layer],
        voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(60.0, 300.0)],
    )
    found = read_presentation_state(written)
    window = found.window_of(MADE[1].instance)
    assert window is not None
    assert (window.center, window.width) == (60, 300)
    assert found.intercept == -1024
    (circle,) = found.graphics_of(MADE[0].instance)
    assert (circle.form, circle.points) == ("CIRCLE", ((20.0, 10.0), (24.0, 10.0)))
    assert found.notes_of(MADE[0].instance)[0].text == "cyst"
    assert not found.notes_of(MADE[1].instance)
    assert found.area_of(MADE[0].instance) == Area((1, 1), (50, 40))


def test_the_displayed_area_turned_and_flipped() -> None:
    """An asymmetric image: a quarter to the right, then left and right exchanged (PS3.3 §C.10.6)."""
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    plain = replace(STATE, areas=(Area((2, 1), (4, 2)),))
    assert arranged(plain, image, FIRST.instance).tolist() == [[1, 2, 3], [5, 6, 7]]
    turned = replace(plain, rotation=90)
    assert arranged(turned, image, FIRST.instance).tolist() == [[5, 1], [6, 2], [7, 3]]
    flipped = replace(turned, flipped=True)
    assert arranged(flipped, image, FIRST.instance).tolist() == [[1, 5], [2, 6], [3, 7]]
    beyond = replace(STATE, areas=(Area((0, 0), (2, 1)),))
    assert arranged(beyond, image, FIRST.instance).tolist() == [[0, 0, 0], [0, 0, 1]]


def test_refusals() -> None:
    data = presentation_state_to_dicom(STATE, headers(MADE))
    other = scan(VALUES)
    with pytest.raises(GeometryError, match="for other images"):
        presented(read_presentation_state(data), other[0].data)
    with pytest.raises(GeometryError, match="needs the images"):
        presentation_state_to_dicom(STATE, headers(other))
    mixed = replace(STATE, images=(FIRST, Frame(other[0].instance)))
    with pytest.raises(GeometryError, match="differ in StudyInstanceUID"):
        presentation_state_to_dicom(mixed, headers([*MADE, *other]))
    with pytest.raises(GeometryError, match="not a Grayscale or Color Softcopy"):
        read_presentation_state(dcmread(BytesIO(MADE[0].data)))


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_shares_of_the_displayed_area_are_pixels_of_the_image(rotation: int, flipped: bool) -> None:
    """A pixel is searched in numpy's picture of the turned area, and its share is taken back."""
    state = replace(STATE, rotation=rotation, flipped=flipped)
    image = np.zeros(SHAPE[1:], np.uint8)
    image[9, 30] = 1
    shown = arranged(state, image, FIRST.instance)
    ((row, column),) = np.argwhere(shown)
    share = ((column + 0.5) / shown.shape[1], (row + 0.5) / shown.shape[0])
    graphic = Graphic("CIRCLE", (share, share), display=True)
    note = Note("here", share, display=True)
    drawn = replace(state, graphics=(graphic,), notes=(note,))
    (circle,) = outlines(drawn, FIRST.instance, 1, (50, 40))
    assert circle[0] == pytest.approx((30.5, 9.5))
    ((words, at),) = captions(drawn, FIRST.instance, 1, (50, 40))
    assert (words, at) == ("here", pytest.approx((30.5, 9.5)))


def test_outlines_of_graphics() -> None:
    graphics = (
        Graphic("CIRCLE", ((20.0, 10.0), (23.0, 14.0))),
        Graphic("ELLIPSE", ((10.0, 20.0), (30.0, 20.0), (20.0, 17.0), (20.0, 23.0)), filled=True),
        Graphic("POINT", ((5.0, 6.0),)),
        Graphic("POLYLINE", ((1.0, float("nan")), (2.0, 3.0))),
        Graphic("CIRCLE", ((20.0, 10.0),)),
    )
    state = replace(STATE, graphics=graphics)
    circle, ellipse, across, down = outlines(state, FIRST.instance, 1, (50, 40))
    assert np.hypot(*(circle - (20, 10)).T) == pytest.approx(5)
    assert np.hypot(*((ellipse - (20, 20)) / (10, 3)).T) == pytest.approx(1)
    assert across.mean(axis=0) == pytest.approx((5, 6))
    assert down.mean(axis=0) == pytest.approx((5, 6))
    (remark,) = simplified(state)
    assert "outline" in remark


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (1.0, 0.0), (2.5, 10.0), (0.5, 3.0)])
@pytest.mark.parametrize("window", [Window(40, 400), Window(0, 900, function="SIGMOID"), Window(9, 1)])
def test_a_window_of_another_rescale_shows_the_same_greys(
    window: Window, slope: float, intercept: float
) -> None:
    stored = np.arange(4096.0)
    pixels = PixelFormat(slope=slope, intercept=intercept)
    due = windowed(stored * STATE.slope + STATE.intercept, window)
    moved = window_on(window, STATE, pixels)
    assert moved is not None
    shown = windowed(stored * slope + intercept, moved)
    assert np.abs(shown.astype(int) - due).max() <= 1
    assert window_on(window, STATE, replace(pixels, lut=True)) is None
    assert window_on(window, STATE, replace(pixels, slope=-slope)) is None
