"""Pixel data are decoded as other decoders decode them, by libraries whose licences allow it."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread, examples
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLosslessSV1

from dicomdock.errors import MissingDependency
from dicomdock.imaging import codecs
from dicomdock.origin.decoding import decode_frame
from tests.builders import ct_series
from tests.conftest import shared_data, unavailable

imagecodecs = pytest.importorskip("imagecodecs")

KINDS = ("50", "51", "53", "55", "57", "70")
ZOO = "zoo/transfer-syntaxes"


def jpeg_files() -> list[Path]:
    """List the JPEG files of pydicom's own test data."""
    names = ("JPEG-lossy.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_dcmtk_+eb+cy+n2.dcm")
    return [Path(str(get_testdata_file(name))) for name in names]


def dcmtk(program: str, *arguments: object) -> None:
    """Run a program of dcmtk."""
    if shutil.which(program) is None:
        unavailable(program, "apt-get install dcmtk")
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)


def by_dcmtk(file: Path, folder: Path, colours: str = "+cn") -> np.ndarray:
    """Decode a JPEG file with dcmtk, colours as coded, or (``+cp``) as RGB."""
    decoded = folder / "decoded.dcm"
    dcmtk("dcmdjpeg", colours, file, decoded)
    return codecs.pixel_array(decoded, raw=True)


@pytest.mark.parametrize("file", jpeg_files(), ids=lambda file: file.stem)
def test_jpeg_of_pydicoms_data_decodes_as_dcmtk_decodes_it(file, tmp_path):
    dataset = dcmread(file)
    ours = codecs.pixel_array(dataset, raw=True).astype(int)
    assert np.abs(ours - by_dcmtk(file, tmp_path)).max() <= 1  # inverse DCTs differ in the last bit


@pytest.mark.slow
def test_jpeg_of_every_kind_decodes_as_dcmtk_decodes_it(tmp_path):
    files = [
        file for file in shared_data(*ZOO.split("/")).iterdir() if "CTImage.dcm_JPEGProcess" in file.name
    ]
    kinds = set()
    for file in files:
        dataset = dcmread(file)
        syntax = dataset.file_meta.TransferSyntaxUID
        dataset.file_meta.TransferSyntaxUID = codecs.RETIRED_JPEG.get(syntax, syntax)
        ours = codecs.pixel_array(dataset).astype(int)
        difference = np.abs(ours - by_dcmtk(file, tmp_path)).max()
        assert difference <= (0 if syntax[-2:] in ("57", "70") else 1), file.name
        kinds.add(syntax[-2:])
    assert kinds == set(KINDS)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("kind", ["noise", "edges"])
def test_colours_of_jpeg_are_those_that_dcmtk_and_browsers_show(tmp_path, kind, subsampling):
    random = np.random.default_rng(5)
    if kind == "noise":
        pixels = random.integers(0, 256, (61, 83, 3), np.uint8)
    else:
        pixels = random.integers(0, 2, (11, 13, 3), np.uint8).repeat(5, 0).repeat(7, 1) * np.uint8(255)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=70, subsampling=subsampling)
    dataset = ct_series(1)[0].dataset
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PlanarConfiguration = 7, 0, 0
    dataset.PhotometricInterpretation = "YBR_FULL" if subsampling == "4:4:4" else "YBR_FULL_422"
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    meta = FileMetaDataset(dataset.file_meta)
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.file_meta = meta
    file = tmp_path / "coded.dcm"
    dataset.save_as(file, enforce_file_format=True)
    ours = codecs.pixel_array(file).astype(int)
    assert np.abs(ours - np.asarray(Image.open(stream)).astype(int)).max() <= 1
    assert np.abs(ours - by_dcmtk(file, tmp_path, "+cp")).max() <= 1


def lossless(pixels: np.ndarray, **attributes: object) -> Dataset:
    """Make an instance whose one frame libjpeg-turbo codes without loss."""
    dataset = ct_series(1)[0].dataset
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    dataset.PixelRepresentation = 0
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    if pixels.ndim == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    space = "RGB" if pixels.ndim == 3 else None
    frame = imagecodecs.jpeg8_encode(pixels, lossless=True, colorspace=space, outcolorspace=space)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    meta = FileMetaDataset(dataset.file_meta)
    meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.file_meta = meta
    return dataset


@pytest.mark.slow
@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    kind=st.sampled_from(["u1", "u2", "colour"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_lossless_jpeg_gives_back_every_value(rows, columns, kind, seed):
    random = np.random.default_rng(seed)
    shape = (rows, columns, 3) if kind == "colour" else (rows, columns)
    dtype = "u2" if kind == "u2" else "u1"
    pixels = random.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    assert (codecs.pixel_array(lossless(pixels)) == pixels).all()


def by_dcm2pnm(file: Path, bits: int, folder: Path) -> np.ndarray:
    """Return the samples of the first frame as dcmtk reads them, from 0."""
    picture = folder / "picture.pgm"
    options = ["--no-overlays", "--no-modality", "--no-windowing", "--write-n-bit-pnm", str(bits)]
    dcmtk("dcm2pnm", *options, file, picture)
    lines = [line for line in picture.read_text().splitlines() if not line.startswith("#")]
    _, columns, rows, _, *samples = " ".join(lines).split()
    return np.array(samples, int).reshape(int(rows), int(columns))


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [["dcmconv", "+te"], ["dcmconv", "+ti"], ["dcmconv", "+tb"], ["dcmconv", "+td"], ["dcmcrle"]],
    ids=["explicit", "implicit", "big endian", "deflated", "RLE"],
)
@pytest.mark.parametrize(
    ("stored", "high"), [(12, 15), (12, 13), (12, 11), (10, 15), (8, 15), (8, 8), (16, 15)]
)
@pytest.mark.parametrize("signed", [False, True])
def test_samples_end_at_the_high_bit_whatever_lies_around_them(tmp_path, program, stored, high, signed):
    random = np.random.default_rng(stored + high)
    low = -(1 << stored - 1) if signed else 0
    values = random.integers(low, low + (1 << stored), (2, 23, 31))
    values[0, 0, :2] = low, low + (1 << stored) - 1
    below = high + 1 - stored
    mask = ((1 << stored) - 1) << below
    others = random.integers(0, 1 << 16, values.shape) & ~mask  # overlays, in the bits that are left over
    dataset = ct_series(1)[0].dataset
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, stored, high
    dataset.PixelRepresentation = int(signed)
    coded = ((values << below) & mask | others).astype("<u2")
    dataset.PixelData = coded.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        if keyword in dataset:
            delattr(dataset, keyword)
    plain, file = tmp_path / "plain.dcm", tmp_path / "coded.dcm"
    dataset.save_as(plain, enforce_file_format=True)
    dcmtk(*program, plain, file)
    # pydicom does not inflate a file whose pixels it looks for; whoever reads such a file reads all of it
    for source in [dcmread(file)] if "+td" in program else [file, dcmread(file)]:
        found = codecs.pixel_array(source, header=dcmread(file, stop_before_pixels=True))
        assert np.array_equal(found, values)
    assert np.array_equal(list(codecs.iter_pixels(dcmread(file))), values)
    assert np.array_equal(by_dcm2pnm(file, stored, tmp_path), values[0] - low)


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (12, 11), (8, 8), (16, 15)])
@pytest.mark.parametrize("signed", [False, True])
def test_run_length_decoding_keeps_every_bit(tmp_path, stored, high, signed):
    coded = np.random.default_rng(high).integers(0, 1 << 16, (2, 23, 31)).astype("<u2")
    dataset = ct_series(1)[0].dataset
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = coded.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, stored, high
    dataset.PixelRepresentation, dataset.PixelData = int(signed), coded.tobytes()
    plain, file = tmp_path / "plain.dcm", tmp_path / "coded.dcm"
    dataset.save_as(plain, enforce_file_format=True)
    dcmtk("dcmcrle", plain, file)
    decoded = dcmread(file)
    codecs.decompress(decoded)
    assert decoded.PixelData == coded.tobytes()
    assert [decode_frame(file, number) for number in (1, 2)] == [frame.tobytes() for frame in coded]


def test_signed_values_stay_signed():
    pixels = np.array([[-1024, -1], [0, 3071]], "i2")
    decoded = codecs.pixel_array(lossless(pixels.view("u2"), PixelRepresentation=1))
    assert decoded.dtype == np.dtype("i2")
    assert (decoded == pixels).all()


def test_a_frame_of_another_size_than_stated_is_refused_before_it_is_decoded(monkeypatch):
    dataset = lossless(np.zeros((8, 8), "u2"))
    dataset.Rows = 9
    monkeypatch.setattr(imagecodecs, "jpeg8_decode", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(RuntimeError, match=r"has \(8, 8, 1\) rows, columns and samples, not \(9, 8, 1\)"):
        codecs.pixel_array(dataset)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data matches")  # by chance
@given(st.binary(max_size=200))
def test_bytes_that_are_not_jpeg_are_an_error(data):
    dataset = lossless(np.zeros((8, 8), "u1"))
    dataset.PixelData = encapsulate([b"\xff\xd8" + data + b"\0"])
    with pytest.raises((RuntimeError, ValueError)):
        codecs.pixel_array(dataset)


def test_without_the_decoder_the_error_names_the_command(monkeypatch):
    dataset = lossless(np.zeros((8, 8), "u1"))
    monkeypatch.setattr(codecs, "is_available", lambda _: False)
    monkeypatch.setattr(imagecodecs, "jpeg8_decode", lambda *_, **__: (_ for _ in ()).throw(ImportError()))
    with pytest.raises(MissingDependency, match=r"pip install 'dicomdock\[codecs\]'"):
        codecs.pixel_array(dataset)
    with pytest.raises(MissingDependency):
        list(codecs.iter_pixels(dataset))
    with pytest.raises(MissingDependency):
        codecs.decompress(dataset)


def test_other_failures_stay_what_they_are():
    dataset = examples.jpeg2k
    dataset.PixelData = encapsulate([b"no JPEG 2000"])
    with pytest.raises(RuntimeError):
        codecs.pixel_array(dataset)


def test_twelve_bits_are_kept():
    file = get_testdata_file("JPGExtended.dcm")
    dataset = dcmread(str(file))
    assert dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit
    assert codecs.pixel_array(dataset).max() > 255
