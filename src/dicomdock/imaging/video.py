"""Videos: the stream that a DICOM instance encapsulates, as a file that other programs play.

References
----------
PS3.5 §8.2.5 to §8.2.10 (MPEG2, MPEG-4 and HEVC transfer syntaxes), §A.4 (encapsulated pixel data).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.encaps import generate_fragments

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import text
from dicomdock.imaging.dataset import Instance, as_dataset, reading, transfer_syntax_of

_MPEG2 = ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101")
_MPEG4 = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(102, 107))
_HEVC = ("1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108")
"""What the UIDs of the transfer syntaxes begin with; those of fragmented streams have one more number."""

_PACKET = 188  # bytes of a packet of an MPEG transport stream, each of which begins with "G"


@dataclass(frozen=True, slots=True)
class Video:
    """A video.

    Parameters
    ----------
    media_type : of the file, for example ``video/mp4``.
    suffix : the ending that a file of it takes, with the dot.
    data : the file.
    playable : browsers play it.
    """

    media_type: str
    suffix: str
    data: bytes
    playable: bool


def is_video(transfer_syntax: str) -> bool:
    """Return whether a transfer syntax is one of video; its images are not decoded one by one."""
    return transfer_syntax.startswith((*_MPEG2, *_MPEG4, *_HEVC))


@reading("The video")
def read_video(instance: Instance) -> Video:
    """Take a video out of its DICOM instance, as it is; it may lie in several fragments.

    Raises
    ------
    GeometryError
        It is not a video, or an empty one.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    syntax = transfer_syntax_of(dataset)
    if not is_video(syntax):
        raise GeometryError("The instance is not a video.", [uid])
    stored = bytes(dataset.get("PixelData") or b"")
    # The first item is the offset table.
    data = b"".join([*generate_fragments(stored)][1:]) if stored else b""
    if not data:
        raise GeometryError("The instance holds no video.", [uid])
    suffix = _container(data, syntax)
    media_type = {".mp4": "video/mp4", ".ts": "video/mp2t", ".mpg": "video/mpeg"}.get(
        suffix, "application/octet-stream"
    )
    return Video(media_type, suffix, data, suffix == ".mp4" and syntax.startswith(_MPEG4))


def _container(data: bytes, syntax: str) -> str:
    """Return the ending of a file: the standard leaves the container to who stores, so its bytes say."""
    if data[4:8] == b"ftyp":
        return ".mp4"
    if data[:1] == b"G" and data[_PACKET : _PACKET + 1] in (b"G", b""):
        return ".ts"
    if data[:4] == b"\0\0\1\xba" or syntax.startswith(_MPEG2):
        return ".mpg"
    return ".h264" if syntax.startswith(_MPEG4) else ".h265"
