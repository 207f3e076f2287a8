"""A presentation state as values: windows, displayed areas, annotations and shutters of images.

References
----------
PS3.3 §A.33.1 (Grayscale Softcopy Presentation State IOD), §A.33.2 (Color Softcopy Presentation State IOD).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from dicomdock.imaging.geometry import Window
from dicomdock.imaging.overlays import Overlay
from dicomdock.imaging.terminology import RGB

GREYSCALE = "1.2.840.10008.5.1.4.1.1.11.1"
COLOR = "1.2.840.10008.5.1.4.1.1.11.2"
READABLE = (GREYSCALE, COLOR)
"""SOP Class UIDs of the presentation states that are read."""

Point = tuple[float, float]
"""Column and row; the centre of the first pixel is (0.5, 0.5), as annotations count (PS3.3 §C.10.5)."""


@dataclass(frozen=True)
class Frame:
    """An image that a part of a state is for.

    Parameters
    ----------
    instance : SOP Instance UID.
    frames : 1-based; empty for all frames.
    series : UID; empty where it is not named.
    """

    instance: str
    frames: tuple[int, ...] = ()
    series: str = ""

    def holds(self, instance: str, frame: int) -> bool:
        """Return whether a frame of an instance is meant."""
        return self.instance == instance and (not self.frames or frame in self.frames)


@dataclass(frozen=True)
class Area:
    """The part of images that is displayed.

    Parameters
    ----------
    top_left, bottom_right : column and row of pixels, from 1; beyond the image they show black around it.
    mode : ``SCALE TO FIT``, ``TRUE SIZE`` or ``MAGNIFY``.
    images : what it is for; empty for all images of the state.
    """

    top_left: tuple[int, int]
    bottom_right: tuple[int, int]
    mode: str = "SCALE TO FIT"
    images: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class Graphic:
    """A line, circle, ellipse or point.

    Parameters
    ----------
    form : ``POINT``, ``POLYLINE``, ``INTERPOLATED``, ``CIRCLE`` or ``ELLIPSE``.
    points : in pixels, or in shares of the displayed area where ``display``.
    filled : drawn with its inside.
    display : the points are shares of the displayed area from 0 to 1.
    images : what it is drawn on; empty for all images of the state.
    """

    form: str
    points: tuple[Point, ...]
    filled: bool = False
    display: bool = False
    images: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class Note:
    """A text.

    Parameters
    ----------
    text : in words.
    point : what it points to, or the upper left corner of its box.
    display : the point is in shares of the displayed area from 0 to 1.
    images : what it is written on; empty for all images of the state.
    """

    text: str
    point: Point
    display: bool = False
    images: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class Shutter:
    """What of an image is shown; what lies beyond is covered.

    Parameters
    ----------
    box : least and greatest column, least and greatest row that are shown; None for no such edge.
    circle : centre as row and column, and radius, all in pixels of the image.
    polygon : row and column of its corners.
    bitmap : what of the image is covered, as an overlay.
    grey : of what is covered, 0 black to 65535 white.
    color : of what is covered, where colours are shown; None for ``grey``.
    """

    box: tuple[int, int, int, int] | None = None
    circle: tuple[float, float, float] | None = None
    polygon: tuple[Point, ...] = ()
    bitmap: Overlay | None = None
    grey: int = 0
    color: RGB | None = None

    @property
    def rgb(self) -> RGB:
        """Red, green and blue of what is covered, 0 to 255."""
        return self.color or (self.grey >> 8,) * 3


@dataclass(frozen=True)
class PresentationState:
    """How images are shown.

    Parameters
    ----------
    images : of the state.
    label : Content Label; capitals, digits, blank and underscore.
    description, creator : in words; may be empty.
    windows : each with the images that it is for; none of them for all images.
    areas, graphics, notes : what is displayed, and drawn on it.
    shutter : what of the images is covered; None for nothing.
    inverse : low values are shown bright.
    rotation : clockwise, in degrees: 0, 90, 180 or 270.
    flipped : left and right are exchanged, after the rotation.
    slope, intercept : from stored numbers to what windows count in.
    color : its images are in colour, and have neither window nor rescale.
    instance : its own SOP Instance UID; empty for a new one.
    remarks : what of it is not applied, one sentence each.
    """

    images: tuple[Frame, ...]
    label: str = "PRESENTATION"
    description: str = ""
    creator: str = ""
    windows: tuple[tuple[Window, tuple[Frame, ...]], ...] = ()
    areas: tuple[Area, ...] = ()
    graphics: tuple[Graphic, ...] = ()
    notes: tuple[Note, ...] = ()
    shutter: Shutter | None = None
    inverse: bool = False
    rotation: int = 0
    flipped: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    color: bool = False
    instance: str = ""
    remarks: tuple[str, ...] = ()

    def window_of(self, instance: str, frame: int = 1) -> Window | None:
        """Return the window of a frame; None where the state states none."""
        found = (window for window, images in self.windows if _meant(images, instance, frame))
        return next(found, None)

    def area_of(self, instance: str, frame: int = 1) -> Area | None:
        """Return the displayed area of a frame; None where the state states none."""
        return next(iter(_of(self.areas, instance, frame)), None)

    def graphics_of(self, instance: str, frame: int = 1) -> list[Graphic]:
        """Return what is drawn on a frame."""
        return _of(self.graphics, instance, frame)

    def notes_of(self, instance: str, frame: int = 1) -> list[Note]:
        """Return what is written on a frame."""
        return _of(self.notes, instance, frame)


_Part = TypeVar("_Part", Area, Graphic, Note)


def _of(parts: Iterable[_Part], instance: str, frame: int) -> list[_Part]:
    return [part for part in parts if _meant(part.images, instance, frame)]


def _meant(images: tuple[Frame, ...], instance: str, frame: int) -> bool:
    return not images or any(one.holds(instance, frame) for one in images)
