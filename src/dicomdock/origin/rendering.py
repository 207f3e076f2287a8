"""Rendering: one frame of a stored instance becomes an 8-bit picture, as a consumer of images would see it.

Pure but for reading the one file. It runs in a worker, because decoders are slow and may be given anything.

References
----------
PS3.18 §8.3.5 (rendered resources); PS3.3 §C.11.1, §C.11.2 (modality and VOI LUT); PS3.4 §N.2 (the pipeline).
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicomdock.errors import InvalidInput
from dicomdock.imaging import geometry as imaging
from dicomdock.imaging.codecs import pixel_array
from dicomdock.imaging.overlays import overlay_bits
from dicomdock.imaging.presentation import to_bytes, windowed
from dicomdock.imaging.volume import modality_table, rescale, window_over
from dicomdock.origin.reading import check_frame, decodable_syntax, decode, mapped, read_header, read_whole
from dicomdock.origin.view import MAX_VIEWPORT, View, Viewport, Window

Array: TypeAlias = NDArray[Any]

WHITE = 255  # of overlays


def render(file: Path, frame: int = 1, view: View | None = None) -> bytes:
    """Make the picture of one frame.

    Parameters
    ----------
    file : the stored instance.
    frame : 1-based.
    view : how; by default a JPEG of the image's own size and window.

    Raises
    ------
    NotAcceptable
        There is nothing to see in this instance, or it cannot be decoded.
    InvalidInput
        It has no such frame.
    """
    view = view or View()
    with mapped("The picture"):
        header = read_header(file)
        check_frame(header, frame)
        samples = _decode(file, header, frame)
        picture = _picture(samples, _frame_attributes(header, frame), view.window)
        covered = overlay_bits(
            header, frame, picture.shape[:2], lambda: decode(file, header, frame, every_bit=True)
        )
        if covered is not None:
            picture = picture.copy()  # it may be the decoder's own memory
            picture[covered] = WHITE
        return _encode(_fit(picture, _pixel_aspect(header), view.viewport), view)


def _decode(file: Path, header: Dataset, frame: int) -> Array:
    """Read one frame; only its own bytes are read where the transfer syntax allows."""
    syntax = decodable_syntax(header)
    if syntax == DeflatedExplicitVRLittleEndian:
        return pixel_array(read_whole(file), index=frame - 1)
    return decode(file, header, frame)


# what the header says of this frame


def _frame_attributes(header: Dataset, frame: int) -> Dataset:
    """Return the header with what the functional groups say of one frame laid over it."""
    attributes = Dataset()
    attributes.update(header)
    attributes.file_meta = header.file_meta
    groups = list(header.get("SharedFunctionalGroupsSequence") or ())[:1]
    groups += list(header.get("PerFrameFunctionalGroupsSequence") or ())[frame - 1 : frame]
    for group in groups:
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence"):
            for item in list(group.get(name) or ())[:1]:
                attributes.update(item)
    return attributes


def _pixel_aspect(header: Dataset) -> float:
    """Height of a pixel over its width; 1 where the header states none."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        value = _frame_attributes(header, 1).get(keyword)
        try:
            vertical, horizontal = (float(number) for number in value)
            ratio = vertical / horizontal
        except (TypeError, ValueError, ZeroDivisionError):
            continue
        if 0.02 < ratio < 50:
            return ratio
    return 1.0


# values to 8 bits


def _picture(samples: Array, header: Dataset, window: Window | None) -> Array:
    """Turn decoded samples into (rows, columns) or (rows, columns, 3) of uint8."""
    photometric = str(header.get("PhotometricInterpretation") or "MONOCHROME2").upper()
    if photometric == "PALETTE COLOR":
        return to_bytes(apply_color_lut(samples, header))
    if samples.ndim == 3:
        return to_bytes(samples[..., :3], int(header.get("BitsStored") or 8))
    grey = _grey(samples, header, window)
    return np.uint8(255) - grey if imaging.is_inverse(header) else grey


def _grey(samples: Array, header: Dataset, window: Window | None) -> Array:
    if header.get("Modality") == "SEG" and window is None:
        return _segment(samples, header)
    stored = imaging.pixel_format_of(header, floating=samples.dtype.kind == "f")
    table = modality_table(header)
    values = table.apply(samples) if table is not None else rescale(samples, stored)
    if window is not None:
        return windowed(values, imaging.Window(window.centre, window.width, function=window.function))
    stated = imaging.windows_of(header)
    modality = str(header.get("Modality") or "")
    nearly_all = window_over(values, stored.units, modality=modality, padding=stored.padding)
    return windowed(values, stated[0] if stated else nearly_all)


def _segment(samples: Array, header: Dataset) -> Array:
    """Show a segment white on black, fractions in between, labels each in their own grey."""
    kind = str(header.get("SegmentationType") or "BINARY")
    most = {"BINARY": 1, "FRACTIONAL": int(header.get("MaximumFractionalValue") or 255)}.get(kind)
    most = most or max(1, int(samples.max(initial=0)))
    return (samples.astype(np.float32) * (255.0 / most)).clip(0, 255).astype(np.uint8)


# the picture


def _fit(picture: Array, aspect: float, viewport: Viewport | None) -> Image.Image:
    """Crop, flip and scale: square pixels, unchanged proportions, within the viewport."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if viewport is not None:
        image = _cropped(image, viewport)
    width, height = float(image.width), image.height * aspect
    if viewport is not None:
        factor = min(viewport.width / width, viewport.height / height)
    else:
        # Pixels that are not square are stretched, not shrunk, so that no detail is lost.
        factor = max(1.0, 1 / aspect) if abs(aspect - 1) > 0.01 else 1.0
        factor = min(factor, MAX_VIEWPORT / max(width, height)) if factor > 1 or aspect > 1.01 else 1.0
    if viewport is None and factor == 1.0 and abs(aspect - 1) <= 0.01:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)


def _cropped(image: Image.Image, viewport: Viewport) -> Image.Image:
    if not (viewport.left or viewport.top or viewport.crop_width or viewport.crop_height):
        return image
    right = viewport.left + (abs(viewport.crop_width) or image.width)
    bottom = viewport.top + (abs(viewport.crop_height) or image.height)
    left, top = max(0, int(viewport.left)), max(0, int(viewport.top))
    right, bottom = min(image.width, int(right)), min(image.height, int(bottom))
    if right <= left or bottom <= top:
        raise InvalidInput("The part of the image that the viewport names lies outside of the image.")
    image = image.crop((left, top, right, bottom))
    if viewport.crop_width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if viewport.crop_height < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image


def _encode(image: Image.Image, view: View) -> bytes:
    buffer = BytesIO()
    if view.media_type == "image/png":
        image.save(buffer, "PNG", compress_level=3)
    else:
        image.save(buffer, "JPEG", quality=view.quality)
    return buffer.getvalue()
