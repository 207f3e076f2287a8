"""Draw slices with numpy, as a view of the viewer should show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ALIKE = 4.0  # mean difference, of 255, of a view from what numpy draws

RIGHT_AND_DOWN = {
    "Red": ((1, 0, 0), (0, 1, 0)),
    "Yellow": ((0, 1, 0), (0, 0, -1)),
    "Green": ((1, 0, 0), (0, 0, -1)),
}
"""Where right and down lead in a view, LPS: the patient's left is at the right, front and head are on top."""


def view_of(along_row: Sequence[float], along_column: Sequence[float]) -> str:
    """Name the view that shows slices of an orientation whole."""
    return ("Yellow", "Green", "Red")[int(np.argmax(np.abs(np.cross(along_row, along_column))))]


def oriented(
    pixels: np.ndarray, along_row: Sequence[float], along_column: Sequence[float], view: str
) -> np.ndarray:
    """Turn a slice (row, column) as a view does, by whole quarter turns."""
    right, down = (np.array(one) for one in RIGHT_AND_DOWN[view])
    if abs(np.dot(along_row, right)) < abs(np.dot(along_column, right)):
        pixels, along_row, along_column = pixels.swapaxes(0, 1), along_column, along_row
    if np.dot(along_column, down) < 0:
        pixels = pixels[::-1]
    return pixels[:, ::-1] if np.dot(along_row, right) < 0 else pixels


def drawn(
    pixels: np.ndarray, spacing: tuple[float, float], size: tuple[int, int]
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Draw a slice fitted into a view of ``size`` rows and columns; gives the pixels and where they are."""
    rows, columns = pixels.shape[:2]
    scale = max(rows * spacing[0] / size[0], columns * spacing[1] / size[1])  # mm a pixel of the view
    j = (np.arange(size[0]) + 0.5 - size[0] / 2) * scale / spacing[0] + rows / 2 - 0.5
    i = (np.arange(size[1]) + 0.5 - size[1] / 2) * scale / spacing[1] + columns / 2 - 0.5
    inside = (j >= 1) & (j <= rows - 2), (i >= 1) & (i <= columns - 2)
    jj, ii = j[inside[0]], i[inside[1]]
    j0, i0 = np.floor(jj).astype(int), np.floor(ii).astype(int)
    more = (1,) * (pixels.ndim - 2)
    fj, fi = (jj - j0).reshape(-1, 1, *more), (ii - i0).reshape(1, -1, *more)
    plane = pixels.astype(float)
    values = (
        plane[np.ix_(j0, i0)] * (1 - fj) * (1 - fi)
        + plane[np.ix_(j0 + 1, i0)] * fj * (1 - fi)
        + plane[np.ix_(j0, i0 + 1)] * (1 - fj) * fi
        + plane[np.ix_(j0 + 1, i0 + 1)] * fj * fi
    )
    return values, np.ix_(*inside)


def windowed(values: np.ndarray, width: float, centre: float, *, inverted: bool = False) -> np.ndarray:
    """Return the grey of values, from 0 to 255."""
    grey = np.clip((values - (centre - width / 2)) / width * 255, 0, 255)
    return 255 - grey if inverted else grey


def difference(
    seen: np.ndarray,
    pixels: np.ndarray,
    spacing: tuple[float, float],
    window: tuple[float, float],
    *,
    inverted: bool = False,
) -> float:
    """Return by how much a view differs from a slice drawn with numpy: the mean of 0 to 255.

    Blocks of pixels are compared: noise is drawn a little differently by everybody.
    """
    due, where = drawn(pixels, spacing, seen.shape[:2])
    got = seen[where].astype(float)
    if pixels.ndim == 2:
        due, got = windowed(due, *window, inverted=inverted), got.mean(axis=2)
    return float(np.abs(_blocks(got) - _blocks(due)).mean())


def _blocks(pixels: np.ndarray, side: int = 4) -> np.ndarray:
    rows, columns = (length // side for length in pixels.shape[:2])
    cut = pixels[: rows * side, : columns * side]
    return cut.reshape(rows, side, columns, side, -1).mean(axis=(1, 3))
