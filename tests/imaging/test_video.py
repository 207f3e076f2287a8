"""Videos in DICOM instances; the stream is FFmpeg's, its player Chromium (``tests/viewer``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import HEVCMP51, MPEG2MPML, MPEG4HP41, JPEGBaseline8Bit, VideoEndoscopicImageStorage

from dicomdock.errors import GeometryError
from dicomdock.imaging.video import is_video, read_video
from tests.builders import composite

MP4 = Path(__file__).with_name("video.mp4").read_bytes()
"""One second of H.264, 64 x 48 pixels, a white box on red that moves to the right."""


def endoscopy(fragments: Sequence[bytes] = (MP4,), syntax: str = MPEG4HP41) -> Dataset:
    """Make a video object of the fragments of its stream."""
    dataset = composite(VideoEndoscopicImageStorage, Modality="ES")
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 48, 64, 10
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = (
        3,
        "YBR_PARTIAL_420",
        0,
    )
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = encapsulate([b"".join(fragments)], fragments_per_frame=len(fragments), has_bot=False)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


@pytest.mark.parametrize("fragments", [1, 3])
def test_the_stream_comes_out_as_it_went_in(fragments: int) -> None:
    step = -(-len(MP4) // fragments)
    video = read_video(endoscopy([MP4[at : at + step] for at in range(0, len(MP4), step)]))
    assert video.data.rstrip(b"\0") == MP4.rstrip(b"\0")
    assert (video.media_type, video.suffix, video.playable) == ("video/mp4", ".mp4", True)


@pytest.mark.parametrize(
    ("data", "syntax", "suffix"),
    [
        (b"G" + bytes(187) + b"G" + bytes(187), MPEG4HP41, ".ts"),
        (b"\0\0\1\xba" + bytes(60), MPEG2MPML, ".mpg"),
        (b"\0\0\1\xb3" + bytes(60), MPEG2MPML, ".mpg"),
        (b"\0\0\0\1\x67" + bytes(59), MPEG4HP41, ".h264"),
        (MP4, HEVCMP51, ".mp4"),
        (MP4, MPEG4HP41 + ".1", ".mp4"),
    ],
    ids=["transport stream", "program stream", "MPEG2", "H.264", "HEVC", "fragmentable"],
)
def test_the_container_is_what_the_bytes_are(data: bytes, syntax: str, suffix: str) -> None:
    video = read_video(endoscopy([data], syntax))
    assert video.suffix == suffix
    assert video.playable == (suffix == ".mp4" and syntax != HEVCMP51)


def test_what_is_not_a_video_is_an_error() -> None:
    empty = endoscopy()
    empty.PixelData = encapsulate([MP4], has_bot=False)[:8]  # the offset table alone
    with pytest.raises(GeometryError, match="holds no video"):
        read_video(empty)
    with pytest.raises(GeometryError, match="not a video"):
        read_video(endoscopy(syntax=JPEGBaseline8Bit))
    assert not is_video("1.2.840.10008.1.2.4.110")  # JPEG XL
