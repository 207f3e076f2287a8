"""Decoding: an instance or frame in the default transfer syntax, for clients that cannot read the stored one.

Plain functions over one file each, so that they can run in another process (``workers``).

References
----------
PS3.18 §8.7.3 (transfer syntaxes of instances and frames); PS3.5 §8, §A.4 (encapsulation).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import DataElement, Dataset, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.encaps import get_frame
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.pixels.utils import get_expected_length, pack_bits
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from dicomdock.dicom.dataset import read_dataset
from dicomdock.errors import NotAcceptable, NotFound, WireError
from dicomdock.imaging.codecs import decompress
from dicomdock.origin.reading import (
    check_frame,
    decodable_syntax,
    decode,
    mapped,
    number_of_frames,
    read_header,
    read_whole,
    transfer_syntax_of,
)

LARGE = 1 << 16  # bytes from which on a value is sent from its file, without being held in memory
PIECE = 1 << 18
MAX_DECODED = 1 << 31  # bytes of pixel data of one instance that we hold in memory to decode it
_PIXEL_TAGS = {(0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010)}
# Bytes of a word, whose order changes with the transfer syntax.
_SWAPPED = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}


def write_explicit(stored: Path, decoded: Path) -> None:
    """Write an instance in Explicit VR Little Endian: pixel data decompressed, the rest unchanged.

    Raises
    ------
    NotAcceptable
        It cannot be decoded here, or is too large to be.
    """
    with mapped("The instance"):
        dataset = read_whole(stored)
        _refuse_too_large(dataset)
        syntax = decodable_syntax(dataset)
        if syntax == ExplicitVRBigEndian:
            dataset.walk(_swap)
        elif syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian and "PixelData" in dataset:
            dataset.file_meta.TransferSyntaxUID = syntax
            decompress(dataset)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        with decoded.open("wb") as file:
            dcmwrite(file, dataset, implicit_vr=False, little_endian=True, force_encoding=True)


_SIZES = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "NumberOfFrames")


def _expected_length(dataset: Dataset, unit: str) -> int:
    """Return how many bytes or pixels an image has.

    Raises
    ------
    NotAcceptable
        A size has several values: a list times a number is a list as long as both make it.
    """
    if several := next((name for name in _SIZES if dataset.get(name) and dataset[name].VM > 1), ""):
        raise NotAcceptable(f"{several} has several values.", status=406)
    return int(get_expected_length(dataset, unit))


def _refuse_too_large(dataset: Dataset) -> None:
    try:
        size = _expected_length(dataset, "bytes")
    except (AttributeError, TypeError, ValueError):
        return  # no image
    if size > MAX_DECODED:
        raise NotAcceptable(
            f"{size >> 20} MB of pixels are too much to decode; ask for transfer-syntax=* or single frames.",
            status=406,
        )


def _swap(dataset: Dataset, element: DataElement) -> None:
    """Swap the bytes of binary values; pydicom does so for numbers but leaves these as they are."""
    size = _SWAPPED.get(element.VR)
    if size is None or not isinstance(element.value, bytes):
        return
    if element.keyword == "PixelData":
        size = max(size, int(dataset.get("BitsAllocated") or 0) // 8)
    whole = len(element.value) // size * size
    words = np.frombuffer(element.value[:whole], f">u{size}")
    element.value = words.astype(f"<u{size}").tobytes() + element.value[whole:]


def read_frame(stored: Path, number: int) -> bytes:
    """Read one frame as stored, touching only its own bytes; of deflated instances inflated.

    Parameters
    ----------
    number : 1-based.

    Raises
    ------
    NotAcceptable
        The instance has no pixel data, or its structure is broken.
    NotFound
        It has no such frame.
    """
    with mapped("The frame"), stored.open("rb") as file:
        source: BinaryIO = file
        header = read_header(file)
        if header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            source = _inflated(stored)
            header = read_header(source)
        check_frame(header, number)
        length = _enter_pixel_data(source, header)
        if length == 0xFFFFFFFF:
            table, lengths = header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths")
            return get_frame(
                source,
                number - 1,
                number_of_frames=number_of_frames(header),
                extended_offsets=(table, lengths) if table and lengths else None,
            )
        return _native_frame(source, header, number)


def _inflated(stored: Path) -> BinaryIO:
    buffer = BytesIO()
    dataset = read_whole(stored)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, force_encoding=True)
    buffer.seek(0)
    return buffer


def _enter_pixel_data(file: BinaryIO, header: Dataset) -> int:
    """Seek the first byte of the pixel data's value and return its length, as the element states it."""
    implicit, little = header.original_encoding
    order = "<" if little else ">"
    start = file.read(8)
    if len(start) < 8 or struct.unpack(f"{order}HH", start[:4]) not in _PIXEL_TAGS:
        raise NotAcceptable("There is no pixel data in it.", status=406)
    if implicit:
        return int(struct.unpack(f"{order}L", start[4:])[0])
    return int(struct.unpack(f"{order}L", file.read(4))[0])


def _native_frame(file: BinaryIO, header: Dataset, number: int) -> bytes:
    frames = number_of_frames(header)
    bits = _expected_length(header, "pixels") * int(header.BitsAllocated) // frames
    if bits % 8:  # segments of one bit: a frame may begin within a byte, but is sent from a byte of its own
        begin = (number - 1) * bits
        file.seek(begin // 8, 1)
        packed = np.frombuffer(file.read((begin + bits + 7) // 8 - begin // 8), np.uint8)
        single = np.unpackbits(packed, bitorder="little")[begin % 8 : begin % 8 + bits]
        return np.packbits(single, bitorder="little").tobytes()
    size = _expected_length(header, "bytes") // frames
    file.seek((number - 1) * size, 1)
    frame = file.read(size)
    if len(frame) < size:
        raise NotAcceptable(f"The instance ends before its frame {number} does.", status=406)
    return frame


def decode_frame(stored: Path, number: int) -> bytes:
    """Decode one frame to plain little-endian samples, colour by pixel; YBR becomes RGB, bits stay packed.

    Raises
    ------
    NotAcceptable
        It cannot be decoded here.
    NotFound
        There is no such frame.
    """
    with mapped("The frame"):
        header = read_header(stored)
        check_frame(header, number)
        samples = decode(stored, header, number, every_bit=True)
        if header.get("BitsAllocated") == 1:
            return pack_bits(samples, pad=False)
        return samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()


def frame_count(stored: Path) -> int:
    """Count the frames of an instance.

    Raises
    ------
    NotAcceptable
        There is no pixel data.
    """
    with mapped("The instance"):
        header = read_header(stored)
        check_frame(header, 1)
        return number_of_frames(header)


def value_range(stored: Path, path: Sequence[str]) -> tuple[int, int] | None:
    """Return where in the file a large value stands as it is to be sent: its beginning and its length.

    None where it must be read for that: it is short, inside a sequence, of undefined or odd length, in
    another byte order, or deflated.
    """
    if len(path) != 1:
        return None
    try:
        with stored.open("rb") as file:
            dataset = read_dataset(file, defer=LARGE)
    except WireError:
        return None
    if not dataset.original_encoding[1] or transfer_syntax_of(dataset) == DeflatedExplicitVRLittleEndian:
        return None
    element = dict(dataset.items()).get(BaseTag(int(path[0], 16)))
    if not isinstance(element, RawDataElement) or element.value is not None or element.length % 2:
        return None
    end = element.value_tell + element.length
    return (element.value_tell, element.length) if end <= stored.stat().st_size else None


def read_range(stored: Path, begin: int, length: int) -> Iterator[bytes]:
    """Read a part of a file, a piece at a time."""
    with stored.open("rb", buffering=0) as file:
        file.seek(begin)
        while length and (piece := file.read(min(PIECE, length))):
            length -= len(piece)
            yield piece


def read_value(stored: Path, path: Sequence[str]) -> bytes:
    """Read one value as Explicit VR Little Endian would write it.

    Parameters
    ----------
    path : tag, and for a value inside sequences item number (from 0), tag and so on.

    Raises
    ------
    NotFound
        There is no such value.
    """
    with mapped("The value"):
        dataset: Dataset = read_whole(stored)
        try:
            for tag, item in zip(path[:-1:2], path[1::2], strict=True):
                dataset = dataset[int(tag, 16)].value[int(item)]
            element = dataset[int(path[-1], 16)]
        except (KeyError, IndexError, TypeError, AttributeError):
            raise NotFound(f"The instance has no value at {'/'.join(path)}.") from None
        if element.VR == "SQ":
            raise NotFound(f"{'/'.join(path)} is a sequence, not a value.")
        if not dataset.original_encoding[1]:
            _swap(dataset, element)
        buffer = DicomBytesIO()
        buffer.is_implicit_VR, buffer.is_little_endian = True, True
        encodings = dataset.original_character_set or "iso8859"
        write_data_element(buffer, element, encodings if isinstance(encodings, str) else list(encodings))
        return buffer.getvalue()[8:]  # after tag and length
