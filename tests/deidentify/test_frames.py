"""Comments in compressed frames do not leave, and pixels do not change."""

from __future__ import annotations

import io

import hypothesis.strategies as st
import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless

from dicomdock.deidentify.frames import _streams, _texts
from dicomdock.imaging.codecs import pixel_array
from tests.builders import ct_series, encode
from tests.deidentify.canaries import found
from tests.deidentify.conftest import deidentified
from tests.deidentify.test_colors import built

JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
CANARY = b"Q7FE00010Z"


def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (16, 24), np.uint8)


def jpeg() -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = CANARY.decode()  # ImageDescription
    profile = built("LAB", False).replace(b"Quagmire", CANARY[:8])
    Image.fromarray(picture()).save(
        file, "JPEG", comment=CANARY, exif=exif, quality=95, icc_profile=profile + CANARY
    )
    thumbnail = b"\xff\xe0\x00\x0dJFXX\0" + CANARY[:6]
    return file.getvalue()[:2] + thumbnail + file.getvalue()[2:] + CANARY * 2


def progressive() -> bytes:
    """Return a JPEG of several scans, with a comment before each."""
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, "JPEG", progressive=True, quality=95)
    first, *scans = file.getvalue().split(b"\xff\xda")
    assert len(scans) > 3
    comment = b"\xff\xfe\x00\x0c" + CANARY
    return first + b"".join(comment + b"\xff\xda" + scan for scan in scans) + CANARY * 2


def tiled() -> bytes:
    """Return a JPEG 2000 stream with a comment in the header of its tile."""
    data = imagecodecs.jpeg2k_encode(picture(), codecformat="j2k", level=0)
    comment = b"\xff\x64\x00\x0e\x00\x01" + CANARY
    tile, pixels = data.index(b"\xff\x90"), data.index(b"\xff\x93")
    size = int.from_bytes(data[tile + 6 : tile + 10], "big") + len(comment)
    head = data[: tile + 6] + size.to_bytes(4, "big") + data[tile + 10 : pixels]
    return head + comment + data[pixels:] + CANARY


def jpeg_ls() -> bytes:
    data = imagecodecs.jpegls_encode(picture())
    return data[:2] + b"\xff\xfe\x00\x0c" + CANARY + data[2:]


def jpeg_2000() -> bytes:
    data = imagecodecs.jpeg2k_encode(picture(), codecformat="j2k", level=0)
    end_of_size = 4 + int.from_bytes(data[4:6], "big")
    return data[:end_of_size] + b"\xff\x64\x00\x0e\x00\x01" + CANARY + data[end_of_size:]


def jp2() -> bytes:
    """Return a JPEG 2000 stream in a JP2 file with boxes of metadata, and a profile with texts."""
    file = io.BytesIO()
    profile = built("LAB", False).replace(b"Quagmire", CANARY[:8])
    Image.fromarray(picture()).save(file, "JPEG2000", irreversible=False, comment=CANARY)
    data = file.getvalue()

    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    head = data.index(b"jp2h") - 4
    stream = data.index(b"jp2c") - 4
    header = data[head + 8 : stream] + box(b"colr", b"\2\0\0" + profile)
    texts = (b"xml ", b"<a>" + CANARY + b"</a>"), (b"uuid", bytes(16) + CANARY), (b"jp2i", CANARY)
    told = b"".join(box(*one) for one in texts)
    long = b"\0\0\0\1free" + (16 + len(CANARY)).to_bytes(8, "big") + CANARY
    info = box(b"uinf", box(b"url ", b"\0\0\0\0http://" + CANARY))
    return data[:head] + box(b"jp2h", header) + told + long + info + data[stream:]


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (JPEGBaseline8Bit, jpeg()),
        (JPEGBaseline8Bit, progressive()),
        (JPEGLSLossless, jpeg_ls()),
        (JPEG2000Lossless, jpeg_2000()),
        (JPEG2000Lossless, tiled()),
        (JPEG2000Lossless, jp2()),
    ],
)
@pytest.mark.parametrize("fragments", [1, 3])
def test_no_comment_leaves_and_no_pixel_changes(syntax: str, frame: bytes, fragments: int) -> None:
    dataset = ct_series(1)[0].dataset
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.NumberOfFrames = 2
    dataset.PixelData = encapsulate([frame, frame], fragments_per_frame=fragments)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    data = encode(dataset)
    assert found(data) == {CANARY}
    made = deidentified(data)
    assert found(made.data) == set()
    assert CANARY[:6] not in made.data
    assert ("PixelData", "cleaned") in [(one.path, one.action) for one in made.changes]
    copy = dcmread(io.BytesIO(made.data))
    assert len(copy.PixelData) == len(dataset.PixelData)
    assert np.array_equal(pixel_array(copy), pixel_array(dcmread(io.BytesIO(data))))


@given(st.binary(max_size=200), st.sampled_from([b"\xff\xd8", b"\xff\x4f", JP2]))
def test_any_bytes_are_walked_to_an_end_within_them(data: bytes, start: bytes) -> None:
    data = start + data
    for first, last, text in _texts(data):
        assert 0 <= first <= last
        assert first <= len(data) + 6
        assert len(text) == last - first
    item = b"\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little") + data
    assert [*_streams(item * 2)] == [[(8, 8 + len(data))], [(16 + len(data), 16 + 2 * len(data))]]


@pytest.mark.parametrize("tail", [CANARY, CANARY * 200, b"\0" * 7 + CANARY])
@pytest.mark.parametrize("bits", [1, 16])
def test_what_lies_behind_the_last_frame_does_not_leave(tail: bytes, bits: int) -> None:
    dataset = ct_series(1)[0].dataset
    pixels = dataset.PixelData
    if bits == 1:
        dataset.BitsAllocated = dataset.BitsStored = 1
        dataset.HighBit = 0
        dataset.NumberOfFrames = 5
        pixels = pixels[: 16 * 24 * 5 // 8]
    dataset.PixelData = pixels + tail
    copy = dcmread(io.BytesIO(deidentified(encode(dataset)).data))
    assert copy.PixelData == pixels
