"""The values of volumes: rescale, lookup tables, padding, windows, units."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from dicomdock.imaging.geometry import PixelFormat, Window, split_series
from dicomdock.imaging.presentation import windowed
from dicomdock.imaging.statistics import summarize
from dicomdock.imaging.volume import Volume, window_over
from dicomdock.imaging.volume.pixels import rescale
from tests.imaging.scans import scan
from tests.imaging.test_volume import read, values


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype", "due"),
    [
        ("1", "-1024", "int32", [-1024, 0, 31743]),
        ("2", "0", "int32", [0, 2048, 65534]),
        ("0.5", "-1", "float32", [-1, 511, 16383]),
    ],
)
def test_rescale(slope: str, intercept: str, dtype: str, due: list[float]) -> None:
    array = np.zeros((3, 2, 4), np.uint16)
    array[:, 0, :3] = [0, 1024, 32768 if slope == "0.5" else 32767]
    volume = read(scan(array, RescaleSlope=slope, RescaleIntercept=intercept))
    assert volume.array.dtype == np.dtype(dtype)
    assert volume.array[1, 0, :3].tolist() == due
    assert volume.units == "HU"


@pytest.mark.parametrize("slope", [1, 3, 70_000])
def test_whole_values_beyond_32_bits_are_right_too(slope: int) -> None:
    raw = np.array([[-32768, -1, 0, 1, 32767]], np.int16)
    values = rescale(raw, PixelFormat(slope=float(slope), intercept=-1024.0))
    assert values.dtype.kind == "i"
    assert values.tolist() == [[one * slope - 1024 for one in (-32768, -1, 0, 1, 32767)]]


def test_each_slice_has_its_own_slope() -> None:
    instances = scan(np.full((3, 2, 2), 10, np.int16), Modality="PT", Units="BQML")
    for k, one in enumerate(instances):
        one.dataset.RescaleSlope, one.dataset.RescaleIntercept = str(k + 0.5), "0"
    volume = Volume.from_instances([one.dataset for one in instances])
    assert volume.array[:, 0, 0].tolist() == [5, 15, 25]
    assert volume.units == "BQML"


@pytest.mark.parametrize(
    ("slope", "intercept", "due", "said"),
    [
        ("1,25", "-1024", 100, "The Rescale Slope is '1,25', which is not a number; values are as stored."),
        ("1", "-1O24", 100, "The Rescale Intercept is '-1O24', which is not a number; values are as stored."),
        ("", "-1024", 100, "There is a Rescale Intercept without a Rescale Slope; values are as stored."),
        ("0", "-1024", -924, "The Rescale Slope is 0, and was taken as 1."),
    ],
)
def test_a_rescale_that_cannot_be_used_is_reported(slope: str, intercept: str, due: int, said: str) -> None:
    """Values off by 1,024 HU without a word would look like any others."""
    usual = scan(np.full((3, 2, 2), 100, np.int16), RescaleSlope="9.8765", RescaleIntercept="-4321")
    data = []
    for one in usual:
        assert (one.data.count(b"9.8765"), one.data.count(b"-4321 ")) == (1, 1)
        changed_slope = one.data.replace(b"9.8765", slope.ljust(6).encode())
        data.append(changed_slope.replace(b"-4321 ", intercept.ljust(6).encode()))
    volume = Volume.from_instances(data)
    assert (volume.array == due).all()
    assert volume.remarks == (said,)
    assert volume.units == ("HU" if slope == "0" else "")


def test_one_slice_without_the_rescale_of_the_others_is_reported() -> None:
    instances = scan(np.full((3, 2, 2), 100, np.int16), RescaleSlope="1", RescaleIntercept="-1024")
    del instances[1].dataset.RescaleSlope, instances[1].dataset.RescaleIntercept
    volume = Volume.from_instances([one.dataset for one in instances])
    assert volume.array[:, 0, 0].tolist() == [-924, 100, -924]
    (said,) = volume.remarks
    assert "without a Rescale Slope among others that have one: 1 of 3" in said


def test_padding_below_the_hounsfield_scale_is_clipped_not_wrapped() -> None:
    array = np.full((2, 2, 2), -32768, np.int16)
    volume = read(scan(array, RescaleSlope="1", RescaleIntercept="-1024"))
    assert volume.array.max() == -32768


def test_unused_high_bits_are_no_values() -> None:
    array = np.full((2, 2, 2), 0x1005, np.uint16)
    instances = scan(array, BitsStored=12, HighBit=11, Modality="MR")
    assert read(instances).array.max() == 5


def test_a_modality_lut_is_applied() -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.ModalityLUTType = "OD"
    table["LUTDescriptor"].VR = "US"
    table.add_new("LUTData", "US", [100, 200, 300, 60000])
    array = np.array([[[0, 1], [2, 3]]], np.uint16)
    (instance,) = scan(array, Modality="CR", ModalityLUTSequence=[table])
    volume = read([instance])
    assert volume.array.tolist() == [[[100, 200], [300, 60000]]]
    assert volume.array.dtype == np.uint16


def test_a_window_is_computed_where_the_header_has_none() -> None:
    array = np.zeros((2, 100, 100), np.int16)
    array[:, :50] = 100
    window = read(scan(array, Modality="MR")).window()
    assert (window.center, window.width) == (50, 100)
    assert read(scan(array, WindowCenter="40", WindowWidth="400")).window().width == 400


@pytest.mark.parametrize(("slope", "intercept"), [("1", "0"), ("1", "-1024"), ("3", "-5"), ("-1", "0")])
def test_no_value_of_a_ct_is_clipped(slope: str, intercept: str) -> None:
    array = np.linspace(0, 65535, 24).astype(np.uint16).reshape(2, 3, 4)
    volume = read(scan(array, RescaleSlope=slope, RescaleIntercept=intercept))
    assert np.array_equal(volume.array, array.astype(np.int64) * int(slope) + int(intercept))


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_no_whole_number_of_32_bits_is_rounded(modality: str) -> None:
    array = np.linspace(0, 2**32 - 1, 24).astype(np.uint32).reshape(2, 3, 4)
    volume = read(scan(array, RescaleSlope="3", RescaleIntercept="-7", Modality=modality))
    assert np.array_equal(volume.array, array.astype(np.int64) * 3 - 7)


def test_twelve_bits_of_a_ct_stay_small() -> None:
    made = scan(values(), RescaleSlope="1", RescaleIntercept="-1024")
    for one in made:
        one.dataset.BitsStored, one.dataset.HighBit, one.dataset.PixelRepresentation = 12, 11, 0
    (plan,) = split_series([one.dataset for one in made])
    assert plan.dtype == np.int16


@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf])
def test_windows_are_over_finite_values(padding: float) -> None:
    array = np.linspace(0, 100, 1000).reshape(10, 10, 10)
    array[:5] = padding
    window = window_over(array)
    assert (window.center, window.width) == pytest.approx((75, 50), rel=0.02)
    assert window_over(np.full((2, 2, 2), padding)).width > 0


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("scale", [("1", "0"), ("1", "-1024"), ("0.0371", "5.3"), ("-1", "10")])
@pytest.mark.parametrize("signed", [True, False])
def test_padding_enters_no_window_and_no_statistics(
    signed: bool, scale: tuple[str, str], modality: str
) -> None:
    """Whatever VR its value has, at either end of the stored numbers, as one value or a range."""
    for bits, highest, span, wrong in product((12, 16), (True, False), (0, 3), (True, False)):
        least, greatest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        value, limit = (greatest, greatest - span) if highest else (least, least + span)
        array = np.random.default_rng(0).integers(100, 900, (2, 8, 9)).astype("int16" if signed else "uint16")
        array[:, :3] = limit
        array[:, 0, 0] = value
        kind = "SS" if signed != wrong else "US"
        datasets = [
            one.dataset for one in scan(array, Modality=modality, **dict(zip(RESCALE, scale, strict=True)))
        ]
        for one in datasets:
            one.BitsStored, one.HighBit = bits, bits - 1
            for keyword, end in (("PixelPaddingValue", value), ("PixelPaddingRangeLimit", limit)):
                if keyword == "PixelPaddingValue" or span:
                    packed = struct.pack("<i", end)[:2]
                    one.add_new(keyword, kind, struct.unpack("<h" if kind == "SS" else "<H", packed)[0])
        volume = Volume.from_instances(datasets)
        image = array[:, 3:] * float(scale[0]) + float(scale[1])
        window = volume.window()
        low, high = window.center - window.width / 2, window.center + window.width / 2
        assert (0 if modality == "PT" and image.max() > 0 else image.min()) - 1 <= low
        assert image.min() < high <= image.max() + 1
        found = summarize(volume.array.reshape(-1), volume.padding)
        assert found is not None
        assert found.count == image.size
        assert found.mean == pytest.approx(image.mean(), rel=1e-5)
        doubled = to_double(volume)
        assert summarize(doubled.array.reshape(-1), doubled.padding).count == image.size


@pytest.mark.parametrize(
    ("window", "stated"),
    [
        (Window(40, 80), (80, 40)),
        (Window(0.00012345678, 0.00004567891), (0.00004568, 0.00012346)),
        (Window(1000.123456, 0.0123456), (0.01235, 1000.12346)),
        (Window(1 / 3, 1), (1, 0.333)),
        (Window(0, 0), (0, 0)),
        (Window(5, np.inf), (np.inf, 5)),
    ],
)
def test_a_narrow_window_is_stated_with_its_digits(window: Window, stated: tuple[float, float]) -> None:
    """Maps of fractions have windows that three decimals would state as 0."""
    assert window.stated == pytest.approx(stated, rel=1e-12)


def test_padding_is_one_value_where_each_slice_has_a_slope_of_its_own() -> None:
    """As PET and Philips' MR are stored: one stored number of padding is another value in each slice."""
    array = np.random.default_rng(0).integers(100, 900, (3, 8, 9)).astype("int16")
    array[:, :3] = -2000
    slopes = (0.5, 1.25, 2.0)
    datasets = [one.dataset for one in scan(array, Modality="PT", PixelPaddingValue=-2000)]
    for one, slope in zip(datasets, slopes, strict=True):
        one["PixelPaddingValue"].VR = "SS"
        one.RescaleSlope, one.RescaleIntercept = slope, 0
    volume = Volume.from_instances(datasets)
    image = array[:, 3:] * np.array(slopes)[:, None, None]
    assert np.allclose(volume.array[:, 3:], image)
    assert set(volume.array[:, :3].flat) == {-4000.0}
    assert volume.padding == (-4000.0, -4000.0)
    assert any("Padding has other values" in remark for remark in volume.remarks)
    found = summarize(volume.array.reshape(-1), volume.padding)
    assert found is not None
    assert (found.count, found.minimum) == (image.size, pytest.approx(image.min()))
    assert volume.window().center - volume.window().width / 2 >= 0


RESCALE = ("RescaleSlope", "RescaleIntercept")


def to_double(volume: Volume) -> Volume:
    """Return the volume in wider numbers, as statistics compute with."""
    return replace(volume, array=volume.array.astype(np.float64))


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e30])
def test_a_window_is_as_fine_as_the_values(scale: float) -> None:
    array = np.linspace(0, scale, 1000).reshape(10, 10, 10)
    window = window_over(array)
    assert (window.center, window.width) == pytest.approx((scale / 2, scale), rel=0.02)
    shown = windowed(array.astype(np.float32), window)
    assert (shown.min(), shown.max()) == (0, 255)


@pytest.mark.slow
def test_a_hot_lesion_of_pet_is_seen() -> None:
    array = np.random.default_rng(0).integers(0, 100, (20, 64, 64)).astype(np.int16)
    array[10, 30:33, 30:33] = 1000
    made = scan(array, Modality="PT", Units="BQML", SOPClassUID=PositronEmissionTomographyImageStorage)
    window = read(made).window()
    assert (window.center, window.width) == (500, 1000)


@pytest.mark.parametrize(
    ("modality", "kind", "units", "due"),
    [
        ("PT", "SUV", "BQML", "BQML"),
        ("PT", "SUV", "", ""),
        ("PT", "BQML", "CNTS", "CNTS"),
        ("MR", "SUV", "", ""),
        ("CT", "US", "", "HU"),
        ("CT", "HU", "", "HU"),
    ],
)
def test_a_rescale_type_is_no_suv(modality: str, kind: str, units: str, due: str) -> None:
    stated = {"Units": units} if units else {}
    made = scan(
        values(), Modality=modality, RescaleSlope="1", RescaleIntercept="0", RescaleType=kind, **stated
    )
    volume = read(made)
    assert (volume.units, volume.suv_type) == (due, "")


@pytest.mark.parametrize(
    ("attributes", "due"),
    [
        ({}, False),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}, False),
    ],
)
def test_an_inverse_presentation_is_shown_as_one(attributes: dict[str, str], due: bool) -> None:
    assert read(scan(values(), **attributes)).inverted is due
