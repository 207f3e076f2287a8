"""Reading a stored instance: its header, what it has to show, and every failure as one sentence.

References
----------
PS3.3 §C.7.6.3 (image pixel module); PS3.5 §A.4 (transfer syntaxes of encapsulated pixel data).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomdock.dicom.dataset import read_dataset
from dicomdock.errors import DicomdockError, NotAcceptable, NotFound, WireError
from dicomdock.imaging.codecs import RETIRED_JPEG, Array, pixel_array

MAX_FRAME = 1 << 27  # samples of one frame that we decode: 8192 x 8192 in grey and twice that


@contextmanager
def mapped(what: str) -> Iterator[None]:
    """Let every failure of pydicom and its decoders be one sentence: they raise anything on hostile bytes.

    Parameters
    ----------
    what : what cannot be made, as the beginning of the sentence.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DicomdockError) and not isinstance(error, WireError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]
        raise NotAcceptable(f"{what} cannot be made of the stored instance: {reason}.", status=406) from error


def read_header(stored: Path | BinaryIO) -> Dataset:
    """Read everything before the pixel data; an open file stands at them then."""
    if isinstance(stored, Path):
        with stored.open("rb") as file:
            return read_header(file)
    return _completed(read_dataset(stored, pixels=False))


def read_whole(stored: Path) -> Dataset:
    """Read an instance with its pixel data."""
    with stored.open("rb") as file:
        return read_dataset(file)


def decode(stored: Path, header: Dataset, frame: int, *, every_bit: bool = False) -> Array:
    """Decode one frame; only its own bytes are read where the transfer syntax allows.

    Parameters
    ----------
    frame : 1-based.
    every_bit : with what lies beside the samples in Bits Allocated.
    """
    at, syntax = frame - 1, decodable_syntax(header)
    try:
        return pixel_array(stored, header=header, every_bit=every_bit, index=at, transfer_syntax_uid=syntax)
    except (AttributeError, TypeError, BytesLengthException):
        # An attribute is missing that the header was completed by, or only ``read_file`` can read the file.
        return pixel_array(_completed(read_whole(stored)), every_bit=every_bit, index=at)


def _completed(dataset: Dataset) -> Dataset:
    """Add what decoders ask for and real images leave out, where only one value makes sense."""
    if "Rows" in dataset and "BitsAllocated" in dataset:
        colour = str(dataset.get("PhotometricInterpretation", "")).startswith(("RGB", "YBR"))
        defaults = {
            "SamplesPerPixel": 3 if colour else 1,
            "PixelRepresentation": 0,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsStored": dataset.BitsAllocated,
        }
        for keyword, value in defaults.items():
            if dataset.get(keyword) is None:
                setattr(dataset, keyword, value)
    return dataset


def transfer_syntax_of(dataset: Dataset) -> UID:
    """Return the transfer syntax that the file meta information names, or that it was read with."""
    if named := dataset.file_meta.get("TransferSyntaxUID"):
        return UID(str(named))
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def decodable_syntax(dataset: Dataset) -> UID:
    """Return the transfer syntax by a name that pydicom has a decoder for."""
    syntax = transfer_syntax_of(dataset)
    return RETIRED_JPEG.get(syntax, syntax)


def check_frame(header: Dataset, frame: int) -> None:
    """Refuse what has no picture, or not this frame, before anything is decoded.

    Raises
    ------
    NotAcceptable
        The instance has no pixel data, or more of it than we decode.
    NotFound
        The frame number is beyond the last.
    """
    if not (header.get("Rows") and header.get("Columns")):
        name = UID(str(header.get("SOPClassUID", ""))).name or "no SOP Class UID"
        raise NotAcceptable(f"There is no picture in it: it states no rows and columns ({name}).", status=406)
    frames = number_of_frames(header)
    if not 1 <= frame <= frames:
        raise NotFound(f"Frame {frame} was asked for, but the instance has frames 1 to {frames}.")
    samples = int(header.Rows) * int(header.Columns) * int(header.get("SamplesPerPixel") or 1)
    if samples > MAX_FRAME:
        raise NotAcceptable(
            f"A frame of {header.Columns} x {header.Rows} pixels is too large to decode.", status=406
        )


def number_of_frames(header: Dataset) -> int:
    """Count the frames that the header names; one where it names none or nonsense."""
    try:
        return max(1, int(header.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1
