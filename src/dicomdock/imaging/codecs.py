"""Decode pixel data: the one way to pydicom's decoders, with the JPEG kinds that Pillow does not read.

Pillow reads 8-bit JPEG, pyjpegls JPEG-LS, openjpeg JPEG 2000, pydicom itself RLE. Lossless and 12-bit JPEG
are read by libjpeg-turbo through imagecodecs (``dicomdock[codecs]``). pylibjpeg-libjpeg reads them too where
imagecodecs is not installed, but cuts 16-bit lossless values at 4095; it is GPL-3.0, so only the user
installs it (``dicomdock[libjpeg]``). For 8-bit lossy JPEG it is asked last: it interpolates subsampled
colours in another way than libjpeg, and thus dcmtk, GDCM and browsers (11 of 255 apart at edges).

References
----------
PS3.5 §8.2.1, §A.4.1 (JPEG in encapsulated pixel data); ISO/IEC 10918-1 §B.2.2 (frame header).
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels import utils
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from dicomdock.errors import MissingDependency
from dicomdock.imaging.attributes import integer
from dicomdock.imaging.dataset import transfer_syntax_of

Array: TypeAlias = npt.NDArray[Any]

DECODER_DEPENDENCIES = dict.fromkeys((JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), ("imagecodecs",))
"""What pydicom asks a plugin for: transfer syntax -> packages that it needs."""

RETIRED_JPEG = {
    UID("1.2.840.10008.1.2.4.53"): JPEGExtended12Bit,
    UID("1.2.840.10008.1.2.4.55"): JPEGExtended12Bit,
}
"""Retired transfer syntaxes of lossy JPEG -> the one whose decoder reads their streams; pydicom has none."""

_SAMPLES_IN_BYTES = frozenset(
    {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
    }
)
"""Transfer syntaxes whose samples lie in Bits Allocated; codestreams state their own bits."""

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def pixel_array(
    source: Any, *, header: Dataset | None = None, every_bit: bool = False, **options: Any
) -> Array:
    """Return the pixels of an instance or of one of its frames, as ``pydicom.pixels.pixel_array`` does.

    Samples that do not begin at the lowest bit, as in images of before 2014, are shifted there.

    Parameters
    ----------
    source : a Dataset, or a file that pydicom reads one from.
    header : of the instance, where the source is a file.
    every_bit : return the samples with all that lies in Bits Allocated beside them, as overlays do.

    Raises
    ------
    MissingDependency
        The transfer syntax needs a decoder that is not installed.
    """
    low, bits = _bits_beside(source if header is None else header, options, every_bit=every_bit)
    try:
        pixels: Array = utils.pixel_array(source, **options, **bits)
        return pixels >> low if low else pixels
    except RuntimeError as error:
        raise _missing(_syntax(source, options), error) from error


def iter_pixels(dataset: Dataset, *, indices: Iterable[int] | None = None, **options: Any) -> Iterator[Array]:
    """Yield the pixels of frames one after the other, as ``pydicom.pixels.iter_pixels`` does.

    Raises
    ------
    MissingDependency
        The transfer syntax needs a decoder that is not installed.
    """
    low, bits = _bits_beside(dataset, options)
    try:
        for pixels in utils.iter_pixels(dataset, indices=indices, **options, **bits):
            yield pixels >> low if low else pixels
    except RuntimeError as error:
        raise _missing(_syntax(dataset, options), error) from error


def decompress(dataset: Dataset) -> None:
    """Decode the pixel data of a Dataset in place, colours as red, green and blue; its UIDs stay.

    Of run-length encoded samples every bit stays too, as overlays may lie beside them.

    Raises
    ------
    MissingDependency
        The transfer syntax needs a decoder that is not installed.
    """
    syntax = _syntax(dataset, {})
    try:
        # Codestreams hold nothing but samples: what lies beside them is for pydicom to fill.
        fill = syntax not in _SAMPLES_IN_BYTES
        dataset.decompress(as_rgb=True, generate_instance_uid=False, correct_unused_bits=fill)
    except RuntimeError as error:
        raise _missing(syntax, error) from error


def is_available(uid: str) -> bool:
    """Return True if ``decode_frame`` can decode this transfer syntax: part of a pydicom plugin."""
    return uid in DECODER_DEPENDENCIES and importlib.util.find_spec("imagecodecs") is not None


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Decode one JPEG frame with libjpeg-turbo: part of a pydicom plugin.

    Raises
    ------
    ValueError
        The frame is not a JPEG, or not of the size that the instance states.
    """
    from imagecodecs import jpeg8_decode

    precision, rows, columns, samples = _frame_header(frame)
    stated = (runner.rows, runner.columns, runner.samples_per_pixel)
    if (rows, columns, samples) != stated:  # before memory is taken for what it claims
        raise ValueError(
            f"the JPEG frame has {(rows, columns, samples)} rows, columns and samples, not {stated}"
        )
    as_stored = "RGB" if samples == 3 else None  # the same on both sides: colours stay as they are coded
    pixels = jpeg8_decode(frame, colorspace=as_stored, outcolorspace=as_stored)
    runner.set_option("bits_allocated", 8 if precision <= 8 else 16)
    runner.set_option("planar_configuration", 0)
    return np.ascontiguousarray(pixels).astype("u1" if precision <= 8 else "<u2", copy=False).tobytes()


def _syntax(source: Any, options: dict[str, Any]) -> str:
    return str(options.get("transfer_syntax_uid") or transfer_syntax_of(source))


def _bits_beside(
    header: Any, options: dict[str, Any], *, every_bit: bool = False
) -> tuple[int, dict[str, Any]]:
    """Return how many bits lie below each sample, and the options that make pydicom return those too.

    There are none since 2014, when High Bit was fixed to Bits Stored - 1 (PS3.5 §8.1.1); older images have
    overlays in them. pydicom takes the lowest bits whatever High Bit is.
    """
    if _syntax(header, options) not in _SAMPLES_IN_BYTES or not isinstance(header, Dataset):
        return 0, {}
    if every_bit:
        return 0, {"correct_unused_bits": False}
    stored, high = integer(header, "BitsStored"), integer(header, "HighBit")
    allocated = integer(header, "BitsAllocated")
    if stored is None or high is None or allocated is None or not 0 < stored <= high < allocated <= 32:
        return 0, {}
    return high + 1 - stored, {"bits_stored": high + 1}


def _missing(syntax: str, error: RuntimeError) -> Exception:
    """Return the error that helps: what to install, where that is all that is missing."""
    if syntax in DECODER_DEPENDENCIES and not is_available(syntax):
        return MissingDependency("A decoder for lossless and 12-bit JPEG", "pip install 'dicomdock[codecs]'")
    return error


def _frame_header(frame: bytes) -> tuple[int, int, int, int]:
    """Return precision, rows, columns and samples per pixel from the frame header of a JPEG stream.

    Raises
    ------
    ValueError
        There is none.
    """
    at = 2
    try:
        while frame[at] == 0xFF:
            marker = frame[at + 1]
            if marker in _FRAME_HEADERS:
                precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, at + 4)
                return precision, rows, columns, samples
            if marker == 0xFF:  # fill bytes may precede any marker
                at += 1
            else:
                at += 2 + max(2, struct.unpack_from(">H", frame, at + 2)[0])
    except (IndexError, struct.error):
        pass
    raise ValueError("the frame is not a JPEG stream: it has no frame header")


for _uid in DECODER_DEPENDENCIES:
    _decoder = get_decoder(_uid)
    _decoder.add_plugin("imagecodecs", (__name__, "decode_frame"))
    # pydicom tries the plugins in the order in which they were added, and its own come first.
    if is_available(_uid) and "pylibjpeg" in _decoder.available_plugins:
        _decoder.remove_plugin("pylibjpeg")
for _uid in (JPEGBaseline8Bit, JPEGExtended12Bit):
    _decoder = get_decoder(_uid)
    if "pylibjpeg" in _decoder.available_plugins:
        _decoder.remove_plugin("pylibjpeg")
        _decoder.add_plugin("pylibjpeg", ("pydicom.pixels.decoders.pylibjpeg", "_decode_frame"))
