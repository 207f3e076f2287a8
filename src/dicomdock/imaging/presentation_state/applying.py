"""Show an image as a presentation state states.

References
----------
PS3.4 §N.2 (the grayscale and the color pipeline); PS3.3 §C.7.6.11 (Display Shutter), §C.7.6.15, §C.10.4,
§C.10.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import text
from dicomdock.imaging.codecs import pixel_array
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry.plane import PixelFormat
from dicomdock.imaging.overlays import bits_of
from dicomdock.imaging.presentation import Grey, windowed
from dicomdock.imaging.presentation_state.drawing import identity_window
from dicomdock.imaging.presentation_state.state import PresentationState, Shutter
from dicomdock.imaging.volume.pixels import colors_of


@reading("The image")
def presented(state: PresentationState, instance: Instance, frame: int = 1) -> Grey:
    """Return a whole frame in 8 bits: rescaled, windowed, perhaps inverted, and behind its shutter.

    The state's own rescale is applied, not the image's (PS3.4 §N.2.1). Of a state for images in colour: red,
    green and blue in a third axis, as they are stored (PS3.4 §N.2.3).

    Parameters
    ----------
    frame : 1-based.

    Raises
    ------
    GeometryError
        The state is not for that image, or the image cannot be decoded, or one is of colours and one of grey.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    if not any(one.holds(uid, frame) for one in state.images):
        raise GeometryError("The presentation state is for other images.", [uid])
    stored_as = _stored_as(dataset)
    if stored_as.colour != state.color:
        kind, images = ("color", "images in colour") if state.color else ("grayscale", "grey images")
        raise GeometryError(f"A {kind} presentation state is for {images}.", [uid])
    stored: npt.NDArray[Any] = np.asarray(pixel_array(dataset, index=frame - 1))
    if state.color:
        colors: Grey = colors_of(stored, dataset, stored_as.photometric, stored_as.bits_stored)
        return _behind(state.shutter, colors)
    values = stored.astype(np.float64) * state.slope + state.intercept
    window = state.window_of(uid, frame) or identity_window(state, stored_as)
    shown = windowed(values, window)
    if state.inverse:
        shown = 255 - shown
    return _behind(state.shutter, shown)


def _behind(shutter: Shutter | None, shown: Grey) -> Grey:
    """Cover what of a picture in grey or in colour lies behind a shutter."""
    if shutter is not None:
        cover = shutter.grey >> 8 if shown.ndim == 2 else shutter.rgb
        shown[~uncovered(shutter, shown.shape)] = cover
    return shown


def arranged(state: PresentationState, shown: Grey, instance: str, frame: int = 1) -> Grey:
    """Return the displayed area of a frame, turned and flipped; black where it lies beyond the image.

    Parameters
    ----------
    shown : of ``presented``.
    instance : SOP Instance UID of the image.
    """
    area = state.area_of(instance, frame)
    if area is not None:
        # Corners are of the image as it is displayed, where it is turned: the first is its upper left one.
        (left, top), (right, low) = area.top_left, area.bottom_right
        left, right, top, low = min(left, right), max(left, right), min(top, low), max(top, low)
        if max(right - left, low - top) > 1 << 14:
            raise GeometryError("The displayed area is larger than any display.")
        cut = np.zeros((low - top + 1, right - left + 1, *shown.shape[2:]), np.uint8)
        rows = slice(max(top, 1), min(low, shown.shape[0]) + 1)
        columns = slice(max(left, 1), min(right, shown.shape[1]) + 1)
        if rows.start < rows.stop and columns.start < columns.stop:
            cut[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = shown[
                rows.start - 1 : rows.stop - 1, columns.start - 1 : columns.stop - 1
            ]
        shown = cut
    turned = np.rot90(shown, -(state.rotation // 90))
    return np.ascontiguousarray(turned[:, ::-1] if state.flipped else turned)


def _stored_as(dataset: Dataset) -> PixelFormat:
    bits = int(dataset.get("BitsStored") or 8)
    photometric = text(dataset, "PhotometricInterpretation").upper() or "MONOCHROME2"
    return PixelFormat(
        bits_stored=bits, signed=bool(dataset.get("PixelRepresentation")), photometric=photometric
    )


def uncovered(shutter: Shutter, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return which pixels (row, column) a shutter does not cover.

    Its edges count pixels from 1 and are shown themselves (PS3.3 §C.7.6.11). A bitmap covers where it is 1
    (§C.7.6.15).
    """
    rows, columns = np.mgrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    found: npt.NDArray[np.bool_] = np.ones(shape[:2], bool)
    if shutter.box is not None:
        left, right, top, low = shutter.box
        found &= (columns >= left) & (columns <= right) & (rows >= top) & (rows <= low)
    if shutter.circle is not None:
        row, column, radius = shutter.circle
        found &= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    if len(shutter.polygon) > 2:
        found &= _inside(shutter, rows, columns)
    if shutter.bitmap is not None:
        first = shutter.bitmap.frames[0] if shutter.bitmap.frames else 1
        found &= ~bits_of(shutter.bitmap, first, (shape[0], shape[1]))
    return found


def _inside(
    shutter: Shutter, rows: npt.NDArray[np.int_], columns: npt.NDArray[np.int_]
) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = np.zeros(rows.shape, bool)
    corners = shutter.polygon
    for (row, column), (row2, column2) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if row == row2:
            continue
        crosses = (rows < row) != (rows < row2)
        at = column + (rows - row) * (column2 - column) / (row2 - row)
        found ^= crosses & (columns < at)
    return found
