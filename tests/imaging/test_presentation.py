"""Windows and lookup tables: grey as pydicom and dcmtk make it, and the steps of a display of 256 colours."""

from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import SecondaryCaptureImageStorage

from dicomdock.imaging.geometry import Window, windows_of
from dicomdock.imaging.lookup import read_table
from dicomdock.imaging.presentation import Curve, curve_of, window_of, windowed
from dicomdock.imaging.volume import modality_table
from dicomdock.origin.rendering import render
from dicomdock.origin.view import View
from tests import builders
from tests.imaging.scans import put_pixels

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def header(dtype: str = "<u2", **attributes: object) -> Dataset:
    """Return the header of a grey image."""
    dataset = builders.composite(SecondaryCaptureImageStorage)
    put_pixels(dataset, np.zeros((2, 2), dtype))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def table(entries: np.ndarray, first: int, bits: int, *, vr: str = "US") -> Dataset:
    """Return an item of the Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    data = entries.astype("<u2")
    item.add_new("LUTData", vr, data.tobytes() if vr == "OW" else data.tolist())
    item.ModalityLUTType = "US"
    return item


def steps(values: np.ndarray, curve: Curve) -> np.ndarray:
    """Return grey as vtkImageMapToWindowLevelColors and a table of 256 colours make it."""
    at = np.floor((values - curve.low) * (255 / (curve.high - curve.low))).clip(0, 255).astype(int)
    return at if curve.shades is None else curve.shades[at]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(FUNCTIONS),
    st.floats(-2000, 4000),
    st.floats(1, 5000),
    st.sampled_from(["<i2", "<u2"]),
)
def test_windows_are_those_of_pydicom_and_of_256_steps(
    function: str, center: float, width: float, dtype: str
) -> None:
    center, width = round(center, 2), round(width, 2)
    dataset = header(dtype, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    (window,) = windows_of(dataset)
    values = np.arange(0 if dtype == "<u2" else -3000, 5000).astype(dtype)
    with np.errstate(over="ignore"):
        exact = apply_windowing(values, dataset)
    low, high = (0, 65535) if dtype == "<u2" else (-32768, 32767)
    due = (exact - low) / (high - low) * 255
    assert np.abs(windowed(values, window) - due).max() <= 0.51
    curve = curve_of(window)
    assert np.abs(steps(values, curve).astype(int) - due).max() <= (2.2 if function == "SIGMOID" else 1.01)
    back = window_of(curve.low, curve.high, window)
    assert (back.center, back.width) == pytest.approx((center, width), abs=1e-5)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 256) | st.sampled_from([1024, 4096, 65536]),
    st.integers(-1000, 1000),
    st.sampled_from([8, 12, 16]),
    st.sampled_from(["US", "OW"]),
    st.integers(0, 2**32 - 1),
)
def test_lookup_tables_are_those_of_pydicom_and_of_256_steps(
    count: int, first: int, bits: int, vr: str, seed: int
) -> None:
    entries = np.random.default_rng(seed).integers(0, 1 << bits, count)
    dataset = header("<i2", VOILUTSequence=[table(entries, first, bits, vr=vr)])
    window = windows_of(dataset)[0]
    values = np.arange(-2000, 3000, dtype=np.int16)
    if bits > 8:  # of tables with 8 bits pydicom wraps the indices round
        due = apply_voi(values, dataset).astype(int) >> (bits - 8)
        assert (
            np.abs(windowed(values, window).astype(int) - due).max()
            <= int(entries.max() < 1 << bits - 1) * 255
        )
    else:
        due = entries[(values.astype(int) - first).clip(0, count - 1)]
        assert np.array_equal(windowed(values, window), due)
    low, high = window.table.active if window.table else (0, 0)
    if high - low < 256:
        assert np.array_equal(steps(values, curve_of(window)), windowed(values, window))


def test_a_smooth_table_of_many_entries_is_close_in_256_steps() -> None:
    """The curve of a mammography unit: flat at either end, steep in the middle of 16,384 entries."""
    at = np.arange(16384)
    entries = np.rint(4095 / (1 + np.exp(-(at - 7000) / 700)))
    (window,) = windows_of(header(VOILUTSequence=[table(entries, 0, 12)]))
    curve = curve_of(window)
    assert np.abs(steps(at, curve).astype(int) - windowed(at.astype(np.uint16), window)).max() <= 6
    assert curve.high - curve.low < 14000  # the flat ends take no step


def test_odd_tables_are_read_as_they_are_meant() -> None:
    ramp = np.arange(256)
    item = table(ramp, 0, 8)
    item.add_new("LUTData", "OW", ramp.astype(np.uint8).tobytes())  # two entries a word
    found = read_table(item)
    assert found is not None and np.array_equal(found.entries, ramp)
    found = read_table(table(ramp * 16, 0, 8))  # of more bits than stated
    assert found is not None and found.bits == 12
    item = table(ramp, 0, 8)
    item.add_new("LUTDescriptor", "US", [256, 65436, 8])  # -100 by the wrong VR
    found = read_table(item, signed=True)
    assert found is not None and found.first == -100
    for broken in (Dataset(), table(ramp, 0, 8)):
        broken.pop("LUTData", None)
        assert read_table(broken) is None
    assert windows_of(header(VOILUTSequence=[Dataset()], WindowCenter=5, WindowWidth=2)) == (Window(5, 2),)


def test_a_window_less_than_one_value_wide_is_taken_as_it_is() -> None:
    (window,) = windows_of(header(WindowCenter=0.5, WindowWidth=0.5))
    assert windowed(np.array([0.2, 0.375, 0.5, 0.8], np.float32), window).tolist() == [0, 64, 128, 255]


@pytest.mark.parametrize("bits", [8, 16])
def test_modality_tables_are_those_of_pydicom(bits: int) -> None:
    entries = np.random.default_rng(3).integers(0, 1 << bits, 900)
    dataset = header("<i2", ModalityLUTSequence=[table(entries, -200, bits)])
    values = np.arange(-500, 1200, dtype=np.int16)
    found = modality_table(dataset)
    assert found is not None
    assert np.array_equal(found.apply(values), apply_modality_lut(values, dataset))


INVERSION = ("PhotometricInterpretation", "PresentationLUTShape")


@pytest.mark.parametrize(
    ("option", "attributes"),
    [
        ("+Wi", {"WindowCenter": 700, "WindowWidth": 900}),
        ("+Wi", {"WindowCenter": 700, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"}),
        ("+Wi", {"WindowCenter": 700, "WindowWidth": 900, "PhotometricInterpretation": "MONOCHROME1"}),
        *(
            ("+Wi", {"WindowCenter": 700, "WindowWidth": 900, **dict(zip(INVERSION, stated, strict=True))})
            for stated in product(("MONOCHROME1", "MONOCHROME2"), ("IDENTITY", "INVERSE"))
        ),
        ("+Wl", {"VOILUTSequence": [table(np.arange(2000)[::-1] * 2, 100, 12)]}),
        (
            "+Wi",
            {
                "ModalityLUTSequence": [table(np.arange(3000) // 2, 0, 16)],
                "WindowCenter": 500,
                "WindowWidth": 700,
            },
        ),
    ],
)
def test_pictures_are_those_of_dcmtk(option: str, attributes: dict[str, object], tmp_path: Path) -> None:
    program = shutil.which("dcm2pnm") or pytest.skip(
        "dcm2pnm is not here; to run this test: apt install dcmtk"
    )
    dataset = header()
    put_pixels(dataset, np.arange(2400, dtype=np.uint16).reshape(40, 60))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    file, made = tmp_path / "image.dcm", tmp_path / "image.pgm"
    file.write_bytes(builders.made(dataset).data)
    subprocess.run([program, option, "1", file, made], check=True, capture_output=True, timeout=60)
    ours = tmp_path / "ours.png"
    ours.write_bytes(render(file, 1, View(media_type="image/png")))
    seen, due = (np.asarray(Image.open(one)).astype(int) for one in (ours, made))
    assert np.abs(seen - due).max() <= 2
