"""Plane: where one frame lies and how its numbers are stored, whatever kind of instance it comes from.

References
----------
PS3.3 §C.7.6.2 (Image Plane), §C.7.6.3 (Image Pixel), §C.11.2 (windows).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from dicomdock.errors import GeometryError
from dicomdock.imaging.lookup import LookupTable

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How a frame's stored numbers become values.

    Parameters
    ----------
    photometric : Photometric Interpretation, as stored.
    bits_allocated, bits_stored, signed : the stored integers; 32 or 64 bits allocated may be floating point.
    slope, intercept : the modality rescale.
    rescaled : the header states how, by a rescale or a Modality LUT.
    fault : why the rescale that it states is not used as it is, as a sentence; empty else.
    lut : a Modality LUT replaces slope and intercept.
    floating : Float or Double Float Pixel Data.
    units : of the values after the rescale, as the header names them (``HU``, ``BQML``); may be empty.
    suv_type : which Standardized Uptake Value they are (``BW``, ``LBM``...); empty where they are none.
    dose_type : Dose Type (3004,0004) of a dose; empty of other values.
    inverse : low values are shown bright.
    padding : least and greatest value, after the rescale, of pixels that are not part of the image; None
        where there are none.
    """

    photometric: str = "MONOCHROME2"
    bits_allocated: int = 16
    bits_stored: int = 16
    signed: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    rescaled: bool = False
    fault: str = ""
    lut: bool = False
    floating: bool = False
    units: str = ""
    suv_type: str = ""
    dose_type: str = ""
    inverse: bool = False
    padding: tuple[float, float] | None = None

    @property
    def colour(self) -> bool:
        """True when the frame is shown in colour."""
        return not self.photometric.startswith("MONOCHROME")

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value after the rescale."""
        low, high = (
            (-(1 << self.bits_stored - 1), (1 << self.bits_stored - 1) - 1)
            if self.signed
            else (0, (1 << self.bits_stored) - 1)
        )
        ends = (low * self.slope + self.intercept, high * self.slope + self.intercept)
        return min(ends), max(ends)


@dataclass(frozen=True, slots=True)
class Window:
    """A window preset, in the values' units after the rescale.

    Parameters
    ----------
    center, width : of the values that are shown in shades of grey.
    name : as the header explains it; may be empty.
    function : ``LINEAR``, ``LINEAR_EXACT``, ``SIGMOID``, or ``TABLE`` for a VOI lookup table.
    table : of a VOI lookup table, which center and width state the range of; None else.

    References
    ----------
    PS3.3 §C.11.2.1.1, §C.11.2.1.2.
    """

    center: float
    width: float
    name: str = ""
    function: str = "LINEAR"
    table: LookupTable | None = None

    @property
    def stated(self) -> tuple[float, float]:
        """Width and center with three decimals, or with four digits of a narrower width, as a person reads
        them.
        """
        narrow = math.isfinite(self.width) and 0 < self.width < 1
        decimals = 3 - math.floor(math.log10(self.width)) if narrow else 3
        return round(self.width, decimals), round(self.center, decimals)


@dataclass(frozen=True, slots=True)
class Plane:
    """One frame of one instance.

    Parameters
    ----------
    instance : SOP Instance UID.
    frame : 1-based; 1 for an instance with a single frame.
    rows, columns : pixels.
    origin : centre of the first pixel in mm, LPS; None where the header places the frame nowhere in the
        patient.
    along_row, along_column : unit vectors of increasing column index and of increasing row index; None as
        ``origin``.
    spacing : mm between rows, mm between columns; None where unknown.
    thickness : mm from this slice to the next as the header states it; None where unknown.
    frame_of_reference : UID; may be empty.
    modality : as stored (``CT``, ``PT``); may be empty.
    number : Instance Number, to keep an order where positions give none.
    pixels : how the numbers are stored.
    windows : window presets.
    split_keys : what else distinguishes this frame from others at its position (echo, time ...), by keyword.
    localizer : a localizer or scout view.
    frame_time : ms from one frame of a cine loop to the next; None where the header states none.
    frame_time_by : name of the attribute that states it; empty where none does.
    rounding : mm, the unit of the last decimal in which the header states ``origin``; 0 where it is exact.
    tile : first row and column of this slice in the stored image, of a mosaic; None for a whole image.
    delay : ms after the start of its volume at which the slice was acquired; None where not stated.
    orientation : letters of where rows and columns lead (PS3.3 §C.7.6.1.1.1), of an image that states no
        directions; None where not stated.
    side : side and view of a projection (``R MLO``); may be empty.
    remark : why the frame cannot be placed although the header has positions; empty else.
    """

    instance: str
    frame: int
    rows: int
    columns: int
    origin: Vector | None = None
    along_row: Vector | None = None
    along_column: Vector | None = None
    spacing: tuple[float, float] | None = None
    thickness: float | None = None
    frame_of_reference: str = ""
    modality: str = ""
    number: int = 0
    pixels: PixelFormat = field(default_factory=PixelFormat)
    windows: tuple[Window, ...] = ()
    split_keys: Mapping[str, object] = field(default_factory=dict)
    localizer: bool = False
    frame_time: float | None = None
    frame_time_by: str = ""
    rounding: float = 0.0
    tile: tuple[int, int] | None = None
    delay: float | None = None
    orientation: tuple[str, str] | None = None
    side: str = ""
    remark: str = ""

    @property
    def placed(self) -> bool:
        """True when the frame has a place in the patient."""
        return (
            self.origin is not None
            and self.along_row is not None
            and self.along_column is not None
            and self.spacing is not None
        )

    @property
    def normal(self) -> Vector:
        """Unit vector of increasing slices: rows cross columns."""
        if self.along_row is None or self.along_column is None:
            raise GeometryError("The frame has no orientation.", [self.instance])
        return cross(self.along_row, self.along_column)


def cross(a: Vector, b: Vector) -> Vector:
    """Return the vector product."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
