"""Pictures of frames: what a viewer would show of them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicomdock.errors import InvalidInput, NotAcceptable, NotFound
from dicomdock.origin.rendering import render
from dicomdock.origin.view import MAX_VIEWPORT, View, Viewport, Window
from tests import builders
from tests.conftest import shared_data

PNG = "image/png"


def picture(made, tmp_path, frame=1, **view):
    file = tmp_path / "stored.dcm"
    file.write_bytes(made.data)
    image = Image.open(BytesIO(render(file, frame, View(media_type=PNG, **view))))
    assert image.format == "PNG"
    return np.asarray(image)


def image(samples, photometric="MONOCHROME2", **attributes):
    dataset = builders.composite(SecondaryCaptureImageStorage)
    dataset.Rows, dataset.Columns = samples.shape[:2]
    dataset.SamplesPerPixel = 3 if samples.ndim == 3 else 1
    dataset.PhotometricInterpretation = photometric
    bits = samples.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(samples.dtype.kind == "i")
    if samples.ndim == 3:
        dataset.PlanarConfiguration = 0
    if samples.dtype.kind == "f":
        dataset.FloatPixelData = samples.astype("<f4").tobytes()
    else:
        dataset.PixelData = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return builders.made(dataset)


RAMP = np.tile(np.arange(256, dtype=np.uint16) * 4, (8, 1))


def test_the_window_of_the_header_is_shown_after_rescaling(tmp_path):
    shown = picture(
        image(RAMP, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=900, WindowWidth=1000), tmp_path
    )
    values = RAMP[0] * 2.0 - 100
    expected = np.clip((values - 899.5) / 999 + 0.5, 0, 1) * 255
    assert np.abs(shown[0].astype(float) - expected).max() <= 1


def test_the_window_of_the_request_comes_before_that_of_the_header(tmp_path):
    made = image(RAMP, WindowCenter=900, WindowWidth=10)
    shown = picture(made, tmp_path, window=Window(512, 1024, "LINEAR_EXACT"))
    assert np.abs(shown[0].astype(float) - RAMP[0] / 1024 * 255).max() <= 1


def test_a_sigmoid_window_is_soft_at_its_ends(tmp_path):
    shown = picture(image(RAMP), tmp_path, window=Window(512, 256, "SIGMOID"))[0]
    assert 20 < shown[96] < 40
    assert shown[128] in (127, 128)


def test_without_a_window_nearly_all_values_are_shown(tmp_path):
    samples = RAMP.copy()
    samples[0, 0] = 65535
    shown = picture(image(samples), tmp_path)
    assert shown[1, 5] < 15
    assert shown[1, 250] > 240


def test_padding_does_not_count_for_the_range(tmp_path):
    samples = RAMP.astype(np.int16) + 5000
    samples[:4] = -32768
    shown = picture(image(samples, PixelPaddingValue=-32768), tmp_path)
    assert shown[0, 0] == 0
    assert shown[7, 20] < 40
    assert shown[7, 250] > 240


@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf, -9999.0, 9999.0])
def test_float_pixels_are_shown_over_their_values(tmp_path, padding):
    samples = (RAMP * 1e-9).astype(np.float32)
    samples[:4] = padding
    stated = {"FloatPixelPaddingValue": padding} if np.isfinite(padding) else {}
    shown = picture(image(samples, RescaleSlope=2, RescaleIntercept=0, **stated), tmp_path)
    assert (shown[:4] == (255 if padding > 0 else 0)).all()
    assert shown[7, 20] < 40
    assert shown[7, 250] > 230


@pytest.mark.parametrize("modality", ["CT", "PT", "MR"])
@pytest.mark.parametrize(("dtype", "intercept"), [(np.uint16, 0), (np.uint16, -1024), (np.int16, -1500)])
def test_an_image_without_a_window_is_shown(tmp_path, modality, dtype, intercept):
    made = image(RAMP.astype(dtype), RescaleSlope=1, RescaleIntercept=intercept, Modality=modality)
    shown = picture(made, tmp_path)
    assert shown[7, 250] > 200


def test_a_hot_spot_of_pet_is_shown(tmp_path):
    samples = np.full((64, 64), 50, np.uint16)
    samples[30:33, 30:33] = 1000
    shown = picture(image(samples, Modality="PT", Units="BQML"), tmp_path)
    assert (shown[0, 0], shown[31, 31]) == (13, 255)


def test_monochrome1_is_inverted(tmp_path):
    window = Window(512, 1024, "LINEAR_EXACT")
    bright = picture(image(RAMP), tmp_path, window=window)
    dark = picture(image(RAMP, "MONOCHROME1"), tmp_path, window=window)
    assert np.array_equal(dark, 255 - bright)


def test_a_voi_lookup_table_is_applied(tmp_path):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [1024, 0, 8])
    item.add_new("LUTData", "US", [255 if index < 512 else 0 for index in range(1024)])
    shown = picture(image(RAMP, VOILUTSequence=[item]), tmp_path)
    assert shown[0, 0] == 255
    assert shown[0, 255] == 0


def test_a_palette_gives_colours(tmp_path):
    made = image(
        np.array([[0, 1], [2, 3]], np.uint8),
        "PALETTE COLOR",
        **{f"{colour}PaletteColorLookupTableDescriptor": [4, 0, 16] for colour in ("Red", "Green", "Blue")},
        RedPaletteColorLookupTableData=np.array([0, 65535, 0, 0], "<u2").tobytes(),
        GreenPaletteColorLookupTableData=np.array([0, 0, 65535, 0], "<u2").tobytes(),
        BluePaletteColorLookupTableData=np.array([0, 0, 0, 65535], "<u2").tobytes(),
    )
    assert picture(made, tmp_path).tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [0, 0, 255]]]


def test_rgb_stays_and_ybr_becomes_rgb(tmp_path):
    samples = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    assert picture(image(samples, "RGB"), tmp_path).tolist() == samples.tolist()
    grey = np.array([[[100, 128, 128]]], np.uint8)
    assert picture(image(grey, "YBR_FULL"), tmp_path).tolist() == [[[100, 100, 100]]]


def test_float_pixels_with_holes_are_shown(tmp_path):
    samples = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    samples[0, 0] = np.nan
    shown = picture(image(samples), tmp_path)
    assert shown[0, 0] == 0
    assert shown[7, 7] == 255


def test_a_segment_of_single_bits_is_white(tmp_path):
    dataset = builders.composite(SecondaryCaptureImageStorage, Modality="SEG")
    dataset.SegmentationType = "BINARY"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = 2, 3, 3
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    bits = np.zeros(18, np.uint8)
    bits[9 + 4] = 1
    dataset.PixelData = np.packbits(bits, bitorder="little").tobytes() + b"\0"
    made = builders.made(dataset)
    assert picture(made, tmp_path, 1).max() == 0
    second = picture(made, tmp_path, 2)
    assert second[1, 1] == 255
    assert second.sum() == 255


def test_each_frame_of_many_is_its_own_picture(tmp_path):
    made = builders.multiframe(3)
    window = Window(0, 8, "LINEAR_EXACT")
    assert [int(picture(made, tmp_path, frame, window=window)[0, 0]) for frame in (1, 2, 3)] == [
        159,
        191,
        223,
    ]
    with pytest.raises(NotFound, match="frames 1 to 3"):
        picture(made, tmp_path, 4)


def test_a_viewport_keeps_the_proportions_of_the_body(tmp_path):
    made = image(RAMP, PixelSpacing=[4, 1])
    assert picture(made, tmp_path).shape == (32, 256)
    assert picture(made, tmp_path, viewport=Viewport(128, 128)).shape == (16, 128)
    assert picture(made, tmp_path, viewport=Viewport(2048, 64)).shape == (64, 512)


def test_a_part_of_the_image_can_be_shown_and_flipped(tmp_path):
    window = Window(512, 1024, "LINEAR_EXACT")
    made = image(RAMP)
    part = picture(made, tmp_path, window=window, viewport=Viewport(16, 8, 0, 0, 16, 8))
    flipped = picture(made, tmp_path, window=window, viewport=Viewport(16, 8, 0, 0, -16, 8))
    assert part.shape == (8, 16)
    assert np.array_equal(part[:, ::-1], flipped)
    with pytest.raises(InvalidInput, match="outside"):
        picture(made, tmp_path, viewport=Viewport(16, 8, 300, 0, 16, 8))


def test_quality_makes_a_jpeg_smaller(tmp_path):
    file = tmp_path / "stored.dcm"
    file.write_bytes(image(np.random.default_rng(1).integers(0, 4000, (64, 64), np.uint16)).data)
    good, poor = (render(file, 1, View(quality=quality)) for quality in (95, 10))
    assert good[:2] == b"\xff\xd8"
    assert len(poor) < len(good) / 2


@pytest.mark.parametrize("text", ["", "1", "a,b", "1,2,cubic", "nan,5", "5,0", "40,-1", "inf,1"])
def test_an_impossible_window_is_refused(text):
    with pytest.raises(InvalidInput):
        Window.parse(text)


@pytest.mark.parametrize("text", ["", "0,5", "5", "a,b", f"{MAX_VIEWPORT + 1},1", "8,8,nan", "8,8,,,inf"])
def test_an_impossible_viewport_is_refused(text):
    with pytest.raises(InvalidInput):
        Viewport.parse(text)


def test_a_document_has_no_picture_and_the_answer_says_what_it_is(tmp_path):
    with pytest.raises(NotAcceptable, match="Encapsulated PDF"):
        picture(builders.document(), tmp_path)


def test_too_large_a_frame_is_refused_before_it_is_decoded(tmp_path):
    made = builders.changed(image(RAMP), Rows=65535, Columns=65535)
    with pytest.raises(NotAcceptable, match="too large"):
        picture(made, tmp_path)


def test_pixels_that_end_early_are_one_sentence(tmp_path):
    made = builders.changed(image(RAMP), PixelData=b"\1\2")
    with pytest.raises(NotAcceptable, match="cannot be made"):
        picture(made, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_transfer_syntax_of_the_same_slice_looks_the_same():
    folder = shared_data("zoo", "transfer-syntaxes")
    shown = {}
    for file in sorted(folder.glob("CTImage.dcm*")):
        png = render(file, 1, View(Window(40, 400), media_type=PNG))
        shown[file.name] = np.asarray(Image.open(BytesIO(png)), np.int16)
    reference = shown.pop("CTImage.dcm")
    assert len(shown) >= 14
    # One keeps 8 bits of the 16 and is dark; the others differ by what lossy compression takes away.
    shown.pop("CTImage.dcm_JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50.dcm")
    for name, other in shown.items():
        assert np.abs(other - reference).mean() < 6, name


@pytest.mark.parametrize("vr", ["OB", "FD", "US"])
def test_a_character_set_of_an_odd_vr_costs_no_picture(tmp_path, vr):
    good, odd = tmp_path / "good.dcm", tmp_path / "odd.dcm"
    for file, data in zip((good, odd), builders.charset_written_as(vr), strict=True):
        file.write_bytes(data)
    assert render(odd, 1, View(media_type=PNG)) == render(good, 1, View(media_type=PNG))
