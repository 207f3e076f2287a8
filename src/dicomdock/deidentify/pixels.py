"""Blank rectangles of images: the stored values are replaced, not covered.

References
----------
PS3.15 §E.3.1 (Clean Pixel Data Option).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.errors import InvalidInput

Decode: TypeAlias = Callable[[Dataset], None]
"""Decodes the pixel data of a Dataset in place; ``imaging.codecs.decompress``."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle of an image, in pixels.

    Parameters
    ----------
    left, top : of its first column and row, from 0.
    width, height : how many columns and rows it has.
    """

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``LEFT,TOP,WIDTH,HEIGHT``.

        Raises
        ------
        InvalidInput
            It is something else.
        """
        numbers = [word.strip() for word in text.split(",")]
        if len(numbers) != 4 or not all(word.isdecimal() and word.isascii() for word in numbers):
            raise InvalidInput(f"{text!r} is not a rectangle LEFT,TOP,WIDTH,HEIGHT in pixels.")
        found = cls(*map(int, numbers))
        if not found.width or not found.height:
            raise InvalidInput(f"The rectangle {text!r} is empty.")
        return found


NO_PIXELS = "it has no pixels of whole bytes to blank"


def reason_not_to_blank(dataset: Dataset, rectangles: Sequence[Rectangle]) -> str:
    """Return why rectangles cannot be blanked, as far as the attributes say without the pixel data."""
    if int(dataset.get("BitsAllocated") or 0) not in (8, 16, 32):
        return NO_PIXELS
    rows, columns = _size(dataset)
    if outside := next((one for one in rectangles if one.left >= columns or one.top >= rows), None):
        return f"the rectangle at {outside.left},{outside.top} is outside of its {columns} x {rows} pixels"
    return ""


def blank(dataset: Dataset, rectangles: Sequence[Rectangle], decode: Decode) -> str:
    """Blank rectangles in every frame of a Dataset, in place; return why that is not possible, or nothing.

    Compressed pixels are decoded, and stay so: nothing is lost in them beyond the rectangles.

    Raises
    ------
    MissingDependency
        The transfer syntax needs a decoder that is not installed.
    """
    if "PixelData" not in dataset:
        return NO_PIXELS
    if failure := reason_not_to_blank(dataset, rectangles):
        return failure
    rows, columns = _size(dataset)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        decode(dataset)
    frames = _frames(dataset, rows, columns)
    if frames is None:
        return "its pixel data do not have the size that it states"
    values = _black(dataset)
    for one in rectangles:
        window = frames[:, :, one.top : one.top + one.height, one.left : one.left + one.width]
        window[...] = np.asarray(values, frames.dtype)[None, :, None, None]
    data = frames if dataset.get("PlanarConfiguration") == 1 else frames.transpose(0, 2, 3, 1)
    content = np.ascontiguousarray(data).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset.BurnedInAnnotation = "NO"
    return ""


def _size(dataset: Dataset) -> tuple[int, int]:
    return int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)


def _frames(dataset: Dataset, rows: int, columns: int) -> npt.NDArray[Any] | None:
    """Return the stored values as a copy: frame, sample, row, column; None where their number is wrong."""
    count = int(dataset.get("NumberOfFrames") or 1)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    kind = "i" if dataset.get("PixelRepresentation") == 1 else "u"
    form = np.dtype(f"{order}{kind}{int(dataset.BitsAllocated) // 8}")
    size = count * samples * rows * columns
    if len(dataset.PixelData) < size * form.itemsize:
        return None
    stored = np.frombuffer(dataset.PixelData, form, size)
    if dataset.get("PlanarConfiguration") == 1:
        return stored.reshape(count, samples, rows, columns).copy()
    return stored.reshape(count, rows, columns, samples).transpose(0, 3, 1, 2).copy()


def _black(dataset: Dataset) -> list[int]:
    """Return the stored value of black for each sample."""
    meaning = str(dataset.get("PhotometricInterpretation", ""))
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if meaning.startswith("YBR"):
        return [0, 128, 128]
    bits = min(max(int(dataset.get("BitsStored") or dataset.BitsAllocated), 1), int(dataset.BitsAllocated))
    signed = dataset.get("PixelRepresentation") == 1
    if meaning == "MONOCHROME1":
        return [(1 << (bits - 1 if signed else bits)) - 1]
    return [-(1 << (bits - 1)) if signed else 0] * samples
