"""Overlays (60xx) in pictures, beside dcm2pnm."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import pack_bits
from pydicom.uid import SecondaryCaptureImageStorage

from dicomdock.origin.rendering import render
from dicomdock.origin.view import View
from tests.builders import composite, made

ROWS, COLUMNS = 7, 11


def image(photometric: str = "MONOCHROME2", frames: int = 1, cells: np.ndarray | None = None) -> Dataset:
    """Make an image of 100 everywhere, of 12 bits in 16."""
    dataset = composite(SecondaryCaptureImageStorage)
    dataset.Rows, dataset.Columns, dataset.PhotometricInterpretation = ROWS, COLUMNS, photometric
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.WindowCenter, dataset.WindowWidth = 128, 256
    if frames > 1:
        dataset.NumberOfFrames = frames
    cells = np.full((frames, ROWS, COLUMNS), 100, np.uint16) if cells is None else cells
    dataset.PixelData = cells.astype("<u2").tobytes()
    return dataset


def put(dataset: Dataset, group: int, bits: np.ndarray | None, **attributes: int | list[int]) -> None:
    """Add an overlay; the bits may have several frames."""
    base = group << 16
    rows, columns = bits.shape[-2:] if bits is not None else (ROWS, COLUMNS)
    dataset.add_new(base | 0x10, "US", rows)
    dataset.add_new(base | 0x11, "US", columns)
    dataset.add_new(base | 0x40, "CS", "G")
    dataset.add_new(base | 0x50, "SS", attributes.get("origin", [1, 1]))
    dataset.add_new(base | 0x100, "US", attributes.get("allocated", 1))
    dataset.add_new(base | 0x102, "US", attributes.get("bit", 0))
    if "frames" in attributes:
        dataset.add_new(base | 0x15, "IS", attributes["frames"])
    if "first" in attributes:
        dataset.add_new(base | 0x51, "US", attributes["first"])
    if bits is not None:
        dataset.add_new(base | 0x3000, "OW", pack_bits(bits.astype(np.uint8).reshape(-1)))


def pictured(dataset: Dataset, folder: Path, frame: int = 1) -> np.ndarray:
    file = folder / "stored.dcm"
    file.write_bytes(made(dataset).data)
    return np.asarray(Image.open(BytesIO(render(file, frame, View(media_type="image/png")))))


def judged(folder: Path, frame: int = 1) -> np.ndarray:
    """Return what dcm2pnm makes of the file that was pictured last."""
    program = shutil.which("dcm2pnm")
    if program is None:
        pytest.skip("dcm2pnm is not installed; to run this test: apt install dcmtk")
    target = folder / "judged.pgm"
    command = [program, "--frame", str(frame), folder / "stored.dcm", target]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return np.asarray(Image.open(target))


def some_bits(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape) < 0.3


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_overlays_of_several_groups_are_white_wherever_they_lie(tmp_path: Path, photometric: str) -> None:
    dataset = image(photometric)
    put(dataset, 0x6000, some_bits(3, 5), origin=[-1, 9])  # partly above and to the right
    put(dataset, 0x6002, some_bits(2, 3), origin=[4, 2])
    put(dataset, 0x601E, some_bits(20, 20), origin=[6, -3])
    shown = pictured(dataset, tmp_path)
    covered = judged(tmp_path) == 255
    assert 5 < covered.sum() < 50
    assert np.array_equal(shown == 255, covered)
    assert len(np.unique(shown[~covered])) == 1


def test_overlays_in_unused_bits_are_white(tmp_path: Path) -> None:
    first, second = some_bits(1, ROWS, COLUMNS), some_bits(1, ROWS, COLUMNS)[:, ::-1]
    cells = np.full((1, ROWS, COLUMNS), 100, np.uint16) | first * 0x1000 | second * 0x8000
    dataset = image(cells=cells)
    put(dataset, 0x6000, None, allocated=16, bit=12)
    put(dataset, 0x6002, None, allocated=16, bit=15)
    put(dataset, 0x6004, None, allocated=16, bit=5)  # of the samples themselves: not free
    shown = pictured(dataset, tmp_path)
    assert np.array_equal(shown == 255, (first | second)[0])
    del dataset[0x60040010:0x60050000]
    pictured(dataset, tmp_path)
    assert np.array_equal(shown == 255, judged(tmp_path) == 255)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planes", "attributes"),
    [
        (2, {"frames": 2, "first": 2}),
        (2, {"frames": 2}),
        (1, {"frames": 1, "first": 3}),
        (1, {"frames": 1}),
        (1, {}),
        (4, {"frames": 4, "first": 1}),
    ],
)
def test_planes_belong_to_frames(tmp_path: Path, planes: int, attributes: dict[str, int]) -> None:
    dataset = image(frames=4)
    put(dataset, 0x6000, some_bits(planes, ROWS, COLUMNS), **attributes)
    found = []
    for frame in (1, 2, 3, 4):
        covered = pictured(dataset, tmp_path, frame) == 255
        assert np.array_equal(covered, judged(tmp_path, frame) == 255), frame
        found.append(covered.any())
    assert any(found)


def test_colours_have_overlays_too(tmp_path: Path) -> None:
    dataset = image("RGB")
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = bytes([100, 50, 20] * ROWS * COLUMNS) + b"\0"
    bits = some_bits(ROWS, COLUMNS)
    put(dataset, 0x6000, bits)
    shown = pictured(dataset, tmp_path)
    assert (shown[bits] == 255).all()
    assert (shown[~bits] == [100, 50, 20]).all()


@pytest.mark.slow
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.sampled_from([0, 1, 7, 8, 65535]),
    columns=st.sampled_from([0, 1, 11, 65535]),
    origin=st.lists(st.integers(-32768, 32767), max_size=3),
    data=st.binary(max_size=40),
    numbers=st.dictionaries(st.sampled_from(["frames", "first", "allocated", "bit"]), st.integers(0, 65535)),
)
def test_an_overlay_that_is_not_what_it_claims_leaves_the_image(
    tmp_path: Path, rows: int, columns: int, origin: list[int], data: bytes, numbers: dict[str, int]
) -> None:
    dataset = image()
    put(dataset, 0x6000, np.zeros((1, 1), bool), **numbers)
    dataset[0x60000010].value, dataset[0x60000011].value = rows, columns
    dataset[0x60000050].value, dataset[0x60003000].value = origin, data + b"\0" * (len(data) % 2)
    assert set(np.unique(pictured(dataset, tmp_path))) <= {100, 255}
