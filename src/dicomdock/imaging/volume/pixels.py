"""Decode the frames of an instance into values: rescaled numbers, or red, green and blue.

References
----------
PS3.3 §C.7.6.3 (Image Pixel), §C.11.1 (Modality LUT), §C.7.6.3.1.5 (palettes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, text
from dicomdock.imaging.codecs import RETIRED_JPEG, iter_pixels, pixel_array
from dicomdock.imaging.dataset import transfer_syntax_of
from dicomdock.imaging.geometry import PixelFormat, Plane
from dicomdock.imaging.lookup import LookupTable, read_table
from dicomdock.imaging.video import is_video

Array: TypeAlias = npt.NDArray[Any]

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def decode(dataset: Dataset, planes: Mapping[int, Plane]) -> Iterator[tuple[int, Array]]:
    """Decode frames and apply their rescale, palette or colour model.

    Parameters
    ----------
    dataset : an instance with its pixel data.
    planes : 1-based frame number -> its plane; only these frames are decoded.

    Yields
    ------
    frame, values
        Values (rows, columns), or (rows, columns, 3) 8-bit red, green, blue; frames in ascending order.

    Raises
    ------
    GeometryError
        There are no pixels, they are not what the planes say, or no codec reads them.
    """
    uid = text(dataset, "SOPInstanceUID")
    lead = next(iter(planes.values()))
    size = (integer(dataset, "Rows"), integer(dataset, "Columns"))
    if size != (lead.rows, lead.columns) and lead.tile is None:
        raise GeometryError(
            f"The image has {size[0]} x {size[1]} pixels where {lead.rows} x {lead.columns} are due.", [uid]
        )
    if not any(dataset.get(name) for name in PIXELS):
        raise GeometryError("The pixels cannot be decoded: there are none in the instance.", [uid])
    syntax = transfer_syntax_of(dataset)
    if is_video(syntax):
        raise GeometryError("The instance is a video, which is not shown as slices.", [uid])
    if syntax in RETIRED_JPEG:
        dataset = copy(dataset)
        dataset.file_meta = copy(dataset.file_meta)
        dataset.file_meta.TransferSyntaxUID = RETIRED_JPEG[UID(syntax)]
    try:
        for frame, raw in _tiles(dataset, planes) if lead.tile is not None else _raw(dataset, sorted(planes)):
            yield frame, _values(raw, dataset, planes[frame].pixels)
    except READ_ERRORS as error:
        raise GeometryError(f"The pixels cannot be decoded: {error}", [uid]) from error


def _tiles(dataset: Dataset, planes: Mapping[int, Plane]) -> Iterator[tuple[int, Array]]:
    """Cut the slices out of a mosaic."""
    whole = pixel_array(dataset, allow_excess_frames=False)
    for frame, plane in sorted(planes.items()):
        assert plane.tile is not None, "all planes of a mosaic are tiles"
        row, column = plane.tile
        part = whole[row : row + plane.rows, column : column + plane.columns]
        if part.shape != (plane.rows, plane.columns):
            raise ValueError(f"the mosaic has no tile {frame}")
        yield frame, part


def _raw(dataset: Dataset, frames: list[int]) -> Iterator[tuple[int, Array]]:
    count = integer(dataset, "NumberOfFrames") or 1
    if frames[-1] > count:
        raise ValueError(f"frame {frames[-1]} is asked for, there are {count}")
    if count == 1:
        array = pixel_array(dataset, allow_excess_frames=False)
        yield 1, array[0] if array.ndim == 4 else array
        return
    for frame, array in zip(
        frames,
        iter_pixels(dataset, indices=[frame - 1 for frame in frames], allow_excess_frames=False),
        strict=True,
    ):
        yield frame, array


def _values(raw: Array, dataset: Dataset, pixels: PixelFormat) -> Array:
    if pixels.colour:
        return colors_of(raw, dataset, pixels.photometric, pixels.bits_stored)
    if raw.ndim != 2:
        raise ValueError("a grey image has more than one sample per pixel")
    if pixels.lut and (table := modality_table(dataset)) is not None:
        return table.apply(raw)
    return rescale(raw, pixels)


def colors_of(raw: Array, dataset: Dataset, photometric: str, bits: int) -> Array:
    """Return red, green and blue, 8 bits each, of a frame in colour as ``pixel_array`` has it.

    Raises
    ------
    ValueError
        The colour model has no such form.
    """
    if photometric == "PALETTE COLOR":
        return _bytes(apply_color_lut(raw, dataset), 16)
    if raw.ndim != 3:
        raise ValueError(f"{photometric} is not a colour model that can be shown")
    return _bytes(raw, bits)


def modality_table(dataset: Dataset) -> LookupTable | None:
    """Return the Modality LUT that stored numbers go through in place of a rescale; None where there is none.

    References
    ----------
    PS3.3 §C.11.1.
    """
    item = first(dataset, "ModalityLUTSequence")
    return None if item is None else read_table(item, signed=integer(dataset, "PixelRepresentation") == 1)


def valid(values: Array, padding: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
    """Return which values are numbers and no padding.

    Parameters
    ----------
    padding : least and greatest value of what is not part of the image; None where there is none.
    """
    found: npt.NDArray[np.bool_] = np.isfinite(values)
    if padding is not None:
        found &= (values < padding[0]) | (values > padding[1])
    return found


def rescale(raw: Array, pixels: PixelFormat) -> Array:
    """Apply slope and intercept; integers stay integers, of 32 or 64 bits, where both are whole."""
    slope, intercept = pixels.slope, pixels.intercept
    if slope == 1 and intercept == 0:
        return raw
    if slope % 1 or intercept % 1 or pixels.floating:
        scaled: Array = raw * np.float64(slope) + intercept
        return scaled
    largest = max(-int(raw.min(initial=0)), int(raw.max(initial=0))) * abs(slope) + abs(intercept)
    # 64 bits of a slice are 2 MB, which the system hands out and takes back for each: ten times the work.
    whole: Array = raw.astype(np.int32 if largest < 1 << 31 else np.int64)
    if slope != 1:
        whole *= int(slope)
    whole += int(intercept)
    return whole


def _bytes(colours: Array, bits: int) -> Array:
    """Return colours 8 bits each."""
    if colours.dtype == np.uint8:
        return colours
    shift = max(0, bits - 8)
    if int(colours.max(initial=0)) < 256:  # 8-bit entries in a table that claims 16
        shift = 0
    return (colours >> shift).astype(np.uint8)
