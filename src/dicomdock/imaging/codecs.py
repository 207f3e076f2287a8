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
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

from dicomdock.errors import MissingDependency

Array: TypeAlias = npt.NDArray[Any]

DECODER_DEPENDENCIES = dict.fromkeys((JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), ("imagecodecs",))
"""What pydicom asks a plugin for: transfer syntax -> packages that it needs."""

RETIRED_JPEG = {
    UID("1.2.840.10008.1.2.4.53"): JPEGExtended12Bit,
    UID("1.2.840.10008.1.2.4.55"): JPEGExtended12Bit,
}
"""Retired transfer syntaxes of lossy JPEG -> the one whose decoder reads their streams; pydicom has none."""

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def pixel_array(source: Any, **options: Any) -> Array:
    """Return the pixels of an instance or of one of its frames, as ``pydicom.pixels.pixel_array`` does.

    Parameters
    ----------
    source : a Dataset, or a file that pydicom reads one from.

    Raises
    ------
    MissingDependency
        The transfer syntax needs a decoder that is not installed.
    """
    try:
        return utils.pixel_array(source, **options)
    except RuntimeError as error:
        raise _missing(_syntax(source, options), error) from error


def iter_pixels(dataset: Dataset, *, indices: Iterable[int] | None = None, **options: Any) -> Iterator[Array]:
    """Yield the pixels of frames one after the other, as ``pydicom.pixels.iter_pixels`` does.

    Raises
    ------
    MissingDependency
        The transfer syntax needs a decoder that is not installed.
    """
    try:
        yield from utils.iter_pixels(dataset, indices=indices, **options)
    except RuntimeError as error:
        raise _missing(_syntax(dataset, options), error) from error


def decompress(dataset: Dataset) -> None:
    """Decode the pixel data of a Dataset in place, colours as red, green and blue; its UIDs stay.

    Raises
    ------
    MissingDependency
        The transfer syntax needs a decoder that is not installed.
    """
    try:
        dataset.decompress(as_rgb=True, generate_instance_uid=False)
    except RuntimeError as error:
        raise _missing(_syntax(dataset, {}), error) from error


def is_available(uid: str) -> bool:
    """Return True if ``decode_frame`` can decode this transfer syntax: part of a pydicom plugin."""
    return uid in DECODER_DEPENDENCIES and importlib.util.find_spec("imagecodecs") is not None


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Decode one JPEG frame with libjpeg-turbo: part of a pydicom plugin.

    Raises
    ------
    ValueError
        The frame is no JPEG, or not of the size that the instance states.
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
    named = options.get("transfer_syntax_uid") or getattr(
        getattr(source, "file_meta", None), "TransferSyntaxUID", ""
    )
    return str(named)


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
    raise ValueError("the frame is no JPEG stream: it has no frame header")


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
