"""The shown series along a measured path: a straightened image that leads the slices to its points."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.presentation import windowed
from dicomdock.imaging.volume import CurvedImage
from dicomdock.viewer.features.curved.state import CurvedState
from dicomdock.viewer.features.measure.kinds import normal_of
from dicomdock.viewer.features.measure.logic import MeasuringLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.features.views.planes import letters
from dicomdock.viewer.features.window.logic import WindowLogic
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.palettes import coloured
from dicomdock.viewer.scene import LPS, ShownVolume
from dicomdock.viewer.shell.download import offer

SCALE = 10.0  # mm
PANEL_WIDTH = 260  # pixels that an image may be wide
MOST_WIDTH = 500.0  # mm


class CurvedLogic:
    """The image along a path, which follows the path, the series and its window.

    Parameters
    ----------
    server : trame's.
    series, views : what is shown, and where.
    measuring : has the paths.
    window : reports when the window was changed.
    """

    def __init__(
        self, server: Any, series: SeriesLogic, views: Views, measuring: MeasuringLogic, window: WindowLogic
    ) -> None:
        self.server, self.state = server, PageState(server.state, CurvedState)
        self.series, self.views, self.measuring = series, views, measuring
        self._image: CurvedImage | None = None
        self._made_of: tuple[Any, ...] = ()
        self._marked = 0.0  # mm along the path

        control = server.controller
        control.straighten_along, control.close_curved = self.show, self.close
        control.look_along, control.curved_as_png = self.look, self.save
        name = self.state.name
        self.state.bind_changes(
            {
                (name.curved_width, name.curved_angle): lambda *_: self._update(),
                name.curved_at: self._position_chosen,
            }
        )
        measuring.on_moved.append(self._update)
        series.on_shown.append(self._update)
        series.on_complete.append(self._arrived)
        window.on_window.append(self._draw)

    def show(self, path: str) -> None:
        """Show the image along a path, by the Tracking UID of its measurement."""
        with self.state as data:
            data.curved_path, data.curved_at = path, 0
        self._update()

    def close(self) -> None:
        """Show no image."""
        self.show("")

    def look(self, across: float, down: float) -> None:
        """Show the slices through a point of the image, by its shares of the width and height."""
        image = self._image
        if image is None:
            return
        rows, columns = image.array.shape[:2]
        row, column = int(np.clip(down * rows, 0, rows - 1)), across * columns - 0.5
        with self.state as data:
            data.curved_at = row * image.spacing
        self._mark()
        self.views.look_at(image.to_lps(row, column))

    def save(self) -> None:
        """Offer the image as PNG."""
        shown = self.series.shown
        if self._image is not None and shown is not None:
            offer(self.server, "path.png", _png(self._image, shown), "image/png")

    def _arrived(self) -> None:
        """Make the image anew: values have arrived, or have another unit."""
        self._made_of = ()
        self._update()

    def _update(self) -> None:
        """Make the image of the path as it lies now; it goes with its path."""
        data = self.state.data
        if not data.curved_path:
            if self._made_of:
                self._forget()
            return
        path = self.measuring.path(data.curved_path)
        if path is None:
            self._forget()
            return
        name, points = path
        volume, width = self.series.volume, min(float(data.curved_width or 0), MOST_WIDTH)
        made_of = volume, width, data.curved_angle, np.array(points).tobytes()
        if made_of != self._made_of:
            self._image, words = None, ""
            try:
                self._image = volume.along(
                    points,
                    width=width,
                    angle=float(data.curved_angle or 0),
                    towards=towards(points, volume.geometry),
                    tolerance=min(volume.geometry.spacing),
                )
            except GeometryError as error:
                words = error.reason
            self._made_of = made_of
            self._describe(words)
            self._draw()
        if data.curved_name != name:
            with self.state:
                data.curved_name = name

    def _describe(self, words: str) -> None:
        image = self._image
        with self.state as data:
            data.curved_words, data.curved_length = words, 0
            if image is None:
                return
            rows, columns = image.array.shape[:2]
            data.curved_length = round((rows - 1) * image.spacing, 3)
            data.curved_at = min(data.curved_at, data.curved_length)
            data.curved_words = (
                f"{image.length:.1f} mm along a smooth curve, {columns * image.spacing:.1f} mm across; "
                f"pixels of {image.spacing:.2f} mm."
            )
            data.curved_box = (
                f"aspect-ratio:{columns}/{rows};height:min(70vh,{PANEL_WIDTH * rows / columns:.0f}px)"
            )
            data.curved_scale = f"width:{100 * SCALE / (columns * image.spacing):.2f}%"
        self._mark()

    def _position_chosen(self, at: float) -> None:
        """Show the slices through a point of the path that was chosen by the slider."""
        image = self._image
        if image is not None and at != self._marked:  # else by a click, which has shown its own point
            self._mark()
            self.views.look_at(image.to_lps(at / image.spacing, (image.array.shape[1] - 1) / 2))

    def _mark(self) -> None:
        """Mark the row at the chosen length along the path."""
        image = self._image
        if image is None:
            return
        self._marked = self.state.data.curved_at
        rows = len(image.points)
        row = int(np.clip(round(self._marked / image.spacing), 0, rows - 1))
        across = image.across[row] * LPS
        with self.state as data:
            data.curved_mark = f"top:{100 * (row + 0.5) / rows:.2f}%"
            data.curved_left, data.curved_right = letters(-across), letters(across)

    def _draw(self) -> None:
        shown, image = self.series.shown, self._image
        picture = ""
        if shown is not None and image is not None:
            picture = f"data:image/png;base64,{b64encode(_png(image, shown)).decode()}"
        with self.state as data:
            data.curved_picture = picture

    def _forget(self) -> None:
        self._image, self._made_of = None, ()
        with self.state as data:
            data.curved_path = data.curved_name = data.curved_picture = data.curved_words = ""


def towards(points: Sequence[Any], geometry: VolumeGeometry) -> Any:
    """Return the direction in which the image of a path first runs across it; None for the usual one.

    Of a path on one slice it is perpendicular to the slice, as in a panoramic view of a jaw: towards the
    patient's left, posterior or head.
    """
    if float(np.ptp(geometry.to_index(np.array(points)), axis=0).min()) > 0.5:
        return None
    normal = normal_of(points, geometry)
    return normal * np.sign(normal[np.argmax(np.abs(normal))])


def _png(image: CurvedImage, shown: ShownVolume) -> bytes:
    """Return an image as the slices of its volume are shown: window, inversion, colours."""
    pixels = image.array
    if shown.grey:
        pixels = windowed(pixels, shown.window)
        if shown.palette:
            pixels = coloured(pixels, shown.palette)
        elif shown.inverted:
            pixels = 255 - pixels
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()
